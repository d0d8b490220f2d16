//! One row of `sys_load_error_detail` and `stl_load_errors` (redshift.md 1.7).

/// Codes of load errors.
pub mod code {
    /// Anything else.
    pub const UNKNOWN: i32 = 1200;
    /// More fields than columns.
    pub const EXTRA_COLUMN: i32 = 1202;
    /// Fewer fields than columns.
    pub const FEWER_COLUMNS: i32 = 1203;
    /// Value out of range for its type, text too long included.
    pub const OUT_OF_RANGE: i32 = 1204;
    /// Not a date.
    pub const DATE: i32 = 1205;
    /// Not a timestamp.
    pub const TIMESTAMP: i32 = 1206;
    /// Not a digit.
    pub const DIGIT: i32 = 1207;
    /// Not a number with an exponent.
    pub const FLOAT: i32 = 1208;
    /// Not a decimal.
    pub const DECIMAL: i32 = 1209;
    /// Not a boolean.
    pub const BOOLEAN: i32 = 1210;
    /// An empty line.
    pub const EMPTY_LINE: i32 = 1211;
    /// NULL in a NOT NULL column.
    pub const NOT_NULL: i32 = 1213;
    /// A quote or delimiter where none may stand.
    pub const DELIMITER: i32 = 1214;
    /// A multi-byte character in CHAR.
    pub const CHAR: i32 = 1215;
    /// A line over 4 MB.
    pub const LINE: i32 = 1216;
    /// A NUL byte.
    pub const NUL: i32 = 1218;
    /// Not hexadecimal.
    pub const HEX: i32 = 1219;
    /// Not UTF-8.
    pub const UTF8: i32 = 1220;
    /// An integer over its type.
    pub const OVERFLOW: i32 = 1222;
    /// Not JSON.
    pub const JSON: i32 = 1224;
}

/// Why and where a row could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError {
    /// Address of the object.
    pub file: String,
    /// Line in the object, from 1, where the record begins.
    pub line: u64,
    /// Column name; empty when the whole record is meant.
    pub column: String,
    /// Redshift's short type name.
    pub column_type: String,
    /// Declared length, empty when the type has none.
    pub column_length: String,
    /// Byte position of the field in its record.
    pub position: usize,
    /// One of [`code`].
    pub code: i32,
    /// The reason.
    pub message: String,
    /// The record.
    pub raw_line: String,
    /// The field.
    pub raw_field: String,
}

/// `bytes` as text for a load error: cut, made valid, without NUL.
#[must_use]
pub fn excerpt(bytes: &[u8]) -> String {
    const BYTES_MAX: usize = 1_024;
    String::from_utf8_lossy(&bytes[..bytes.len().min(BYTES_MAX)]).replace('\0', "\u{fffd}")
}
