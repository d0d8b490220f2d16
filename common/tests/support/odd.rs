//! A corpus of odd values, each with what it comes to; and the bytes that a datum is made of.

use common::csv::{DEFAULT_NULL_MARKER, TEXT_BYTES_MAX};

pub(crate) const ROW: &str = "row";
pub(crate) const SKIPPED: &str = "skipped";
pub(crate) const ASKED: &str = "schema asked for";

pub(crate) fn number(n: i64) -> Vec<u8> {
    let mut rest = ((n << 1) ^ (n >> 63)).cast_unsigned();
    let mut bytes = Vec::new();
    while rest >= 0x80 {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

pub(crate) fn text(content: &[u8]) -> Vec<u8> {
    [number(content.len() as i64), content.to_vec()].concat()
}

pub(crate) fn framed(id: u32, datum: &[u8]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), datum].concat()
}

pub(crate) fn logical(base: &str, name: &str) -> String {
    format!(r#"{{"type":"{base}","logicalType":"{name}"}}"#)
}

pub(crate) fn debezium(base: &str, name: &str) -> String {
    format!(r#"{{"type":"{base}","connect.version":1,"connect.name":"io.debezium.time.{name}"}}"#)
}

pub(crate) fn decimal(precision: u32, scale: u32) -> String {
    format!(r#"{{"type":"bytes","logicalType":"decimal","precision":{precision},"scale":{scale}}}"#)
}

/// One column `v` of this type.
pub(crate) fn schema_of(ty: &str) -> String {
    format!(r#"{{"type":"record","name":"R","fields":[{{"name":"v","type":{ty}}}]}}"#)
}

/// A value of one column, and what it comes to.
pub(crate) fn values() -> Vec<(&'static str, String, Vec<u8>, &'static str)> {
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
        (
            "infinity as text",
            zoned.clone(),
            text(b"infinity"),
            "year_out_of_range",
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
