//! What a record does to a row: plain records are rows, Debezium's carry the row and the operation, in an envelope or flattened, and so do
//! those of Yelp's Data Pipeline, which may be encrypted.

mod cipher;
mod debezium;
mod yelp;

use serde::{Deserialize, Serialize};

pub(crate) use cipher::Cipher;
pub use cipher::{CipherError, DataKeys, KEY_BYTES};
pub(crate) use debezium::{Layout, Message, Part};
pub use yelp::ParcelError;
pub(crate) use yelp::{Action, Parcel};

/// How the values of a topic are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The value is the row; a null value deletes the row of the key.
    #[default]
    Plain,
    /// Debezium's envelope of `before`, `after`, `op` and `source`.
    Debezium,
    /// What is left of Debezium's envelope when ExtractNewRecordState has flattened it: the row, with `__deleted` and `__op` beside its
    /// fields.
    DebeziumFlat,
    /// A message of Yelp's Data Pipeline around the row, its schema named within; the key is what the schema says, or these fields.
    Yelp,
}

/// The text by which Debezium says that a value was left out because it did not change (`unavailable.value.placeholder`).
pub const DEBEZIUM_UNAVAILABLE_VALUE: &str = "__debezium_unavailable_value";
