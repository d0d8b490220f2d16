//! What a column of MariaDB holds.

/// Type of a column, as far as its values are made up and shown alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// TINYINT and the others, of so many bits.
    Int(u32),
    /// The same UNSIGNED.
    Unsigned(u32),
    /// DECIMAL of so many digits, so many of them after the point.
    Decimal(usize, usize),
    /// FLOAT.
    Float,
    /// DOUBLE.
    Double,
    /// CHAR or VARCHAR of so many characters, or TEXT and its like where that is 0.
    Text(usize),
    /// VARCHAR of so many characters in Latin-1.
    Latin1(usize),
    /// ENUM.
    Enum,
    /// SET.
    Set,
    /// BINARY of so many bytes.
    Binary(usize),
    /// VARBINARY, BLOB and its like.
    Bytes,
    /// BIT(1).
    Bit,
    /// BIT of so many.
    Bits(u32),
    /// DATE.
    Date,
    /// DATETIME with so many digits of a second.
    DateTime(usize),
    /// TIMESTAMP with so many digits of a second.
    Timestamp(usize),
    /// TIME with so many digits of a second.
    Time(usize),
    /// The same where the target is to have its microseconds.
    Micros(usize),
    /// YEAR.
    Year,
    /// JSON, which the target is to have as SUPER.
    Json,
    /// JSON, which comes as text.
    JsonText,
    /// POINT.
    Point,
    /// Another geometry, whose text begins so.
    Geometry(&'static str),
}
