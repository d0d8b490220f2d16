//! A corpus of odd records: what each comes to, by the name of the reason or as a row. None may panic, none may be lost in silence.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

use std::collections::BTreeMap;
use std::sync::Arc;

use common::avro::WriterSchema;
use common::csv::{DEFAULT_NULL_MARKER, TEXT_BYTES_MAX};
use common::envelope;
use common::ids::{Incarnation, Offset, Partition, SchemaId};
use common::row::{ASIDE_PART_BYTES, BadValue, EVERY_COLUMN, KeySource, Outcome, Record, RowEncoder, Settings, Stats};

const ROW: &str = "row";
const SKIPPED: &str = "skipped";
const ASKED: &str = "schema asked for";

fn number(n: i64) -> Vec<u8> {
    let mut rest = ((n << 1) ^ (n >> 63)).cast_unsigned();
    let mut bytes = Vec::new();
    while rest >= 0x80 {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

fn text(content: &[u8]) -> Vec<u8> {
    [number(content.len() as i64), content.to_vec()].concat()
}

fn framed(id: u32, datum: &[u8]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), datum].concat()
}

fn logical(base: &str, name: &str) -> String {
    format!(r#"{{"type":"{base}","logicalType":"{name}"}}"#)
}

fn debezium(base: &str, name: &str) -> String {
    format!(r#"{{"type":"{base}","connect.version":1,"connect.name":"io.debezium.time.{name}"}}"#)
}

fn decimal(precision: u32, scale: u32) -> String {
    format!(r#"{{"type":"bytes","logicalType":"decimal","precision":{precision},"scale":{scale}}}"#)
}

/// One column `v` of this type.
fn schema_of(ty: &str) -> String {
    format!(r#"{{"type":"record","name":"R","fields":[{{"name":"v","type":{ty}}}]}}"#)
}

/// An encoder that knows schema 1, and its verdict on one record.
struct Bench {
    encoder: RowEncoder,
    rows: Vec<u8>,
    stats: Stats,
}

impl Bench {
    fn new(schema: &str, settings: Settings) -> Bench {
        let mut encoder = RowEncoder::new(Arc::new(settings), Incarnation(0), Partition(0), None);
        let schema = WriterSchema::parse(schema).unwrap_or_else(|error| panic!("{schema}: {error}"));
        encoder.add_schema(SchemaId::confluent(1), Arc::new(schema));
        Bench {
            encoder,
            rows: Vec::new(),
            stats: Stats::default(),
        }
    }

    fn verdict(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> &'static str {
        let record = Record {
            offset: Offset(7),
            timestamp_ms: 1_700_000_000_000,
            key,
            value,
        };
        loop {
            match self.encoder.encode(&record, &mut self.rows, &mut self.stats) {
                Ok(Outcome::Rows(_)) => return ROW,
                Ok(Outcome::Skipped) => return SKIPPED,
                Ok(Outcome::Truncate) => return "truncate",
                Ok(Outcome::NeedSchema(_)) => return ASKED,
                Ok(Outcome::PlanGrows(plan)) => self.encoder.adopt(plan),
                Err(error) => {
                    assert!(error.may_be_set_aside(), "{error}");
                    assert!(self.rows.is_empty(), "a bad record leaves no row");
                    self.is_kept(&record, &error);
                    return error.problem.name();
                }
            }
        }
    }

    /// What is kept of a bad record can be read by another CSV reader, and has all its bytes.
    fn is_kept(&mut self, record: &Record<'_>, error: &common::row::EncodeError) {
        let mut kept = Vec::new();
        let lines = self.encoder.set_aside(record, error, &mut kept);
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&*kept);
        let all: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(all.len() as u64, lines);
        for (index, bytes) in [(8, record.key), (10, record.value)] {
            let digits: String = all
                .iter()
                .map(|line| &line[index + 1])
                .filter(|part| *part != DEFAULT_NULL_MARKER)
                .collect();
            let expected: String = bytes
                .unwrap_or_default()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(digits, expected);
            let length = bytes.map_or(DEFAULT_NULL_MARKER.to_owned(), |bytes| bytes.len().to_string());
            assert_eq!(all[0][index], length);
        }
        assert_eq!((&all[0][5], &all[0][12]), (error.problem.name(), "open"));
    }
}

fn plain() -> Settings {
    Settings {
        key: KeySource::None,
        ..Settings::default()
    }
}

/// A value of one column, and what it comes to.
fn values() -> Vec<(&'static str, String, Vec<u8>, &'static str)> {
    let (string, bytes) = (r#""string""#.to_owned(), r#""bytes""#.to_owned());
    let marker = DEFAULT_NULL_MARKER.as_bytes();
    let five = r#"{"type":"fixed","name":"F","size":5}"#.to_owned();
    let suits = r#"{"type":"enum","name":"E","symbols":["A","B"]}"#.to_owned();
    let optional = r#"["null","string"]"#.to_owned();
    let several = r#"["null","string","long"]"#.to_owned();
    let array = r#"{"type":"array","items":"string"}"#.to_owned();
    let map = r#"{"type":"map","values":"long"}"#.to_owned();
    let doubles = r#"{"type":"array","items":"double"}"#.to_owned();
    let inner =
        r#"{"type":"record","name":"I","fields":[{"name":"a","type":"long"},{"name":"b","type":"string"}]}"#.to_owned();
    let uuid = logical("string", "uuid");
    let zoned = debezium("string", "ZonedTimestamp");
    let timestamp = debezium("long", "MicroTimestamp");
    let day = logical("int", "date");
    let tiny = r#"{"type":"int","connect.type":"int8"}"#.to_owned();
    let short = r#"{"type":"int","connect.type":"int16"}"#.to_owned();
    let json = r#"{"type":"string","connect.version":1,"connect.name":"io.debezium.data.Json"}"#.to_owned();
    let items = |items: &[Vec<u8>]| [number(items.len() as i64), items.concat(), vec![0]].concat();
    let entry = |key: &str, value: i64| [text(key.as_bytes()), number(value)].concat();
    let ten_to_the_40 = {
        let mut digits = vec![0x1d];
        digits.extend([
            0x63, 0x29, 0xf1, 0xc3, 0x5c, 0xa4, 0xbf, 0xab, 0xb9, 0xf5, 0x61, 0, 0, 0, 0, 0,
        ]);
        digits
    };
    vec![
        // Damaged.
        ("boolean missing", r#""boolean""#.into(), vec![], "truncated"),
        ("int missing", r#""int""#.into(), vec![], "truncated"),
        ("int unfinished", r#""int""#.into(), vec![0x80], "truncated"),
        ("long unfinished", r#""long""#.into(), vec![0xff, 0xff], "truncated"),
        ("float cut", r#""float""#.into(), vec![0, 0, 0], "truncated"),
        ("double cut", r#""double""#.into(), vec![0; 7], "truncated"),
        ("string without text", string.clone(), number(3), "bad_length"),
        (
            "string cut",
            string.clone(),
            [number(3), b"ab".to_vec()].concat(),
            "bad_length",
        ),
        (
            "bytes cut",
            bytes.clone(),
            [number(9), b"ab".to_vec()].concat(),
            "bad_length",
        ),
        ("fixed cut", five.clone(), vec![1, 2, 3], "truncated"),
        ("enum missing", suits.clone(), vec![], "truncated"),
        ("union missing", optional.clone(), vec![], "truncated"),
        ("union without value", optional.clone(), number(1), "truncated"),
        (
            "array unfinished",
            array.clone(),
            [number(1), text(b"a")].concat(),
            "truncated",
        ),
        (
            "map unfinished",
            map.clone(),
            [number(2), entry("a", 1)].concat(),
            "truncated",
        ),
        ("record cut", inner.clone(), number(1), "truncated"),
        (
            "decimal cut",
            decimal(10, 2),
            [number(4), vec![1]].concat(),
            "bad_length",
        ),
        (
            "bytes left over",
            r#""int""#.into(),
            [number(1), vec![0]].concat(),
            "trailing_bytes",
        ),
        (
            "many bytes left over",
            string.clone(),
            [text(b"a"), vec![1; 100]].concat(),
            "trailing_bytes",
        ),
        (
            "int of six bytes",
            r#""int""#.into(),
            vec![0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            "bad_number",
        ),
        ("long of eleven bytes", r#""long""#.into(), vec![0xff; 11], "bad_number"),
        ("int beyond 32 bits", r#""int""#.into(), number(1 << 40), "bad_number"),
        ("length below zero", string.clone(), number(-5), "bad_length"),
        ("length of 2^62", string.clone(), number(1 << 62), "bad_length"),
        ("bytes of length below zero", bytes.clone(), number(-1), "bad_length"),
        ("branch 2 of two", optional.clone(), number(2), "bad_branch"),
        ("branch below zero", optional.clone(), number(-1), "bad_branch"),
        ("branch 9 of three", several.clone(), number(9), "bad_branch"),
        ("symbol 2 of two", suits.clone(), number(2), "bad_symbol"),
        ("symbol below zero", suits.clone(), number(-1), "bad_symbol"),
        ("boolean 2", r#""boolean""#.into(), vec![2], "bad_boolean"),
        ("boolean 255", r#""boolean""#.into(), vec![255], "bad_boolean"),
        ("array of 2^50 items", array.clone(), number(1 << 50), "bad_length"),
        (
            "array of fewer items",
            array.clone(),
            [number(3), text(b"a"), vec![0]].concat(),
            "truncated",
        ),
        // Texts.
        ("NUL", string.clone(), text(b"a\0b"), "nul_character"),
        ("only NUL", string.clone(), text(b"\0"), "nul_character"),
        (
            "NUL in a long text",
            string.clone(),
            text(&[vec![b'x'; 500], vec![0]].concat()),
            "nul_character",
        ),
        ("invalid UTF-8", string.clone(), text(b"a\xff"), "invalid_utf8"),
        (
            "UTF-8 cut",
            string.clone(),
            text("ä".as_bytes().split_last().unwrap().1),
            "invalid_utf8",
        ),
        ("overlong UTF-8", string.clone(), text(b"\xc0\xaf"), "invalid_utf8"),
        (
            "a surrogate in UTF-8",
            string.clone(),
            text(b"\xed\xa0\x80"),
            "invalid_utf8",
        ),
        (
            "beyond Unicode",
            string.clone(),
            text(b"\xf4\x90\x80\x80"),
            "invalid_utf8",
        ),
        ("Latin-1", string.clone(), text(b"caf\xe9"), "invalid_utf8"),
        ("the marker", string.clone(), text(marker), "null_marker"),
        ("70 kB", string.clone(), text(&vec![b'x'; 70_000]), "text_too_long"),
        (
            "one byte too many",
            string.clone(),
            text(&vec![b'x'; TEXT_BYTES_MAX + 1]),
            "text_too_long",
        ),
        (
            "characters that fit, bytes that do not",
            string.clone(),
            text("ä".repeat(33_000).as_bytes()),
            "text_too_long",
        ),
        ("enum symbol as NUL", string.clone(), text(b"\0\0\0\0"), "nul_character"),
        // Numbers.
        (
            "float NaN",
            r#""float""#.into(),
            f32::NAN.to_le_bytes().to_vec(),
            "not_finite",
        ),
        (
            "float infinity",
            r#""float""#.into(),
            f32::INFINITY.to_le_bytes().to_vec(),
            "not_finite",
        ),
        (
            "float minus infinity",
            r#""float""#.into(),
            f32::NEG_INFINITY.to_le_bytes().to_vec(),
            "not_finite",
        ),
        (
            "double NaN",
            r#""double""#.into(),
            f64::NAN.to_le_bytes().to_vec(),
            "not_finite",
        ),
        (
            "double infinity",
            r#""double""#.into(),
            f64::INFINITY.to_le_bytes().to_vec(),
            "not_finite",
        ),
        (
            "double minus infinity",
            r#""double""#.into(),
            f64::NEG_INFINITY.to_le_bytes().to_vec(),
            "not_finite",
        ),
        (
            "a signalling NaN",
            r#""double""#.into(),
            0x7ff0_0000_0000_0001_u64.to_le_bytes().to_vec(),
            "not_finite",
        ),
        ("int8 of 200", tiny.clone(), number(200), "out_of_range"),
        ("int8 of -129", tiny.clone(), number(-129), "out_of_range"),
        ("int16 of 40000", short.clone(), number(40_000), "out_of_range"),
        (
            "10^40 in 38 digits",
            decimal(38, 0),
            text(&ten_to_the_40),
            "too_many_digits",
        ),
        (
            "123456 in DECIMAL(5,2)",
            decimal(5, 2),
            text(&[0x01, 0xe2, 0x40]),
            "too_many_digits",
        ),
        (
            "-123456 in DECIMAL(5,2)",
            decimal(5, 2),
            text(&[0xfe, 0x1d, 0xc0]),
            "too_many_digits",
        ),
        (
            "a decimal of 1000 bytes",
            decimal(38, 10),
            text(&[0x7f; 1000]),
            "too_many_digits",
        ),
        // Dates and times.
        ("year 20000", day.clone(), number(6_585_500), "year_out_of_range"),
        ("year 0", day.clone(), number(-719_529), "year_out_of_range"),
        (
            "the last int as a date",
            day.clone(),
            number(i32::MAX.into()),
            "year_out_of_range",
        ),
        (
            "the first int as a date",
            day.clone(),
            number(i32::MIN.into()),
            "year_out_of_range",
        ),
        (
            "PostgreSQL's infinity",
            timestamp.clone(),
            number(9_223_371_331_200_000_000),
            "year_out_of_range",
        ),
        (
            "PostgreSQL's -infinity",
            timestamp.clone(),
            number(-9_223_372_036_832_400_000),
            "year_out_of_range",
        ),
        (
            "the last long as microseconds",
            timestamp.clone(),
            number(i64::MAX),
            "year_out_of_range",
        ),
        (
            "the first long as microseconds",
            timestamp.clone(),
            number(i64::MIN),
            "year_out_of_range",
        ),
        (
            "the last long as milliseconds",
            logical("long", "timestamp-millis"),
            number(i64::MAX),
            "year_out_of_range",
        ),
        (
            "year 20000 in milliseconds",
            logical("long", "timestamp-millis"),
            number(568_971_820_800_000),
            "year_out_of_range",
        ),
        (
            "a time below zero",
            logical("long", "time-micros"),
            number(-1),
            "time_out_of_range",
        ),
        (
            "a time after midnight",
            logical("long", "time-micros"),
            number(86_400_000_001),
            "time_out_of_range",
        ),
        (
            "a MySQL time of 838 hours",
            logical("int", "time-millis"),
            number(3_020_399_000 >> 1),
            "time_out_of_range",
        ),
        ("no time at all", zoned.clone(), text(b""), "bad_time_text"),
        ("yesterday", zoned.clone(), text(b"yesterday"), "bad_time_text"),
        (
            "month 13",
            zoned.clone(),
            text(b"2024-13-01T00:00:00Z"),
            "bad_time_text",
        ),
        (
            "30 February",
            zoned.clone(),
            text(b"2024-02-30T00:00:00Z"),
            "bad_time_text",
        ),
        (
            "29 February of 2023",
            zoned.clone(),
            text(b"2023-02-29T00:00:00Z"),
            "bad_time_text",
        ),
        ("hour 25", zoned.clone(), text(b"2024-01-01T25:00:00Z"), "bad_time_text"),
        (
            "second 61",
            zoned.clone(),
            text(b"2024-01-01T00:00:61Z"),
            "bad_time_text",
        ),
        (
            "a date with words behind it",
            zoned.clone(),
            text(b"2024-01-01T00:00:00Z or so"),
            "bad_time_text",
        ),
        (
            "year 20000 as text",
            zoned.clone(),
            text(b"20000-01-01T00:00:00Z"),
            "bad_time_text",
        ),
        // Other texts with a form.
        ("no UUID", uuid.clone(), text(b"xyz"), "bad_uuid"),
        ("an empty UUID", uuid.clone(), text(b""), "bad_uuid"),
        (
            "a UUID with a wrong digit",
            uuid.clone(),
            text(b"123e4567-e89b-12d3-a456-42661417400g"),
            "bad_uuid",
        ),
        (
            "a UUID with a digit too many",
            uuid.clone(),
            text(b"123e4567-e89b-12d3-a456-4266141740000"),
            "bad_uuid",
        ),
        (
            "a UUID with misplaced dashes",
            uuid.clone(),
            text(b"123e4567e-89b-12d3-a456-426614174000"),
            "bad_uuid",
        ),
        // SUPER.
        (
            "a map with a key twice",
            map.clone(),
            items(&[entry("a", 1), entry("a", 2)]),
            "duplicate_json_key",
        ),
        (
            "keys equal after escapes",
            map.clone(),
            items(&[entry("\n", 1), entry("b", 3), entry("\n", 2)]),
            "duplicate_json_key",
        ),
        (
            "a JSON object with a key twice",
            json.clone(),
            text(br#"{"a":1,"a":2}"#),
            "duplicate_json_key",
        ),
        (
            "a key twice deep inside",
            json.clone(),
            text(br#"[{"x":{"a":1,"b":2,"a":3}}]"#),
            "duplicate_json_key",
        ),
        (
            "70 kB in SUPER",
            array.clone(),
            items(&[text(&vec![b'x'; 70_000])]),
            "json_text_too_long",
        ),
        ("NUL in SUPER", array.clone(), items(&[text(b"a\0")]), "nul_character"),
        (
            "invalid UTF-8 in SUPER",
            array.clone(),
            items(&[text(b"\xff")]),
            "invalid_utf8",
        ),
        (
            "bytes beyond VARBYTE",
            bytes.clone(),
            text(&vec![7; 1_024_001]),
            "bytes_too_long",
        ),
        // Odd and good: what only looks bad must become a row.
        (
            "the marker and a letter",
            string.clone(),
            text(&[marker, b"x"].concat()),
            ROW,
        ),
        (
            "a letter and the marker",
            string.clone(),
            text(&[b"x", marker].concat()),
            ROW,
        ),
        (
            "the marker in quotes",
            string.clone(),
            text(format!("\"{DEFAULT_NULL_MARKER}\"").as_bytes()),
            ROW,
        ),
        ("backslash N", string.clone(), text(b"\\N"), ROW),
        ("the word NULL", string.clone(), text(b"NULL"), ROW),
        ("an empty text", string.clone(), text(b""), ROW),
        ("a blank", string.clone(), text(b" "), ROW),
        ("quotes", string.clone(), text(b"\"\"\""), ROW),
        ("lines and commas", string.clone(), text(b"a,\r\n\"b\",\n"), ROW),
        ("emoji", string.clone(), text("👩‍👩‍👧‍👦".as_bytes()), ROW),
        ("a noncharacter", string.clone(), text("\u{ffff}".as_bytes()), ROW),
        ("65535 bytes", string.clone(), text(&vec![b'x'; TEXT_BYTES_MAX]), ROW),
        (
            "minus zero",
            r#""double""#.into(),
            (-0.0_f64).to_le_bytes().to_vec(),
            ROW,
        ),
        (
            "the smallest double",
            r#""double""#.into(),
            5e-324_f64.to_le_bytes().to_vec(),
            ROW,
        ),
        (
            "the largest double",
            r#""double""#.into(),
            f64::MAX.to_le_bytes().to_vec(),
            ROW,
        ),
        ("the first long", r#""long""#.into(), number(i64::MIN), ROW),
        ("a decimal without bytes", decimal(10, 2), text(b""), ROW),
        ("24:00:00", logical("long", "time-micros"), number(86_400_000_000), ROW),
        ("year 1", day.clone(), number(-719_162), ROW),
        ("year 9999", day, number(2_932_896), ROW),
        ("no items", array, vec![0], ROW),
        (
            "NaN in SUPER, which becomes null",
            doubles,
            items(&[f64::NAN.to_le_bytes().to_vec()]),
            ROW,
        ),
        (
            "text that is no JSON, which becomes a JSON text",
            json,
            text(b"{oops"),
            ROW,
        ),
        (
            "an upper-case UUID",
            uuid,
            text(b"123E4567-E89B-12D3-A456-426614174000"),
            ROW,
        ),
        ("1 MB of bytes", bytes, text(&vec![7; 1_000_000]), ROW),
        ("null", optional, number(0), ROW),
        ("the last branch", several, [number(2), number(5)].concat(), ROW),
        ("a symbol", suits, number(1), ROW),
        ("five bytes", five, vec![0; 5], ROW),
        ("a record", inner, [number(1), text(b"x")].concat(), ROW),
        ("a map", map, items(&[entry("a", 1), entry("A", 2)]), ROW),
        (
            "a time with an offset",
            zoned,
            text(b"2024-02-29T23:59:59.123456789+02:00"),
            ROW,
        ),
        ("1970", timestamp, number(0), ROW),
        ("int8 of -128", tiny, number(-128), ROW),
        ("int16 of 32767", short, number(32_767), ROW),
    ]
}

#[test]
fn every_odd_value_comes_to_what_is_written() {
    let all = values();
    let wrong: Vec<String> = all
        .iter()
        .filter_map(|(name, ty, datum, expected)| {
            let found = Bench::new(&schema_of(ty), plain()).verdict(None, Some(&framed(1, datum)));
            (found != *expected).then(|| format!("{name}: {found}, not {expected}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let bad = all.iter().filter(|(.., expected)| *expected != ROW).count();
    assert!(bad >= 90 && all.len() >= 125, "{bad} bad of {}", all.len());
}

/// The same values under the rule that replaces them: all but damaged data get their row, with NULL, and say so.
#[test]
fn what_a_rule_replaces_keeps_its_row() {
    let settings = || Settings {
        bad_values: BTreeMap::from([(EVERY_COLUMN.to_owned(), BadValue::Null)]),
        ..plain()
    };
    let damaged = [
        "truncated",
        "bad_length",
        "bad_number",
        "bad_branch",
        "bad_symbol",
        "bad_boolean",
        "trailing_bytes",
    ];
    for (name, ty, datum, expected) in values() {
        let mut bench = Bench::new(&schema_of(&ty), settings());
        let found = bench.verdict(None, Some(&framed(1, &datum)));
        if expected == ROW || damaged.contains(&expected) {
            assert_eq!(found, expected, "{name}");
            continue;
        }
        assert_eq!(found, ROW, "{name}");
        let amended = bench.encoder.amended();
        let [only] = amended.as_slice() else {
            panic!("{name}: {amended:?}")
        };
        assert_eq!(
            (only.column.as_str(), only.reason.name(), only.by),
            ("v", expected, BadValue::Null),
            "{name}"
        );
        let row = String::from_utf8(bench.rows.clone()).unwrap();
        assert!(row.ends_with(&format!(",{DEFAULT_NULL_MARKER}\n")), "{name}: {row}");
    }
}

#[test]
fn texts_are_cut_at_a_character_where_the_column_says_so_and_their_neighbours_stay() {
    let schema = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"string"},{"name":"v","type":["null","string"]},{"name":"b","type":"long"}]}"#;
    let settings = Settings {
        bad_values: BTreeMap::from([("v".to_owned(), BadValue::Truncate)]),
        ..plain()
    };
    let long = "ä".repeat(40_000);
    let record = |a: &[u8], v: &[u8]| framed(1, &[text(a), number(1), text(v), number(5)].concat());
    let mut bench = Bench::new(schema, settings);
    assert_eq!(bench.verdict(None, Some(&record(b"x", long.as_bytes()))), ROW);
    let row = String::from_utf8(bench.rows.clone()).unwrap();
    let cut = "ä".repeat(TEXT_BYTES_MAX / 2);
    assert!(row.ends_with(&format!(",\"x\",\"{cut}\",5\n")));
    assert_eq!(bench.encoder.amended().len(), 1);
    bench.rows.clear();
    assert_eq!(bench.verdict(None, Some(&record(b"x", b"short"))), ROW);
    assert!(!bench.encoder.has_amended(), "said of one record only");
    bench.rows.clear();
    assert_eq!(
        bench.verdict(None, Some(&record(long.as_bytes(), b"short"))),
        "text_too_long",
        "another column"
    );
    assert_eq!(
        bench.verdict(None, Some(&record(b"x", b"a\0"))),
        "nul_character",
        "another problem"
    );
}

#[test]
fn frames_that_are_none() {
    let verdict = |value: &[u8]| Bench::new(&schema_of(r#""int""#), plain()).verdict(None, Some(value));
    for value in [
        &b""[..],
        &[0],
        &[0, 0],
        &[0, 0, 0, 0],
        b"\x30\0\0\0\x01\x02",
        b"{\"v\":1}",
        b"\x01\0\0\0\x01\x02",
        b"no frame",
        &[0xff; 40],
    ] {
        assert_eq!(verdict(value), "bad_frame", "{value:?}");
    }
    assert_eq!(
        verdict(&framed(999, &number(1))),
        ASKED,
        "an unknown id waits for the registry"
    );
    assert_eq!(verdict(&framed(1, &number(1))), ROW);
}

const KEYED: &str = r#"{"type":"record","name":"R","fields":[{"name":"id","type":["null","string"]},{"name":"v","type":["null","string"]}]}"#;

fn keyed(id: Option<&[u8]>, rest: &[u8]) -> Vec<u8> {
    let id = id.map_or(number(0), |id| [number(1), text(id)].concat());
    framed(1, &[id, rest.to_vec()].concat())
}

#[test]
fn keys_that_could_not_be_found_again() {
    let settings = || Settings {
        key: KeySource::Columns(vec!["id".into()]),
        bad_values: BTreeMap::from([(EVERY_COLUMN.to_owned(), BadValue::Null)]),
        ..Settings::default()
    };
    let verdict = |id: Option<&[u8]>| Bench::new(KEYED, settings()).verdict(None, Some(&keyed(id, &number(0))));
    assert_eq!(verdict(Some(b"a")), ROW);
    assert_eq!(verdict(Some(b" a")), ROW);
    assert_eq!(verdict(Some(b"")), ROW);
    assert_eq!(verdict(None), "null_key");
    assert_eq!(verdict(Some(b"a ")), "key_ends_in_blank");
    assert_eq!(verdict(Some(b" ")), "key_ends_in_blank");
    assert_eq!(verdict(Some(b"__debezium_unavailable_value")), "key_unchanged");
    assert_eq!(verdict(Some(DEFAULT_NULL_MARKER.as_bytes())), "null_marker");
    assert_eq!(verdict(Some(b"a\0")), "nul_character", "no rule replaces a key");
}

/// The key of a record that is set aside is kept where it can be read, so that later changes of it are noticed.
#[test]
fn what_is_set_aside_has_its_key() {
    let settings = Settings {
        key: KeySource::Columns(vec!["id".into()]),
        ..Settings::default()
    };
    let mut bench = Bench::new(KEYED, settings);
    assert_eq!(bench.verdict(None, Some(&keyed(Some(b"k,1"), &number(0)))), ROW);
    bench.rows.clear();
    let bad = keyed(Some(b"k,2"), &[number(1), text(b"a\0")].concat());
    let damaged = keyed(Some(b"k,3"), &[]);
    for (value, key) in [(bad, "k,2"), (damaged, DEFAULT_NULL_MARKER)] {
        let record = Record {
            offset: Offset(9),
            timestamp_ms: -1,
            key: None,
            value: Some(&value),
        };
        let error = bench
            .encoder
            .encode(&record, &mut bench.rows, &mut bench.stats)
            .unwrap_err();
        let mut kept = Vec::new();
        assert_eq!(bench.encoder.set_aside(&record, &error, &mut kept), 1);
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&*kept);
        let line = reader.records().next().unwrap().unwrap();
        assert_eq!((&line[2], &line[3], &line[13]), ("9", DEFAULT_NULL_MARKER, key));
    }
}

#[test]
fn envelopes_that_say_nothing_of_use() {
    let schema = r#"{"type":"record","name":"Envelope","fields":[
        {"name":"before","type":["null",{"type":"record","name":"Value","fields":[{"name":"id","type":"long"}]}]},
        {"name":"after","type":["null","Value"]},{"name":"op","type":"string"}]}"#;
    let settings = || Settings {
        envelope: envelope::Kind::Debezium,
        key: KeySource::Columns(vec!["id".into()]),
        ..Settings::default()
    };
    let image = |id: Option<i64>| id.map_or(number(0), |id| [number(1), number(id)].concat());
    let verdict = |before, after, op: &[u8]| {
        let datum = [image(before), image(after), text(op)].concat();
        Bench::new(schema, settings()).verdict(None, Some(&framed(1, &datum)))
    };
    assert_eq!(verdict(None, Some(1), b"c"), ROW);
    assert_eq!(verdict(Some(1), None, b"d"), ROW);
    assert_eq!(verdict(None, None, b"t"), "truncate");
    assert_eq!(verdict(None, None, b"m"), SKIPPED);
    assert_eq!(verdict(None, None, b"c"), "no_image");
    assert_eq!(verdict(None, None, b"u"), "no_image");
    assert_eq!(verdict(None, None, b"d"), "delete_without_key");
    assert_eq!(verdict(None, Some(1), b"x"), "no_image");
    assert_eq!(verdict(None, Some(1), b"cc"), "unknown_operation");
    assert_eq!(verdict(None, Some(1), b""), "unknown_operation");
    assert_eq!(
        Bench::new(schema, settings()).verdict(Some(b"k"), None),
        SKIPPED,
        "a tombstone"
    );
}

/// Five megabytes of texts that each fit are a row that COPY refuses; nothing of them is lost.
#[test]
fn a_row_beyond_what_copy_takes_is_kept_in_parts() {
    let fields: Vec<String> = (0..80)
        .map(|n| format!(r#"{{"name":"c{n}","type":"string"}}"#))
        .collect();
    let schema = format!(r#"{{"type":"record","name":"R","fields":[{}]}}"#, fields.join(","));
    let datum: Vec<u8> = (0..80).flat_map(|_| text(&vec![b'x'; 65_000])).collect();
    let mut bench = Bench::new(&schema, plain());
    let value = framed(1, &datum);
    assert!(value.len() > 9 * ASIDE_PART_BYTES);
    assert_eq!(bench.verdict(None, Some(&value)), "row_too_long");
}
