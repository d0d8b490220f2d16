//! The whole path on the real parts: Kafka, the registry, LocalStack, the stand-in over PostgreSQL, and the release binaries of both
//! daemons. Each test ends with the target tables equal to what a plain consumer and apache-avro say they must hold.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod collect;
mod columns;
mod crash;
mod debezium;
mod evolve;
mod faults;
mod fetch;
mod metadata;
mod modes;
mod operator;
mod order;
mod outside;
mod pairs;
mod path;
mod poison;
mod rebuild;
mod refresh;
mod replay;
