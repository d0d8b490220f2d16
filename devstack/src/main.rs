//! devstack
fn main() {}
