//! Redshift's column types, and how a table follows the plans of the objects that are loaded into it.

mod growth;
mod names;
mod types;

pub use names::{NAME_BYTES_MAX, RESERVED_PREFIX, column_name};
pub use types::{ColumnType, VARBYTE_BYTES_MAX, VARCHAR_BYTES_MAX};
