//! s3-spolt: batches the records of Kafka topics into CSV objects on S3 and claims each on a signal topic.
//!
//! [`ingest`] holds the decisions, [`driver`] carries them out, [`run`] wires the daemon, [`cli`] is what a person types; [`collect`] deletes
//! objects that nobody needs any more, [`rebuild`] makes a signal log anew from the objects.

pub mod cli;
pub mod collect;
pub mod driver;
pub mod ingest;
pub mod metrics;
pub mod operate;
pub mod rebuild;
pub mod run;
