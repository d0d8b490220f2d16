//! Why a datum has no row.

use crate::failure::Class;

/// What is wrong with a datum or a value. Small and `Copy`, since every step of the hot path can return one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reason {
    /// The bytes end inside a value.
    #[error("the datum ends in the middle of a value")]
    Truncated,
    /// Bytes are left when all fields are read: the schema is not the writer's.
    #[error("`{0}` bytes are left over after the last field, so the datum was not written with this schema")]
    Trailing(u32),
    /// A number is longer than its type allows.
    #[error("a number has more bytes than its type allows")]
    Varint,
    /// A length or a count is negative or beyond the datum.
    #[error("a length in the datum is negative or exceeds the datum")]
    Length,
    /// A union branch that the schema does not have.
    #[error("the datum names branch `{0}` of a union, which the schema does not have")]
    Branch(u32),
    /// An enum symbol that the schema does not have.
    #[error("the datum names symbol `{0}` of an enum, which the schema does not have")]
    Symbol(u32),
    /// A boolean that is neither 0 nor 1.
    #[error("byte `{0}` is no boolean")]
    Boolean(u8),
    /// Values nested deeper than the encoder follows.
    #[error("values are nested deeper than `{}`", crate::avro::DEPTH_MAX)]
    Depth,
    /// Text with the character NUL, which COPY cuts or refuses (load error 1218).
    #[error("the text holds a NUL character, which Redshift cannot store")]
    Nul,
    /// Text that is not UTF-8.
    #[error("the text is not valid UTF-8")]
    Utf8,
    /// Text that COPY would read as NULL.
    #[error("the text equals the NULL marker")]
    Marker,
    /// Text beyond the limit of its column.
    #[error("the text has `{0}` bytes, more than its column can hold")]
    TextBytes(u32),
    /// Bytes beyond the limit of their column.
    #[error("the value has `{0}` bytes, more than its column can hold")]
    Bytes(u32),
    /// NaN or an infinity, which COPY cannot load.
    #[error("the number is not finite, which COPY cannot load")]
    NotFinite,
    /// An integer that its column type cannot hold.
    #[error("the number is outside the range of its column type")]
    Range,
    /// A decimal with more digits than its column.
    #[error("the decimal has more digits than its column")]
    Digits,
    /// A date or timestamp outside the years 1 to 9999.
    #[error("the date is outside the years 1 to 9999")]
    Year,
    /// A time below 0 or above 24 hours.
    #[error("the time of day is outside 00:00:00 to 24:00:00")]
    TimeOfDay,
    /// A text that should be a date or a time and is not.
    #[error("the text is no date or time of the expected form")]
    TimeText,
    /// A text that should be a number and is not.
    #[error("the text is no number of its column's type")]
    NumberText,
    /// A text that should be a UUID and is not.
    #[error("the text is no UUID")]
    Uuid,
    /// A JSON object or map that has a key twice, which SUPER refuses.
    #[error("a JSON object has the same key twice, which Redshift refuses")]
    JsonKey,
    /// JSON text beyond what SUPER takes.
    #[error("the JSON has a string of `{0}` bytes, more than SUPER can hold")]
    JsonBytes(u32),
    /// A key column that is null.
    #[error("a key column is null")]
    NullKey,
    /// A key that Redshift would take for the same as one without the blank (rule 29).
    #[error("the key ends in a blank, which Redshift ignores when it compares keys")]
    KeyBlank,
    /// A key that is the placeholder for an unchanged value.
    #[error("a key column holds the placeholder for an unchanged value")]
    KeyUnchanged,
    /// A row that COPY refuses (load error 1216).
    #[error("the row has `{0}` bytes, more than the 4 MB that COPY takes")]
    RowBytes(u32),
}

impl Reason {
    /// Its name, for metrics and for the table of records set aside. Names stay.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Reason::Truncated => "truncated",
            Reason::Trailing(_) => "trailing_bytes",
            Reason::Varint => "bad_number",
            Reason::Length => "bad_length",
            Reason::Branch(_) => "bad_branch",
            Reason::Symbol(_) => "bad_symbol",
            Reason::Boolean(_) => "bad_boolean",
            Reason::Depth => "too_deep",
            Reason::Nul => "nul_character",
            Reason::Utf8 => "invalid_utf8",
            Reason::Marker => "null_marker",
            Reason::TextBytes(_) => "text_too_long",
            Reason::Bytes(_) => "bytes_too_long",
            Reason::NotFinite => "not_finite",
            Reason::Range => "out_of_range",
            Reason::Digits => "too_many_digits",
            Reason::Year => "year_out_of_range",
            Reason::TimeOfDay => "time_out_of_range",
            Reason::TimeText => "bad_time_text",
            Reason::NumberText => "bad_number_text",
            Reason::Uuid => "bad_uuid",
            Reason::JsonKey => "duplicate_json_key",
            Reason::JsonBytes(_) => "json_text_too_long",
            Reason::NullKey => "null_key",
            Reason::KeyBlank => "key_ends_in_blank",
            Reason::KeyUnchanged => "key_unchanged",
            Reason::RowBytes(_) => "row_too_long",
        }
    }

    /// What can be done about it.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Reason::Truncated
            | Reason::Trailing(_)
            | Reason::Varint
            | Reason::Length
            | Reason::Branch(_)
            | Reason::Symbol(_)
            | Reason::Boolean(_) => {
                "the record is damaged, or its schema id names another schema than it was written with"
            }
            Reason::NullKey | Reason::KeyUnchanged => "choose key columns that are always set",
            Reason::KeyBlank => "correct the value at the source, or choose another key",
            Reason::Marker => "set another `null_marker`",
            _ => "correct the value at the source",
        }
    }

    /// All of these concern one record: where it is not set aside, its lineage halts.
    #[must_use]
    pub fn class(self) -> Class {
        Class::Halt
    }
}
