//! Avro from the frame to the fields of a CSV row, without a value tree between them.
//!
//! | file | what it holds |
//! |---|---|
//! | `frame.rs` | magic byte and schema id before a datum |
//! | `text.rs` | [`SchemaText`]: a schema as a registry has it |
//! | `schema.rs` | [`WriterSchema`]: a schema as nodes in an arena, with the attributes that Connect and Debezium add |
//! | `hints.rs` | what Yelp's schemas say of a field beside its type |
//! | `datum.rs` | reading and skipping the bytes of a datum |
//! | `form.rs` | what type of column a schema node becomes, and how its datum is turned into text |
//! | `convert.rs` | the form of a value in a column of another type than its schema makes |
//! | `field.rs` | the walk: one datum to one CSV field |
//! | `json.rs` | arrays, maps, records and unions of several types as the JSON of a SUPER column |
//! | `json_text.rs` | JSON that is already text in the source |
//! | `zoned.rs` | the texts in which Debezium writes times with a zone |
//! | `default.rs` | the default of a field as a datum |

mod convert;
pub(crate) mod datum;
pub(crate) mod default;
pub(crate) mod field;
pub(crate) mod form;
pub mod frame;
pub(crate) mod hints;
pub(crate) mod json;
mod json_text;
mod schema;
mod text;
mod zoned;

pub(crate) use hints::Hints;
pub(crate) use schema::{Kind, Node, NodeId, Nodes, Nullable, RecordField};
pub use schema::{SchemaError, WriterSchema};
pub use text::{Language, SchemaText};

/// How deep values may be nested: Redshift follows 1000 levels in SUPER, and a hundred of our own frames fit any stack.
pub const DEPTH_MAX: usize = 100;
