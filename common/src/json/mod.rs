//! Records in JSON, turned into datums of a schema, so that columns, envelopes and rows are those of Avro.
//!
//! | file | what it holds |
//! |---|---|
//! | `scan.rs` | the text as tokens; numbers stay text, nothing goes through floating point |
//! | `connect.rs` | the schema that Kafka Connect's JsonConverter puts into every record |
//! | `declared.rs` | the table that the configuration declares for records without a schema |
//! | `learned.rs` | the table that is learned from records without a schema |
//! | `json_schema.rs` | JSON Schema of a registry |
//! | `decimal.rs` | a decimal in digits as the unscaled number that a datum holds |
//! | `transcode.rs` | [`Translation`]: a JSON value to a datum of a schema, every field by its name |
//! | `reader.rs` | [`Reader`]: keys and values of one lineage, the schemas it has met kept |
//! | `error.rs` | [`JsonError`]: why a text is no such value, and in which field |

mod connect;
mod decimal;
mod declared;
mod error;
pub(crate) mod json_schema;
mod learned;
mod reader;
mod scan;
mod transcode;

pub(crate) use declared::unknown;
pub use declared::{Declared, DeclaredType, Undeclared};
pub use error::{JsonError, JsonFault};
pub(crate) use reader::{Reader, Side};
pub(crate) use transcode::{How, Translation};
