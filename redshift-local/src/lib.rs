//! Redshift's dialect, COPY and wire behaviour over a real PostgreSQL, for tests and demonstrations.

pub mod sql;
