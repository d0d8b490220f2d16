//! Small clients for whoever uses a stack: tests, the quickstart, the load generator.

pub mod connect;
pub mod kafka;
pub mod mariadb;
pub mod registry;
pub mod s3;
pub mod sql;
pub mod transaction;
