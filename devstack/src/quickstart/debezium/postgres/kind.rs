//! What a column of PostgreSQL holds.

/// Type of a column, as far as its values are made up and shown alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// BOOLEAN.
    Bool,
    /// SMALLINT.
    Int2,
    /// INTEGER.
    Int4,
    /// BIGINT.
    Int8,
    /// OID.
    Oid,
    /// REAL.
    Float4,
    /// DOUBLE PRECISION.
    Float8,
    /// NUMERIC without precision.
    Numeric,
    /// NUMERIC of so many digits, so many of them after the point.
    Decimal(usize, usize),
    /// MONEY.
    Money,
    /// VARCHAR of so many characters, or TEXT where that is 0.
    Text(usize),
    /// CHAR of so many characters.
    Char(usize),
    /// XML.
    Xml,
    /// The enum `mood`.
    Mood,
    /// INET.
    Inet,
    /// CIDR.
    Cidr,
    /// MACADDR.
    Mac,
    /// MACADDR8.
    Mac8,
    /// LTREE.
    Ltree,
    /// TSVECTOR.
    Tsvector,
    /// UUID.
    Uuid,
    /// BYTEA.
    Bytes,
    /// BIT(1).
    Bit,
    /// BIT(n), or BIT VARYING of at most n.
    Bits {
        /// The n.
        most: usize,
        /// Of at most n.
        varying: bool,
    },
    /// DATE.
    Date,
    /// TIME with so many digits of a second.
    Time(usize),
    /// TIMETZ.
    TimeTz,
    /// TIMESTAMP with so many digits of a second.
    Timestamp(usize),
    /// TIMESTAMPTZ.
    TimestampTz,
    /// INTERVAL.
    Interval,
    /// JSON or JSONB.
    Json,
    /// HSTORE.
    Hstore,
    /// POINT.
    Point,
    /// A range of one of these.
    Range(Bound),
    /// A multirange of one of these.
    Multirange(Bound),
    /// An array of one of these.
    Array(Item),
    /// Text that is stored outside of the row.
    BigText,
    /// BYTEA that is stored outside of the row.
    BigBytes,
    /// JSONB that is stored outside of the row.
    BigJson,
    /// An array that is stored outside of the row.
    BigArray(Item),
}

/// Of what a range is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// INTEGER or BIGINT.
    Whole,
    /// NUMERIC.
    Numeric,
    /// DATE.
    Date,
    /// TIMESTAMP.
    Timestamp,
    /// TIMESTAMPTZ.
    TimestampTz,
}

/// Of what an array is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// INTEGER.
    Int4,
    /// BIGINT.
    Int8,
    /// NUMERIC(10,2).
    Decimal,
    /// DOUBLE PRECISION.
    Float8,
    /// BOOLEAN.
    Bool,
    /// TEXT.
    Text,
    /// UUID.
    Uuid,
    /// DATE.
    Date,
    /// TIMESTAMP.
    Timestamp,
    /// TIMESTAMPTZ.
    TimestampTz,
}
