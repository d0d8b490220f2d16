//! The stand-in against a real PostgreSQL and objects over S3's protocol.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests are not marked as tests, so the exception in clippy.toml misses them"
)]

mod conformance;
mod copy;
mod faults;
mod harness;
mod load;
mod program;
mod s3;
mod session;
mod transactions;
mod views;
