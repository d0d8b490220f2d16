//! The encoder's rules, one record at a time.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

use std::sync::Arc;

use apache_avro::types::Value;
use apache_avro::{Schema, to_avro_datum};
use common::avro::WriterSchema;
use common::csv::DEFAULT_NULL_MARKER as NULL;
use common::envelope;
use common::failure::Class;
use common::ids::{Incarnation, Offset, Partition, SchemaId};
use common::plan::Plan;
use common::row::{
    EncodeError, KeySource, Outcome, PlanError, Problem, Reason, Record, RowEncoder, Settings, Stats, plan_for,
};
use serde_json::{Value as Json, json};

fn record(fields: Json) -> Json {
    json!({"type": "record", "name": "R", "fields": fields})
}

fn debezium(fields: Json) -> Json {
    let row = json!({"type": "record", "name": "Row", "fields": fields});
    record(
        json!([{"name": "before", "type": ["null", row]}, {"name": "after", "type": ["null", "Row"]}, {"name": "op", "type": "string"}]),
    )
}

fn row(fields: &[(&str, Value)]) -> Value {
    Value::Record(
        fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
    )
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn maybe(value: Option<Value>) -> Value {
    match value {
        Some(value) => Value::Union(1, Box::new(value)),
        None => Value::Union(0, Box::new(Value::Null)),
    }
}

fn change(op: &str, before: Option<Value>, after: Option<Value>) -> Value {
    row(&[("before", maybe(before)), ("after", maybe(after)), ("op", text(op))])
}

/// One lineage and the schemas of its topic, by id.
struct Bench {
    schemas: Vec<Json>,
    encoder: RowEncoder,
    out: Vec<u8>,
    stats: Stats,
}

impl Bench {
    fn new(envelope: envelope::Kind, key: KeySource, schemas: Vec<Json>) -> Bench {
        let settings = Settings {
            envelope,
            key,
            ..Settings::default()
        };
        let encoder = RowEncoder::new(Arc::new(settings), Incarnation(0), Partition(1), None);
        Bench {
            schemas,
            encoder,
            out: Vec::new(),
            stats: Stats::default(),
        }
    }

    fn frame(&self, id: usize, value: Value) -> Vec<u8> {
        let schema = Schema::parse(&self.schemas[id]).unwrap();
        let datum = to_avro_datum(&schema, value).unwrap();
        [&[0][..], &(id as u32).to_be_bytes(), &datum].concat()
    }

    /// Encodes; plans are adopted and schemas fetched as they are asked for. The rows as text, the meta columns cut to op and seq.
    fn encode(&mut self, key: Option<(usize, Value)>, value: Option<(usize, Value)>) -> Result<String, EncodeError> {
        let key = key.map(|(id, key)| self.frame(id, key));
        let value = value.map(|(id, value)| self.frame(id, value));
        self.encode_bytes(key.as_deref(), value.as_deref())
    }

    fn encode_bytes(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<String, EncodeError> {
        let record = Record {
            offset: Offset(5),
            timestamp_ms: 1_700_000_000_123,
            headers: None,
            key,
            value,
        };
        let start = self.out.len();
        loop {
            match self.encoder.encode(&record, &mut self.out, &mut self.stats)? {
                Outcome::NeedSchema(SchemaId(id)) => {
                    let number: usize = id.strip_prefix("confluent:").unwrap().parse().unwrap();
                    let schema = WriterSchema::parse(&self.schemas[number].to_string()).unwrap();
                    self.encoder.add_schema(SchemaId(id), Arc::new(schema));
                }
                Outcome::PlanGrows(plan) => self.encoder.adopt(plan),
                Outcome::Rows(count) => {
                    let rows = String::from_utf8(self.out[start..].to_vec()).unwrap();
                    assert_eq!(rows.lines().count(), usize::from(count));
                    return Ok(rows.lines().map(short).collect::<Vec<_>>().join("|"));
                }
                outcome => {
                    assert_eq!(self.out.len(), start);
                    return Ok(format!("{outcome:?}"));
                }
            }
        }
    }

    fn reason(&mut self, key: Option<(usize, Value)>, value: (usize, Value)) -> (Reason, Option<String>) {
        let start = self.out.len();
        let error = self.encode(key, Some(value)).unwrap_err();
        assert_eq!(self.out.len(), start);
        assert_eq!(error.class(), Class::Halt);
        let shown = error.to_string();
        assert!(
            shown.starts_with("record at partition `1`, offset `5`") && shown.contains("\nhint: "),
            "{shown}"
        );
        match error.problem {
            Problem::Value(reason) => (reason, error.column),
            other => panic!("{other:?}"),
        }
    }
}

fn short(line: &str) -> String {
    let line = line.replace(NULL, "NULL");
    let meta = line.split(',').take(7).collect::<Vec<_>>();
    assert_eq!(meta[1..4], ["0", "1", "5"]);
    assert_eq!(meta[5], "2023-11-14 22:13:20.123000");
    let rest = line.splitn(7, ',').nth(6).unwrap();
    format!("{} {} {rest}", meta[0].trim_matches('"'), meta[4])
}

fn id_key() -> Json {
    record(json!([{"name": "id", "type": "long"}]))
}

fn key(id: i64) -> Value {
    row(&[("id", Value::Long(id))])
}

#[test]
fn plain_values_are_upserts_and_null_values_deletes() {
    let value = record(json!([{"name": "id", "type": "long"}, {"name": "v", "type": ["null", "string"]}]));
    let mut bench = Bench::new(envelope::Kind::Plain, KeySource::Record, vec![id_key(), value]);
    let with = |v: Option<&str>| row(&[("id", Value::Long(7)), ("v", maybe(v.map(text)))]);
    assert_eq!(
        bench.encode(Some((0, key(7))), Some((1, with(Some("a\"b"))))).unwrap(),
        "u 0 NULL,7,\"a\"\"b\""
    );
    assert_eq!(
        bench.encode(Some((0, key(7))), Some((1, with(None)))).unwrap(),
        "u 0 NULL,7,NULL"
    );
    assert_eq!(bench.encode(Some((0, key(7))), None).unwrap(), "d 0 NULL,7,NULL");
    assert_eq!(bench.encode(None, None).unwrap(), "Skipped");
    let error = bench.encode(None, Some((1, with(None)))).unwrap_err();
    assert_eq!(error.problem, Problem::KeyMissing);
}

/// The first record may be a delete: its key makes the first plan.
#[test]
fn a_key_that_the_value_does_not_hold_is_a_column_of_its_own() {
    let value = record(json!([{"name": "v", "type": "string"}]));
    let mut bench = Bench::new(envelope::Kind::Plain, KeySource::Record, vec![id_key(), value]);
    assert_eq!(bench.encode(Some((0, key(1))), None).unwrap(), "d 0 NULL,1");
    assert_eq!(
        bench
            .encode(Some((0, key(2))), Some((1, row(&[("v", text("x"))]))))
            .unwrap(),
        "u 0 NULL,2,\"x\""
    );
}

#[test]
fn without_a_key_plain_values_are_appended() {
    let value = record(json!([{"name": "v", "type": "int"}]));
    let mut bench = Bench::new(envelope::Kind::Plain, KeySource::None, vec![value]);
    assert_eq!(bench.encode_bytes(Some(b"no avro"), None).unwrap(), "Skipped");
    assert_eq!(
        bench.encode(None, Some((0, row(&[("v", Value::Int(-3))])))).unwrap(),
        "c 0 NULL,-3"
    );
}

#[test]
fn a_changed_key_in_one_record_deletes_the_old_row_first() {
    let fields = json!([{"name": "v", "type": "string"}, {"name": "id", "type": "long"}]);
    let columns = KeySource::Columns(vec!["id".into()]);
    let mut bench = Bench::new(envelope::Kind::Debezium, columns, vec![debezium(fields)]);
    let image = |v: &str, id| row(&[("v", text(v)), ("id", Value::Long(id))]);
    let update = |from, to| change("u", Some(image("old", from)), Some(image("new", to)));
    assert_eq!(
        bench.encode(None, Some((0, update(1, 1)))).unwrap(),
        "u 0 NULL,\"new\",1"
    );
    assert_eq!(
        bench.encode(None, Some((0, update(1, 2)))).unwrap(),
        "d 0 NULL,NULL,1|u 1 NULL,\"new\",2"
    );
    assert_eq!(
        bench
            .encode(None, Some((0, change("d", Some(image("x", 2)), None))))
            .unwrap(),
        "d 0 NULL,NULL,2"
    );
    let error = bench.encode(None, Some((0, change("d", None, None)))).unwrap_err();
    assert_eq!(error.problem, Problem::NoKey);
    let error = bench.encode(None, Some((0, change("u", None, None)))).unwrap_err();
    assert_eq!(error.problem, Problem::NoImage('u'));
    let error = bench.encode(None, Some((0, change("zz", None, None)))).unwrap_err();
    assert_eq!(error.problem, Problem::Operation("zz".into()));
    assert_eq!(
        bench.encode(None, Some((0, change("t", None, None)))).unwrap(),
        "Truncate"
    );
    assert_eq!(
        bench.encode(None, Some((0, change("m", None, None)))).unwrap(),
        "Skipped"
    );
}

#[test]
fn a_delete_takes_the_record_key_and_else_the_image_before() {
    let fields = json!([{"name": "id", "type": "long"}, {"name": "v", "type": ["null", "string"]}]);
    let mut bench = Bench::new(
        envelope::Kind::Debezium,
        KeySource::Record,
        vec![id_key(), debezium(fields)],
    );
    let image = |id| row(&[("id", Value::Long(id)), ("v", maybe(None))]);
    assert_eq!(
        bench
            .encode(Some((0, key(3))), Some((1, change("c", None, Some(image(3))))))
            .unwrap(),
        "c 0 NULL,3,NULL"
    );
    assert_eq!(
        bench
            .encode(Some((0, key(3))), Some((1, change("d", None, None))))
            .unwrap(),
        "d 0 NULL,3,NULL"
    );
    assert_eq!(
        bench
            .encode(None, Some((1, change("d", Some(image(4)), None))))
            .unwrap(),
        "d 0 NULL,4,NULL"
    );
    let error = bench
        .encode(None, Some((1, change("c", None, Some(image(5))))))
        .unwrap_err();
    assert_eq!(error.problem, Problem::KeyMissing);
    assert_eq!(bench.encode(Some((0, key(3))), None).unwrap(), "Skipped");
}

#[test]
fn keys_that_redshift_would_confuse_are_refused() {
    let value = record(json!([{"name": "k", "type": ["null", "string"]}]));
    let columns = KeySource::Columns(vec!["k".into()]);
    let mut bench = Bench::new(envelope::Kind::Plain, columns, vec![value]);
    let k = |v: Option<&str>| (0, row(&[("k", maybe(v.map(text)))]));
    let column = Some("k".to_owned());
    assert_eq!(bench.encode(None, Some(k(Some(" a")))).unwrap(), "u 0 NULL,\" a\"");
    assert_eq!(bench.encode(None, Some(k(Some("")))).unwrap(), "u 0 NULL,\"\"");
    assert_eq!(bench.reason(None, k(Some("a "))), (Reason::KeyBlank, column.clone()));
    assert_eq!(bench.reason(None, k(Some(" "))), (Reason::KeyBlank, column.clone()));
    assert_eq!(bench.reason(None, k(None)), (Reason::NullKey, column.clone()));
    assert_eq!(
        bench.reason(None, k(Some("__debezium_unavailable_value"))),
        (Reason::KeyUnchanged, column)
    );
}

#[test]
fn values_without_a_place_in_a_row_are_refused_with_their_column() {
    let logical = |base: &str, ty: &str| json!({"type": base, "logicalType": ty});
    let cases = [
        (json!("string"), text(NULL), Reason::Marker),
        (json!("string"), text("a\0b"), Reason::Nul),
        (json!("string"), text(&"x".repeat(65_536)), Reason::TextBytes(65_536)),
        (json!("double"), Value::Double(f64::NAN), Reason::NotFinite),
        (json!("float"), Value::Float(f32::INFINITY), Reason::NotFinite),
        (logical("int", "date"), Value::Date(2_932_897), Reason::Year),
        (
            logical("long", "timestamp-micros"),
            Value::TimestampMicros(i64::MAX),
            Reason::Year,
        ),
        (
            logical("long", "timestamp-millis"),
            Value::TimestampMillis(i64::MIN),
            Reason::Year,
        ),
        (
            logical("int", "time-millis"),
            Value::TimeMillis(86_400_001),
            Reason::TimeOfDay,
        ),
        (
            json!({"type": "int", "connect.type": "int16"}),
            Value::Int(32_768),
            Reason::Range,
        ),
        (
            json!({"type": "int", "connect.type": "int8"}),
            Value::Int(128),
            Reason::Range,
        ),
        (
            json!({"type": "string", "connect.name": "io.debezium.data.Uuid"}),
            text("no"),
            Reason::Uuid,
        ),
        (
            json!({"type": "string", "connect.name": "io.debezium.time.ZonedTimestamp"}),
            text("infinity"),
            Reason::Year,
        ),
        (
            json!({"type": "string", "connect.name": "io.debezium.time.Interval"}),
            text(&"P".repeat(65)),
            Reason::TextBytes(65),
        ),
        (
            json!({"type": "map", "values": "string"}),
            Value::Map([("a".into(), text("\0"))].into()),
            Reason::Nul,
        ),
    ];
    for (ty, value, reason) in cases {
        let schema = record(json!([{"name": "ok", "type": "int"}, {"name": "V", "type": ty}]));
        let mut bench = Bench::new(envelope::Kind::Plain, KeySource::None, vec![schema.clone()]);
        let found = bench.reason(None, (0, row(&[("ok", Value::Int(1)), ("V", value)])));
        assert_eq!(found, (reason, Some("v".into())), "{schema}");
    }
}

#[test]
fn a_row_beyond_four_megabytes_is_refused() {
    let fields: Vec<Json> = (0..70)
        .map(|index| json!({"name": format!("t{index}"), "type": "string"}))
        .collect();
    let mut bench = Bench::new(envelope::Kind::Plain, KeySource::None, vec![record(json!(fields))]);
    let of = |bytes: usize| {
        Value::Record(
            (0..70)
                .map(|index| (format!("t{index}"), text(&"x".repeat(bytes))))
                .collect(),
        )
    };
    assert!(bench.encode(None, Some((0, of(59_000)))).unwrap().starts_with("c 0"));
    assert!(matches!(
        bench.reason(None, (0, of(60_000))),
        (Reason::RowBytes(_), None)
    ));
    assert_eq!(bench.stats.longest_by_column(bench.encoder.plan())["t3"], 60_000);
}

#[test]
fn bytes_that_are_no_frame_or_not_of_their_schema_are_refused() {
    let value = record(json!([{"name": "v", "type": "int"}]));
    let mut bench = Bench::new(envelope::Kind::Plain, KeySource::None, vec![value]);
    let frame = |datum: &[u8]| [&[0, 0, 0, 0, 0][..], datum].concat();
    assert_eq!(bench.encode_bytes(None, Some(&frame(&[2]))).unwrap(), "c 0 NULL,1");
    let error = bench.encode_bytes(None, Some(&frame(&[2, 2]))).unwrap_err();
    assert_eq!(error.problem, Problem::Value(Reason::Trailing(1)));
    let error = bench.encode_bytes(None, Some(&frame(&[]))).unwrap_err();
    assert_eq!(
        (error.problem, error.column.as_deref()),
        (Problem::Value(Reason::Truncated), Some("v"))
    );
    let error = bench.encode_bytes(None, Some(b"{\"v\": 1}")).unwrap_err();
    assert!(matches!(error.problem, Problem::Frame { part: "value", .. }));
}

#[test]
fn plans_grow_and_types_widen_without_a_cut_for_what_fits() {
    let with = |v: &str| record(json!([{"name": "id", "type": "int"}, {"name": "v", "type": v}]));
    let long = record(
        json!([{"name": "id", "type": "int"}, {"name": "extra", "type": ["null", "double"]}, {"name": "v", "type": "long"}]),
    );
    let mut bench = Bench::new(
        envelope::Kind::Plain,
        KeySource::None,
        vec![with("int"), long, with("string")],
    );
    let narrow = || row(&[("id", Value::Int(1)), ("v", Value::Int(2))]);
    assert_eq!(bench.encode(None, Some((0, narrow()))).unwrap(), "c 0 NULL,1,2");
    let wide = row(&[
        ("id", Value::Int(1)),
        ("extra", maybe(Some(Value::Double(0.5)))),
        ("v", Value::Long(1 << 40)),
    ]);
    assert_eq!(
        bench.encode(None, Some((1, wide))).unwrap(),
        "c 0 NULL,1,1099511627776,0.5"
    );
    let plan = bench.encoder.plan().unwrap().clone();
    assert_eq!(bench.encode(None, Some((0, narrow()))).unwrap(), "c 0 NULL,1,2,NULL");
    assert_eq!(bench.encoder.plan(), Some(&plan));
    let error = bench
        .encode(None, Some((2, row(&[("id", Value::Int(1)), ("v", text("x"))]))))
        .unwrap_err();
    assert!(
        matches!(&error.problem, Problem::Plan { error: PlanError::TypeChanged { field, .. }, .. } if field == "v"),
        "{error}"
    );
    assert_eq!(
        bench.stats.schemas_seen(),
        [SchemaId::confluent(0), SchemaId::confluent(1)]
    );
}

#[test]
fn another_key_than_the_plans_is_refused() {
    let value = record(json!([{"name": "id", "type": "long"}, {"name": "b", "type": "long"}]));
    let other = record(json!([{"name": "b", "type": "long"}]));
    let mut bench = Bench::new(envelope::Kind::Plain, KeySource::Record, vec![id_key(), other, value]);
    let values = || row(&[("id", Value::Long(1)), ("b", Value::Long(2))]);
    assert_eq!(
        bench.encode(Some((0, key(1))), Some((2, values()))).unwrap(),
        "u 0 NULL,1,2"
    );
    let error = bench
        .encode(Some((1, row(&[("b", Value::Long(2))]))), Some((2, values())))
        .unwrap_err();
    assert!(
        matches!(
            error.problem,
            Problem::Plan {
                error: PlanError::KeyChanged { .. },
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn names_that_are_ours_and_keys_that_cannot_be_compared_are_refused() {
    let problem = |schema: Json, key: KeySource| {
        let schema = Arc::new(WriterSchema::parse(&schema.to_string()).unwrap());
        plan_for(
            &[(None, schema)],
            &Settings {
                key,
                ..Settings::default()
            },
        )
    };
    let reserved = record(json!([{"name": "_kafka_offset", "type": "int"}]));
    assert_eq!(
        problem(reserved, KeySource::None),
        Err(PlanError::Name("_kafka_offset".into()))
    );
    let list = record(json!([{"name": "a", "type": {"type": "array", "items": "int"}}]));
    assert!(matches!(
        problem(list.clone(), KeySource::Columns(vec!["a".into()])),
        Err(PlanError::KeyType { .. })
    ));
    assert_eq!(
        problem(list, KeySource::Columns(vec!["b".into()])),
        Err(PlanError::NoSuchKey("b".into()))
    );
    assert!(matches!(
        problem(json!("string"), KeySource::None),
        Err(PlanError::NotARecord { part: "value", .. })
    ));
}

#[test]
fn defaults_of_every_kind_are_the_text_of_a_row() {
    let field = |name: &str, ty: Json, default: Json| json!({"name": name, "type": ty, "default": default});
    let schema = record(json!([
        field("i", json!("int"), json!(-5)),
        field("s", json!(["string", "null"]), json!("say \"x\"")),
        field("second", json!(["null", "string"]), json!("of the second branch")),
        field("none", json!(["null", "int"]), Json::Null),
        field("d", json!({"type": "int", "logicalType": "date"}), json!(0)),
        field(
            "dec",
            json!({"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}),
            json!("\u{1}")
        ),
        field(
            "e",
            json!({"type": "enum", "name": "E", "symbols": ["A", "B"]}),
            json!("B")
        ),
        field("l", json!({"type": "array", "items": "int"}), json!([1, 2])),
        field("m", json!({"type": "map", "values": "long"}), json!({})),
        field("b", json!("boolean"), json!(true)),
    ]));
    let schema = Arc::new(WriterSchema::parse(&schema.to_string()).unwrap());
    let Plan { columns } = plan_for(&[(None, schema)], &Settings::default()).unwrap();
    let defaults: Vec<Option<&str>> = columns.iter().map(|column| column.default.as_deref()).collect();
    let expected = [
        "-5",
        "say \"x\"",
        "of the second branch",
        "",
        "1970-01-01",
        "0.01",
        "B",
        "[1,2]",
        "{}",
        "t",
    ];
    assert_eq!(defaults, expected.map(|text| (!text.is_empty()).then_some(text)));
}
