//! The stand-in against a real PostgreSQL and objects over S3's protocol.

mod conformance;
mod copy;
mod faults;
mod harness;
mod s3;
mod session;
mod transactions;
mod views;
