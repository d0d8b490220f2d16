//! What type of column a schema node becomes, and how its datum is turned into text (redshift.md 7.1): first by `connect.name`, then
//! by `logicalType`, then by the base type.

use super::hints::{FIXED_POINT, SECONDS};
use super::schema::{Kind, Node, NodeId, WriterSchema};
use crate::csv::decimal::DECIMAL_TEXT_BYTES_MAX;
use crate::table::ColumnType;

/// Precision that Connect's converter writes when the source declares none.
const CONNECT_UNKNOWN_PRECISION: u64 = 64;
/// Limits of DECIMAL (redshift.md 2.1).
const DECIMAL_PRECISION_MAX: u64 = 38;
const DECIMAL_SCALE_MAX: u64 = 37;
/// VARCHAR(256) of an enum: symbols may be added later.
const ENUM_BYTES: u32 = 256;
const UUID_BYTES: u32 = 36;
const INTERVAL_BYTES: u32 = 64;

/// Unit of a number that is a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Seconds,
    Millis,
    Micros,
    Nanos,
}

/// Where the bytes of a value are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// After their length.
    Prefixed,
    /// Exactly so many.
    Fixed(u32),
}

/// Where the unscaled number of a decimal is, and its scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unscaled {
    /// Here, of this scale.
    Bytes { extent: Extent, scale: i32 },
    /// Both inside bytes.
    Big,
    /// A record of both, in this or the other order.
    Variable { scale_first: bool },
    /// Digits of a text.
    Text,
}

/// How the datum of a type becomes the text of its column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Form {
    /// A type that has only null.
    Null,
    Boolean,
    Int,
    Long,
    /// An int that Connect says is shorter.
    Narrow {
        min: i16,
        max: i16,
    },
    Float,
    /// A float in a column that became DOUBLE PRECISION.
    FloatAsDouble,
    Double,
    Text {
        limit: u32,
    },
    Uuid,
    UuidBytes,
    Enum(Vec<Box<[u8]>>),
    Hex {
        extent: Extent,
        limit: u32,
    },
    /// Bits as bytes, the lowest first, without zeros at the end; where none is set, one zero byte: COPY takes empty bytes for NULL.
    Bits {
        limit: u32,
    },
    /// Scale of the writer, precision and scale of the column.
    Decimal {
        extent: Extent,
        scale: u8,
        precision: u8,
        column_scale: u8,
    },
    /// A double whose digits, as many behind the point, are a decimal.
    FixedPoint {
        scale: u8,
        precision: u8,
        column_scale: u8,
    },
    DecimalText {
        extent: Extent,
        scale: i32,
        limit: u32,
    },
    /// Unscaled bytes and scale, both inside bytes.
    BigDecimal,
    /// A record of scale and unscaled bytes, in this or the other order.
    VariableScaleDecimal {
        scale_first: bool,
    },
    Date,
    Time(Unit),
    /// With a zone: the text ends in `+00`.
    Timestamp {
        unit: Unit,
        zone: bool,
    },
    ZonedTimestamp,
    ZonedTime,
    IsoDate,
    IsoTime,
    IsoTimestamp,
    /// Months, days and milliseconds in twelve bytes.
    Duration,
    /// Text that is JSON.
    Json,
    /// What this form writes, in a VARCHAR.
    AsText {
        form: Box<Form>,
        limit: u32,
    },
    /// A decimal of whatever scale, or a text that is one, in a DECIMAL that was asked for.
    AsDecimal {
        from: Unscaled,
        precision: u8,
        scale: u8,
    },
    /// A text that is a whole number.
    TextAsInteger {
        min: i64,
        max: i64,
    },
    /// A text that is a number.
    TextAsDouble,
    /// Everything that has structure.
    Super(NodeId),
}

/// A column type with the form that writes it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mapping {
    pub(crate) ty: ColumnType,
    pub(crate) form: Form,
}

fn mapping(ty: ColumnType, form: Form) -> Mapping {
    Mapping { ty, form }
}

const fn varchar(limit: u32) -> ColumnType {
    ColumnType::Varchar { limit: Some(limit) }
}

impl Mapping {
    /// The mapping of a node that is not a union with null (see [`WriterSchema::nullable`]).
    pub(crate) fn of(schema: &WriterSchema, id: NodeId) -> Mapping {
        let node = schema.node(id);
        let named = node
            .connect_name
            .as_deref()
            .and_then(|name| by_connect_name(schema, node, name));
        named
            .or_else(|| by_logical_type(node))
            .unwrap_or_else(|| by_kind(node, id))
    }
}

fn by_connect_name(schema: &WriterSchema, node: &Node, name: &str) -> Option<Mapping> {
    use ColumnType as Type;
    let timestamp = |unit| mapping(Type::Timestamp, Form::Timestamp { unit, zone: false });
    let time = |unit| mapping(Type::Time, Form::Time(unit));
    let text = |limit| {
        mapping(
            Type::Varchar { limit },
            Form::Text {
                limit: limit.unwrap_or(u32::MAX),
            },
        )
    };
    Some(match (&node.kind, name) {
        (Kind::Int, "io.debezium.time.Date" | "org.apache.kafka.connect.data.Date") => mapping(Type::Date, Form::Date),
        (Kind::Int, "io.debezium.time.Time" | "org.apache.kafka.connect.data.Time") => time(Unit::Millis),
        (Kind::Long, "io.debezium.time.MicroTime") => time(Unit::Micros),
        (Kind::Long, "io.debezium.time.NanoTime") => time(Unit::Nanos),
        (Kind::Long, "io.debezium.time.Timestamp" | "org.apache.kafka.connect.data.Timestamp") => {
            timestamp(Unit::Millis)
        }
        (Kind::Long, "io.debezium.time.MicroTimestamp") => timestamp(Unit::Micros),
        (Kind::Long, "io.debezium.time.NanoTimestamp") => timestamp(Unit::Nanos),
        (Kind::String, "io.debezium.time.ZonedTimestamp") => mapping(Type::TimestampTz, Form::ZonedTimestamp),
        (Kind::String, "io.debezium.time.ZonedTime") => mapping(Type::TimeTz, Form::ZonedTime),
        (Kind::String, "io.debezium.time.IsoDate") => mapping(Type::Date, Form::IsoDate),
        (Kind::String, "io.debezium.time.IsoTime") => mapping(Type::Time, Form::IsoTime),
        (Kind::String, "io.debezium.time.IsoTimestamp") => mapping(Type::Timestamp, Form::IsoTimestamp),
        (Kind::String, "io.debezium.time.Interval") => text(Some(INTERVAL_BYTES)),
        (Kind::String, "io.debezium.data.Uuid") => mapping(varchar(UUID_BYTES), Form::Uuid),
        (Kind::String, "io.debezium.data.Json") => mapping(Type::Super, Form::Json),
        (Kind::Bytes, "io.debezium.data.Bits") => mapping(
            Type::Varbyte { limit: None },
            Form::Bits {
                limit: crate::table::VARBYTE_BYTES_MAX,
            },
        ),
        (Kind::Bytes | Kind::Fixed(_), "org.apache.kafka.connect.data.Decimal") => decimal(node, true)?,
        (Kind::Record(fields), "io.debezium.data.VariableScaleDecimal") => {
            let names: Vec<(&str, &Kind)> = fields
                .iter()
                .map(|field| (field.name.as_str(), schema.kind(field.node)))
                .collect();
            let scale_first = match names.as_slice() {
                [("scale", Kind::Int), ("value", Kind::Bytes)] => true,
                [("value", Kind::Bytes), ("scale", Kind::Int)] => false,
                _ => return None,
            };
            mapping(
                varchar(DECIMAL_TEXT_BYTES_MAX as u32),
                Form::VariableScaleDecimal { scale_first },
            )
        }
        _ => return None,
    })
}

fn by_logical_type(node: &Node) -> Option<Mapping> {
    use ColumnType as Type;
    let timestamp = |unit, zone| {
        mapping(
            if zone { Type::TimestampTz } else { Type::Timestamp },
            Form::Timestamp { unit, zone },
        )
    };
    Some(match (&node.kind, node.logical_type.as_deref()?) {
        (Kind::Bytes | Kind::Fixed(_), "decimal") => decimal(node, false)?,
        (Kind::Bytes, "big-decimal") => mapping(varchar(DECIMAL_TEXT_BYTES_MAX as u32), Form::BigDecimal),
        (Kind::String, "uuid") => mapping(varchar(UUID_BYTES), Form::Uuid),
        (Kind::Fixed(16), "uuid") => mapping(varchar(UUID_BYTES), Form::UuidBytes),
        (Kind::Int, "date") => mapping(Type::Date, Form::Date),
        (Kind::Int, "time-millis") => mapping(Type::Time, Form::Time(Unit::Millis)),
        (Kind::Long, "time-micros") => mapping(Type::Time, Form::Time(Unit::Micros)),
        (Kind::Long, "timestamp-millis") => timestamp(Unit::Millis, true),
        (Kind::Long, "timestamp-micros") => timestamp(Unit::Micros, true),
        (Kind::Long, "timestamp-nanos") => timestamp(Unit::Nanos, true),
        (Kind::Long, "local-timestamp-millis") => timestamp(Unit::Millis, false),
        (Kind::Long, "local-timestamp-micros") => timestamp(Unit::Micros, false),
        (Kind::Long, "local-timestamp-nanos") => timestamp(Unit::Nanos, false),
        (Kind::Int | Kind::Long, SECONDS) => timestamp(Unit::Seconds, false),
        (Kind::Double, FIXED_POINT) => fixed_point(node)?,
        (Kind::Fixed(12), "duration") => mapping(varchar(INTERVAL_BYTES), Form::Duration),
        _ => return None,
    })
}

/// DECIMAL where Redshift's is large enough, else text.
fn decimal(node: &Node, connect: bool) -> Option<Mapping> {
    let extent = extent(&node.kind)?;
    let parameter = |name: &str| node.parameters.get(name).and_then(|value| value.parse::<u64>().ok());
    let scale = node.scale.or_else(|| parameter("scale")).unwrap_or(0);
    let declared = if connect {
        // Without the parameter the schema's own precision is the converter's word for "unknown".
        let precision = node
            .precision
            .filter(|&precision| precision != CONNECT_UNKNOWN_PRECISION);
        Some(
            parameter("connect.decimal.precision")
                .or(precision)
                .unwrap_or(DECIMAL_PRECISION_MAX.max(scale)),
        )
    } else {
        node.precision
    };
    let precision = declared.filter(|&precision| precision >= 1 && precision >= scale)?;
    if precision <= DECIMAL_PRECISION_MAX && scale <= DECIMAL_SCALE_MAX {
        let (precision, scale) = (precision as u8, scale as u8);
        let form = Form::Decimal {
            extent,
            scale,
            precision,
            column_scale: scale,
        };
        return Some(mapping(ColumnType::Decimal { precision, scale }, form));
    }
    // Sign, point and a leading zero besides the digits.
    let limit = u32::try_from(precision + 3)
        .ok()
        .filter(|&limit| limit <= crate::table::VARCHAR_BYTES_MAX)?;
    let scale = i32::try_from(scale).ok()?;
    Some(mapping(varchar(limit), Form::DecimalText { extent, scale, limit }))
}

fn fixed_point(node: &Node) -> Option<Mapping> {
    let digits = |digits: Option<u64>, most: u64| digits.filter(|digits| *digits <= most);
    let precision = digits(node.precision, DECIMAL_PRECISION_MAX)? as u8;
    let scale = digits(node.scale, DECIMAL_SCALE_MAX)? as u8;
    if precision == 0 || scale > precision {
        return None;
    }
    let form = Form::FixedPoint {
        scale,
        precision,
        column_scale: scale,
    };
    Some(mapping(ColumnType::Decimal { precision, scale }, form))
}

fn extent(kind: &Kind) -> Option<Extent> {
    match kind {
        Kind::Bytes => Some(Extent::Prefixed),
        Kind::Fixed(bytes) => Some(Extent::Fixed(u32::try_from(*bytes).ok()?)),
        _ => None,
    }
}

fn by_kind(node: &Node, id: NodeId) -> Mapping {
    use ColumnType as Type;
    match &node.kind {
        Kind::Null => mapping(varchar(ENUM_BYTES), Form::Null),
        Kind::Boolean => mapping(Type::Boolean, Form::Boolean),
        Kind::Int => match node.connect_type.as_deref() {
            Some("int8") => mapping(
                Type::SmallInt,
                Form::Narrow {
                    min: i8::MIN.into(),
                    max: i8::MAX.into(),
                },
            ),
            Some("int16") => mapping(
                Type::SmallInt,
                Form::Narrow {
                    min: i16::MIN,
                    max: i16::MAX,
                },
            ),
            _ => mapping(Type::Integer, Form::Int),
        },
        Kind::Long => mapping(Type::BigInt, Form::Long),
        Kind::Float => mapping(Type::Real, Form::Float),
        Kind::Double => mapping(Type::Double, Form::Double),
        Kind::String => {
            let limit = node.bytes_max.filter(|bytes| *bytes <= crate::table::VARCHAR_BYTES_MAX);
            mapping(
                Type::Varchar { limit },
                Form::Text {
                    limit: limit.unwrap_or(u32::MAX),
                },
            )
        }
        Kind::Enum(symbols) => {
            let quoted = symbols
                .iter()
                .map(|symbol| format!("\"{}\"", symbol.replace('"', "\"\"")));
            mapping(
                varchar(ENUM_BYTES),
                Form::Enum(quoted.map(|symbol| symbol.into_bytes().into()).collect()),
            )
        }
        Kind::Bytes => {
            let limit = node.bytes_max.filter(|bytes| *bytes <= crate::table::VARBYTE_BYTES_MAX);
            mapping(
                Type::Varbyte { limit },
                Form::Hex {
                    extent: Extent::Prefixed,
                    limit: limit.unwrap_or(crate::table::VARBYTE_BYTES_MAX),
                },
            )
        }
        Kind::Fixed(bytes) => match u32::try_from(*bytes)
            .ok()
            .filter(|&bytes| bytes <= crate::table::VARBYTE_BYTES_MAX)
        {
            Some(bytes) => {
                let form = Form::Hex {
                    extent: Extent::Fixed(bytes),
                    limit: bytes,
                };
                mapping(
                    Type::Varbyte {
                        limit: Some(bytes.max(1)),
                    },
                    form,
                )
            }
            None => mapping(Type::Super, Form::Super(id)),
        },
        Kind::Array(_) | Kind::Map(_) | Kind::Union(_) | Kind::Record(_) => mapping(Type::Super, Form::Super(id)),
    }
}

impl Form {
    /// The most bytes that a field of this form needs besides twice the bytes of its datum.
    pub(crate) fn room(&self) -> usize {
        match self {
            Form::Enum(symbols) => symbols.iter().map(|symbol| symbol.len()).max().unwrap_or(0),
            _ => 96,
        }
    }
}
