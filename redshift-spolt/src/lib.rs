//! redshift-spolt: claims on a signal topic -> manifest -> COPY -> merge -> checkpoint, one transaction per load (protocol rules 14-22).
//!
//! [`load`] decides and is pure; [`warehouse`] speaks to Redshift; [`driver`] joins both to Kafka and S3; [`cli`] is the front door.

pub mod cli;
pub mod driver;
pub mod load;
pub mod warehouse;
