//! Debezium's envelope for PostgreSQL, field for field as version 3.6.3.Final writes it through an Avro converter.

use std::fmt::Write;

use serde_json::{Value, json};

use super::super::FLIGHTS;
use super::super::avro::{Bytes, fields};
use super::row::COLUMNS;

/// Milliseconds between the change in the database and Debezium's look at it.
const LATENCY_MS: i64 = 350;

/// The JSON schema of `FLIGHTS-key`.
#[must_use]
pub fn key_schema() -> String {
    json!({
        "type": "record", "name": "Key", "namespace": FLIGHTS,
        "fields": fields(&COLUMNS[..1]),
        "connect.name": format!("{FLIGHTS}.Key")
    })
    .to_string()
}

/// The JSON schema of `FLIGHTS-value`.
#[must_use]
pub fn value_schema() -> String {
    let value = json!({
        "type": "record", "name": "Value", "fields": fields(COLUMNS), "connect.name": format!("{FLIGHTS}.Value")
    });
    json!({
        "type": "record", "name": "Envelope", "namespace": FLIGHTS,
        "fields": [
            {"name": "before", "type": ["null", value], "default": null},
            {"name": "after", "type": ["null", "Value"], "default": null},
            {"name": "source", "type": source_schema()},
            {"name": "transaction", "type": ["null", transaction_schema()], "default": null},
            {"name": "op", "type": "string"},
            {"name": "ts_ms", "type": ["null", "long"], "default": null},
            {"name": "ts_us", "type": ["null", "long"], "default": null},
            {"name": "ts_ns", "type": ["null", "long"], "default": null}
        ],
        "connect.version": 2,
        "connect.name": format!("{FLIGHTS}.Envelope")
    })
    .to_string()
}

fn source_schema() -> Value {
    let must = |name: &str, kind: &str| json!({"name": name, "type": kind});
    let may = |name: &str, kind: &str| json!({"name": name, "type": ["null", kind], "default": null});
    let snapshot = json!({
        "type": "string", "connect.version": 1,
        "connect.parameters": {"allowed": "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"},
        "connect.default": "false", "connect.name": "io.debezium.data.Enum"
    });
    json!({
        "type": "record", "name": "Source", "namespace": "io.debezium.connector.postgresql",
        "fields": [
            must("version", "string"), must("connector", "string"), must("name", "string"), must("ts_ms", "long"),
            {"name": "snapshot", "type": [snapshot, "null"], "default": "false"},
            must("db", "string"), may("sequence", "string"), may("ts_us", "long"), may("ts_ns", "long"),
            must("schema", "string"), must("table", "string"),
            may("txId", "long"), may("lsn", "long"), may("xmin", "long"), may("origin", "string"), may("origin_lsn", "long")
        ],
        "connect.version": 1,
        "connect.name": "io.debezium.connector.postgresql.Source"
    })
}

fn transaction_schema() -> Value {
    json!({
        "type": "record", "name": "block", "namespace": "event",
        "fields": [
            {"name": "id", "type": "string"}, {"name": "total_order", "type": "long"}, {"name": "data_collection_order", "type": "long"}
        ],
        "connect.version": 1,
        "connect.name": "event.block"
    })
}

/// What was done to the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Inserted.
    Create,
    /// Updated.
    Update,
    /// Deleted.
    Delete,
}

/// Writes what follows before and after; keeps the counters of the source database's log.
#[derive(Debug, Default)]
pub struct Envelope {
    changes: i64,
    sequence: String,
}

impl Envelope {
    /// Writes source, transaction, op and times of a change made at `micros` (since 1970).
    pub fn write(&mut self, op: Op, micros: i64, bytes: &mut Bytes) {
        self.changes += 1;
        let (lsn, transaction) = (100_000_000 + self.changes * 208, 1_000 + self.changes);
        self.sequence.clear();
        let written = write!(self.sequence, "[\"{}\",\"{lsn}\"]", lsn - 208);
        written.expect("invariant: writing to a string cannot fail");
        bytes.blob(b"3.6.3.Final");
        bytes.blob(b"postgresql");
        bytes.blob(b"nyc");
        bytes.number(micros / 1000);
        // Here the string is the union's first branch.
        bytes.0.push(0);
        bytes.blob(b"false");
        bytes.blob(b"nyc");
        bytes.present(true);
        bytes.blob(self.sequence.as_bytes());
        bytes.present(true);
        bytes.number(micros);
        bytes.present(true);
        bytes.number(micros * 1000);
        bytes.blob(b"public");
        bytes.blob(b"flights");
        bytes.present(true);
        bytes.number(transaction);
        bytes.present(true);
        bytes.number(lsn);
        // xmin, origin, origin_lsn; and no transaction metadata, as by default.
        for _ in 0..4 {
            bytes.present(false);
        }
        bytes.blob(match op {
            Op::Create => b"c",
            Op::Update => b"u",
            Op::Delete => b"d",
        });
        let seen = micros + LATENCY_MS * 1000;
        for number in [seen / 1000, seen, seen * 1000] {
            bytes.present(true);
            bytes.number(number);
        }
    }
}
