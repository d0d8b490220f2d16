//! PostgreSQL as the source: its tables, their values, and how they stand in the target.

pub mod kind;
pub mod render;
pub mod tables;
pub mod values;
