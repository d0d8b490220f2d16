//! Tables that the configuration declares, for JSON that says nothing of its types.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::learned::Learned;
use super::transcode::{How, Translation, Unknown};
use crate::avro::{Hints, Kind, Node, NodeId, Nodes, RecordField};
use crate::envelope;
use crate::row::{KeySource, Settings};

/// A column that the configuration declares.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Declared {
    /// The field of the record.
    pub field: String,
    /// How its values are written, and by that the type of the column.
    #[serde(rename = "type")]
    pub ty: DeclaredType,
}

/// What becomes of a field that is not declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Undeclared {
    /// Its record is refused.
    #[default]
    Refuse,
    /// It is no column.
    Ignore,
    /// It becomes one, by its values; only where records have no schema.
    Learn,
}

/// A type that can be declared: Redshift's, and how JSON says its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum DeclaredType {
    /// `true` or `false`.
    Boolean,
    /// A whole number of 16 bits.
    SmallInt,
    /// A whole number of 32 bits.
    Integer,
    /// A whole number of 64 bits.
    BigInt,
    /// A number, the nearest of 32 bits.
    Real,
    /// A number, the nearest of 64 bits.
    Double,
    /// A number, or its digits as text.
    Decimal {
        /// All digits, at most 38.
        precision: u8,
        /// Digits after the point.
        scale: u8,
    },
    /// Text.
    Varchar,
    /// Text of a UUID.
    Uuid,
    /// Bytes in base64.
    Varbyte,
    /// `2026-01-31`
    Date,
    /// Days since 1970.
    DateFromDays,
    /// `12:30:00`
    Time,
    /// A number since midnight.
    TimeFrom(Since),
    /// `12:30:00+01:00`
    TimeTz,
    /// `2026-01-31T12:30:00`
    Timestamp,
    /// A number since 1970.
    TimestampFrom(Since),
    /// `2026-01-31T12:30:00+01:00`
    TimestampTz,
    /// A number since 1970 in UTC.
    TimestampTzFrom(Since),
    /// Any JSON.
    Super,
    /// Text that holds JSON.
    Json,
}

/// Unit of a number that is a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Since {
    /// Thousandths of a second.
    Millis,
    /// Millionths.
    Micros,
    /// Billionths; what is finer than a millionth is cut.
    Nanos,
}

/// Types by their names; DECIMAL has digits besides.
const NAMES: [(&str, DeclaredType); 26] = {
    use DeclaredType as Type;
    use Since::{Micros, Millis, Nanos};
    [
        ("boolean", Type::Boolean),
        ("smallint", Type::SmallInt),
        ("integer", Type::Integer),
        ("bigint", Type::BigInt),
        ("real", Type::Real),
        ("double", Type::Double),
        ("varchar", Type::Varchar),
        ("uuid", Type::Uuid),
        ("varbyte", Type::Varbyte),
        ("date", Type::Date),
        ("date from days", Type::DateFromDays),
        ("time", Type::Time),
        ("time from millis", Type::TimeFrom(Millis)),
        ("time from micros", Type::TimeFrom(Micros)),
        ("time from nanos", Type::TimeFrom(Nanos)),
        ("timetz", Type::TimeTz),
        ("timestamp", Type::Timestamp),
        ("timestamp from millis", Type::TimestampFrom(Millis)),
        ("timestamp from micros", Type::TimestampFrom(Micros)),
        ("timestamp from nanos", Type::TimestampFrom(Nanos)),
        ("timestamptz", Type::TimestampTz),
        ("timestamptz from millis", Type::TimestampTzFrom(Millis)),
        ("timestamptz from micros", Type::TimestampTzFrom(Micros)),
        ("timestamptz from nanos", Type::TimestampTzFrom(Nanos)),
        ("super", Type::Super),
        ("json", Type::Json),
    ]
};

/// Not the name of a type; what it says can be shown to a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no type of a column")]
pub struct UnknownType(String);

impl FromStr for DeclaredType {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<DeclaredType, UnknownType> {
        let unknown = || UnknownType(text.to_owned());
        if let Some((_, ty)) = NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(*ty);
        }
        let digits = text.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')'));
        let (precision, scale) = digits.and_then(|digits| digits.split_once(',')).ok_or_else(unknown)?;
        match (precision.trim().parse(), scale.trim().parse()) {
            (Ok(precision @ 1..=38), Ok(scale @ 0..=37)) if scale <= precision => {
                Ok(DeclaredType::Decimal { precision, scale })
            }
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for DeclaredType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeclaredType::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            ty => {
                let name = NAMES.iter().find(|(_, named)| named == ty);
                f.write_str(name.map_or("", |(name, _)| name))
            }
        }
    }
}

impl From<DeclaredType> for String {
    fn from(ty: DeclaredType) -> String {
        ty.to_string()
    }
}

impl TryFrom<String> for DeclaredType {
    type Error = UnknownType;

    fn try_from(text: String) -> Result<DeclaredType, UnknownType> {
        text.parse()
    }
}

impl DeclaredType {
    fn node(self) -> (Node, How) {
        let plain = |kind| (Node::of(kind), How::ByType);
        let named = |kind, name: &str| {
            let node = Node {
                connect_name: Some(name.to_owned()),
                ..Node::of(kind)
            };
            (node, How::ByType)
        };
        let logical = |kind, name: &str| Node {
            logical_type: Some(name.to_owned()),
            ..Node::of(kind)
        };
        match self {
            DeclaredType::Boolean => plain(Kind::Boolean),
            DeclaredType::SmallInt => {
                let node = Node {
                    connect_type: Some("int16".to_owned()),
                    ..Node::of(Kind::Int)
                };
                (node, How::ByType)
            }
            DeclaredType::Integer => plain(Kind::Int),
            DeclaredType::BigInt => plain(Kind::Long),
            DeclaredType::Real => plain(Kind::Float),
            DeclaredType::Double => plain(Kind::Double),
            DeclaredType::Decimal { precision, scale } => {
                let node = Node {
                    precision: Some(precision.into()),
                    scale: Some(scale.into()),
                    ..logical(Kind::Bytes, "decimal")
                };
                let scale = scale.into();
                (node, How::Decimal { scale, base64: false })
            }
            DeclaredType::Varchar => plain(Kind::String),
            DeclaredType::Uuid => named(Kind::String, "io.debezium.data.Uuid"),
            DeclaredType::Varbyte => plain(Kind::Bytes),
            DeclaredType::Date => named(Kind::String, "io.debezium.time.IsoDate"),
            DeclaredType::DateFromDays => named(Kind::Int, "io.debezium.time.Date"),
            DeclaredType::Time => named(Kind::String, "io.debezium.time.IsoTime"),
            DeclaredType::TimeFrom(Since::Millis) => named(Kind::Int, "io.debezium.time.Time"),
            DeclaredType::TimeFrom(Since::Micros) => named(Kind::Long, "io.debezium.time.MicroTime"),
            DeclaredType::TimeFrom(Since::Nanos) => named(Kind::Long, "io.debezium.time.NanoTime"),
            DeclaredType::TimeTz => named(Kind::String, "io.debezium.time.ZonedTime"),
            DeclaredType::Timestamp => named(Kind::String, "io.debezium.time.IsoTimestamp"),
            DeclaredType::TimestampFrom(Since::Millis) => named(Kind::Long, "io.debezium.time.Timestamp"),
            DeclaredType::TimestampFrom(Since::Micros) => named(Kind::Long, "io.debezium.time.MicroTimestamp"),
            DeclaredType::TimestampFrom(Since::Nanos) => named(Kind::Long, "io.debezium.time.NanoTimestamp"),
            DeclaredType::TimestampTz => named(Kind::String, "io.debezium.time.ZonedTimestamp"),
            DeclaredType::TimestampTzFrom(since) => {
                let name = match since {
                    Since::Millis => "timestamp-millis",
                    Since::Micros => "timestamp-micros",
                    Since::Nanos => "timestamp-nanos",
                };
                (logical(Kind::Long, name), How::ByType)
            }
            DeclaredType::Super => {
                let (node, _) = named(Kind::String, "io.debezium.data.Json");
                (node, How::Raw)
            }
            DeclaredType::Json => named(Kind::String, "io.debezium.data.Json"),
        }
    }
}

#[derive(Default)]
struct Builder {
    nodes: Nodes,
    how: Vec<How>,
}

impl Builder {
    fn push(&mut self, (node, how): (Node, How)) -> NodeId {
        self.how.push(how);
        self.nodes.push(node)
    }

    fn nullable(&mut self, inner: NodeId) -> NodeId {
        let null = self.push((Node::of(Kind::Null), How::ByType));
        self.push((Node::of(Kind::Union(vec![null, inner])), How::ByType))
    }

    fn field(&mut self, name: &str, node: (Node, How)) -> RecordField {
        let inner = self.push(node);
        RecordField {
            name: name.to_owned(),
            node: self.nullable(inner),
            default: None,
            aliases: Vec::new(),
            hints: Hints::default(),
        }
    }

    fn fields<'a>(&mut self, columns: impl Iterator<Item = &'a Declared>, learned: &[Learned]) -> Vec<RecordField> {
        let declared = columns.map(|column| (column, None));
        let learned = learned.iter().map(|learned| (&learned.column, learned.how));
        declared
            .chain(learned)
            .map(|(column, how)| {
                let (node, own) = column.ty.node();
                self.field(&column.field, (node, how.unwrap_or(own)))
            })
            .collect()
    }

    fn record(&mut self, fields: Vec<RecordField>, unknown: Unknown) -> NodeId {
        self.push((Node::of(Kind::Record(fields)), How::Record(unknown)))
    }

    fn finish(self, root: NodeId) -> Translation {
        Translation::new(self.nodes.into_schema(root), self.how)
    }
}

/// What becomes of fields that a topic's schema does not have.
pub(crate) fn unknown(settings: &Settings) -> Unknown {
    match (settings.undeclared, settings.envelope) {
        (Undeclared::Learn, _) => Unknown::Learn,
        (Undeclared::Ignore, _) => Unknown::Ignore,
        (Undeclared::Refuse, envelope::Kind::DebeziumFlat) => Unknown::UndeclaredButAdded,
        (Undeclared::Refuse, _) => Unknown::Undeclared,
    }
}

/// What ExtractNewRecordState says of a row; known whether declared or not.
pub(super) const FLAGS: [&str; 2] = ["__deleted", "__op"];

/// How values are read: the declared columns and those that were learned, in their envelope.
pub(super) fn value(settings: &Settings, learned: &[Learned]) -> Translation {
    let mut builder = Builder::default();
    let mut fields = builder.fields(settings.columns.iter(), learned);
    let root = match settings.envelope {
        envelope::Kind::Plain | envelope::Kind::Yelp => builder.record(fields, unknown(settings)),
        envelope::Kind::DebeziumFlat => {
            for name in FLAGS {
                if fields.iter().all(|field| field.name != name) {
                    fields.push(builder.field(name, (Node::of(Kind::String), How::Flag)));
                }
            }
            builder.record(fields, unknown(settings))
        }
        envelope::Kind::Debezium => {
            let row = builder.record(fields, unknown(settings));
            let row = builder.nullable(row);
            let required = |name: &str, node| RecordField {
                name: name.to_owned(),
                node,
                default: None,
                aliases: Vec::new(),
                hints: Hints::default(),
            };
            let mut outer = vec![required("before", row), required("after", row)];
            if let Some(source) = source(&mut builder, settings) {
                outer.push(required("source", source));
            }
            let op = builder.push((Node::of(Kind::String), How::ByType));
            outer.push(required("op", op));
            builder.record(outer, Unknown::Ignore)
        }
    };
    builder.finish(root)
}

/// Fields of the source block that are texts; all others are places in a log, or times.
const SOURCE_TEXTS: [&str; 11] = [
    "connector",
    "db",
    "file",
    "gtid",
    "name",
    "query",
    "schema",
    "sequence",
    "snapshot",
    "table",
    "version",
];

/// The fields of the source block that are asked for, if any are.
fn source(builder: &mut Builder, settings: &Settings) -> Option<NodeId> {
    let asked = &settings.column_rules.source_fields;
    let ordering = settings.position.iter().filter(|name| !asked.contains(name));
    let fields: Vec<RecordField> = ordering
        .chain(asked)
        .map(|name| {
            let is_text = SOURCE_TEXTS.contains(&name.as_str());
            let kind = if is_text { Kind::String } else { Kind::Long };
            builder.field(name, (Node::of(kind), How::ByType))
        })
        .collect();
    if fields.is_empty() {
        return None;
    }
    let source = builder.record(fields, Unknown::Ignore);
    Some(builder.nullable(source))
}

/// How the keys of records without a value are read: those of the declared columns that are the table's key.
pub(super) fn key(settings: &Settings, learned: &[Learned]) -> Translation {
    let mut builder = Builder::default();
    let is_key = |column: &&Declared| match &settings.key {
        KeySource::Columns(names) => names.contains(&column.field),
        KeySource::Record => true,
        KeySource::None => false,
    };
    let fields = builder.fields(settings.columns.iter().filter(is_key), learned);
    let root = builder.record(fields, unknown(settings));
    builder.finish(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_name_that_reads_back() {
        let decimal = DeclaredType::Decimal {
            precision: 38,
            scale: 9,
        };
        for ty in NAMES.iter().map(|(_, ty)| *ty).chain([decimal]) {
            assert_eq!(ty.to_string().parse(), Ok(ty));
        }
        assert_eq!(
            "decimal(10, 2)".parse(),
            Ok(DeclaredType::Decimal {
                precision: 10,
                scale: 2
            })
        );
        for wrong in [
            "",
            "text",
            "decimal",
            "decimal(39,0)",
            "decimal(2,3)",
            "decimal(0,0)",
            "varchar(10)",
            "DATE",
        ] {
            assert!(wrong.parse::<DeclaredType>().is_err(), "{wrong}");
        }
    }
}
