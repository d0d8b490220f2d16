//! What a record does to a row: plain records are rows, Debezium's carry the row and the operation, in an envelope or flattened.

mod debezium;

use serde::{Deserialize, Serialize};

pub(crate) use debezium::{Layout, Message, Part};

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
}

/// The text by which Debezium says that a value was left out because it did not change (`unavailable.value.placeholder`).
pub const DEBEZIUM_UNAVAILABLE_VALUE: &str = "__debezium_unavailable_value";
