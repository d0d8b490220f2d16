//! Values of every kind, as MariaDB reads them: those at the edges, and any others. Bytes are written in hexadecimal, bits as numbers,
//! geometries as well-known text, with a reference system behind a semicolon.

use rand::Rng;
use rand::rngs::StdRng;

use super::super::values::{date, decimal, edges_of_decimal, finite, hex, json, number, pick, quoted, text, texts};
use super::kind::Kind;

/// A literal of a value.
#[must_use]
pub fn literal(kind: Kind, text: &str) -> String {
    match kind {
        Kind::Binary(_) | Kind::Bytes => format!("X'{text}'"),
        Kind::Bit | Kind::Bits(_) => text.to_owned(),
        Kind::Point | Kind::Geometry(_) => match text.split_once(';') {
            Some((shape, system)) => format!("ST_GeomFromText({}, {system})", quoted(shape)),
            None => format!("ST_GeomFromText({})", quoted(text)),
        },
        _ => quoted(text),
    }
}

/// The edges of a kind: what it holds at most and at least, and what is easily mistaken.
#[must_use]
pub fn corners(kind: Kind) -> Vec<String> {
    match kind {
        Kind::Int(bits) => vec![
            (-(1_i128 << (bits - 1))).to_string(),
            ((1_i128 << (bits - 1)) - 1).to_string(),
            "0".to_owned(),
        ],
        Kind::Unsigned(bits) => vec![
            ((1_i128 << bits) - 1).to_string(),
            (1_i128 << (bits - 1)).to_string(),
            "0".to_owned(),
        ],
        Kind::Decimal(precision, scale) => edges_of_decimal(precision, scale),
        Kind::Text(0) => texts().chain([format!("{}ü", "x".repeat(3000))]).collect(),
        Kind::Text(most) => texts().filter(|text| text.chars().count() <= most).collect(),
        Kind::Latin1(most) => texts()
            .filter(|text| text.is_ascii() && text.len() <= most)
            .chain(["Zürich é ß".to_owned()])
            .collect(),
        Kind::Binary(bytes) => vec![
            "00".repeat(bytes),
            "ff".repeat(bytes),
            "5c4e00".to_owned(),
            String::new(),
        ],
        Kind::Bits(bits) => vec![
            "0".to_owned(),
            "1".to_owned(),
            (u64::MAX >> (64 - bits)).to_string(),
            (1_u64 << (bits - 1)).to_string(),
        ],
        Kind::Micros(_) => times()
            .iter()
            .chain(NO_TIMES_OF_DAY)
            .map(|text| (*text).to_owned())
            .collect(),
        Kind::Geometry(shape) => GEOMETRIES
            .iter()
            .filter(|text| text.starts_with(shape))
            .map(|text| (*text).to_owned())
            .collect(),
        kind => fixed(kind).iter().map(|text| (*text).to_owned()).collect(),
    }
}

/// Values that no column of the target holds, or that the capture makes NULL.
#[must_use]
pub fn unfit(kind: Kind) -> Vec<String> {
    let some: &[&str] = match kind {
        Kind::Time(_) => NO_TIMES_OF_DAY,
        Kind::Date => &["0000-00-00"],
        Kind::DateTime(_) | Kind::Timestamp(_) => &["0000-00-00 00:00:00"],
        Kind::Text(0) => return vec!["x".repeat(65_536), format!("{}ü", "y".repeat(65_534))],
        _ => &[],
    };
    some.iter().map(|text| (*text).to_owned()).collect()
}

/// Whether a snapshot takes a value for another: it asks for a FLOAT as text, of which MariaDB writes six digits, and reads times by a
/// calendar that skips ten days of 1582. In the log they are read as they are.
#[must_use]
pub fn is_misread(kind: Kind, text: &str) -> bool {
    match kind {
        Kind::Float => ["3.4028234663852886e38", "-3.4028234663852886e38", "16777216"].contains(&text),
        Kind::DateTime(_) => text.starts_with("1582-10-10"),
        _ => false,
    }
}

const NO_TIMES_OF_DAY: &[&str] = &["-00:00:01", "838:59:59", "-838:59:59", "24:00:01", "100:00:00"];

fn times() -> &'static [&'static str] {
    &["00:00:00", "24:00:00", "23:59:59.999999", "12:34:56.5"]
}

const GEOMETRIES: &[&str] = &[
    "POINT(1 2)",
    "LINESTRING(0 0,1 1,2.5 -3)",
    "LINESTRING(0 0,1 1);4326",
    "POLYGON((0 0,0 5,5 5,0 0),(1 2,1 3,2 3,1 2))",
    "MULTIPOINT(1 1,2 2)",
    "MULTILINESTRING((0 0,1 1),(2 2,3 3))",
    "MULTIPOLYGON(((0 0,0 5,5 5,0 0)))",
    "GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))",
];

fn fixed(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Float => &[
            "3.4028234663852886e38",
            "-3.4028234663852886e38",
            "1.5e-38",
            "-0",
            "0.1",
            "16777216",
        ],
        Kind::Double => &[
            "1.7976931348623157e308",
            "-2.2250738585072014e-308",
            "-0",
            "0.1",
            "1e15",
            "1e16",
        ],
        Kind::Enum => &["sad", "ok", "happy", "so so", "a''b"],
        Kind::Set => &["", "a", "a,b", "a,b,c d"],
        Kind::Bytes => &["", "00ff10deadbeef", "5c4e", "00", "27"],
        Kind::Bit => &["0", "1"],
        Kind::Date => &["1000-01-01", "9999-12-31", "1970-01-01", "2000-02-29", "1582-10-10"],
        Kind::DateTime(0) => &["1000-01-01 00:00:00", "9999-12-31 23:59:59", "1969-12-31 23:59:59"],
        Kind::DateTime(_) => &[
            "1000-01-01 00:00:00",
            "9999-12-31 23:59:59.999999",
            "1969-12-31 23:59:59.999999",
            "1582-10-10 12:00:00",
        ],
        Kind::Timestamp(0) => &["1970-01-01 00:00:01", "2038-01-19 03:14:07"],
        Kind::Timestamp(_) => &[
            "1970-01-01 00:00:01",
            "2038-01-19 03:14:07.999999",
            "2001-09-09 01:46:40.5",
        ],
        Kind::Time(_) => times(),
        Kind::Year => &["1901", "2155", "2024", "0000"],
        Kind::Json | Kind::JsonText => &[
            "{\"a\": 1, \"b\":[1,2,{\"c\":null}]}",
            "\"str\"",
            "null",
            "[]",
            " { \"x\" : \"y  z\" } ",
            "\"a\\\"b\\\\c\\u00e9\\n\"",
            "[1.50, -0.001, 12345678901234567890123456789012345678]",
            "{\"\": {\"deep\": [[[[]]]]}}",
            "true",
        ],
        Kind::Point => &["POINT(1.5 -2.5)", "POINT(1e300 -1e-300)", "POINT(0 0);4326"],
        _ => &[],
    }
}

/// Any value of a kind.
pub fn usual(kind: Kind, dice: &mut StdRng) -> String {
    match kind {
        Kind::Int(bits) => (dice.random::<i64>() >> (64 - bits)).to_string(),
        Kind::Unsigned(bits) => (dice.random::<u64>() >> (64 - bits)).to_string(),
        Kind::Decimal(precision, scale) => decimal(precision - scale, scale, dice),
        // Those below are rounded to nothing, or to other digits, by the server itself.
        Kind::Float => finite(|| f64::from(f32::from_bits(dice.random::<u32>() | 0x1000_0000))),
        Kind::Double => finite(|| f64::from_bits(dice.random::<u64>() | 0x1000_0000_0000_0000)),
        Kind::Text(0) => text(60, dice),
        Kind::Text(most) => text(most, dice),
        Kind::Latin1(most) => text(most, dice)
            .chars()
            .map(|c| if u32::from(c) < 256 { c } else { 'ÿ' })
            .collect(),
        Kind::Enum | Kind::Set | Kind::Year => pick(fixed(kind), dice).to_owned(),
        Kind::Binary(bytes) => hex(2 * bytes, dice),
        Kind::Bytes => hex(40, dice),
        Kind::Bit => dice.random_range(0..2).to_string(),
        Kind::Bits(bits) => (dice.random::<u64>() >> (64 - bits)).to_string(),
        Kind::Date => late(&date(dice)),
        Kind::DateTime(digits) => format!("{} {}", late(&date(dice)), clock(digits, 24, dice)),
        Kind::Timestamp(digits) => {
            let year = dice.random_range(1971..2038);
            format!("{year}{} {}", &date(dice)[4..], clock(digits, 24, dice))
        }
        Kind::Time(digits) => clock(digits, 24, dice),
        Kind::Micros(digits) => {
            let sign = if dice.random() { "-" } else { "" };
            format!("{sign}{}", clock(digits, 838, dice))
        }
        Kind::Json | Kind::JsonText => json(3, dice),
        Kind::Point => format!("POINT({} {})", number(dice), number(dice)),
        Kind::Geometry(shape) => {
            let all: Vec<&str> = GEOMETRIES
                .iter()
                .copied()
                .filter(|text| text.starts_with(shape))
                .collect();
            pick(&all, dice).to_owned()
        }
    }
}

/// MariaDB promises no years before 1000.
fn late(date: &str) -> String {
    match date.strip_prefix('0') {
        Some(rest) => format!("1{rest}"),
        None => date.to_owned(),
    }
}

fn clock(digits: usize, hours: u32, dice: &mut StdRng) -> String {
    let rest = super::super::values::clock(digits, dice);
    format!("{:02}{}", dice.random_range(0..hours), &rest[2..])
}
