//! What the configuration says of single columns: what is left out, names, types, changes of type, and what comes along of the source block.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::avro::WriterSchema;
use common::csv::DEFAULT_NULL_MARKER;
use common::envelope;
use common::ids::{Incarnation, Offset, Partition, SchemaId};
use common::plan::META_COLUMNS;
use common::row::{
    BadValue, ColumnRules, KeySource, Outcome, Record, RowEncoder, Settings, Stats, TypeChanges, aside_columns, headers,
};
use support::odd::{decimal, framed, logical, number, text};

/// What a topic's records become, one after another.
struct Topic {
    encoder: RowEncoder,
    schemas: u32,
    /// Of the last record.
    stats: Stats,
}

impl Topic {
    fn new(rules: ColumnRules) -> Topic {
        Topic::of(Settings {
            key: KeySource::Columns(vec!["id".into()]),
            column_rules: rules,
            ..Settings::default()
        })
    }

    fn of(settings: Settings) -> Topic {
        Topic {
            encoder: RowEncoder::new(Arc::new(settings), Incarnation(0), Partition(0), None),
            schemas: 0,
            stats: Stats::default(),
        }
    }

    /// Makes a schema known; its number.
    fn schema(&mut self, json: &str) -> u32 {
        self.schemas += 1;
        let schema = WriterSchema::parse(json).unwrap_or_else(|error| panic!("{json}: {error}"));
        self.encoder
            .add_schema(SchemaId::confluent(self.schemas), Arc::new(schema));
        self.schemas
    }

    /// The fields of a record's row, or why it has none.
    fn row(&mut self, schema: u32, datum: &[u8]) -> Result<Vec<String>, String> {
        self.row_of(&Record {
            value: Some(&framed(schema, datum)),
            ..RECORD
        })
    }

    /// The same of a whole record.
    fn row_of(&mut self, record: &Record<'_>) -> Result<Vec<String>, String> {
        let mut out = Vec::new();
        loop {
            // A chunk's statistics have the width of its plan.
            self.stats = Stats::default();
            match self.encoder.encode(record, &mut out, &mut self.stats) {
                Ok(Outcome::PlanGrows(plan)) => self.encoder.adopt(plan),
                Ok(Outcome::Rows(1)) => break,
                Ok(other) => panic!("{other:?}"),
                Err(error) => return Err(error.to_string()),
            }
        }
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&out[..]);
        let row = reader.records().next().unwrap().unwrap();
        let fields = row.iter().skip(META_COLUMNS.len());
        Ok(fields.map(|field| field.replace(DEFAULT_NULL_MARKER, "NULL")).collect())
    }

    /// Names and types of the columns.
    fn columns(&self) -> Vec<String> {
        let plan = self.encoder.plan().unwrap();
        plan.columns
            .iter()
            .map(|column| format!("{} {}", column.name, column.ty))
            .collect()
    }
}

const RECORD: Record<'_> = Record {
    offset: Offset(0),
    timestamp_ms: 0,
    headers: None,
    key: None,
    value: None,
};

/// A schema of `id` and more fields, each as `name: type` with an optional rest.
fn schema(fields: &[(&str, &str)]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, ty)| format!(r#"{{"name":"{name}","type":{ty}}}"#))
        .collect();
    format!(
        r#"{{"type":"record","name":"r","fields":[{{"name":"id","type":"long"}},{}]}}"#,
        fields.join(",")
    )
}

fn datum(parts: &[Vec<u8>]) -> Vec<u8> {
    parts.concat()
}

fn types(types: &[(&str, &str)]) -> ColumnRules {
    let parsed = types
        .iter()
        .map(|(field, ty)| ((*field).to_owned(), ty.parse().unwrap()));
    ColumnRules {
        types: parsed.collect(),
        ..ColumnRules::default()
    }
}

#[test]
fn excluded_fields_are_no_columns_and_a_column_stays_when_its_field_is_excluded_later() {
    let json = schema(&[("note", r#""string""#), ("n", r#""int""#)]);
    let rules = ColumnRules {
        // The key is no matter of taste.
        exclude: vec!["note".into(), "id".into()],
        ..ColumnRules::default()
    };
    let mut topic = Topic::new(rules.clone());
    let id = topic.schema(&json);
    let record = datum(&[number(1), text(b"secret"), number(7)]);
    assert_eq!(topic.row(id, &record).unwrap(), ["1", "7"]);
    assert_eq!(topic.columns(), ["id BIGINT", "n INTEGER"]);

    let mut before = Topic::new(ColumnRules::default());
    let id = before.schema(&json);
    before.row(id, &record).unwrap();
    let settings = Settings {
        key: KeySource::Columns(vec!["id".into()]),
        column_rules: rules,
        ..Settings::default()
    };
    let plan = before.encoder.plan().cloned();
    let mut later = Topic {
        encoder: RowEncoder::new(Arc::new(settings), Incarnation(0), Partition(0), plan),
        schemas: 0,
        stats: Stats::default(),
    };
    let id = later.schema(&json);
    assert_eq!(later.row(id, &record).unwrap(), ["1", "NULL", "7"]);
}

#[test]
fn a_renamed_column_keeps_the_name_it_was_given() {
    let mut topic = Topic::new(ColumnRules {
        rename: BTreeMap::from([("n".into(), "Amount in cents".into())]),
        ..ColumnRules::default()
    });
    let id = topic.schema(&schema(&[("n", r#""int""#)]));
    assert_eq!(topic.row(id, &datum(&[number(1), number(7)])).unwrap(), ["1", "7"]);
    assert_eq!(topic.columns(), ["id BIGINT", "amount_in_cents INTEGER"]);
}

#[test]
fn a_field_goes_on_in_the_column_of_its_alias_in_both_directions() {
    let mut topic = Topic::new(ColumnRules::default());
    let old = topic.schema(&schema(&[("colour", r#""string""#)]));
    let new = topic.schema(&schema(&[("color", r#""string","aliases":["colour"]"#)]));
    let both = topic.schema(&schema(&[
        ("colour", r#""string""#),
        ("color", r#""string","aliases":["colour"]"#),
    ]));
    let of = |colour: &str| datum(&[number(1), text(colour.as_bytes())]);
    assert_eq!(topic.row(old, &of("red")).unwrap(), ["1", "red"]);
    assert_eq!(topic.row(new, &of("blue")).unwrap(), ["1", "blue"]);
    assert_eq!(topic.row(old, &of("green")).unwrap(), ["1", "green"]);
    assert_eq!(topic.columns(), ["id BIGINT", "colour VARCHAR"]);
    // Where both are fields, they are two columns.
    let two = datum(&[number(1), text(b"red"), text(b"blue")]);
    assert_eq!(topic.row(both, &two).unwrap(), ["1", "red", "blue"]);
    // What has a column of its own by now writes it.
    assert_eq!(topic.row(new, &of("pink")).unwrap(), ["1", "NULL", "pink"]);
}

#[test]
fn a_renamed_key_is_the_same_key() {
    let mut topic = Topic::of(Settings {
        key: KeySource::Columns(vec!["ident".into()]),
        ..Settings::default()
    });
    let old = r#"{"type":"record","name":"r","fields":[{"name":"ident","type":"long"}]}"#;
    let old = topic.schema(old);
    assert_eq!(topic.row(old, &number(1)).unwrap(), ["1"]);
    let plan = topic.encoder.plan().cloned();
    let settings = Settings {
        key: KeySource::Columns(vec!["id".into()]),
        column_rules: ColumnRules {
            rename: BTreeMap::from([("id".into(), "ident".into())]),
            ..ColumnRules::default()
        },
        ..Settings::default()
    };
    let mut topic = Topic {
        encoder: RowEncoder::new(Arc::new(settings), Incarnation(0), Partition(0), plan),
        schemas: 0,
        stats: Stats::default(),
    };
    let new = topic.schema(r#"{"type":"record","name":"r","fields":[{"name":"id","type":"long"}]}"#);
    assert_eq!(topic.row(new, &number(2)).unwrap(), ["2"]);
    assert_eq!(topic.columns(), ["ident BIGINT"]);
}

/// A type that is asked for: the field's schema, its datum, and what stands in the row, or the reason why nothing does.
fn overridden(ty: &str, wanted: &str, value: &[u8]) -> String {
    let mut topic = Topic::new(types(&[("v", wanted)]));
    let id = topic.schema(&schema(&[("v", ty)]));
    match topic.row(id, &datum(&[number(1), value.to_vec()])) {
        Ok(row) => {
            assert_eq!(topic.columns()[1], format!("v {wanted}"));
            row[1].clone()
        }
        Err(error) => error,
    }
}

#[test]
fn types_that_are_asked_for_hold_the_same_values() {
    let double = |value: f64| value.to_le_bytes().to_vec();
    let micros = number(1_709_164_800_123_456);
    let zoned = text(b"2024-02-29T01:02:03.5+02:00");
    let variable = r#"{"type":"record","name":"VariableScaleDecimal","namespace":"io.debezium.data","fields":[{"name":"scale","type":"int"},{"name":"value","type":"bytes"}],"connect.name":"io.debezium.data.VariableScaleDecimal"}"#;
    let scaled = |scale, unscaled: i16| [number(scale), text(&unscaled.to_be_bytes())].concat();
    let array = r#"{"type":"array","items":"long"}"#;
    let items = [number(2), number(1), number(2), vec![0]].concat();
    let cases: &[(&str, &str, &[u8], &str)] = &[
        (r#""int""#, "BIGINT", &number(-7), "-7"),
        (r#""int""#, "VARCHAR", &number(-7), "-7"),
        (r#""int""#, "DECIMAL(12,2)", &number(-7), "-7"),
        (r#""long""#, "VARCHAR(20)", &number(i64::MIN), "-9223372036854775808"),
        (r#""long""#, "SUPER", &number(5), "5"),
        (r#""boolean""#, "VARCHAR", &[1], "t"),
        (r#""float""#, "DOUBLE PRECISION", &1.5_f32.to_le_bytes(), "1.5"),
        (r#""double""#, "VARCHAR", &double(f64::NAN), "NaN"),
        (r#""double""#, "VARCHAR", &double(f64::NEG_INFINITY), "-Infinity"),
        (r#""string""#, "VARCHAR(3)", &text(b"abc"), "abc"),
        (r#""string""#, "SUPER", &text(b"{\"a\": 1}"), "{\"a\":1}"),
        (r#""string""#, "BIGINT", &text(b" 42 "), "42"),
        (r#""string""#, "DOUBLE PRECISION", &text(b"1e3"), "1000.0"),
        (r#""string""#, "DECIMAL(10,2)", &text(b"-12.3"), "-12.30"),
        (r#""string""#, "DATE", &text(b"2024-02-29"), "2024-02-29"),
        (r#""string""#, "TIMESTAMPTZ", &zoned, "2024-02-28 23:02:03.500000+00"),
        (array, "VARCHAR", &items, "[1,2]"),
        (r#""bytes""#, "VARCHAR", &text(&[0xca, 0xfe]), "cafe"),
        (&decimal(10, 2), "DECIMAL(12,4)", &text(&[0x04, 0xd2]), "12.3400"),
        (&decimal(10, 2), "DECIMAL(10,1)", &text(&[0x04, 0xce]), "12.3"),
        (&decimal(50, 2), "DECIMAL(38,2)", &text(&[0x04, 0xd2]), "12.34"),
        (variable, "DECIMAL(20,3)", &scaled(2, 1234), "12.340"),
        (variable, "DECIMAL(20,3)", &scaled(-2, 12), "1200.000"),
        (&logical("int", "date"), "INTEGER", &number(19_782), "19782"),
        (
            &logical("long", "time-micros"),
            "BIGINT",
            &number(90_000_000_000),
            "90000000000",
        ),
        (
            &logical("long", "timestamp-micros"),
            "BIGINT",
            &micros,
            "1709164800123456",
        ),
        (
            &logical("long", "timestamp-micros"),
            "TIMESTAMP",
            &micros,
            "2024-02-29 00:00:00.123456",
        ),
        (
            &logical("long", "timestamp-micros"),
            "VARCHAR",
            &micros,
            "2024-02-29 00:00:00.123456+00",
        ),
    ];
    for (ty, wanted, value, expected) in cases {
        assert_eq!(overridden(ty, wanted, value), *expected, "{ty} as {wanted}");
    }
}

#[test]
fn what_does_not_fit_the_type_that_is_asked_for_says_so() {
    let cases: &[(&str, &str, &[u8], &str)] = &[
        (
            r#""string""#,
            "VARCHAR(3)",
            &text(b"abcd"),
            "has `4` bytes, more than its column can hold",
        ),
        (
            r#""string""#,
            "BIGINT",
            &text(b"4x"),
            "is no number of its column's type",
        ),
        (r#""string""#, "SMALLINT", &text(b"40000"), "outside the range"),
        (
            r#""string""#,
            "DECIMAL(4,2)",
            &text(b"123.45"),
            "more digits than its column",
        ),
        (
            r#""string""#,
            "SUPER",
            &text(b"{\"a\": 1, \"a\": 2}"),
            "the same key twice",
        ),
        (
            &decimal(10, 2),
            "DECIMAL(10,1)",
            &text(&[0x04, 0xd2]),
            "more digits than its column",
        ),
        (
            r#""double""#,
            "INTEGER",
            &[0; 8],
            "field `v` is `DOUBLE PRECISION`, whose values cannot be written as the configured `INTEGER`",
        ),
        (
            r#""boolean""#,
            "DATE",
            &[0],
            "cannot be written as the configured `DATE`",
        ),
    ];
    for (ty, wanted, value, expected) in cases {
        let said = overridden(ty, wanted, value);
        assert!(said.contains(expected), "{ty} as {wanted}: {said}");
    }
}

#[test]
fn a_json_text_beyond_varchar_is_refused_whatever_was_written_before() {
    let mut topic = Topic::new(types(&[("v", "VARCHAR")]));
    let id = topic.schema(&schema(&[("v", r#"{"type":"array","items":"string"}"#)]));
    let long = "x".repeat(60_000);
    let array = |texts: &[&str]| {
        let items: Vec<u8> = texts.iter().flat_map(|item| text(item.as_bytes())).collect();
        datum(&[number(1), number(texts.len() as i64), items, vec![0]])
    };
    assert_eq!(topic.row(id, &array(&["a"])).unwrap()[1], r#"["a"]"#);
    for texts in [vec![long.as_str(); 2], vec![long.as_str(); 6]] {
        let said = topic.row(id, &array(&texts)).unwrap_err();
        assert!(said.contains("more than its column can hold"), "{said}");
    }
    assert_eq!(topic.row(id, &array(&["b"])).unwrap()[1], r#"["b"]"#);
}

#[test]
fn a_change_of_type_halts_or_gets_a_column_of_its_own() {
    let run = |type_changes| {
        let mut topic = Topic::new(ColumnRules {
            type_changes,
            ..ColumnRules::default()
        });
        let number_ = topic.schema(&schema(&[("v", r#""int","default":5"#)]));
        let text_ = topic.schema(&schema(&[("v", r#""string","default":"x""#)]));
        let long = topic.schema(&schema(&[("v", r#""long""#)]));
        let none = topic.schema(r#"{"type":"record","name":"r","fields":[{"name":"id","type":"long"}]}"#);
        assert_eq!(topic.row(number_, &datum(&[number(1), number(7)])).unwrap(), ["1", "7"]);
        let second = topic.row(text_, &datum(&[number(2), text(b"seven")]))?;
        assert_eq!(second, ["2", "NULL", "seven"]);
        assert_eq!(
            topic.row(number_, &datum(&[number(3), number(8)])).unwrap(),
            ["3", "8", "NULL"]
        );
        assert_eq!(
            topic.row(long, &datum(&[number(4), number(1 << 40)])).unwrap(),
            ["4", "1099511627776", "NULL"]
        );
        assert_eq!(topic.row(none, &number(5)).unwrap(), ["5", "5", "NULL"]);
        Ok::<Vec<String>, String>(topic.columns())
    };
    let halted = run(TypeChanges::Halt).unwrap_err();
    assert!(halted.contains("column type `INTEGER` cannot become"), "{halted}");
    assert!(halted.contains("type_changes = \"new_column\""), "{halted}");
    assert_eq!(
        run(TypeChanges::NewColumn).unwrap(),
        ["id BIGINT", "v BIGINT", "v_varchar VARCHAR"]
    );
}

#[test]
fn a_column_that_is_rebuilt_takes_both_types_in_any_order() {
    let mut topic = Topic::new(ColumnRules {
        type_changes: TypeChanges::Rebuild,
        ..ColumnRules::default()
    });
    let whole = topic.schema(&schema(&[("v", r#""int""#), ("d", r#""int""#)]));
    let text_ = topic.schema(&schema(&[("v", r#""string""#), ("d", r#""double""#)]));
    let row = |topic: &mut Topic, schema: u32, v: Vec<u8>, d: Vec<u8>| topic.row(schema, &datum(&[number(1), v, d]));
    assert_eq!(row(&mut topic, whole, number(7), number(8)).unwrap(), ["1", "7", "8"]);
    for _ in 0..2 {
        let half = 0.5_f64.to_le_bytes().to_vec();
        assert_eq!(row(&mut topic, text_, text(b"x"), half).unwrap(), ["1", "x", "0.5"]);
        assert_eq!(row(&mut topic, whole, number(-7), number(9)).unwrap(), ["1", "-7", "9"]);
    }
    assert_eq!(topic.columns(), ["id BIGINT", "v VARCHAR", "d DOUBLE PRECISION"]);
    let flag = topic.schema(&schema(&[("v", r#""boolean""#), ("d", r#""int""#)]));
    let said = row(&mut topic, flag, vec![1], number(1)).unwrap_err();
    assert!(said.contains("cannot become"), "{said}");
}

#[test]
fn a_key_keeps_its_type_whatever_the_rules() {
    let mut topic = Topic::new(ColumnRules {
        type_changes: TypeChanges::NewColumn,
        ..ColumnRules::default()
    });
    let before = topic.schema(r#"{"type":"record","name":"r","fields":[{"name":"id","type":"long"}]}"#);
    let after = topic.schema(r#"{"type":"record","name":"r","fields":[{"name":"id","type":"string"}]}"#);
    topic.row(before, &number(1)).unwrap();
    let said = topic.row(after, &text(b"1")).unwrap_err();
    assert!(said.contains("cannot become"), "{said}");
}

#[test]
fn fields_of_the_source_block_come_along() {
    let row = r#"["null",{"type":"record","name":"Value","fields":[{"name":"id","type":"long"}]}]"#;
    let json = format!(
        r#"{{"type":"record","name":"Envelope","fields":[{{"name":"before","type":{row}}},{{"name":"after","type":["null","Value"]}},
        {{"name":"source","type":{{"type":"record","name":"Source","fields":[{{"name":"db","type":"string"}},{{"name":"lsn","type":["null","long"]}},
        {{"name":"ts_ms","type":"long"}}]}}}},{{"name":"op","type":"string"}}]}}"#
    );
    let mut topic = Topic::of(Settings {
        envelope: envelope::Kind::Debezium,
        key: KeySource::Columns(vec!["id".into()]),
        position: Some("lsn".into()),
        column_rules: ColumnRules {
            source_fields: vec!["db".into(), "lsn".into(), "ts_ms".into()],
            rename: BTreeMap::from([("source.db".into(), "origin".into())]),
            types: BTreeMap::from([("source.ts_ms".into(), "VARCHAR".parse().unwrap())]),
            ..ColumnRules::default()
        },
        ..Settings::default()
    });
    let id = topic.schema(&json);
    let source = |lsn: Vec<u8>| [text("sh\"op".repeat(100).as_bytes()), lsn, number(1_700_000_000_000)].concat();
    let create = datum(&[
        number(0),
        number(1),
        number(1),
        source([number(1), number(99)].concat()),
        text(b"c"),
    ]);
    let shop = "sh\"op".repeat(100);
    assert_eq!(topic.row(id, &create).unwrap(), ["1", "99", &shop, "1700000000000"]);
    // As wide as the table's columns must be.
    let longest = topic.stats.longest_by_column(topic.encoder.plan());
    assert_eq!((longest["origin"], longest["source_ts_ms"]), (500, 13));
    let delete = datum(&[number(1), number(1), number(0), source(number(0)), text(b"d")]);
    assert_eq!(topic.row(id, &delete).unwrap(), ["1", "NULL", &shop, "1700000000000"]);
    assert_eq!(
        topic.columns(),
        [
            "id BIGINT",
            "source_lsn BIGINT",
            "origin VARCHAR",
            "source_ts_ms VARCHAR"
        ]
    );
}

/// What comes from beside the row needs room of its own, wherever its column stands, and however little else there is.
#[test]
fn a_delete_by_key_alone_has_room_for_a_long_source() {
    let row = r#"["null",{"type":"record","name":"Value","fields":[{"name":"id","type":"string"},{"name":"a","type":"string"}]}]"#;
    let json = format!(
        r#"{{"type":"record","name":"Envelope","fields":[{{"name":"before","type":{row}}},{{"name":"after","type":["null","Value"]}},
        {{"name":"source","type":{{"type":"record","name":"Source","fields":[{{"name":"query","type":"string"}}]}}}},{{"name":"op","type":"string"}}]}}"#
    );
    let later = json.replace(
        r#"{"name":"a","type":"string"}"#,
        r#"{"name":"a","type":"string"},{"name":"z","type":"string"}"#,
    );
    let mut topic = Topic::of(Settings {
        envelope: envelope::Kind::Debezium,
        key: KeySource::Record,
        column_rules: ColumnRules {
            source_fields: vec!["query".into()],
            ..ColumnRules::default()
        },
        ..Settings::default()
    });
    let (first, later) = (topic.schema(&json), topic.schema(&later));
    let key = topic.schema(r#"{"type":"record","name":"Key","fields":[{"name":"id","type":"string"}]}"#);
    let key = framed(key, &text(b"k"));
    let mut row = |schema: u32, parts: &[Vec<u8>]| {
        let record = Record {
            key: Some(&key),
            value: Some(&framed(schema, &datum(parts))),
            ..RECORD
        };
        topic.row_of(&record).unwrap()
    };
    let (null, some) = (number(0), number(1));
    let after = [null.clone(), some.clone(), text(b"k"), text(b"a")];
    row(first, &[&after[..], &[text(b"short"), text(b"c")]].concat());
    let long = "\"".repeat(30_000);
    let after = [&after[..], &[text(b"z"), text(long.as_bytes()), text(b"u")]].concat();
    assert_eq!(row(later, &after), ["k", "a", long.as_str(), "z"]);
    let delete = [null.clone(), null, text(long.as_bytes()), text(b"d")];
    assert_eq!(row(later, &delete), ["k", "NULL", long.as_str(), "NULL"]);
}

fn with_headers(headers: &[(&str, &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        headers::push(&mut block, name, Some(value));
    }
    block
}

#[test]
fn headers_come_along_and_are_kept_with_what_is_set_aside() {
    let mut topic = Topic::of(Settings {
        key: KeySource::Columns(vec!["id".into()]),
        column_rules: ColumnRules {
            headers: true,
            ..ColumnRules::default()
        },
        bad_values: BTreeMap::from([("kafka_headers".into(), BadValue::Null)]),
        ..Settings::default()
    });
    let id = topic.schema(&schema(&[("n", r#""string""#)]));
    let value = framed(id, &datum(&[number(1), text(b"a")]));
    let mut row = |headers: Option<&[u8]>, value: &[u8]| {
        topic.row_of(&Record {
            value: Some(value),
            headers,
            ..RECORD
        })
    };
    let headers = with_headers(&[("trace", b"say \"hi\""), ("a", b"1"), ("a", b"2")]);
    let json = r#"{"a":["1","2"],"trace":"say \"hi\""}"#;
    assert_eq!(row(Some(&headers), &value).unwrap(), ["1", "a", json]);
    assert_eq!(row(Some(b""), &value).unwrap(), ["1", "a", "NULL"], "of the one before");
    assert_eq!(row(None, &value).unwrap(), ["1", "a", "NULL"]);
    let long = with_headers(&[("trace", "x".repeat(70_000).as_bytes())]);
    assert_eq!(
        row(Some(&long), &value).unwrap(),
        ["1", "a", "NULL"],
        "as its rule says"
    );

    let bad = framed(id, &datum(&[number(2), text(&[0xFF])]));
    let record = Record {
        value: Some(&bad),
        headers: Some(&headers),
        ..RECORD
    };
    let (mut out, mut lines) = (Vec::new(), Vec::new());
    let error = topic.encoder.encode(&record, &mut out, &mut topic.stats).unwrap_err();
    assert_eq!(topic.encoder.set_aside(&record, &error, &mut lines), 1);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&lines[..]);
    let line = reader.records().next().unwrap().unwrap();
    let kept: BTreeMap<&str, &str> = aside_columns(true).map(|column| column.name).zip(line.iter()).collect();
    assert_eq!(kept["_kafka_headers_bytes"], headers.len().to_string());
    let hex: String = headers.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(kept["_kafka_headers"], hex);
    assert_eq!(&line[line.len() - 1], "2", "its key stands behind them");
}

#[test]
fn headers_that_no_column_holds_set_the_record_aside() {
    let mut topic = Topic::of(Settings {
        key: KeySource::None,
        column_rules: ColumnRules {
            headers: true,
            ..ColumnRules::default()
        },
        ..Settings::default()
    });
    let id = topic.schema(&schema(&[]).replace(",]", "]"));
    let value = framed(id, &number(1));
    let long = with_headers(&[("trace", "x".repeat(70_000).as_bytes())]);
    let record = Record {
        value: Some(&value),
        headers: Some(&long),
        ..RECORD
    };
    let said = topic.row_of(&record).unwrap_err();
    assert!(said.contains("kafka_headers"), "{said}");
}
