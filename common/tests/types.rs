//! docs/types.md: which source type becomes which column, with an example that the encoder wrote, and what becomes of values that do not
//! fit. The page is made from the code; with `UPDATE_DOCS=1` this test writes it.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use common::avro::WriterSchema;
use common::csv::DEFAULT_NULL_MARKER;
use common::ids::{Incarnation, Offset, Partition, SchemaId};
use common::plan::META_COLUMNS;
use common::row::{KeySource, Outcome, Record, RowEncoder, Settings, Stats};
use support::odd::{ROW, debezium, decimal, framed, logical, number, schema_of, text, values};

/// Name of a type as its users know it, its schema, a value, and that value in words.
fn samples() -> Vec<(&'static str, String, Vec<u8>, &'static str)> {
    let named = |base: &str, name: &str| format!(r#"{{"type":"{base}","connect.version":1,"connect.name":"{name}"}}"#);
    let data = |base: &str, name: &str| named(base, &format!("io.debezium.data.{name}"));
    let items = |items: &[Vec<u8>]| [number(items.len() as i64), items.concat(), vec![0]].concat();
    let variable = r#"{"type":"record","name":"VariableScaleDecimal","namespace":"io.debezium.data","fields":[{"name":"scale","type":"int"},{"name":"value","type":"bytes"}],"connect.version":1,"connect.name":"io.debezium.data.VariableScaleDecimal"}"#;
    let point = r#"{"type":"record","name":"Point","namespace":"io.debezium.data.geometry","fields":[{"name":"x","type":"double"},{"name":"y","type":"double"}],"connect.name":"io.debezium.data.geometry.Point"}"#;
    let record =
        r#"{"type":"record","name":"I","fields":[{"name":"a","type":"long"},{"name":"b","type":["null","string"]}]}"#;
    let float = 1.5_f32.to_le_bytes().to_vec();
    let double = 0.1_f64.to_le_bytes().to_vec();
    let two = [1.5_f64.to_le_bytes(), (-2.0_f64).to_le_bytes()].concat();
    vec![
        ("`boolean`", r#""boolean""#.into(), vec![1], "true"),
        ("`int`", r#""int""#.into(), number(-7), "-7"),
        ("`int` of Connect's int8", r#"{"type":"int","connect.type":"int8"}"#.into(), number(-7), "-7"),
        ("`int` of Connect's int16", r#"{"type":"int","connect.type":"int16"}"#.into(), number(-7), "-7"),
        ("`long`", r#""long""#.into(), number(1 << 40), "1099511627776"),
        ("`float`", r#""float""#.into(), float, "1.5"),
        ("`double`", r#""double""#.into(), double, "0.1"),
        ("`string`", r#""string""#.into(), text(b"say \"hi\""), "say \"hi\""),
        ("`enum`", r#"{"type":"enum","name":"E","symbols":["A","B"]}"#.into(), number(1), "B"),
        ("`bytes`", r#""bytes""#.into(), text(&[0xca, 0xfe]), "bytes CA FE"),
        ("`fixed` of 2", r#"{"type":"fixed","name":"F","size":2}"#.into(), vec![0xca, 0xfe], "bytes CA FE"),
        ("`array`", r#"{"type":"array","items":"long"}"#.into(), items(&[number(1), number(2)]), "1 and 2"),
        ("`map`", r#"{"type":"map","values":"long"}"#.into(), items(&[[text(b"a"), number(1)].concat()]), "a is 1"),
        ("`record`", record.into(), [number(1), number(0)].concat(), "a is 1, b is null"),
        ("union of null and one type", r#"["null","long"]"#.into(), number(0), "null"),
        ("union of several types", r#"["null","long","string"]"#.into(), [number(2), text(b"x")].concat(), "the text x"),
        ("union of null and several types", r#"["null","long","string"]"#.into(), number(0), "null"),
        ("`decimal`, precision to 38", decimal(10, 2), text(&[0x04, 0xd2]), "12.34"),
        ("`decimal` beyond 38 digits", decimal(50, 2), text(&[0x04, 0xd2]), "12.34"),
        ("`date`", logical("int", "date"), number(19_782), "29 February 2024"),
        ("`time-millis`", logical("int", "time-millis"), number(1_500), "1.5 s after midnight"),
        ("`time-micros`", logical("long", "time-micros"), number(1_500_000), "1.5 s after midnight"),
        ("`timestamp-millis`", logical("long", "timestamp-millis"), number(1_709_164_800_123), "29 February 2024"),
        ("`timestamp-micros`", logical("long", "timestamp-micros"), number(1_709_164_800_123_456), "29 February 2024"),
        ("`timestamp-nanos`", logical("long", "timestamp-nanos"), number(1_709_164_800_123_456_789), "29 February 2024"),
        ("`local-timestamp-millis`", logical("long", "local-timestamp-millis"), number(1_709_164_800_123), "29 February 2024"),
        ("`local-timestamp-micros`", logical("long", "local-timestamp-micros"), number(1_709_164_800_123_456), "29 February 2024"),
        ("`uuid`", logical("string", "uuid"), text(b"123E4567-E89B-12D3-A456-426614174000"), "a UUID"),
        ("`duration`",
            r#"{"type":"fixed","name":"D","size":12,"logicalType":"duration"}"#.into(),
            vec![1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0], "1 month, 2 days, 3 ms"),
        ("Connect `Decimal`", r#"{"type":"bytes","scale":2,"precision":10,"logicalType":"decimal","connect.version":1,"connect.parameters":{"scale":"2"},"connect.name":"org.apache.kafka.connect.data.Decimal"}"#.into(), text(&[0x04, 0xd2]), "12.34"),
        ("Connect `Date`", named("int", "org.apache.kafka.connect.data.Date"), number(19_782), "29 February 2024"),
        ("Connect `Time`", named("int", "org.apache.kafka.connect.data.Time"), number(1_500), "1.5 s after midnight"),
        ("Connect `Timestamp`", named("long", "org.apache.kafka.connect.data.Timestamp"), number(1_709_164_800_123), "29 February 2024"),
        ("Debezium `Date`", debezium("int", "Date"), number(19_782), "29 February 2024"),
        ("Debezium `Time`", debezium("int", "Time"), number(1_500), "1.5 s after midnight"),
        ("Debezium `MicroTime`", debezium("long", "MicroTime"), number(1_500_000), "1.5 s after midnight"),
        ("Debezium `NanoTime`", debezium("long", "NanoTime"), number(1_500_000_000), "1.5 s after midnight"),
        ("Debezium `Timestamp`", debezium("long", "Timestamp"), number(1_709_164_800_123), "29 February 2024"),
        ("Debezium `MicroTimestamp`", debezium("long", "MicroTimestamp"), number(1_709_164_800_123_456), "29 February 2024"),
        ("Debezium `NanoTimestamp`", debezium("long", "NanoTimestamp"), number(1_709_164_800_123_456_789), "29 February 2024"),
        ("Debezium `ZonedTimestamp`", debezium("string", "ZonedTimestamp"), text(b"2024-02-29T01:02:03.5+02:00"), "two hours ahead of UTC"),
        ("Debezium `ZonedTime`", debezium("string", "ZonedTime"), text(b"01:02:03+02:00"), "two hours ahead of UTC"),
        ("Debezium `Year`", debezium("int", "Year"), number(2024), "2024"),
        ("Debezium `MicroDuration`", debezium("long", "MicroDuration"), number(1_500_000), "1.5 s"),
        ("Debezium `Interval`", debezium("string", "Interval"), text(b"P1Y2M3DT4H5M6.78S"), "a period"),
        ("Debezium `IsoDate`", debezium("string", "IsoDate"), text(b"2024-02-29Z"), "29 February 2024"),
        ("Debezium `IsoTime`", debezium("string", "IsoTime"), text(b"10:15:30Z"), "10:15:30"),
        ("Debezium `IsoTimestamp`", debezium("string", "IsoTimestamp"), text(b"2024-02-29T18:29:26Z"), "29 February 2024"),
        ("Debezium `Uuid`", data("string", "Uuid"), text(b"123e4567-e89b-12d3-a456-426614174000"), "a UUID"),
        ("Debezium `Json`", data("string", "Json"), text(br#"{"a": [1, 2]}"#), "an object"),
        ("Debezium `Xml`", data("string", "Xml"), text(b"<a/>"), "an element"),
        ("Debezium `Enum`", data("string", "Enum"), text(b"small"), "small"),
        ("Debezium `Bits`", data("bytes", "Bits"), text(&[0b101]), "101, lowest byte first"),
        ("Debezium `Bits`", data("bytes", "Bits"), text(&[]), "no bit is set"),
        ("Debezium `VariableScaleDecimal`", variable.into(), [number(2), text(&[0x04, 0xd2])].concat(), "12.34"),
        ("Debezium `Point`", point.into(), two, "1.5, -2"),
    ]
}

/// The column that a type becomes, and its text in the object.
fn stored(ty: &str, datum: &[u8]) -> (String, String) {
    let settings = Settings {
        key: KeySource::None,
        ..Settings::default()
    };
    let mut encoder = RowEncoder::new(Arc::new(settings), Incarnation(0), Partition(0), None);
    let schema = WriterSchema::parse(&schema_of(ty)).unwrap_or_else(|error| panic!("{ty}: {error}"));
    encoder.add_schema(SchemaId::confluent(1), Arc::new(schema));
    let value = framed(1, datum);
    let record = Record {
        offset: Offset(0),
        timestamp_ms: 0,
        headers: None,
        key: None,
        value: Some(&value),
    };
    let (mut row, mut stats) = (Vec::new(), Stats::default());
    loop {
        match encoder
            .encode(&record, &mut row, &mut stats)
            .unwrap_or_else(|error| panic!("{ty}: {error}"))
        {
            Outcome::PlanGrows(plan) => encoder.adopt(plan),
            Outcome::Rows(1) => break,
            other => panic!("{ty}: {other:?}"),
        }
    }
    let row = String::from_utf8(row).unwrap();
    let field = row
        .trim_end_matches('\n')
        .splitn(META_COLUMNS.len() + 1, ',')
        .last()
        .unwrap();
    (
        encoder.plan().unwrap().columns[0].ty.to_string(),
        field.replace(DEFAULT_NULL_MARKER, "(the NULL marker)"),
    )
}

fn page() -> String {
    let mut page = include_str!("support/types.head.md").to_owned();
    page.push_str("| source type | column | for example | in the object |\n|---|---|---|---|\n");
    for (name, ty, datum, words) in samples() {
        let (column, field) = stored(&ty, &datum);
        let _ = writeln!(page, "| {name} | {column} | {words} | `{field}` |");
    }
    page.push_str(include_str!("support/types.middle.md"));
    page.push_str("| reason | among the values that have it |\n|---|---|\n");
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, _, _, expected) in values() {
        reasons.entry(expected).or_default().push(name);
    }
    let good = reasons.remove(ROW).unwrap();
    for (reason, names) in reasons {
        let _ = writeln!(page, "| `{reason}` | {} |", names.join("; "));
    }
    let _ = write!(
        page,
        "\nOnly looking odd, and stored as they are: {}.\n",
        good.join("; ")
    );
    page
}

#[test]
fn the_page_of_types_is_what_the_code_does() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/types.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = kept.lines().zip(page.lines()).find(|(kept, made)| kept != made);
    assert!(
        kept == page,
        "docs/types.md is not what the code does (UPDATE_DOCS=1 writes it): {differs:?}"
    );
}
