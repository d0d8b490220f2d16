//! The rules of docs/formats.md by which a target holds something else than what its source shows.

/// A rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Numbers that are not finite.
    NotFinite,
    /// Dates and times outside the years that the target has.
    Year,
    /// Texts longer than any VARCHAR.
    TextTooLong,
    /// TIME below zero or of a day and more.
    NoTimeOfDay,
    /// The same where the column is to be a BIGINT.
    TimeAsMicros,
    /// Dates with a zero in the place of a year, month or day.
    ZeroDate,
    /// TIMESTAMPs of such dates.
    ZeroTimestamp,
    /// The YEAR 0000.
    ZeroYear,
    /// MONEY.
    Money,
    /// Bytes.
    Bytes,
    /// BIT(1).
    Bit,
    /// BIT(n).
    Bits,
    /// TIMETZ.
    Utc,
    /// INTERVAL.
    Micros,
    /// JSON.
    Compact,
    /// HSTORE.
    Hstore,
    /// POINT.
    Point,
    /// Other geometries.
    Geometry,
    /// Arrays.
    Array,
    /// Arrays of arrays.
    Nested,
    /// Bytes of which there are none.
    NoBytes,
    /// NUMERIC that is none or infinite.
    NoNumber,
    /// NUMERIC without a scale.
    Scale,
    /// NULL in a column with a default.
    NullAsDefault,
    /// A column that was renamed.
    Renamed,
    /// A column added with a default that is no constant.
    NoConstant,
    /// A column that was dropped.
    Dropped,
    /// Columns of types that Debezium does not know.
    LeftOut,
}

/// Rules that a PostgreSQL needs.
pub const POSTGRES: &[Rule] = &[
    Rule::NotFinite,
    Rule::Year,
    Rule::TextTooLong,
    Rule::Money,
    Rule::Bytes,
    Rule::Bit,
    Rule::Bits,
    Rule::Utc,
    Rule::Micros,
    Rule::Compact,
    Rule::Hstore,
    Rule::Point,
    Rule::Array,
    Rule::Nested,
    Rule::NoBytes,
    Rule::NoNumber,
    Rule::Scale,
    Rule::NullAsDefault,
    Rule::Renamed,
    Rule::NoConstant,
    Rule::Dropped,
    Rule::LeftOut,
];

/// Rules that a MariaDB needs.
pub const MARIADB: &[Rule] = &[
    Rule::TextTooLong,
    Rule::NoTimeOfDay,
    Rule::TimeAsMicros,
    Rule::ZeroDate,
    Rule::ZeroTimestamp,
    Rule::ZeroYear,
    Rule::Bytes,
    Rule::Bit,
    Rule::Bits,
    Rule::Compact,
    Rule::Point,
    Rule::Geometry,
    Rule::NoBytes,
    Rule::NullAsDefault,
    Rule::Renamed,
    Rule::NoConstant,
    Rule::Dropped,
];

impl Rule {
    /// Its name in docs/formats.md.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Rule::NotFinite => "not finite",
            Rule::Year => "a year that Redshift does not have",
            Rule::TextTooLong => "a text that is too long",
            Rule::NoTimeOfDay => "a TIME that is no time of day",
            Rule::TimeAsMicros => "a TIME in microseconds",
            Rule::ZeroDate => "a zero date is NULL",
            Rule::ZeroTimestamp => "a zero TIMESTAMP is 1970",
            Rule::ZeroYear => "the YEAR 0000 is 1900",
            Rule::Money => "money is a number",
            Rule::Bytes => "bytes in hexadecimal",
            Rule::Bit => "a single bit is a boolean",
            Rule::Bits => "bits are bytes, the lowest first",
            Rule::Utc => "times of day with a zone in UTC",
            Rule::Micros => "intervals in microseconds",
            Rule::Compact => "JSON without blanks",
            Rule::Hstore => "hstore is JSON",
            Rule::Point => "points are objects",
            Rule::Geometry => "geometries are objects",
            Rule::Array => "arrays are JSON",
            Rule::Nested => "arrays of arrays are nulls",
            Rule::NoBytes => "empty bytes are NULL",
            Rule::NoNumber => "NaN in a NUMERIC is NULL",
            Rule::Scale => "a NUMERIC of any scale has no zeros at its end",
            Rule::NullAsDefault => "NULL in a column with a default",
            Rule::Renamed => "a renamed column",
            Rule::NoConstant => "a default that is no constant",
            Rule::Dropped => "a dropped column",
            Rule::LeftOut => "multiranges are left out",
        }
    }

    /// What the records are called that are set aside by it; none if it sets none aside.
    #[must_use]
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Rule::NotFinite => Some("not_finite"),
            Rule::Year => Some("year_out_of_range"),
            Rule::TextTooLong => Some("text_too_long"),
            Rule::NoTimeOfDay => Some("time_out_of_range"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_are_those_of_the_documentation() {
        let documented = include_str!("../../../../docs/formats.md");
        let missing: Vec<_> = POSTGRES
            .iter()
            .chain(MARIADB)
            .map(|rule| rule.name())
            .filter(|name| !documented.contains(name))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
