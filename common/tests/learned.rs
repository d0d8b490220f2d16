//! JSON without a schema, into tables that are learned from it: what a record becomes follows from it and from the plan alone.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

use std::sync::Arc;

use common::csv::DEFAULT_NULL_MARKER;
use common::envelope;
use common::ids::{Incarnation, Offset, Partition};
use common::json::{Declared, DeclaredType, Undeclared};
use common::plan::{META_COLUMNS, Plan};
use common::row::{
    ColumnRules, EncodeError, Format, KeySource, Outcome, Record, RowEncoder, Settings, Stats, TypeChanges,
};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

fn settings() -> Settings {
    Settings {
        format: Format::Json,
        undeclared: Undeclared::Learn,
        key: KeySource::Columns(vec!["id".into()]),
        column_rules: ColumnRules {
            type_changes: TypeChanges::NewColumn,
            ..ColumnRules::default()
        },
        ..Settings::default()
    }
}

fn encoder(settings: &Settings, plan: Option<Arc<Plan>>) -> RowEncoder {
    RowEncoder::new(Arc::new(settings.clone()), Incarnation(0), Partition(0), plan)
}

/// The rows of a record, and the plans that it made on its way.
fn encode(
    encoder: &mut RowEncoder,
    (key, value): (Option<&str>, Option<&str>),
) -> Result<(Vec<u8>, Vec<Arc<Plan>>), EncodeError> {
    let record = Record {
        offset: Offset(0),
        timestamp_ms: 0,
        headers: None,
        key: key.map(str::as_bytes),
        value: value.map(str::as_bytes),
    };
    let (mut out, mut plans) = (Vec::new(), Vec::new());
    loop {
        match encoder.encode(&record, &mut out, &mut Stats::default())? {
            Outcome::PlanGrows(plan) => {
                plans.push(Arc::clone(&plan));
                encoder.adopt(plan);
            }
            Outcome::Rows(_) => return Ok((out, plans)),
            other => panic!("{other:?}"),
        }
    }
}

fn row(encoder: &mut RowEncoder, value: &str) -> Result<Vec<String>, String> {
    let (out, _) = encode(encoder, (None, Some(value))).map_err(|error| error.to_string())?;
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&out[..]);
    let row = reader.records().next().unwrap().unwrap();
    let fields = row.iter().skip(META_COLUMNS.len());
    Ok(fields.map(|field| field.replace(DEFAULT_NULL_MARKER, "NULL")).collect())
}

fn columns(encoder: &RowEncoder) -> Vec<String> {
    let columns = encoder.plan().unwrap().columns.iter();
    columns.map(|column| format!("{} {}", column.name, column.ty)).collect()
}

#[test]
fn fields_become_columns_when_a_record_has_a_value_for_them() {
    let mut encoder = encoder(&settings(), None);
    assert_eq!(row(&mut encoder, r#"{"id":1,"a":null}"#).unwrap(), ["1"]);
    let first = r#"{"a":"x","id":2,"b":true,"n":1.50,"tags":["t",1],"o":{"k":null}}"#;
    assert_eq!(
        row(&mut encoder, first).unwrap(),
        ["2", "x", "t", "1.5", r#"["t",1]"#, r#"{"k":null}"#]
    );
    assert_eq!(row(&mut encoder, r#"{"id":3,"n":2}"#).unwrap()[3], "2.0");
    assert_eq!(
        columns(&encoder),
        [
            "id BIGINT",
            "a VARCHAR",
            "b BOOLEAN",
            "n DOUBLE PRECISION",
            "tags SUPER",
            "o SUPER"
        ]
    );
    let names = |schemas: Vec<common::ids::SchemaId>| schemas.into_iter().map(|id| id.0).collect::<Vec<_>>();
    let mut stats = Stats::default();
    let record = Record {
        offset: Offset(9),
        timestamp_ms: 0,
        headers: None,
        key: None,
        value: Some(br#"{"id":4}"#),
    };
    encoder.encode(&record, &mut Vec::new(), &mut stats).unwrap();
    assert!(names(stats.schemas_seen())[0].starts_with("learned:value:"));
}

#[test]
fn a_value_of_another_type_has_a_column_of_its_own() {
    let mut encoder = encoder(&settings(), None);
    row(&mut encoder, r#"{"id":1,"v":1}"#).unwrap();
    row(&mut encoder, r#"{"id":2,"v":"one"}"#).unwrap();
    row(&mut encoder, r#"{"id":3,"v":{"n":1}}"#).unwrap();
    for _ in 0..2 {
        assert_eq!(
            row(&mut encoder, r#"{"id":1,"v":7}"#).unwrap()[1..],
            ["7", "NULL", "NULL"]
        );
        assert_eq!(
            row(&mut encoder, r#"{"id":1,"v":"x"}"#).unwrap()[1..],
            ["NULL", "x", "NULL"]
        );
        assert_eq!(
            row(&mut encoder, r#"{"id":1,"v":[]}"#).unwrap()[1..],
            ["NULL", "NULL", "[]"]
        );
    }
    assert_eq!(
        columns(&encoder),
        ["id BIGINT", "v BIGINT", "v_varchar VARCHAR", "v_super SUPER"]
    );
    let mut settings = settings();
    settings.column_rules.type_changes = TypeChanges::Halt;
    let mut halting = self::encoder(&settings, None);
    row(&mut halting, r#"{"id":1,"v":1}"#).unwrap();
    let said = row(&mut halting, r#"{"id":2,"v":"one"}"#).unwrap_err();
    assert!(said.contains("cannot become"), "{said}");
    // SUPER takes everything, where it is all there is.
    let mut nested = self::encoder(&settings, None);
    row(&mut nested, r#"{"id":1,"v":{}}"#).unwrap();
    assert_eq!(row(&mut nested, r#"{"id":2,"v":"one"}"#).unwrap()[1], "\"one\"");
}

#[test]
fn what_is_declared_or_typed_stays_as_it_is_said() {
    let mut settings = settings();
    settings.columns = vec![Declared {
        field: "price".into(),
        ty: DeclaredType::Decimal {
            precision: 10,
            scale: 2,
        },
    }];
    settings.column_rules.types = [("at".to_owned(), "TIMESTAMP".parse().unwrap())].into();
    let mut encoder = encoder(&settings, None);
    let value = r#"{"id":1,"price":12,"at":"2026-01-31 10:00:00"}"#;
    assert_eq!(row(&mut encoder, value).unwrap(), ["12.00", "1", "2026-01-31 10:00:00"]);
    assert_eq!(columns(&encoder), ["price DECIMAL(10,2)", "id BIGINT", "at TIMESTAMP"]);
    let said = row(&mut encoder, r#"{"id":1,"price":"dear"}"#).unwrap_err();
    assert!(said.contains("price"), "{said}");
}

#[test]
fn records_that_teach_nothing_good_are_refused() {
    let mut encoder = encoder(&settings(), None);
    for (value, name) in [
        ("{", "bad_json"),
        (r#"{"id":1,"a":1,"a":2}"#, "json_key_twice"),
        ("[1]", "json_field_missing"),
        (r#"{"a":1}"#, "json_field_missing"),
        (r#"{"id":null,"a":1}"#, "json_field_missing"),
        (r#"{"id":1,"a":1e999}"#, "not_finite"),
        (r#"{"id":1}{"#, "bad_json"),
    ] {
        let error = encode(&mut encoder, (None, Some(value))).unwrap_err();
        assert_eq!(error.problem.name(), name, "{value}: {error}");
        assert!(error.may_be_set_aside(), "{value}");
    }
    let many: Vec<String> = (0..600).map(|n| format!("\"f{n}\":1")).collect();
    let error = encode(&mut encoder, (None, Some(&format!("{{\"id\":1,{}}}", many.join(","))))).unwrap_err();
    assert_eq!(error.problem.name(), "json_fields");
}

#[test]
fn tombstones_delete_by_a_key_that_was_learned() {
    let mut encoder = encoder(&settings(), None);
    row(&mut encoder, r#"{"id":"a","n":1}"#).unwrap();
    let (rows, _) = encode(&mut encoder, (Some(r#"{"id":"a"}"#), None)).unwrap();
    let line = String::from_utf8(rows).unwrap();
    assert!(
        line.starts_with("\"d\"") && line.ends_with(&format!(",\"a\",{DEFAULT_NULL_MARKER}\n")),
        "{line}"
    );
}

#[test]
fn the_images_of_a_debezium_change_are_learned() {
    let mut settings = settings();
    settings.envelope = envelope::Kind::Debezium;
    let mut encoder = encoder(&settings, None);
    let create = r#"{"before":null,"after":{"id":1,"n":"a"},"source":{"lsn":1},"op":"c","ts_ms":5}"#;
    assert_eq!(row(&mut encoder, create).unwrap(), ["1", "a"]);
    let delete = r#"{"before":{"id":1,"n":"a"},"after":null,"op":"d"}"#;
    assert_eq!(row(&mut encoder, delete).unwrap(), ["1", "NULL"]);
    assert_eq!(columns(&encoder), ["id BIGINT", "n VARCHAR"]);
}

#[test]
fn fields_that_are_left_out_teach_nothing() {
    let mut settings = settings();
    settings.envelope = envelope::Kind::DebeziumFlat;
    settings.column_rules.exclude = vec!["secret".into()];
    settings.flat_fields = vec!["__lsn".into()];
    let mut encoder = encoder(&settings, None);
    for secret in ["1", "\"x\"", "{}"] {
        let value = format!(r#"{{"id":1,"secret":{secret},"__op":"u","__deleted":"false","__lsn":7,"__table":"t"}}"#);
        assert_eq!(row(&mut encoder, &value).unwrap(), ["1", "7"], "{secret}");
    }
    assert_eq!(columns(&encoder), ["id BIGINT", "__lsn BIGINT"]);
    let deleted = row(&mut encoder, r#"{"id":1,"secret":0,"__deleted":true,"__lsn":8}"#).unwrap();
    assert_eq!(deleted, ["1", "8"]);
}

fn value() -> impl Strategy<Value = &'static str> {
    select(vec![
        "null",
        "1",
        "-7",
        "1.5",
        "2.0",
        "1e3",
        "9223372036854775807",
        "9223372036854775808",
        "true",
        "\"text\"",
        "\"\"",
        "{\"a\":1}",
        "[]",
        "\"__debezium_unavailable_value\"",
    ])
}

fn record() -> impl Strategy<Value = String> {
    let fields = subsequence(vec!["a", "b", "c", "d"], 0..=4).prop_shuffle();
    let key = select(vec!["1", "2", "null", "\"x\""]);
    (key, fields, proptest::collection::vec(value(), 4)).prop_map(|(key, fields, values)| {
        let fields = fields
            .iter()
            .zip(values)
            .map(|(field, value)| format!(",\"{field}\":{value}"));
        format!("{{\"id\":{key}{}}}", fields.collect::<String>())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// A writer that has read the whole topic and one that has just taken it up by the same plan do the same with a record: the same rows,
    /// the same plans, the same refusal.
    #[test]
    fn a_record_becomes_the_same_whatever_came_before(records in proptest::collection::vec(record(), 1..20)) {
        let settings = settings();
        let mut seasoned = encoder(&settings, None);
        for value in &records {
            let mut fresh = encoder(&settings, seasoned.plan().cloned());
            let said = encode(&mut seasoned, (None, Some(value)));
            let fresh_said = encode(&mut fresh, (None, Some(value)));
            prop_assert_eq!(said, fresh_said, "{} after {:?}", value, &records);
        }
    }
}
