//! The shell that both daemons share: configuration, clients, HTTP, tasks, retries and reports. It moves bytes and decides nothing.

pub mod config;
pub mod port;
pub mod secret;
