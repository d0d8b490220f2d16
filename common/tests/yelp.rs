//! Messages of Yelp's Data Pipeline, written by apache-avro with the envelope's schema, and encrypted by the crates that decrypt them.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod support;

use std::sync::Arc;

use aes::Aes128;
use apache_avro::types::Value;
use apache_avro::{Schema, to_avro_datum};
use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use cbc::Encryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockEncryptMut as _, KeyIvInit as _};
use common::avro::WriterSchema;
use common::csv::DEFAULT_NULL_MARKER as NULL;
use common::envelope::{self, DataKeys};
use common::ids::{Offset, SchemaId, SchemaKey};
use common::row::{ColumnRules, KeySource, MessageField, Problem, Record, Settings};
use support::lineage::Lineage;

const ENVELOPE: &str = r#"{"type": "record", "namespace": "yelp.data_pipeline", "name": "envelope", "fields": [
    {"name": "uuid", "type": {"type": "fixed", "name": "uuid", "size": 16}},
    {"name": "message_type", "type": {"type": "enum", "name": "message_type", "symbols":
        ["create", "update", "delete", "refresh", "heartbeat", "monitor", "registration", "log"]}},
    {"name": "schema_id", "type": "int"},
    {"name": "payload", "type": "bytes"},
    {"name": "previous_payload", "type": ["null", "bytes"], "default": null},
    {"name": "meta", "type": ["null", {"type": "array", "items": {"type": "record", "name": "meta_attribute", "fields": [
        {"name": "schema_id", "type": "int"}, {"name": "payload", "type": "bytes"}]}}], "default": null},
    {"name": "encryption_type", "type": ["null", "string"], "default": null},
    {"name": "timestamp", "type": "int"}]}"#;

/// `region` comes first in the key, and second in the row.
const ORDERS: &str = r#"{"type": "record", "name": "orders", "pkey": ["region", "id"], "fields": [
    {"name": "id", "type": "int", "pkey": 2},
    {"name": "region", "type": "string", "pkey": 1, "fixlen": 4},
    {"name": "note", "type": ["null", "string"], "maxlen": 20}]}"#;
const EVENTS: &str = r#"{"type": "record", "name": "events", "fields": [{"name": "what", "type": "string"}]}"#;
const VECTOR: &str =
    r#"{"type": "fixed", "namespace": "yelp.data_pipeline", "name": "initialization_vector", "size": 16}"#;
/// An attribute that may well have 16 bytes too.
const PLACE: &str = r#"{"type": "record", "name": "transaction_id", "fields": [
    {"name": "cluster_name", "type": "string"}, {"name": "log_file", "type": "string"}, {"name": "log_pos", "type": "int"}]}"#;

const ORDERS_ID: i32 = 5;
const EVENTS_ID: i32 = 6;
const VECTOR_ID: i32 = 7;
const PLACE_ID: i32 = 8;
const IV: [u8; 16] = [9; 16];

fn schema(id: &SchemaId) -> &'static str {
    match id.key() {
        Some(SchemaKey::Schematizer(5)) => ORDERS,
        Some(SchemaKey::Schematizer(6)) => EVENTS,
        Some(SchemaKey::Schematizer(7)) => VECTOR,
        Some(SchemaKey::Schematizer(8)) => PLACE,
        _ => panic!("schema `{id}` is asked for"),
    }
}

fn datum(schema: &str, value: Value) -> Vec<u8> {
    to_avro_datum(&Schema::parse_str(schema).unwrap(), value).unwrap()
}

fn order(id: i32, region: &str, note: Option<&str>) -> Vec<u8> {
    let note = match note {
        None => Value::Union(0, Box::new(Value::Null)),
        Some(note) => Value::Union(1, Box::new(Value::String(note.into()))),
    };
    let fields = [
        ("id", Value::Int(id)),
        ("region", Value::String(region.into())),
        ("note", note),
    ];
    datum(
        ORDERS,
        Value::Record(fields.map(|(name, value)| (name.to_owned(), value)).into()),
    )
}

fn event(what: &str) -> Vec<u8> {
    datum(EVENTS, Value::Record(vec![("what".into(), Value::String(what.into()))]))
}

fn encrypted(key: u8, payload: &[u8]) -> Vec<u8> {
    Encryptor::<Aes128>::new(&[key; 16].into(), &IV.into()).encrypt_padded_vec_mut::<Pkcs7>(payload)
}

/// A message to be written.
struct Message {
    kind: &'static str,
    schema: i32,
    payload: Vec<u8>,
    previous: Option<Vec<u8>>,
    meta: Vec<(i32, Vec<u8>)>,
    encryption: Option<&'static str>,
}

fn message(kind: &'static str, payload: Vec<u8>) -> Message {
    Message {
        kind,
        schema: ORDERS_ID,
        payload,
        previous: None,
        meta: Vec::new(),
        encryption: None,
    }
}

impl Message {
    fn datum(&self) -> Vec<u8> {
        let schema = Schema::parse_str(ENVELOPE).unwrap();
        let Schema::Record(record) = &schema else {
            unreachable!()
        };
        let Schema::Enum(kinds) = &record.fields[1].schema else {
            unreachable!()
        };
        let symbol = kinds.symbols.iter().position(|symbol| symbol == self.kind).unwrap();
        let optional = |value: Option<Value>| match value {
            None => Value::Union(0, Box::new(Value::Null)),
            Some(value) => Value::Union(1, Box::new(value)),
        };
        let attribute = |(id, payload): &(i32, Vec<u8>)| {
            let fields = [
                ("schema_id", Value::Int(*id)),
                ("payload", Value::Bytes(payload.clone())),
            ];
            Value::Record(fields.map(|(name, value)| (name.to_owned(), value)).into())
        };
        let meta = (!self.meta.is_empty()).then(|| Value::Array(self.meta.iter().map(attribute).collect()));
        let fields = [
            ("uuid", Value::Fixed(16, vec![0xee; 16])),
            ("message_type", Value::Enum(symbol as u32, self.kind.into())),
            ("schema_id", Value::Int(self.schema)),
            ("payload", Value::Bytes(self.payload.clone())),
            ("previous_payload", optional(self.previous.clone().map(Value::Bytes))),
            ("meta", optional(meta)),
            (
                "encryption_type",
                optional(self.encryption.map(|name| Value::String(name.into()))),
            ),
            ("timestamp", Value::Int(1_500_000_000)),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value));
        to_avro_datum(&schema, Value::Record(fields.into())).unwrap()
    }

    fn bytes(&self) -> Vec<u8> {
        [&b"0"[..], &self.datum()].concat()
    }
}

fn lineage_of(settings: Settings) -> Lineage {
    let settings = Settings {
        envelope: envelope::Kind::Yelp,
        ..settings
    };
    Lineage::of(settings, |id| WriterSchema::parse(schema(id)).unwrap())
}

/// Rows as operation, number within the offset and data; none for a record without any.
fn rows_of(lineage: &mut Lineage, value: &[u8]) -> Result<Vec<String>, Problem> {
    let lines = lineage.encode(Some(b"\x04read by nobody"), Some(value))?;
    Ok(lines.iter().map(|line| without_origin(line)).collect())
}

/// The columns, each with its place in the key.
fn columns(lineage: &Lineage) -> Vec<String> {
    let columns = lineage.encoder.plan().unwrap().columns.iter();
    let key = |key: Option<u16>| key.map_or(String::new(), |at| format!(" key {at}"));
    columns
        .map(|column| format!("{} {}{}", column.name, column.ty, key(column.key)))
        .collect()
}

fn without_origin(line: &str) -> String {
    let cells: Vec<&str> = line.splitn(8, ',').collect();
    format!("{} {} {}", cells[0].trim_matches('"'), cells[4], cells[7])
}

#[test]
fn every_kind_of_message_does_what_it_says() {
    let mut lineage = lineage_of(Settings::default());
    let cases = [
        ("create", vec!["c 0 1,\"de\",\"a\""]),
        ("update", vec!["u 0 1,\"de\",\"a\""]),
        ("refresh", vec!["r 0 1,\"de\",\"a\""]),
        ("log", vec!["c 0 1,\"de\",\"a\""]),
        ("heartbeat", vec![]),
        ("monitor", vec![]),
        ("registration", vec![]),
    ];
    for (kind, rows) in cases {
        let message = message(kind, order(1, "de", Some("a")));
        assert_eq!(rows_of(&mut lineage, &message.bytes()).unwrap(), rows, "{kind}");
    }
    let delete = message("delete", order(1, "de", Some("a")));
    assert_eq!(
        rows_of(&mut lineage, &delete.bytes()).unwrap(),
        [format!("d 0 1,\"de\",{NULL}")]
    );
    // Widths are in characters at the source and in bytes here.
    assert_eq!(
        columns(&lineage),
        ["id INTEGER key 1", "region VARCHAR(16) key 0", "note VARCHAR(80)"]
    );
    let names: Vec<String> = lineage.stats.schemas_seen().into_iter().map(|id| id.0).collect();
    assert_eq!(names, ["schematizer:5"]);
}

#[test]
fn a_changed_key_deletes_the_row_of_the_old_one_first() {
    let mut lineage = lineage_of(Settings::default());
    let mut update = message("update", order(1, "de", Some("b")));
    update.previous = Some(order(1, "de", Some("a")));
    assert_eq!(
        rows_of(&mut lineage, &update.bytes()).unwrap(),
        ["u 0 1,\"de\",\"b\""],
        "the key is the same"
    );
    for old in [order(2, "de", None), order(1, "fr", None)] {
        update.previous = Some(old);
        let rows = rows_of(&mut lineage, &update.bytes()).unwrap();
        assert!(rows[0].starts_with("d 0 ") && rows[0].ends_with(NULL), "{rows:?}");
        assert_eq!(rows[1..], ["u 1 1,\"de\",\"b\""]);
    }
    // Only an update has a row before it.
    update.kind = "refresh";
    assert_eq!(rows_of(&mut lineage, &update.bytes()).unwrap(), ["r 0 1,\"de\",\"b\""]);
}

#[test]
fn a_schema_without_a_key_makes_a_changelog() {
    let mut lineage = lineage_of(Settings::default());
    for (kind, op) in [("log", "c"), ("update", "u"), ("delete", "d")] {
        let mut message = message(kind, event("x"));
        message.schema = EVENTS_ID;
        message.previous = Some(event("y"));
        assert_eq!(
            rows_of(&mut lineage, &message.bytes()).unwrap(),
            [format!("{op} 0 \"x\"")]
        );
    }
}

#[test]
fn keys_may_be_configured() {
    let mut lineage = lineage_of(Settings {
        key: KeySource::Columns(vec!["id".into()]),
        ..Settings::default()
    });
    rows_of(&mut lineage, &message("create", order(1, "de", None)).bytes()).unwrap();
    assert_eq!(columns(&lineage)[..2], ["id INTEGER key 0", "region VARCHAR(16)"]);
    let mut update = message("update", order(1, "fr", None));
    update.previous = Some(order(1, "de", None));
    assert_eq!(
        rows_of(&mut lineage, &update.bytes()).unwrap().len(),
        1,
        "the region is no key now"
    );
}

#[test]
fn the_ways_of_a_message_are_told_by_its_first_byte() {
    let datum = message("create", order(1, "de", None)).datum();
    let binary = [&b"0"[..], &datum].concat();
    let row = [format!("c 0 1,\"de\",{NULL}")];
    let mut lineage = lineage_of(Settings::default());
    assert_eq!(rows_of(&mut lineage, &binary).unwrap(), row);
    for engine in [URL_SAFE, URL_SAFE_NO_PAD] {
        let text = format!("a{}", engine.encode(&binary));
        assert_eq!(rows_of(&mut lineage, text.as_bytes()).unwrap(), row);
    }
    let nul = [&b"\0"[..], &datum].concat();
    assert_eq!(rows_of(&mut lineage, &nul).unwrap_err().name(), "bad_parcel");
    let accepting = Settings {
        accept_nul_magic: true,
        ..Settings::default()
    };
    assert_eq!(rows_of(&mut lineage_of(accepting), &nul).unwrap(), row);
}

#[test]
fn damaged_messages_are_refused_wherever_they_end() {
    let mut lineage = lineage_of(Settings::default());
    let mut message = message("create", order(1, "de", None));
    message.meta = vec![(PLACE_ID, vec![1, 2, 3]), (VECTOR_ID, IV.to_vec())];
    message.previous = Some(order(1, "de", None));
    let whole = message.bytes();
    rows_of(&mut lineage, &whole).unwrap();
    for end in 0..whole.len() {
        assert_eq!(
            rows_of(&mut lineage, &whole[..end]).unwrap_err().name(),
            "bad_parcel",
            "{end}"
        );
    }
    let wrong = [
        [&whole[..], &[0]].concat(),
        b"a!!!!".to_vec(),
        b"a".to_vec(),
        format!("a{}", URL_SAFE.encode(b"xyz")).into_bytes(),
        b"{\"schema\": null}".to_vec(),
        [&b"0"[..], &[0; 16], &[16]].concat(),
        [&b"0"[..], &[0; 16], &[0, 1]].concat(),
    ];
    for wrong in wrong {
        assert_eq!(
            rows_of(&mut lineage, &wrong).unwrap_err().name(),
            "bad_parcel",
            "{wrong:?}"
        );
    }
    message.payload.push(0);
    assert_eq!(
        rows_of(&mut lineage, &message.bytes()).unwrap_err().name(),
        "trailing_bytes"
    );
}

fn secret(kind: &'static str, key: u8) -> Message {
    let mut message = message(kind, encrypted(key, &order(1, "de", Some("secret"))));
    message.previous = Some(encrypted(key, &order(2, "de", Some("older"))));
    message.encryption = Some("AES_MODE_CBC-3");
    // 16 bytes, like the vector: only its schema says that it is none.
    let place = [("cluster_name", "refresh"), ("log_file", "mysql")]
        .map(|(name, text)| (name.to_owned(), Value::String(text.into())));
    let place = place
        .into_iter()
        .chain([("log_pos".to_owned(), Value::Int(1000))])
        .collect();
    let place = datum(PLACE, Value::Record(place));
    assert_eq!(place.len(), 16);
    message.meta = vec![(PLACE_ID, place), (VECTOR_ID, IV.to_vec())];
    message
}

fn with_key(key: u8) -> Settings {
    Settings {
        data_keys: DataKeys::from_iter([(3, [key; 16])]),
        ..Settings::default()
    }
}

#[test]
fn encrypted_messages_are_read_with_their_key() {
    let mut lineage = lineage_of(with_key(42));
    let rows = rows_of(&mut lineage, &secret("update", 42).bytes()).unwrap();
    assert_eq!(
        rows,
        [format!("d 0 2,\"de\",{NULL}"), "u 1 1,\"de\",\"secret\"".to_owned()]
    );
    let plain = rows_of(&mut lineage, &message("create", order(3, "de", None)).bytes()).unwrap();
    assert_eq!(plain, [format!("c 0 3,\"de\",{NULL}")]);
}

#[test]
fn what_cannot_be_decrypted_says_why() {
    let refused = |settings: Settings, message: &Message| {
        let mut lineage = lineage_of(settings);
        let record = message.bytes();
        rows_of(&mut lineage, &record).unwrap_err()
    };
    let message = secret("update", 42);
    let wrong = refused(with_key(43), &message);
    assert!(wrong.is_of_the_record(), "{wrong}");
    let none = refused(Settings::default(), &message);
    assert!(
        none.to_string().contains("key `3`") && !none.is_of_the_record(),
        "{none}"
    );
    let other = refused(
        with_key(42),
        &Message {
            encryption: Some("ROT-13"),
            ..secret("create", 42)
        },
    );
    assert!(
        other.to_string().contains("ROT-13") && !other.is_of_the_record(),
        "{other}"
    );
    let bare = refused(
        with_key(42),
        &Message {
            meta: Vec::new(),
            ..secret("create", 42)
        },
    );
    assert!(
        bare.to_string().contains("initialization vector") && bare.is_of_the_record(),
        "{bare}"
    );
}

/// The keys of a record that is set aside are known from its payload, so that a later change of them is noticed.
#[test]
fn a_message_that_is_set_aside_has_its_key_known() {
    let mut lineage = lineage_of(with_key(42));
    rows_of(&mut lineage, &secret("create", 42).bytes()).unwrap();
    let bad = Message {
        payload: encrypted(42, &order(8, "it", Some("\0"))),
        previous: None,
        ..secret("create", 42)
    };
    let value = bad.bytes();
    let record = Record {
        offset: Offset(99),
        timestamp_ms: 0,
        headers: None,
        key: None,
        value: Some(&value),
    };
    let mut out = Vec::new();
    let error = lineage
        .encoder
        .encode(&record, &mut out, &mut lineage.stats)
        .unwrap_err();
    assert_eq!(
        (error.problem.name(), error.column.as_deref()),
        ("nul_character", Some("note"))
    );
    let mut lines = Vec::new();
    assert_eq!(lineage.encoder.set_aside(&record, &error, &mut lines), 1);
    let line = String::from_utf8(lines).unwrap();
    assert!(line.ends_with(",\"it\",8\n"), "{line}");
}

#[test]
fn columns_are_what_the_schema_says_that_they_were() {
    let schema = r#"{"type": "record", "name": "r", "fields": [
        {"name": "id", "type": "int", "pkey": 1},
        {"name": "a", "type": {"type": "string", "datetime": true}},
        {"name": "b", "type": ["null", {"type": "long", "timestamp": true}]},
        {"name": "c", "type": "double", "fixed_pt": true, "precision": 10, "scale": 2},
        {"name": "d", "type": "int", "date": true},
        {"name": "e", "type": "bytes", "maxlen": 300},
        {"name": "f", "type": "string", "maxlen": 4294967295},
        {"name": "g", "type": "long", "year": true, "unsigned": true},
        {"name": "h", "type": {"type": "long", "logicalType": "timestamp-millis"}, "timestamp": true}]}"#;
    let fields = [
        ("id", Value::Int(1)),
        ("a", Value::String("2015-06-01T12:30:00.5".into())),
        ("b", Value::Union(1, Box::new(Value::Long(1_500_000_000)))),
        ("c", Value::Double(-1_234.1)),
        ("d", Value::Int(17_000)),
        ("e", Value::Bytes(vec![0xab])),
        ("f", Value::String("long".into())),
        ("g", Value::Long(2015)),
        ("h", Value::TimestampMillis(1_500)),
    ];
    let record = Value::Record(fields.map(|(name, value)| (name.to_owned(), value)).into());
    let payload = datum(schema, record);
    let mut lineage = lineage_of(Settings::default());
    let id = SchemaKey::Schematizer(99).into();
    lineage
        .encoder
        .add_schema(id, Arc::new(WriterSchema::parse(schema).unwrap()));
    let mut message = message("create", payload);
    message.schema = 99;
    let rows = rows_of(&mut lineage, &message.bytes()).unwrap();
    assert_eq!(
        rows,
        [
            "c 0 1,2015-06-01 12:30:00.500000,2017-07-14 02:40:00,-1234.10,2016-07-18,\"ab\",\"long\",2015,1970-01-01 00:00:01.500000+00"
        ]
    );
    assert_eq!(
        columns(&lineage),
        [
            "id INTEGER key 0",
            "a TIMESTAMP",
            "b TIMESTAMP",
            "c DECIMAL(10,2)",
            "d DATE",
            "e VARBYTE(300)",
            "f VARCHAR",
            "g BIGINT",
            "h TIMESTAMPTZ",
        ]
    );
}

#[test]
fn what_a_message_says_of_itself_comes_along() {
    let mut lineage = lineage_of(Settings {
        column_rules: ColumnRules {
            message_fields: MessageField::ALL.map(|(_, field)| field).to_vec(),
            ..ColumnRules::default()
        },
        ..Settings::default()
    });
    let place = [
        ("cluster_name", Value::String("refresh".into())),
        ("log_file", Value::String("mysql".into())),
        ("log_pos", Value::Int(7)),
    ];
    let place = Value::Record(place.map(|(name, value)| (name.to_owned(), value)).into());
    let update = Message {
        previous: Some(order(2, "de", None)),
        meta: vec![(PLACE_ID, datum(PLACE, place)), (VECTOR_ID, IV.to_vec())],
        ..message("update", order(1, "de", Some("a")))
    };
    let meta = r#"[{""schema_id"":8,""payload"":{""cluster_name"":""refresh"",""log_file"":""mysql"",""log_pos"":7}},{""schema_id"":7,""payload"":""CQkJCQkJCQkJCQkJCQkJCQ==""}]"#;
    let said = format!(
        "\"{}\",\"update\",2017-07-14 02:40:00",
        uuid::Uuid::from_bytes([0xee; 16])
    );
    assert_eq!(
        rows_of(&mut lineage, &update.bytes()).unwrap(),
        [
            format!("d 0 2,\"de\",{NULL},{said},\"{meta}\""),
            format!("u 1 1,\"de\",\"a\",{said},\"{meta}\"")
        ]
    );
    let create = message("create", order(3, "de", None));
    let said = said.replace("update", "create");
    assert_eq!(
        rows_of(&mut lineage, &create.bytes()).unwrap(),
        [format!("c 0 3,\"de\",{NULL},{said},{NULL}")]
    );
    assert_eq!(
        columns(&lineage)[3..],
        [
            "message_uuid VARCHAR(36)",
            "message_type VARCHAR(16)",
            "message_timestamp TIMESTAMP",
            "message_meta SUPER"
        ]
    );
}
