//! redshift-local
fn main() {}
