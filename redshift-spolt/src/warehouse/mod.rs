//! Executes compiled loads over the simple-query protocol and reads what Redshift answers.
//!
//! | module | what it does |
//! |---|---|
//! | [`session`] | connects by tokio-postgres: TLS, keepalive, application name, timeouts |
//! | [`tls`] | certificates per sslmode |
//! | [`apply`] | runs a script statement by statement and turns the end into an outcome |
//! | [`diagnose`] | finds file, line, column and reason of a refused COPY |
//! | [`pool`] | sessions that wait for the next load |
//! | [`takeover`] | ends sessions of an older loader that hang on the lock (rule 18) |

pub mod apply;
pub mod diagnose;
pub mod pool;
pub mod session;
pub mod takeover;
pub mod tls;
