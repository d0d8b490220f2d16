//! Records flattened by Debezium's ExtractNewRecordState: captured ones, and the odd ones by apache-avro.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod support;

use std::sync::Arc;

use apache_avro::types::Value;
use apache_avro::{Schema, to_avro_datum};
use common::avro::WriterSchema;
use common::csv::DEFAULT_NULL_MARKER as NULL;
use common::envelope;
use common::ids::{Incarnation, Offset, Partition, SchemaId};
use common::plan::META_COLUMNS;
use common::row::{KeySource, Outcome, Problem, Record, RowEncoder, Settings, Stats, Tombstones};
use serde_json::json;
use support::debezium::{Lineage, topic};

fn flat() -> Settings {
    Settings {
        envelope: envelope::Kind::DebeziumFlat,
        ..Settings::default()
    }
}

/// `z` is not null at the source; in the delete it is 1970, which is no value of the row.
#[test]
fn of_a_delete_only_the_key_is_stored() {
    let mut lineage = Lineage::by(flat());
    let lines = topic("pgu.public.evolving");
    let rows: Vec<_> = lines
        .iter()
        .map(|line| lineage.encode(line).unwrap().1.remove(0))
        .collect();
    let delete = rows.last().unwrap();
    let columns: Vec<String> = lineage
        .plan()
        .columns
        .iter()
        .map(|column| column.name.clone())
        .collect();
    assert_eq!(columns, ["id", "a2", "c", "z"]);
    assert_eq!(delete[0].as_deref(), Some("d"));
    assert_eq!(delete[META_COLUMNS.len()..], [Some("5".to_owned()), None, None, None]);
    let ops: String = rows.iter().filter_map(|row| row[0].clone()).collect();
    assert_eq!(
        ops,
        format!("{}cuuuud", "r".repeat(63)),
        "operations are those of `__op`"
    );
}

/// What is asked for is a column, of deletes too, so that rows can be ordered by it.
#[test]
fn added_fields_are_columns_where_they_are_asked_for() {
    let mut lineage = Lineage::by(Settings {
        flat_fields: vec!["__lsn".into(), "__nowhere".into()],
        ..flat()
    });
    let lines = topic("pgu.public.composite_key");
    let mut deletes = 0;
    for line in &lines {
        let row = lineage.encode(line).unwrap().1.remove(0);
        let lsn = line.value_decoded["datum"]["__lsn"].to_string();
        assert_eq!(row.last().unwrap().as_deref(), Some(lsn.as_str()));
        deletes += usize::from(row[0].as_deref() == Some("d"));
    }
    let columns: Vec<String> = lineage
        .plan()
        .columns
        .iter()
        .map(|column| column.name.clone())
        .collect();
    assert_eq!(columns, ["region", "n", "v", "__lsn"]);
    assert_eq!(deletes, 34);
}

/// One lineage of records with these fields.
struct Bench {
    schema: Schema,
    key: Schema,
    encoder: RowEncoder,
}

impl Bench {
    fn new(settings: Settings, more: serde_json::Value) -> Bench {
        let mut fields = vec![
            json!({"name": "id", "type": "int"}),
            json!({"name": "v", "type": "string"}),
        ];
        fields.extend(more.as_array().unwrap().iter().cloned());
        let schema = json!({"type": "record", "name": "Value", "fields": fields});
        let key = json!({"type": "record", "name": "Key", "fields": [{"name": "id", "type": "int"}]});
        let mut encoder = RowEncoder::new(Arc::new(settings), Incarnation(0), Partition(0), None);
        for (id, text) in [(0, &key), (1, &schema)] {
            let parsed = WriterSchema::parse(&text.to_string()).unwrap();
            encoder.add_schema(SchemaId::confluent(id), Arc::new(parsed));
        }
        Bench {
            schema: Schema::parse(&schema).unwrap(),
            key: Schema::parse(&key).unwrap(),
            encoder,
        }
    }

    /// The operation and the data columns, or what else became of the record.
    fn encode(&mut self, key: bool, more: Option<Vec<(&str, Value)>>) -> Result<String, Problem> {
        let framed = |id: u8, schema: &Schema, value: Value| {
            [&[0, 0, 0, 0, id][..], &to_avro_datum(schema, value).unwrap()].concat()
        };
        let id = ("id".to_owned(), Value::Int(7));
        let key = key.then(|| framed(0, &self.key, Value::Record(vec![id.clone()])));
        let value = more.map(|more| {
            let mut fields = vec![id, ("v".to_owned(), Value::String("x".into()))];
            fields.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
            framed(1, &self.schema, Value::Record(fields))
        });
        let record = Record {
            offset: Offset(1),
            timestamp_ms: 0,
            headers: None,
            key: key.as_deref(),
            value: value.as_deref(),
        };
        let mut out = Vec::new();
        loop {
            match self.encoder.encode(&record, &mut out, &mut Stats::default()) {
                Ok(Outcome::PlanGrows(plan)) => self.encoder.adopt(plan),
                Ok(Outcome::Rows(1)) => break,
                Ok(other) => return Ok(format!("{other:?}")),
                Err(error) => {
                    assert!(error.to_string().contains("\nhint: "));
                    return Err(error.problem);
                }
            }
        }
        let row = String::from_utf8(out).unwrap().replace(NULL, "NULL");
        let fields: Vec<&str> = row.trim_end().split(',').collect();
        Ok(format!("{} {}", fields[0], fields[META_COLUMNS.len()..].join(",")))
    }
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

#[test]
fn the_operation_and_the_mark_of_deletion_decide() {
    let fields = json!([{"name": "__deleted", "type": "string"}, {"name": "__op", "type": "string"}]);
    let mut bench = Bench::new(flat(), fields);
    let mut of =
        |deleted: &str, op: &str| bench.encode(true, Some(vec![("__deleted", text(deleted)), ("__op", text(op))]));
    assert_eq!(of("false", "c").unwrap(), "\"c\" 7,\"x\"");
    assert_eq!(of("false", "u").unwrap(), "\"u\" 7,\"x\"");
    assert_eq!(of("true", "d").unwrap(), "\"d\" 7,NULL");
    assert_eq!(
        of("true", "u").unwrap(),
        "\"d\" 7,NULL",
        "the mark is the older of the two"
    );
    assert_eq!(of("false", "d").unwrap(), "\"d\" 7,NULL");
    assert_eq!(of("false", "t").unwrap(), "Truncate");
    assert_eq!(of("false", "m").unwrap(), "Skipped");
    assert_eq!(of("maybe", "c"), Err(Problem::Deleted("maybe".into())));
    assert_eq!(of("false", "x"), Err(Problem::Operation("x".into())));
    assert_eq!(of("false", "cu"), Err(Problem::Operation("cu".into())));
}

#[test]
fn a_mark_alone_is_enough_and_may_be_a_boolean_or_missing() {
    let fields = json!([{"name": "__deleted", "type": ["boolean", "null"]}]);
    let mut bench = Bench::new(flat(), fields);
    let deleted = |branch, value| Some(vec![("__deleted", Value::Union(branch, Box::new(value)))]);
    assert_eq!(
        bench.encode(true, deleted(0, Value::Boolean(false))).unwrap(),
        "\"u\" 7,\"x\""
    );
    assert_eq!(
        bench.encode(true, deleted(0, Value::Boolean(true))).unwrap(),
        "\"d\" 7,NULL"
    );
    assert_eq!(bench.encode(true, deleted(1, Value::Null)).unwrap(), "\"u\" 7,\"x\"");
    let mut bench = Bench::new(flat(), json!([]));
    assert_eq!(bench.encode(true, Some(vec![])).unwrap(), "\"u\" 7,\"x\"");
    assert_eq!(bench.encode(false, Some(vec![])), Err(Problem::KeyMissing));
}

/// With `tombstone` and `delete-to-tombstone` a tombstone is all that is left of a delete; with `rewrite-with-tombstone` it comes after one.
#[test]
fn tombstones_delete_unless_they_are_to_be_skipped() {
    let mut bench = Bench::new(flat(), json!([]));
    bench.encode(true, Some(vec![])).unwrap();
    assert_eq!(bench.encode(true, None).unwrap(), "\"d\" 7,NULL");
    assert_eq!(bench.encode(false, None).unwrap(), "Skipped");
    let skip = Settings {
        tombstones: Tombstones::Skip,
        ..flat()
    };
    let mut bench = Bench::new(skip, json!([]));
    assert_eq!(bench.encode(true, None).unwrap(), "Skipped");
}

/// A changelog has no key to delete by, so it gets the row as it is; a key column may have a name like an added field's.
#[test]
fn keys_from_elsewhere() {
    let fields = json!([{"name": "__deleted", "type": "string"}]);
    let with = |key| Settings { key, ..flat() };
    let deleted = |text_of| Some(vec![("__deleted", text(text_of))]);
    let mut bench = Bench::new(with(KeySource::None), fields.clone());
    assert_eq!(bench.encode(true, deleted("false")).unwrap(), "\"c\" 7,\"x\"");
    assert_eq!(bench.encode(true, deleted("true")).unwrap(), "\"d\" 7,\"x\"");
    let mut bench = Bench::new(with(KeySource::Columns(vec!["v".into()])), fields.clone());
    assert_eq!(bench.encode(false, deleted("true")).unwrap(), "\"d\" NULL,\"x\"");
    let mut bench = Bench::new(with(KeySource::Columns(vec!["__deleted".into()])), fields);
    assert_eq!(
        bench.encode(false, deleted("false")).unwrap(),
        "\"u\" 7,\"x\",\"false\""
    );
}
