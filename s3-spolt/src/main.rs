//! s3-spolt
fn main() {}
