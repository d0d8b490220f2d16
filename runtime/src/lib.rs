//! The shell that both daemons share: configuration, clients, HTTP, tasks, retries and reports. It moves bytes and decides nothing.

pub mod config;
pub mod failpoint;
pub mod http;
pub mod kafka;
pub mod membership;
pub mod port;
pub mod progress;
pub mod readiness;
pub mod registry;
pub mod report;
pub mod retry;
pub mod s3;
pub mod secret;
pub mod tasks;
pub mod world;
