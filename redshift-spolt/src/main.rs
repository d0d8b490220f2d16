//! redshift-spolt
fn main() {}
