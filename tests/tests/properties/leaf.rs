//! Every type without structure that docs/types.md lists: its schema, and values of it with what a row must show.

use apache_avro::types::Value;
use num_bigint::BigInt;
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value as Json, json};

use crate::text;

/// What a SELECT must answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    /// NULL.
    Null,
    /// This very text.
    Text(String),
    /// A date or time, zeros at the end of a fraction aside.
    Time(String),
    /// A REAL in whatever digits.
    Real(f32),
    /// A DOUBLE PRECISION in whatever digits.
    Double(f64),
    /// VARBYTE; Redshift takes none for NULL, since COPY does.
    Bytes(Vec<u8>),
}

/// A value: as apache-avro writes it, as a column shows it, as it stands inside of JSON.
#[derive(Debug, Clone)]
pub struct Made {
    pub value: Value,
    pub shown: Shown,
    pub json: String,
}

/// A type without structure.
#[derive(Debug, Clone, PartialEq)]
pub enum Leaf {
    Boolean,
    Int,
    Int8,
    Int16,
    Long,
    Float,
    Double,
    Text,
    Enum,
    Bytes,
    Fixed(usize),
    /// Precision, scale, and whether its bytes are of fixed length.
    Decimal(u32, u32, bool),
    /// Connect's.
    ConnectDecimal(u32, u32),
    VariableScale,
    Uuid(&'static str),
    UuidFixed,
    Duration,
    /// Days; the attributes that say so.
    Date(&'static str, &'static str),
    /// A number since midnight: base type, attribute and name that say so, microseconds or fewer of one.
    Time(&'static str, &'static str, &'static str, Unit),
    /// The same since 1970, and what follows the time in a row.
    Timestamp(&'static str, &'static str, Unit, &'static str),
    ZonedTimestamp,
    ZonedTime,
    IsoDate,
    IsoTime,
    IsoTimestamp,
    /// A number or text under a name of Debezium's that does not change what it becomes.
    Named(&'static str, &'static str),
    JsonText,
    Bits,
}

/// Of what a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Millis,
    Micros,
    Nanos,
}

impl Unit {
    /// A number of this unit for about so many microseconds, and how many it is then.
    fn of(self, micros: i64, dice: &mut StdRng) -> (i64, i64) {
        match self {
            Unit::Millis => (micros.div_euclid(1000), micros.div_euclid(1000) * 1000),
            Unit::Micros => (micros, micros),
            Unit::Nanos => {
                let micros = micros.clamp(i64::MIN / 1000 + 1, i64::MAX / 1000 - 1);
                (micros * 1000 + dice.random_range(0..1000), micros)
            }
        }
    }
}

const CONNECT: &str = "org.apache.kafka.connect.data.";
const DEBEZIUM: &str = "io.debezium.time.";
const DATA: &str = "io.debezium.data.";

/// One of each.
pub fn all(dice: &mut StdRng) -> Vec<Leaf> {
    let precision = dice.random_range(1..=38);
    let scale = dice.random_range(0..=precision.min(37));
    let large = dice.random_range(39..=70);
    let large_scale = dice.random_range(0..=large);
    vec![
        Leaf::Boolean,
        Leaf::Int,
        Leaf::Int8,
        Leaf::Int16,
        Leaf::Long,
        Leaf::Float,
        Leaf::Double,
        Leaf::Text,
        Leaf::Enum,
        Leaf::Bytes,
        Leaf::Fixed(dice.random_range(1..40)),
        Leaf::Decimal(precision, scale, false),
        Leaf::Decimal(precision, scale, true),
        Leaf::Decimal(large, large_scale, false),
        Leaf::ConnectDecimal(precision, scale),
        Leaf::VariableScale,
        Leaf::Uuid("logicalType"),
        Leaf::Uuid("connect.name"),
        Leaf::UuidFixed,
        Leaf::Duration,
        Leaf::Date("logicalType", "date"),
        Leaf::Date("connect.name", "org.apache.kafka.connect.data.Date"),
        Leaf::Date("connect.name", "io.debezium.time.Date"),
        Leaf::Time("int", "logicalType", "time-millis", Unit::Millis),
        Leaf::Time("long", "logicalType", "time-micros", Unit::Micros),
        Leaf::Time(
            "int",
            "connect.name",
            "org.apache.kafka.connect.data.Time",
            Unit::Millis,
        ),
        Leaf::Time("int", "connect.name", "io.debezium.time.Time", Unit::Millis),
        Leaf::Time("long", "connect.name", "io.debezium.time.MicroTime", Unit::Micros),
        Leaf::Time("long", "connect.name", "io.debezium.time.NanoTime", Unit::Nanos),
        Leaf::Timestamp("logicalType", "timestamp-millis", Unit::Millis, "+00"),
        Leaf::Timestamp("logicalType", "timestamp-micros", Unit::Micros, "+00"),
        Leaf::Timestamp("logicalType", "timestamp-nanos", Unit::Nanos, "+00"),
        Leaf::Timestamp("logicalType", "local-timestamp-millis", Unit::Millis, ""),
        Leaf::Timestamp("logicalType", "local-timestamp-micros", Unit::Micros, ""),
        Leaf::Timestamp("logicalType", "local-timestamp-nanos", Unit::Nanos, ""),
        Leaf::Timestamp(
            "connect.name",
            "org.apache.kafka.connect.data.Timestamp",
            Unit::Millis,
            "",
        ),
        Leaf::Timestamp("connect.name", "io.debezium.time.Timestamp", Unit::Millis, ""),
        Leaf::Timestamp("connect.name", "io.debezium.time.MicroTimestamp", Unit::Micros, ""),
        Leaf::Timestamp("connect.name", "io.debezium.time.NanoTimestamp", Unit::Nanos, ""),
        Leaf::ZonedTimestamp,
        Leaf::ZonedTime,
        Leaf::IsoDate,
        Leaf::IsoTime,
        Leaf::IsoTimestamp,
        Leaf::Named("int", "io.debezium.time.Year"),
        Leaf::Named("long", "io.debezium.time.MicroDuration"),
        Leaf::Named("string", "io.debezium.data.Xml"),
        Leaf::Named("string", "io.debezium.data.Enum"),
        Leaf::JsonText,
        Leaf::Bits,
    ]
}

impl Leaf {
    /// Its schema; named types are called `NAME`.
    pub fn schema(&self) -> Json {
        let named = |base: &str, name: &str| json!({"type": base, "connect.name": name});
        let decimal = |precision: &u32, scale: &u32| json!({"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale});
        match self {
            Leaf::Boolean => json!("boolean"),
            Leaf::Int => json!("int"),
            Leaf::Int8 => json!({"type": "int", "connect.type": "int8"}),
            Leaf::Int16 => json!({"type": "int", "connect.type": "int16"}),
            Leaf::Long => json!("long"),
            Leaf::Float => json!("float"),
            Leaf::Double => json!("double"),
            Leaf::Text => json!("string"),
            Leaf::Enum => json!({"type": "enum", "name": "NAME", "symbols": SYMBOLS}),
            Leaf::Bytes => json!("bytes"),
            Leaf::Fixed(size) => json!({"type": "fixed", "name": "NAME", "size": size}),
            Leaf::Decimal(precision, scale, false) => decimal(precision, scale),
            Leaf::Decimal(precision, scale, true) => {
                json!({"type": "fixed", "name": "NAME", "size": 17, "logicalType": "decimal", "precision": precision, "scale": scale})
            }
            Leaf::ConnectDecimal(precision, scale) => {
                let mut schema = decimal(precision, scale);
                schema["connect.name"] = format!("{CONNECT}Decimal").into();
                schema["connect.parameters"] =
                    json!({"scale": scale.to_string(), "connect.decimal.precision": precision.to_string()});
                schema
            }
            Leaf::VariableScale => {
                let fields = json!([{"name": "scale", "type": "int"}, {"name": "value", "type": "bytes"}]);
                json!({"type": "record", "name": "NAME", "fields": fields, "connect.name": format!("{DATA}VariableScaleDecimal")})
            }
            Leaf::Uuid("logicalType") => json!({"type": "string", "logicalType": "uuid"}),
            Leaf::Uuid(_) => named("string", &format!("{DATA}Uuid")),
            Leaf::UuidFixed => json!({"type": "fixed", "name": "NAME", "size": 16, "logicalType": "uuid"}),
            Leaf::Duration => json!({"type": "fixed", "name": "NAME", "size": 12, "logicalType": "duration"}),
            Leaf::Date(attribute, name) => json!({"type": "int", *attribute: name}),
            Leaf::Time(base, attribute, name, _) => json!({"type": base, *attribute: name}),
            Leaf::Timestamp(attribute, name, ..) => json!({"type": "long", *attribute: name}),
            Leaf::ZonedTimestamp => named("string", &format!("{DEBEZIUM}ZonedTimestamp")),
            Leaf::ZonedTime => named("string", &format!("{DEBEZIUM}ZonedTime")),
            Leaf::IsoDate => named("string", &format!("{DEBEZIUM}IsoDate")),
            Leaf::IsoTime => named("string", &format!("{DEBEZIUM}IsoTime")),
            Leaf::IsoTimestamp => named("string", &format!("{DEBEZIUM}IsoTimestamp")),
            Leaf::Named(base, name) => named(base, name),
            Leaf::JsonText => named("string", &format!("{DATA}Json")),
            Leaf::Bits => named("bytes", &format!("{DATA}Bits")),
        }
    }

    /// A value: one of four at an edge.
    pub fn make(&self, dice: &mut StdRng) -> Made {
        match self {
            Leaf::Boolean => {
                let value = dice.random();
                made(
                    Value::Boolean(value),
                    Shown::Text(if value { "t" } else { "f" }.into()),
                    value.to_string(),
                )
            }
            Leaf::Int | Leaf::Named("int", _) => int(pick(&[i32::MIN, i32::MAX, 0], dice)),
            Leaf::Int8 => int(pick(&[i8::MIN, i8::MAX, 0], dice).into()),
            Leaf::Int16 => int(pick(&[i16::MIN, i16::MAX, 0], dice).into()),
            Leaf::Long | Leaf::Named("long", _) => {
                let value = pick(&[i64::MIN, i64::MAX, 0, 1 << 53], dice);
                made(Value::Long(value), Shown::Text(value.to_string()), value.to_string())
            }
            Leaf::Float => {
                let value = finite(
                    &[f32::MAX, f32::MIN, f32::MIN_POSITIVE, 1e-45, -0.0, 0.1],
                    dice,
                    |value| value.is_finite(),
                );
                made(Value::Float(value), Shown::Real(value), text::real(value))
            }
            Leaf::Double => {
                let value = finite(
                    &[f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324, -0.0, 0.1],
                    dice,
                    |value| value.is_finite(),
                );
                made(Value::Double(value), Shown::Double(value), text::double(value))
            }
            Leaf::Text | Leaf::Named(..) => as_text(words(dice)),
            Leaf::Enum => {
                let at = dice.random_range(0..SYMBOLS.len());
                let symbol = SYMBOLS[at].to_owned();
                made(
                    Value::Enum(at as u32, symbol.clone()),
                    Shown::Text(symbol.clone()),
                    text::string(&symbol),
                )
            }
            Leaf::Bytes => {
                let bytes = bytes(dice);
                made(
                    Value::Bytes(bytes.clone()),
                    Shown::Bytes(bytes.clone()),
                    text::base64(&bytes),
                )
            }
            Leaf::Fixed(size) => {
                let bytes: Vec<u8> = (0..*size).map(|_| dice.random()).collect();
                made(
                    Value::Fixed(*size, bytes.clone()),
                    Shown::Bytes(bytes.clone()),
                    text::base64(&bytes),
                )
            }
            Leaf::Decimal(..) | Leaf::ConnectDecimal(..) | Leaf::VariableScale => self.decimal(dice),
            Leaf::Uuid(_) | Leaf::UuidFixed => self.uuid(dice),
            Leaf::Duration => duration(dice),
            Leaf::Date(..) => {
                let day =
                    edge(&[-719_162, 2_932_896, 0], dice).unwrap_or_else(|| dice.random_range(-719_162..=2_932_896));
                let shown = text::date(day);
                made(Value::Int(day as i32), Shown::Time(shown.clone()), text::string(&shown))
            }
            Leaf::Time(..) | Leaf::Timestamp(..) => self.number_of_time(dice),
            Leaf::JsonText => json_text(dice),
            Leaf::Bits => {
                let mut bytes = bytes(dice);
                bytes.truncate(dice.random_range(0..9));
                let shown = if bytes.is_empty() { vec![0] } else { bytes.clone() };
                made(Value::Bytes(bytes.clone()), Shown::Bytes(shown), text::base64(&bytes))
            }
            _ => self.text_of_time(dice),
        }
    }

    fn decimal(&self, dice: &mut StdRng) -> Made {
        let (precision, scale) = match self {
            Leaf::Decimal(precision, scale, _) | Leaf::ConnectDecimal(precision, scale) => (*precision, *scale),
            _ => (60, dice.random_range(0..15)),
        };
        let digits = edge(&[0, i64::from(precision)], dice)
            .map_or_else(|| dice.random_range(1..=precision), |digits| digits as u32);
        let nines = digits == precision && dice.random();
        let digits: String = (0..digits)
            .map(|_| if nines { '9' } else { dice.random_range('0'..='9') })
            .collect();
        let mut number: BigInt = format!("0{digits}").parse().unwrap();
        if dice.random() {
            number = -number;
        }
        let shown = text::decimal(&number, scale as usize);
        let json =
            if shown.len() <= 40 || matches!(self, Leaf::Decimal(..) | Leaf::ConnectDecimal(..)) && precision <= 38 {
                shown.clone()
            } else {
                text::string(&shown)
            };
        let mut bytes = number.to_signed_bytes_be();
        let value = match self {
            Leaf::Decimal(_, _, true) => {
                let fill = if bytes[0] & 0x80 == 0 { 0 } else { 0xff };
                while bytes.len() < 17 {
                    bytes.insert(0, fill);
                }
                Value::Fixed(17, bytes)
            }
            Leaf::VariableScale => Value::Record(vec![
                ("scale".into(), Value::Int(scale as i32)),
                ("value".into(), Value::Bytes(bytes)),
            ]),
            _ => Value::Bytes(bytes),
        };
        made(value, Shown::Text(shown), json)
    }

    fn uuid(&self, dice: &mut StdRng) -> Made {
        let uuid = uuid::Uuid::from_u128(edge(&[0, u128::MAX], dice).unwrap_or_else(|| dice.random()));
        let shown = uuid.to_string();
        let value = match self {
            Leaf::UuidFixed => Value::Fixed(16, uuid.as_bytes().to_vec()),
            _ if dice.random() => Value::String(shown.to_uppercase()),
            _ => Value::String(shown.clone()),
        };
        made(value, Shown::Text(shown.clone()), text::string(&shown))
    }

    fn number_of_time(&self, dice: &mut StdRng) -> Made {
        let (number, shown, base) = match self {
            Leaf::Time(base, _, _, unit) => {
                let micros =
                    edge(&[0, text::DAY, text::DAY - 1], dice).unwrap_or_else(|| dice.random_range(0..=text::DAY));
                let (number, micros) = if micros == text::DAY && *unit == Unit::Nanos {
                    (text::DAY * 1000, micros)
                } else {
                    unit.of(micros, dice)
                };
                (number, text::time(micros), *base)
            }
            Leaf::Timestamp(_, _, unit, zone) => {
                let (number, micros) = unit.of(instant(dice), dice);
                (number, format!("{}{zone}", text::timestamp(micros)), "long")
            }
            other => unreachable!("{other:?} is no number of time"),
        };
        let value = if base == "int" {
            Value::Int(number as i32)
        } else {
            Value::Long(number)
        };
        made(value, Shown::Time(shown.clone()), text::string(&shown))
    }

    /// Times that are texts: of any offset, with up to nine digits of a second.
    fn text_of_time(&self, dice: &mut StdRng) -> Made {
        let zoned = matches!(self, Leaf::ZonedTimestamp | Leaf::ZonedTime);
        // Far enough from the edges that no offset crosses them.
        let at = instant(dice).clamp(text::FIRST + text::DAY, text::LAST - text::DAY);
        let minutes = if zoned {
            dice.random_range(-14 * 60..=14 * 60)
        } else {
            0
        };
        let local = at + minutes * 60_000_000;
        let digits = dice.random_range(0..=9_usize);
        let nanos = format!("{:09}", local.rem_euclid(1_000_000) * 1000 + dice.random_range(0..1000));
        let kept: i64 = format!("{:0<6}", &nanos[..digits.min(6)]).parse().unwrap();
        let whole = local.div_euclid(1_000_000) * 1_000_000;
        let fraction = if digits == 0 {
            String::new()
        } else {
            format!(".{}", &nanos[..digits])
        };
        let zone = match minutes {
            0 if zoned || dice.random() => "Z".to_owned(),
            0 => String::new(),
            _ => format!(
                "{}{:02}:{:02}",
                if minutes < 0 { '-' } else { '+' },
                minutes.abs() / 60,
                minutes.abs() % 60
            ),
        };
        let (day, clock) = (
            text::date(whole.div_euclid(text::DAY)),
            text::time(whole.rem_euclid(text::DAY)),
        );
        let utc = whole + kept - minutes * 60_000_000;
        let (written, shown) = match self {
            Leaf::ZonedTimestamp => (
                format!("{day}T{clock}{fraction}{zone}"),
                format!("{}+00", text::timestamp(utc)),
            ),
            Leaf::ZonedTime => (
                format!("{clock}{fraction}{zone}"),
                format!("{}+00", text::time(utc.rem_euclid(text::DAY))),
            ),
            Leaf::IsoDate => (format!("{day}{zone}"), day),
            Leaf::IsoTime => (
                format!("{clock}{fraction}{zone}"),
                text::time(utc.rem_euclid(text::DAY)),
            ),
            _ => (format!("{day}T{clock}{fraction}{zone}"), text::timestamp(utc)),
        };
        made(Value::String(written), Shown::Time(shown.clone()), text::string(&shown))
    }
}

const SYMBOLS: [&str; 3] = ["RED", "GREEN", "blue_1"];

fn made(value: Value, shown: Shown, json: String) -> Made {
    Made { value, shown, json }
}

fn int(value: i32) -> Made {
    made(Value::Int(value), Shown::Text(value.to_string()), value.to_string())
}

fn as_text(text: String) -> Made {
    made(
        Value::String(text.clone()),
        Shown::Text(text.clone()),
        text::string(&text),
    )
}

/// One of the edges, one time of four.
fn edge<T: Copy>(edges: &[T], dice: &mut StdRng) -> Option<T> {
    dice.random_ratio(1, 4)
        .then(|| edges[dice.random_range(0..edges.len())])
}

fn pick<T: Copy>(edges: &[T], dice: &mut StdRng) -> T
where
    rand::distr::StandardUniform: rand::distr::Distribution<T>,
{
    edge(edges, dice).unwrap_or_else(|| dice.random())
}

/// Any number by its bits, unless it is not finite.
fn finite<T: Copy + FromBits>(edges: &[T], dice: &mut StdRng, is_finite: impl Fn(&T) -> bool) -> T {
    edge(edges, dice).unwrap_or_else(|| {
        loop {
            let value = T::any(dice);
            if is_finite(&value) {
                return value;
            }
        }
    })
}

trait FromBits {
    fn any(dice: &mut StdRng) -> Self;
}

impl FromBits for f32 {
    fn any(dice: &mut StdRng) -> f32 {
        f32::from_bits(dice.random())
    }
}

impl FromBits for f64 {
    fn any(dice: &mut StdRng) -> f64 {
        f64::from_bits(dice.random())
    }
}

fn instant(dice: &mut StdRng) -> i64 {
    edge(&[text::FIRST, text::LAST, 0, -1], dice).unwrap_or_else(|| dice.random_range(text::FIRST..=text::LAST))
}

fn bytes(dice: &mut StdRng) -> Vec<u8> {
    let length = edge(&[0, 1, 3000], dice).unwrap_or_else(|| dice.random_range(0..40));
    (0..length).map(|_| dice.random()).collect()
}

const TEXTS: [&str; 14] = [
    "",
    " ",
    "  blanks  ",
    "\\N",
    "NULL",
    "null",
    "\"",
    "\"\"\"",
    "a,b",
    "two\r\nlines",
    "\u{1}\u{7f}",
    "\u{feff}bom",
    "🦀Ω漢",
    "~NULL~",
];

/// Any text: one of four that are easily mistaken, seldom the longest that a column has.
pub fn words(dice: &mut StdRng) -> String {
    const LETTERS: &[char] = &[
        'a', 'Z', '0', ' ', '"', ',', '\\', '\n', '\r', '\t', '\'', 'ü', '漢', '🦀', '\u{e000}',
    ];
    if let Some(text) = edge(&TEXTS, dice) {
        return text.to_owned();
    }
    if dice.random_ratio(1, 150) {
        return format!("{}ü", "x".repeat(65_533));
    }
    let length = dice.random_range(0..40);
    (0..length)
        .map(|_| LETTERS[dice.random_range(0..LETTERS.len())])
        .collect()
}

fn duration(dice: &mut StdRng) -> Made {
    let parts = [(); 3].map(|()| pick(&[0, u32::MAX], dice));
    let bytes: Vec<u8> = parts.iter().flat_map(|part| part.to_le_bytes()).collect();
    let [months, days, millis] = parts;
    let fraction = match millis % 1000 {
        0 => String::new(),
        fraction => format!(".{fraction:03}"),
    };
    let shown = format!("P{months}M{days}DT{}{fraction}S", millis / 1000);
    made(
        Value::Fixed(12, bytes),
        Shown::Text(shown.clone()),
        text::string(&shown),
    )
}

/// JSON as somebody wrote it, with blanks; or a text that is none.
fn json_text(dice: &mut StdRng) -> Made {
    if dice.random_ratio(1, 6) {
        let written = format!("no json {}", words(dice).replace('x', ""));
        let json = text::string(&written);
        return made(Value::String(written), Shown::Text(json.clone()), json);
    }
    let (written, compact) = json_of(3, dice);
    made(Value::String(written), Shown::Text(compact.clone()), compact)
}

fn json_of(depth: u32, dice: &mut StdRng) -> (String, String) {
    let same = |text: String| (text.clone(), text);
    match dice.random_range(0..if depth == 0 { 5 } else { 7 }) {
        0 => same("null".into()),
        1 => same(dice.random::<bool>().to_string()),
        2 => same(dice.random::<i64>().to_string()),
        3 => same("-12.50e+3".into()),
        4 => same(text::string(&words(dice).chars().take(40).collect::<String>())),
        5 => {
            let items: Vec<(String, String)> = (0..dice.random_range(0..4)).map(|_| json_of(depth - 1, dice)).collect();
            let (written, compact): (Vec<String>, Vec<String>) = items.into_iter().unzip();
            (
                format!("[ {} ]", written.join(" ,\n")),
                format!("[{}]", compact.join(",")),
            )
        }
        _ => {
            let field = |at: usize, (written, compact): (String, String)| {
                (format!("\"k {at}\" : {written}"), format!("\"k {at}\":{compact}"))
            };
            let fields = (0..dice.random_range(0..4)).map(|at| field(at, json_of(depth - 1, dice)));
            let (written, compact): (Vec<String>, Vec<String>) = fields.unzip();
            (
                format!("{{\t{} }}", written.join(", ")),
                format!("{{{}}}", compact.join(",")),
            )
        }
    }
}
