//! One record in, zero to two CSV rows out. The hot path: no value tree, no allocation per record, pure and synchronous.
//!
//! | file | what it holds |
//! |---|---|
//! | `row/settings.rs` | [`Settings`]: all that changes bytes, and its fingerprint |
//! | `row/columns.rs` | [`ColumnRules`]: what the configuration says of single columns |
//! | `row/shape.rs` | which columns schemas make, and how a plan grows by them (protocol rule 7) |
//! | `row/attached.rs` | columns that are filled from what comes with a record beside the fields of its row |
//! | `row/headers.rs` | the headers of a record, on their way and as JSON |
//! | `row/position.rs` | a field of Debezium's `source` as a column of every row (protocol rule 20) |
//! | `row/program.rs` | schemas and a plan compiled into a flat list of cells |
//! | `row/flat.rs` | what records flattened by ExtractNewRecordState say besides the row |
//! | `row/front.rs` | records that are not Avro behind a number: they become that, and are then as all others |
//! | `row/numbered.rs` | numbers for schemas whose names are none |
//! | `row/yelp.rs` | messages of Yelp's Data Pipeline |
//! | `row/registered.rs` | JSON whose schemas are in a registry |
//! | `row/hot.rs` | the walk over integers, short texts, booleans and nulls |
//! | `row/encoder.rs` | [`RowEncoder`]: the walk of a record, one per lineage |
//! | `row/encoder/keep.rs` | what is kept of a record that has no row, or had a value replaced |
//! | `row/aside.rs` | records that became no rows, as lines of an object of their own |
//! | `row/bad_value.rs` | what becomes of a value that its column cannot hold |
//! | `row/stats.rs` | [`Stats`]: what a claim says about the columns of its object |
//! | `row/reason.rs`, `row/error.rs` | why a record has no row |

mod aside;
mod attached;
mod bad_value;
mod columns;
mod encoder;
mod error;
mod flat;
mod front;
pub mod headers;
mod hot;
mod numbered;
mod position;
mod program;
mod reason;
mod registered;
mod settings;
mod shape;
mod stats;
mod yelp;

pub use aside::{ASIDE_COLUMNS, ASIDE_ERROR_BYTES, ASIDE_HEADERS, ASIDE_PART_BYTES, aside_columns};
pub use attached::MessageField;
pub(crate) use attached::is_reserved;
pub use bad_value::{Amended, BadValue, EVERY_COLUMN};
pub use columns::{ColumnRules, TypeChanges};
pub use encoder::RowEncoder;
pub use error::{EncodeError, PlanError, Problem};
pub use reason::Reason;
pub use settings::{DECODER_VERSION, Format, KeySource, SchemaIds, Settings, Tombstones};
pub use shape::plan_for;
pub use stats::Stats;

use std::sync::Arc;

use crate::ids::{Offset, SchemaId};
use crate::plan::Plan;

/// A record as it was read from Kafka.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Its key, framed; where the id of its schema is in a header, with what [`crate::avro::frame::head`] takes of that before it.
    pub key: Option<&'a [u8]>,
    /// Its value, likewise.
    pub value: Option<&'a [u8]>,
    /// Its headers as [`headers::push`] makes them, where the topic asks for them.
    pub headers: Option<&'a [u8]>,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// So many rows were appended, 1 or 2.
    Rows(u8),
    /// The record makes no row (a tombstone after a Debezium delete, a heartbeat); its offset counts all the same.
    Skipped,
    /// This schema is needed: fetch it, [`RowEncoder::add_schema`], and encode the record again.
    NeedSchema(SchemaId),
    /// The record does not fit the plan: cut, [`RowEncoder::adopt`] this one, and encode the record again.
    PlanGrows(Arc<Plan>),
    /// The source table was truncated (protocol rule 26).
    Truncate,
}
