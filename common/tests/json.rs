//! Records in JSON, one at a time: with a schema in each as Kafka Connect writes them, and of a table that is declared.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use common::csv::DEFAULT_NULL_MARKER as NULL;
use common::envelope;
use common::ids::{Incarnation, Offset, Partition, SchemaId};
use common::json::{JsonFault, Undeclared};
use common::plan::{META_COLUMNS, Plan};
use common::row::{
    EncodeError, Format, KeySource, Outcome, PlanError, Problem, Reason, Record, RowEncoder, Settings, Stats,
};
use proptest::prelude::*;
use serde_json::{Value, json};

struct Bench {
    encoder: RowEncoder,
    stats: Stats,
}

impl Bench {
    fn new(settings: Settings) -> Bench {
        Bench {
            encoder: RowEncoder::new(Arc::new(settings), Incarnation(0), Partition(0), None),
            stats: Stats::default(),
        }
    }

    /// The operation and the data columns of each row, or what else became of the record.
    fn encode(&mut self, key: Option<&str>, value: Option<&str>) -> Result<String, EncodeError> {
        let record = Record {
            offset: Offset(1),
            timestamp_ms: 0,
            headers: None,
            key: key.map(str::as_bytes),
            value: value.map(str::as_bytes),
        };
        let mut out = Vec::new();
        let count = loop {
            match self.encoder.encode(&record, &mut out, &mut self.stats)? {
                Outcome::PlanGrows(plan) => self.encoder.adopt(plan),
                Outcome::Rows(count) => break count,
                other => return Ok(format!("{other:?}")),
            }
        };
        let rows = String::from_utf8(out).unwrap().replace(NULL, "NULL");
        let short = |row: &str| {
            let fields: Vec<&str> = row.split(',').collect();
            format!(
                "{} {}",
                fields[0].trim_matches('"'),
                fields[META_COLUMNS.len()..].join(",")
            )
        };
        // One row may have lines in its texts; the tests that make two have none.
        let rows = rows.trim_end_matches('\n');
        if count == 1 {
            return Ok(short(rows));
        }
        Ok(rows.lines().map(short).collect::<Vec<_>>().join("|"))
    }

    /// What is wrong with a value: path, fault and column.
    fn fault(&mut self, value: &str) -> (String, JsonFault, Option<String>) {
        let error = self.encode(None, Some(value)).unwrap_err();
        let shown = error.to_string();
        assert!(shown.contains("\nhint: "), "{shown}");
        let column = error.column;
        match error.problem {
            Problem::Json { error, .. } => (error.path.join("."), error.fault, column),
            other => panic!("{other:?}"),
        }
    }

    fn columns(&self) -> Vec<String> {
        let plan = self.encoder.plan().unwrap();
        plan.columns
            .iter()
            .map(|column| format!("{} {}", column.name, column.ty))
            .collect()
    }
}

/// Plain values without a key.
fn plain(format: Format) -> Settings {
    Settings {
        format,
        key: KeySource::None,
        ..Settings::default()
    }
}

fn connect() -> Bench {
    Bench::new(plain(Format::ConnectJson))
}

fn declared(columns: &str) -> Settings {
    Settings {
        columns: support::declared::of(columns),
        ..plain(Format::Json)
    }
}

fn structure(fields: &Value) -> Value {
    json!({"type": "struct", "optional": false, "name": "a.b.Value", "fields": fields})
}

fn field(name: &str, ty: &str) -> Value {
    json!({"field": name, "type": ty, "optional": true})
}

/// A record with a schema; the payload is text, so that its digits and order are those of the test.
fn with_schema(fields: &Value, payload: &str) -> String {
    format!(r#"{{"schema":{},"payload":{payload}}}"#, structure(fields))
}

#[test]
fn every_type_of_connect() {
    let decimal = |scale: &str| json!({"scale": scale, "connect.decimal.precision": "38"});
    let named = |name: &str, ty: &str, meaning: &str| json!({"field": name, "type": ty, "name": meaning, "version": 1});
    let fields = json!([
        field("b", "boolean"), field("i8", "int8"), field("i16", "int16"), field("i32", "int32"), field("i64", "int64"),
        field("f", "float"), field("d", "double"), field("s", "string"), field("y", "bytes"),
        {"field": "a", "type": "array", "items": {"type": "int64", "optional": true}},
        {"field": "m", "type": "map", "keys": {"type": "string"}, "values": {"type": "string", "optional": true}},
        {"field": "p", "type": "map", "keys": {"type": "int32"}, "values": {"type": "boolean"}},
        {"field": "r", "type": "struct", "fields": [field("x", "double"), field("y", "bytes")]},
        {"field": "n", "type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": decimal("3")},
        {"field": "digits", "type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": decimal("3")},
        named("day", "int32", "org.apache.kafka.connect.data.Date"), named("t", "int32", "org.apache.kafka.connect.data.Time"),
        named("at", "int64", "org.apache.kafka.connect.data.Timestamp"),
    ]);
    let payload = r#"{"b":true,"i8":-128,"i16":32767,"i32":-2147483648,"i64":9223372036854775807,"f":0.1,"d":1e-7,"s":"a,\"b\"\u00e9\n","y":"AP8=",
        "a":[1,null],"m":{"k":"v","n":null},"p":[[1,true],[2,false]],"r":{"x":0.5,"y":null},"n":"BNI=","digits":12345678901234567890.12,
        "day":1,"t":1000,"at":-1}"#;
    let mut bench = connect();
    let row = bench.encode(None, Some(&with_schema(&fields, payload))).unwrap();
    assert_eq!(
        row,
        "c t,-128,32767,-2147483648,9223372036854775807,0.1,1e-7,\"a,\"\"b\"\"é\n\",\"00ff\",\"[1,null]\",\"{\"\"k\"\":\"\"v\"\",\"\"n\"\":null}\",\
         \"[{\"\"key\"\":1,\"\"value\"\":true},{\"\"key\"\":2,\"\"value\"\":false}]\",\"{\"\"x\"\":0.5,\"\"y\"\":null}\",1.234,\
         12345678901234567890.120,1970-01-02,00:00:01,1969-12-31 23:59:59.999000"
    );
}

#[test]
fn an_envelope_makes_the_rows_that_it_makes_in_avro() {
    let row = json!([field("id", "int32"), field("v", "string")]);
    let image = |name: &str| json!({"field": name, "type": "struct", "optional": true, "fields": row});
    let schema = json!([image("before"), image("after"), {"field": "op", "type": "string"}]);
    let settings = |key| Settings {
        envelope: envelope::Kind::Debezium,
        key,
        ..plain(Format::ConnectJson)
    };
    let key = format!(
        r#"{{"schema":{},"payload":{{"id":7}}}}"#,
        structure(&json!([{"field": "id", "type": "int32"}]))
    );
    let mut bench = Bench::new(settings(KeySource::Record));
    let mut of = |payload: &str| bench.encode(Some(&key), Some(&with_schema(&schema, payload))).unwrap();
    assert_eq!(of(r#"{"before":null,"after":{"id":7,"v":"x"},"op":"c"}"#), "c 7,\"x\"");
    assert_eq!(
        of(r#"{"op":"u","after":{"v":"y","id":7}}"#),
        "u 7,\"y\"",
        "in any order, absent is null"
    );
    assert_eq!(of(r#"{"before":{"id":7,"v":null},"after":null,"op":"d"}"#), "d 7,NULL");
    assert_eq!(of(r#"{"before":null,"after":null,"op":"t"}"#), "Truncate");
    assert_eq!(bench.encode(Some(&key), None).unwrap(), "Skipped");
    let mut bench = Bench::new(settings(KeySource::Columns(vec!["id".into()])));
    let moved = r#"{"before":{"id":1,"v":"x"},"after":{"id":2,"v":"x"},"op":"u"}"#;
    assert_eq!(
        bench.encode(None, Some(&with_schema(&schema, moved))).unwrap(),
        "d 1,NULL|u 2,\"x\""
    );
    let (path, fault, column) = bench.fault(&with_schema(
        &schema,
        r#"{"before":null,"after":{"id":"1","v":"x"},"op":"u"}"#,
    ));
    assert_eq!((path.as_str(), column.as_deref()), ("after.id", Some("id")));
    assert_eq!(
        fault,
        JsonFault::Type {
            wanted: "a whole number",
            found: "a text"
        }
    );
}

#[test]
fn null_is_a_tombstone_in_every_spelling() {
    let settings = Settings {
        key: KeySource::Record,
        ..plain(Format::ConnectJson)
    };
    let mut bench = Bench::new(settings);
    let key = format!(
        r#"{{"schema":{},"payload":{{"id":7}}}}"#,
        structure(&json!([{"field": "id", "type": "int64"}]))
    );
    let schema = structure(&json!([field("id", "int64")])).to_string();
    let null = format!(r#"{{"payload":null,"schema":{schema}}}"#);
    for value in [
        None,
        Some("null"),
        Some(r#"{"schema":null,"payload":null}"#),
        Some(null.as_str()),
    ] {
        assert_eq!(bench.encode(Some(&key), value).unwrap(), "d 7", "{value:?}");
    }
    assert_eq!(bench.encode(Some("null"), None).unwrap(), "Skipped");
}

#[test]
fn defaults_stand_for_what_is_absent_and_not_for_null() {
    let fields = json!([
        {"field": "a", "type": "string", "optional": true, "default": "x"},
        {"field": "y", "type": "bytes", "default": "AP8="},
        {"field": "l", "type": "array", "items": {"type": "int32"}, "default": [1, 2]},
        {"field": "n", "type": "int64"},
    ]);
    let mut bench = connect();
    assert_eq!(
        bench.encode(None, Some(&with_schema(&fields, r#"{"n":1}"#))).unwrap(),
        "c \"x\",\"00ff\",\"[1,2]\",1"
    );
    assert_eq!(
        bench
            .encode(None, Some(&with_schema(&fields, r#"{"n":1,"a":null,"y":"","l":[]}"#)))
            .unwrap(),
        "c NULL,\"\",\"[]\",1"
    );
    let defaults: Vec<_> = bench
        .encoder
        .plan()
        .unwrap()
        .columns
        .iter()
        .map(|column| column.default.clone())
        .collect();
    assert_eq!(
        defaults,
        [
            Some("x".to_owned()),
            Some("00ff".to_owned()),
            Some("[1,2]".to_owned()),
            None
        ]
    );
    let (path, fault, column) = bench.fault(&with_schema(&fields, r#"{"a":"z"}"#));
    assert_eq!(
        (path.as_str(), fault, column.as_deref()),
        ("n", JsonFault::Missing, Some("n"))
    );
}

/// Each is refused with the field; nothing is rounded, cut or guessed.
#[test]
fn what_is_no_value_of_its_type_is_refused() {
    let fields = json!([
        field("b", "boolean"), field("i", "int32"), field("l", "int64"), field("f", "double"), field("s", "string"), field("y", "bytes"),
        {"field": "n", "type": "bytes", "optional": true, "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "2"}},
        {"field": "a", "type": "array", "optional": true, "items": {"type": "int32"}},
        {"field": "m", "type": "map", "optional": true, "keys": {"type": "string"}, "values": {"type": "int32"}},
        {"field": "r", "type": "struct", "optional": true, "fields": [field("x", "int32")]},
    ]);
    let mut bench = connect();
    bench.encode(None, Some(&with_schema(&fields, "{}"))).unwrap();
    let number = |text: &str| JsonFault::Number(text.to_owned());
    let ty = |wanted, found| JsonFault::Type { wanted, found };
    for (payload, path, fault) in [
        (r#"{"b":1}"#, "b", ty("true or false", "a number")),
        (r#"{"i":2147483648}"#, "i", number("2147483648")),
        (r#"{"i":1.0}"#, "i", number("1.0")),
        (r#"{"i":"1"}"#, "i", ty("a whole number", "a text")),
        (r#"{"l":9223372036854775808}"#, "l", number("9223372036854775808")),
        (r#"{"l":1e3}"#, "l", number("1e3")),
        (r#"{"f":"1.5"}"#, "f", number("1.5")),
        (r#"{"f":true}"#, "f", ty("a number", "true or false")),
        (r#"{"s":1}"#, "s", ty("a text", "a number")),
        (r#"{"s":"\ud800"}"#, "s", JsonFault::Surrogate),
        (r#"{"y":"A"}"#, "y", JsonFault::Base64),
        (r#"{"y":"A_8="}"#, "y", JsonFault::Base64),
        (r#"{"y":[1]}"#, "y", ty("bytes in base64", "an array")),
        (r#"{"n":1.234}"#, "n", number("1.234")),
        (r#"{"n":null,"n":"BNI="}"#, "", JsonFault::DuplicateKey("n".into())),
        (r#"{"n":null,"\u006e":"BNI="}"#, "", JsonFault::DuplicateKey("n".into())),
        (r#"{"a":[1,null]}"#, "a", ty("a whole number", "null")),
        (r#"{"a":{}}"#, "a", ty("an array", "an object")),
        (r#"{"m":{"k":1,"k":2}}"#, "m", JsonFault::DuplicateKey("k".into())),
        (r#"{"m":{"k":"v"}}"#, "m.k", ty("a whole number", "a text")),
        (r#"{"r":[]}"#, "r", ty("an object", "an array")),
        (r#"{"r":{"x":{}}}"#, "r.x", ty("a whole number", "an object")),
        (r#"{"r":{"z":1}}"#, "r.z", JsonFault::Unknown),
        (r#"{"q":1}"#, "q", JsonFault::Unknown),
        (r#"[]"#, "", ty("an object", "an array")),
    ] {
        let found = bench.fault(&with_schema(&fields, payload));
        let column = path
            .split('.')
            .next()
            .filter(|name| !name.is_empty())
            .map(str::to_owned);
        assert_eq!(found, (path.to_owned(), fault, column), "{payload}");
    }
    // Written by the type, refused by the column.
    let error = bench
        .encode(None, Some(&with_schema(&fields, r#"{"f":"-Infinity"}"#)))
        .unwrap_err();
    assert_eq!(
        (error.problem, error.column.as_deref()),
        (Problem::Value(Reason::NotFinite), Some("f"))
    );
    let error = bench
        .encode(None, Some(&with_schema(&fields, r#"{"s":"\u0000"}"#)))
        .unwrap_err();
    assert_eq!(
        (error.problem, error.column.as_deref()),
        (Problem::Value(Reason::Nul), Some("s"))
    );
}

#[test]
fn what_is_no_record_of_the_format_is_refused() {
    let mut bench = connect();
    for (value, fault) in [
        ("", JsonFault::Syntax(0)),
        ("\0\0\0\0\u{1}", JsonFault::Syntax(0)),
        ("{", JsonFault::Syntax(1)),
        ("{} {}", JsonFault::Syntax(3)),
        ("{}", JsonFault::NoSchema),
        ("7", JsonFault::NoSchema),
        (r#"{"id":1}"#, JsonFault::NoSchema),
        (r#"{"payload":{}}"#, JsonFault::NoSchema),
        (r#"{"schema":null,"payload":{}}"#, JsonFault::NoSchema),
        (r#"{"schema":null,"payload":null,"more":1}"#, JsonFault::NoSchema),
        (
            r#"{"schema":null,"schema":null,"payload":null}"#,
            JsonFault::DuplicateKey("schema".into()),
        ),
    ] {
        assert_eq!(bench.fault(value), (String::new(), fault, None), "{value}");
    }
    for schema in [
        "7",
        "{}",
        r#"{"type":"int"}"#,
        r#"{"type":"struct"}"#,
        r#"{"type":"array"}"#,
        r#"{"type":"struct","fields":[{"type":"int32"}]}"#,
        r#"{"type":"struct","fields":[{"field":"a","type":"int32"},{"field":"a","type":"int32"}]}"#,
        r#"{"type":"struct","fields":[{"field":"a","type":"bytes","name":"org.apache.kafka.connect.data.Decimal"}]}"#,
        r#"{"type":"struct","fields":[{"field":"a","type":"bytes","default":7}]}"#,
    ] {
        let error = bench
            .encode(None, Some(&format!(r#"{{"schema":{schema},"payload":{{}}}}"#)))
            .unwrap_err();
        assert!(
            error.to_string().contains("schema is not understood"),
            "{schema}: {error}"
        );
        assert!(
            !error.problem.is_of_the_record(),
            "every record that has it is concerned"
        );
    }
    let (_, fault, _) = bench.fault(&format!(r#"{{"schema":{},"payload":{{}}}}"#, "[".repeat(500)));
    assert_eq!(fault, JsonFault::Depth);
    let record = Record {
        offset: Offset(1),
        timestamp_ms: 0,
        headers: None,
        key: None,
        value: Some(b"{\"a\":\"\xff\"}"),
    };
    let error = bench
        .encoder
        .encode(&record, &mut Vec::new(), &mut Stats::default())
        .unwrap_err();
    assert!(error.to_string().contains("not valid UTF-8"), "{error}");
    // A value that is no struct has no columns; a name that is known for another thing is none of a column.
    let error = bench
        .encode(None, Some(r#"{"schema":{"type":"int32"},"payload":7}"#))
        .unwrap_err();
    assert!(
        matches!(
            &error.problem,
            Problem::Plan {
                error: PlanError::NotARecord { .. },
                ..
            }
        ),
        "{error}"
    );
    let error = bench
        .encode(None, Some(&with_schema(&json!([field("source.lsn", "int64")]), "{}")))
        .unwrap_err();
    assert!(
        matches!(
            &error.problem,
            Problem::Plan {
                error: PlanError::Name(_),
                ..
            }
        ),
        "{error}"
    );
}

/// A record that begins like the one before is read by a shorter way; what is said of it must be the same.
#[test]
fn what_is_said_of_a_record_does_not_depend_on_the_one_before() {
    let fields = json!([field("i", "int32"), field("s", "string")]);
    let schema = structure(&fields);
    let good = with_schema(&fields, r#"{"i":1,"s":"x"}"#);
    let odd = [
        with_schema(&fields, r#"{"i":1,"s":"x"}"#) + " x",
        with_schema(&fields, r#"{"i":1,"s":"x"},"payload":null"#),
        with_schema(&fields, r#"{"i":1,"s":"x"},"schema":null"#),
        with_schema(&fields, r#"{"i":1,"s":7}"#) + "]",
        with_schema(&fields, r#"{"i":1,"s":7}"#),
        with_schema(&fields, "null"),
        with_schema(&fields, "nul"),
        with_schema(&fields, ""),
        format!(r#"{{"schema":{schema},"payload": {{"s":"y","i":2}} }}"#),
        format!(r#"{{ "schema":{schema},"payload":{{"s":"y","i":2}}}}"#),
        format!(r#"{{"payload":{{"s":"y","i":2}},"schema":{schema}}}"#),
        format!(r#"{{"payload":null,"schema":{schema}}}"#),
    ];
    for value in &odd {
        let alone = connect().encode(None, Some(value));
        let mut bench = connect();
        for _ in 0..2 {
            bench.encode(None, Some(&good)).unwrap();
            assert_eq!(
                bench.encode(None, Some(value)).map_err(|error| error.problem),
                alone.clone().map_err(|error| error.problem),
                "{value}"
            );
        }
        assert_eq!(bench.encode(None, Some(&good)).unwrap(), "c 1,\"x\"");
    }
}

/// Schemas change in place, old and new ones in turn, more of them than are kept; plans only grow.
#[test]
fn schemas_that_change_grow_the_plan_and_are_named_in_claims() {
    let mut bench = connect();
    let record = |version: usize| {
        let fields: Vec<Value> = (0..=version)
            .map(|index| field(&format!("c{index}"), "int32"))
            .collect();
        with_schema(&json!(fields), &format!(r#"{{"c{version}":{version}}}"#))
    };
    let mut plans = BTreeSet::new();
    for turn in 0..3 {
        for version in 0..40 {
            let row = bench.encode(None, Some(&record(version))).unwrap();
            assert_eq!(
                row.split(',').nth(version).unwrap().trim_start_matches("c "),
                version.to_string()
            );
            plans.insert(bench.encoder.plan().unwrap().id());
        }
        assert_eq!(plans.len(), 40, "turn {turn}");
    }
    let seen: BTreeSet<SchemaId> = bench.stats.schemas_seen().into_iter().collect();
    assert_eq!(seen.len(), 40);
    assert!(
        seen.iter()
            .all(|SchemaId(id)| id.starts_with("connect:") && id.len() == 40),
        "{seen:?}"
    );
}

const TABLE: &str = "id bigint, name varchar, price decimal(10;2), doc super";

#[test]
fn a_declared_table_says_what_is_a_column() {
    let mut bench = Bench::new(Settings {
        key: KeySource::Columns(vec!["id".into()]),
        ..declared(TABLE)
    });
    let of = |bench: &mut Bench, value: &str| bench.encode(None, Some(value)).unwrap();
    assert_eq!(
        of(
            &mut bench,
            r#"{"id":1,"name":"a","price":"1.50","doc":{"b" : [1, 2.50e1]}}"#
        ),
        "u 1,\"a\",1.50,\"{\"\"b\"\":[1,2.50e1]}\""
    );
    assert_eq!(
        bench.columns(),
        ["id BIGINT", "name VARCHAR", "price DECIMAL(10,2)", "doc SUPER"]
    );
    assert_eq!(of(&mut bench, r#"{"price":1.5,"id":2}"#), "u 2,NULL,1.50,NULL");
    assert_eq!(
        of(&mut bench, r#"{"id":3,"doc":"__debezium_unavailable_value"}"#)
            .split(' ')
            .next(),
        Some("u")
    );
    assert_eq!(bench.encode(Some(r#"{"id":3}"#), None).unwrap(), "d 3,NULL,NULL,NULL");
    assert_eq!(
        bench.encode(Some(r#"{"id":3}"#), Some("null")).unwrap(),
        "d 3,NULL,NULL,NULL"
    );
    let (path, fault, column) = bench.fault(r#"{"id":1,"colour":"red"}"#);
    assert_eq!(
        (path.as_str(), fault.clone(), column.as_deref()),
        ("colour", JsonFault::Undeclared, Some("colour"))
    );
    assert!(fault.hint().contains("columns") && fault.hint().contains("ignore"));
    let error = bench.encode(None, Some(r#"{"name":"a"}"#)).unwrap_err();
    assert_eq!(
        (error.problem, error.column.as_deref()),
        (Problem::Value(Reason::NullKey), Some("id"))
    );
    let error = bench.encode(None, Some(r#"{"id":1,"doc":{"a":1,"a":2}}"#)).unwrap_err();
    assert_eq!(
        (error.problem, error.column.as_deref()),
        (Problem::Value(Reason::JsonKey), Some("doc"))
    );
    let seen = bench.stats.schemas_seen();
    assert!(seen.iter().all(|SchemaId(id)| id.starts_with("declared:")), "{seen:?}");
    let mut lenient = Bench::new(Settings {
        undeclared: Undeclared::Ignore,
        ..declared(TABLE)
    });
    assert_eq!(of(&mut lenient, r#"{"colour":"red","id":1}"#), "c 1,NULL,NULL,NULL");
}

#[test]
fn a_declared_table_in_debeziums_envelopes() {
    let key = KeySource::Columns(vec!["id".into()]);
    let settings = |envelope| Settings {
        envelope,
        key: key.clone(),
        ..declared("id bigint, name varchar")
    };
    let mut bench = Bench::new(Settings {
        position: Some("lsn".into()),
        ..settings(envelope::Kind::Debezium)
    });
    let mut of = |value: &str| bench.encode(None, Some(value)).unwrap();
    let created = r#"{"before":null,"after":{"id":1,"name":"a"},"source":{"version":"3","lsn":77},"op":"c","ts_ms":5,"transaction":null}"#;
    assert_eq!(of(created), "c 1,\"a\",77");
    assert_eq!(
        of(r#"{"before":{"id":1,"name":null},"after":null,"source":{"lsn":78},"op":"d"}"#),
        "d 1,NULL,78"
    );
    assert_eq!(of(r#"{"before":null,"after":null,"op":"t","source":null}"#), "Truncate");
    let (path, fault, column) = bench.fault(r#"{"before":null,"after":{"id":1,"nom":"a"},"op":"c"}"#);
    assert_eq!(
        (path.as_str(), fault, column.as_deref()),
        ("after.nom", JsonFault::Undeclared, Some("nom"))
    );
    assert_eq!(bench.fault(r#"{"id":1}"#), ("op".into(), JsonFault::Missing, None));

    let mut bench = Bench::new(settings(envelope::Kind::DebeziumFlat));
    let mut of = |value: &str| bench.encode(None, Some(value)).unwrap();
    assert_eq!(
        of(r#"{"id":1,"name":"a","__deleted":"false","__op":"c","__table":"t"}"#),
        "c 1,\"a\""
    );
    assert_eq!(of(r#"{"id":1,"name":"","__deleted":"true"}"#), "d 1,NULL");
    assert_eq!(of(r#"{"id":1,"name":"","__deleted":true}"#), "d 1,NULL");
    assert_eq!(bench.fault(r#"{"id":1,"_table":"t"}"#).1, JsonFault::Undeclared);
}

#[test]
fn every_type_that_can_be_declared() {
    let columns = "b boolean, i2 smallint, i4 integer, i8 bigint, f4 real, f8 double, n decimal(5;1), s varchar, u uuid, y varbyte, \
        d date, dd date from days, t time, tm time from millis, tu time from micros, tn time from nanos, tz timetz, ts timestamp, \
        tsm timestamp from millis, tsu timestamp from micros, tsn timestamp from nanos, tstz timestamptz, \
        tstzm timestamptz from millis, tstzu timestamptz from micros, tstzn timestamptz from nanos, o super, j json";
    let value = r#"{"b":false,"i2":-1,"i4":2,"i8":3,"f4":0.1,"f8":0.1,"n":-1234.5,"s":"x","u":"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11","y":"/w==",
        "d":"2026-01-31","dd":-1,"t":"12:30:00.5Z","tm":1,"tu":1,"tn":1000,"tz":"12:30:00+01:00","ts":"2026-01-31T12:30:00",
        "tsm":1,"tsu":1,"tsn":1999,"tstz":"2026-01-31T12:30:00+01:00","tstzm":1,"tstzu":1,"tstzn":1000,"o":[1],"j":"{\"a\": 1}"}"#;
    let mut bench = Bench::new(declared(columns));
    let row = bench.encode(None, Some(value)).unwrap();
    let expected = "c f,-1,2,3,0.1,0.1,-1234.5,\"x\",\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\",\"ff\",2026-01-31,1969-12-31,12:30:00.500000,\
        00:00:00.001000,00:00:00.000001,00:00:00.000001,11:30:00+00,2026-01-31 12:30:00,1970-01-01 00:00:00.001000,\
        1970-01-01 00:00:00.000001,1970-01-01 00:00:00.000001,2026-01-31 11:30:00+00,1970-01-01 00:00:00.001000+00,\
        1970-01-01 00:00:00.000001+00,1970-01-01 00:00:00.000001+00,\"[1]\",\"{\"\"a\"\":1}\"";
    assert_eq!(row, expected);
    let types: Vec<String> = bench
        .columns()
        .iter()
        .map(|column| column.split_once(' ').unwrap().1.to_owned())
        .collect();
    assert_eq!(
        types.join(", "),
        "BOOLEAN, SMALLINT, INTEGER, BIGINT, REAL, DOUBLE PRECISION, DECIMAL(5,1), VARCHAR, VARCHAR(36), VARBYTE, DATE, DATE, TIME, TIME, \
         TIME, TIME, TIMETZ, TIMESTAMP, TIMESTAMP, TIMESTAMP, TIMESTAMP, TIMESTAMPTZ, TIMESTAMPTZ, TIMESTAMPTZ, TIMESTAMPTZ, SUPER, SUPER"
    );
}

/// What is set aside knows its key in JSON too.
#[test]
fn a_record_set_aside_keeps_its_key() {
    let mut bench = Bench::new(Settings {
        key: KeySource::Record,
        ..plain(Format::ConnectJson)
    });
    let key = format!(
        r#"{{"schema":{},"payload":{{"id":7}}}}"#,
        structure(&json!([{"field": "id", "type": "int64"}]))
    );
    let fields = json!([{"field": "id", "type": "int64"}, field("f", "double")]);
    bench
        .encode(Some(&key), Some(&with_schema(&fields, r#"{"id":7,"f":1}"#)))
        .unwrap();
    for payload in [r#"{"id":7,"f":"NaN"}"#, r#"{"id":7,"f":"x"}"#] {
        let value = with_schema(&fields, payload);
        let record = Record {
            offset: Offset(2),
            timestamp_ms: 0,
            headers: None,
            key: Some(key.as_bytes()),
            value: Some(value.as_bytes()),
        };
        let error = bench
            .encoder
            .encode(&record, &mut Vec::new(), &mut bench.stats)
            .unwrap_err();
        let mut out = Vec::new();
        assert_eq!(bench.encoder.set_aside(&record, &error, &mut out), 1);
        let line = String::from_utf8(out).unwrap();
        assert!(line.ends_with(",7\n") && line.contains("\"f\""), "{line}");
    }
}

/// A value in both of its shapes: a type of Connect with a value in JSON, and the same for Avro.
#[derive(Debug, Clone)]
struct Twin {
    connect: Value,
    payload: String,
    avro: Value,
    datum: apache_avro::types::Value,
}

fn twin() -> impl Strategy<Value = Twin> {
    use apache_avro::types::Value as Datum;
    let of = |connect: Value, avro: Value| {
        move |(payload, datum): (String, Datum)| Twin {
            connect: connect.clone(),
            payload,
            avro: avro.clone(),
            datum,
        }
    };
    let ty = |connect: &str, avro: &str| of(json!({"type": connect}), json!(avro));
    let decimal =
        json!({"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "4"}});
    let avro_decimal = json!({"type": "bytes", "logicalType": "decimal", "precision": 64, "scale": 4,
        "connect.name": "org.apache.kafka.connect.data.Decimal", "connect.parameters": {"scale": "4"}});
    let base64 = |bytes: &[u8]| format!("\"{}\"", BASE64.encode(bytes));
    prop_oneof![
        any::<bool>()
            .prop_map(|it| (it.to_string(), Datum::Boolean(it)))
            .prop_map(ty("boolean", "boolean")),
        any::<i32>()
            .prop_map(|it| (it.to_string(), Datum::Int(it)))
            .prop_map(ty("int32", "int")),
        any::<i64>()
            .prop_map(|it| (it.to_string(), Datum::Long(it)))
            .prop_map(ty("int64", "long")),
        (-1e30f32..1e30)
            .prop_map(|it| (format!("{it:e}"), Datum::Float(it)))
            .prop_map(ty("float", "float")),
        (-1e300f64..1e300)
            .prop_map(|it| (format!("{it:e}"), Datum::Double(it)))
            .prop_map(ty("double", "double")),
        "[^\0]{0,20}"
            .prop_map(|it| (serde_json::to_string(&it).unwrap(), Datum::String(it)))
            .prop_map(ty("string", "string")),
        any::<Vec<u8>>()
            .prop_map(move |it| (base64(&it), Datum::Bytes(it)))
            .prop_map(ty("bytes", "bytes")),
        any::<i128>()
            .prop_map(|it| it % 10_i128.pow(37))
            .prop_map(move |it| {
                let bytes = it.to_be_bytes();
                (base64(&bytes), Datum::Decimal(apache_avro::Decimal::from(bytes)))
            })
            .prop_map(of(decimal, avro_decimal)),
        prop::collection::vec(any::<i64>(), 0..4)
            .prop_map(|items| {
                let datums = items.iter().map(|it| Datum::Long(*it)).collect();
                (serde_json::to_string(&items).unwrap(), Datum::Array(datums))
            })
            .prop_map(of(
                json!({"type": "array", "items": {"type": "int64"}}),
                json!({"type": "array", "items": "long"})
            )),
    ]
}

proptest! {
    /// What JsonConverter writes makes the bytes that what the Avro converter writes makes.
    #[test]
    fn json_and_avro_make_the_same_rows(twins in prop::collection::vec((twin(), any::<bool>()), 1..8)) {
        use apache_avro::types::Value as Datum;
        let (mut fields, mut avro, mut payload, mut datum) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (index, (twin, optional)) in twins.into_iter().enumerate() {
            let name = format!("c{index}");
            let mut connect = twin.connect;
            connect["field"] = json!(name);
            connect["optional"] = json!(optional);
            fields.push(connect);
            payload.push(format!("\"{name}\" : {}", twin.payload));
            let (ty, value) = if optional {
                (json!(["null", twin.avro]), Datum::Union(1, Box::new(twin.datum)))
            } else {
                (twin.avro, twin.datum)
            };
            avro.push(json!({"name": name, "type": ty}));
            datum.push((name, value));
        }
        let mut bench = connect();
        let value = with_schema(&json!(fields), &format!("{{{}}}", payload.join(" , ")));
        let rows = bench.encode(None, Some(&value)).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let schema = json!({"type": "record", "name": "Value", "fields": avro});
        let parsed = apache_avro::Schema::parse(&schema).unwrap();
        let datum = apache_avro::to_avro_datum(&parsed, Datum::Record(datum)).unwrap();
        let mut other = Bench::new(plain(Format::Avro));
        let writer = common::avro::WriterSchema::parse(&schema.to_string()).unwrap();
        other.encoder.add_schema(SchemaId::confluent(9), Arc::new(writer));
        let mut out = Vec::new();
        let framed = [&[0, 0, 0, 0, 9][..], &datum].concat();
        let record = Record { offset: Offset(1), timestamp_ms: 0, key: None, value: Some(&framed), headers: None };
        loop {
            match other.encoder.encode(&record, &mut out, &mut other.stats).unwrap() {
                Outcome::PlanGrows(plan) => other.encoder.adopt(plan),
                Outcome::Rows(1) => break,
                outcome => panic!("{outcome:?}"),
            }
        }
        let plan = |bench: &Bench| -> Plan { (**bench.encoder.plan().unwrap()).clone() };
        prop_assert_eq!(plan(&bench), plan(&other));
        let line = String::from_utf8(out).unwrap().replace(NULL, "NULL");
        prop_assert!(line.trim_end().ends_with(rows.trim_start_matches("c ")) , "{} {}", line, rows);
    }

    /// Whatever comes, there is an answer.
    #[test]
    fn no_bytes_are_too_odd(bytes in any::<Vec<u8>>(), cut in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let fields = json!([field("i", "int32"), field("s", "string"), {"field": "a", "type": "array", "items": field("x", "double")}]);
        let mut good = with_schema(&fields, r#"{"i":1,"s":"x\u00e9","a":[1.5,null]}"#).into_bytes();
        let at = cut.index(good.len());
        good[at] = byte;
        let mut connect = connect();
        let mut declared = Bench::new(declared(TABLE));
        for text in [&bytes[..], &good, &good[..at]] {
            let record = Record { offset: Offset(1), timestamp_ms: 0, key: Some(text), value: Some(text), headers: None };
            for bench in [&mut connect, &mut declared] {
                loop {
                    match bench.encoder.encode(&record, &mut Vec::new(), &mut bench.stats) {
                        Ok(Outcome::PlanGrows(plan)) => bench.encoder.adopt(plan),
                        Ok(_) => break,
                        Err(error) => {
                            prop_assert!(!error.to_string().is_empty());
                            break;
                        }
                    }
                }
            }
        }
    }
}
