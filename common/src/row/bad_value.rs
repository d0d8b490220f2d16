//! What becomes of a value that its column cannot hold.

use serde::{Deserialize, Serialize};

use super::Reason;

/// What becomes of a value that does not fit its column; a key's always sets the record aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub enum BadValue {
    /// Its record is set aside.
    #[default]
    SetAside,
    /// Its lineage halts.
    Halt,
    /// NULL takes its place.
    Null,
    /// A text that is too long is cut at a character; anything else sets the record aside.
    Truncate,
}

/// The name that means every column that is not named itself.
pub const EVERY_COLUMN: &str = "*";

impl BadValue {
    /// Whether a value with this problem is replaced, so that its record keeps its row. A datum that is broken never is: where the next
    /// field begins is not known then.
    #[must_use]
    pub fn replaces(self, reason: Reason) -> bool {
        match self {
            BadValue::SetAside | BadValue::Halt => false,
            BadValue::Truncate => matches!(reason, Reason::TextBytes(_)),
            BadValue::Null => matches!(
                reason,
                Reason::Depth
                    | Reason::Nul
                    | Reason::Utf8
                    | Reason::Marker
                    | Reason::TextBytes(_)
                    | Reason::Bytes(_)
                    | Reason::NotFinite
                    | Reason::Range
                    | Reason::Digits
                    | Reason::Year
                    | Reason::TimeOfDay
                    | Reason::TimeText
                    | Reason::NumberText
                    | Reason::Uuid
                    | Reason::JsonKey
                    | Reason::JsonBytes(_)
            ),
        }
    }
}

/// A value that was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amended {
    /// Name of the column.
    pub column: String,
    /// What was wrong with the value.
    pub reason: Reason,
    /// What was done.
    pub by: BadValue,
}
