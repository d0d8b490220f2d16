//! COPY: objects are fetched, decompressed, read as CSV, checked field by field as Redshift checks, and handed to PostgreSQL as its own
//! COPY text. Everything below [`source`] is pure.

pub mod csv;
pub mod field;
pub mod json;
pub mod load_error;
pub mod manifest;
pub mod moment;
pub mod pump;
pub mod rows;
pub mod source;
