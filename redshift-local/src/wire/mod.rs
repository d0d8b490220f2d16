//! The PostgreSQL protocol, version 3, as far as a proxy needs it.

pub mod backend;
pub mod fields;
pub mod frame;
