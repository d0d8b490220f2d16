//! JSON whose schemas are JSON Schema in a registry: as Confluent's serializers and Kafka Connect's JsonSchemaConverter write them.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod support;

use std::sync::Arc;

use common::avro::{Language, SchemaText, WriterSchema};
use common::csv::DEFAULT_NULL_MARKER as NULL;
use common::envelope;
use common::ids::{SchemaId, SchemaKey};
use common::json::Undeclared;
use common::row::{Format, KeySource, Problem, SchemaIds, Settings};
use support::lineage::Lineage;

fn framed(id: u32, json: &str) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), json.as_bytes()].concat()
}

fn compiled(text: &str, references: &[(&str, &str)]) -> WriterSchema {
    let owned = references
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let schema = SchemaText {
        language: Language::JsonSchema,
        text: text.to_owned(),
        references: owned.collect(),
    };
    WriterSchema::compile(&schema, &[]).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn settings() -> Settings {
    Settings {
        format: Format::JsonSchema,
        key: KeySource::None,
        ..Settings::default()
    }
}

/// Values of the schema with number 1, keys of that with number 2.
fn lineage_of(settings: Settings, schema: &str, key: Option<&str>) -> Lineage {
    let mut lineage = Lineage::of(settings, |id| panic!("schema `{id}` is asked for"));
    let schemas = [Some(schema), key].into_iter().flatten();
    for (number, schema) in (1..).zip(schemas) {
        let schema = Arc::new(compiled(schema, &[]));
        lineage.encoder.add_schema(SchemaId::confluent(number), schema);
    }
    lineage
}

/// The data of the row of a value.
fn row_of(lineage: &mut Lineage, json: &str) -> Result<String, Problem> {
    lineage.row(None, Some(&framed(1, json)))
}

const PLAIN: &str = r##"{
    "$schema": "http://json-schema.org/draft-07/schema#", "title": "Order", "type": "object",
    "definitions": {"money": {"type": "number"}, "who": {"type": "object", "properties": {"name": {"type": "string"}}}},
    "properties": {
        "id": {"type": "integer"},
        "day": {"type": "string", "format": "date"},
        "at": {"type": ["string", "null"], "format": "date-time"},
        "price": {"$ref": "#/definitions/money"},
        "open": {"oneOf": [{"type": "null"}, {"type": "boolean"}]},
        "kind": {"enum": ["a", "b"]},
        "note": {"type": "string", "default": "none"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "who": {"$ref": "#/definitions/who"},
        "either": {"type": ["string", "integer"]},
        "uuid": {"type": "string", "format": "uuid"},
        "raw": {"type": "string", "contentEncoding": "base64"}
    },
    "required": ["id", "price"]
}"##;

#[test]
fn properties_are_columns() {
    let mut lineage = lineage_of(settings(), PLAIN, None);
    let row = row_of(
        &mut lineage,
        r#"{"id": 7, "day": "2026-01-31", "at": "2026-01-31T12:00:00.5+01:00", "price": 1.25, "open": false, "kind": "b", "note": "x",
            "tags": ["p", "q"], "who": {"name": "n", "more": [1.10]}, "either": 3, "uuid": "6F9619FF-8B86-D011-B42D-00CF4FC964FF", "raw": "q80="}"#,
    );
    assert_eq!(
        row.unwrap(),
        r#"7,2026-01-31,2026-01-31 11:00:00.500000+00,1.25,f,"b","x","[""p"",""q""]","{""name"":""n"",""more"":[1.10]}","3","6f9619ff-8b86-d011-b42d-00cf4fc964ff","abcd""#
    );
    assert_eq!(
        lineage.columns(),
        [
            "id BIGINT not null",
            "day DATE",
            "at TIMESTAMPTZ",
            "price DOUBLE PRECISION not null",
            "open BOOLEAN",
            "kind VARCHAR",
            "note VARCHAR",
            "tags SUPER",
            "who SUPER",
            "either SUPER",
            "uuid VARCHAR(36)",
            "raw VARBYTE",
        ]
    );
    // What is absent has its default, else NULL.
    let row = row_of(&mut lineage, r#"{"price": 2, "id": 8}"#).unwrap();
    let nulls = |count: usize| vec![NULL; count].join(",");
    assert_eq!(row, format!("8,{},2.0,{},\"none\",{}", nulls(2), nulls(2), nulls(5)));
    let names: Vec<String> = lineage.stats.schemas_seen().into_iter().map(|id| id.0).collect();
    assert_eq!(names, ["confluent:1"]);
}

#[test]
fn what_does_not_fit_the_schema_is_refused() {
    let mut lineage = lineage_of(settings(), PLAIN, None);
    row_of(&mut lineage, r#"{"id": 1, "price": 1}"#).unwrap();
    for (json, name) in [
        (r#"{"id": 1}"#, "json_field_missing"),
        (r#"{"id": "1", "price": 1}"#, "json_type"),
        (r#"{"id": 1.5, "price": 1}"#, "json_number"),
        (r#"{"id": 1, "price": 1, "other": 2}"#, "json_field_unknown"),
        (r#"{"id": 1, "price": 1, "id": 2}"#, "json_key_twice"),
        (r#"{"id": 1, "price": 1, "at": "2026-01-31T12:00:00"}"#, "bad_time_text"),
        (r#"{"id": 1, "price": 1"#, "bad_json"),
    ] {
        let refused = row_of(&mut lineage, json).unwrap_err();
        assert_eq!(refused.name(), name, "{json}: {refused}");
        assert!(refused.is_of_the_record());
    }
    assert_eq!(lineage.data(None, Some(b"{}")).unwrap_err().name(), "bad_frame");
    let ignoring = Settings {
        undeclared: Undeclared::Ignore,
        ..settings()
    };
    let mut lineage = lineage_of(ignoring, PLAIN, None);
    assert!(
        row_of(&mut lineage, r#"{"id": 1, "price": 1, "other": 2}"#)
            .unwrap()
            .starts_with("1,")
    );
}

/// As Connect's JsonSchemaConverter registers a struct: the order by `connect.index`, what may be null in `oneOf`, meanings as titles.
#[test]
fn what_connect_says_of_types_is_understood() {
    let schema = r#"{"type": "object", "title": "row", "properties": {
        "amount": {"connect.index": 1, "title": "org.apache.kafka.connect.data.Decimal", "type": "number", "connect.type": "bytes",
            "connect.version": 1, "connect.parameters": {"scale": "2", "connect.decimal.precision": "10"}},
        "id": {"connect.index": 0, "type": "integer", "connect.type": "int32"},
        "day": {"connect.index": 2, "oneOf": [{"type": "null"},
            {"title": "io.debezium.time.Date", "type": "integer", "connect.type": "int32", "connect.version": 1}]},
        "at": {"connect.index": 3, "title": "org.apache.kafka.connect.data.Timestamp", "type": "integer", "connect.type": "int64"},
        "small": {"connect.index": 4, "type": "integer", "connect.type": "int8"},
        "ratio": {"connect.index": 5, "type": "number", "connect.type": "float32"},
        "bytes": {"connect.index": 6, "type": "string", "connect.type": "bytes"},
        "map": {"connect.index": 7, "type": "object", "connect.type": "map", "additionalProperties": {"type": "integer"}}}}"#;
    let mut lineage = lineage_of(settings(), schema, None);
    let row = row_of(
        &mut lineage,
        r#"{"id":1,"amount":12.30,"day":17000,"at":1500,"small":-3,"ratio":0.5,"bytes":"q80=","map":{"k":1}}"#,
    );
    assert_eq!(
        row.unwrap(),
        r#"1,12.30,2016-07-18,1970-01-01 00:00:01.500000,-3,0.5,"abcd","{""k"":1}""#
    );
    assert_eq!(
        lineage.columns(),
        [
            "id INTEGER not null",
            "amount DECIMAL(10,2) not null",
            "day DATE",
            "at TIMESTAMP not null",
            "small SMALLINT not null",
            "ratio REAL not null",
            "bytes VARBYTE not null",
            "map SUPER not null",
        ]
    );
}

#[test]
fn keys_and_tombstones_and_ids_in_headers() {
    let key = r#"{"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}"#;
    let by_key = Settings {
        key: KeySource::Record,
        schema_ids: SchemaIds::Header,
        ..settings()
    };
    let mut lineage = lineage_of(by_key, PLAIN, Some(key));
    let guid = SchemaKey::Guid([3; 16]).into();
    lineage.encoder.add_schema(guid, Arc::new(compiled(PLAIN, &[])));
    let key = framed(2, r#"{"id": 7}"#);
    let by_guid = [&[1][..], &[3; 16], br#"{"id": 7, "price": 1}"#].concat();
    let rows = lineage.data(Some(&key), Some(&by_guid)).unwrap();
    assert!(rows[0].starts_with("7,"), "{rows:?}");
    for tombstone in [None, Some(framed(1, "null"))] {
        let rows = lineage.data(Some(&key), tombstone.as_deref()).unwrap();
        assert!(rows[0].starts_with(&format!("7,{NULL},")), "{rows:?}");
    }
}

#[test]
fn debeziums_envelope_is_read_in_it() {
    let image = r#"{"type": "object", "properties": {"id": {"connect.index": 0, "type": "integer", "connect.type": "int64"},
        "at": {"connect.index": 1, "oneOf": [{"type": "null"}, {"type": "integer", "connect.type": "int64", "title": "io.debezium.time.MicroTimestamp"}]}}}"#;
    let schema = format!(
        r#"{{"type": "object", "title": "s.t.Envelope", "properties": {{
            "before": {{"connect.index": 0, "oneOf": [{{"type": "null"}}, {image}]}},
            "after": {{"connect.index": 1, "oneOf": [{{"type": "null"}}, {image}]}},
            "source": {{"connect.index": 2, "type": "object", "properties": {{"lsn": {{"type": "integer", "connect.type": "int64", "connect.index": 0}}}}}},
            "op": {{"connect.index": 3, "type": "string"}}}}}}"#
    );
    let by_debezium = Settings {
        envelope: envelope::Kind::Debezium,
        key: KeySource::Columns(vec!["id".into()]),
        ..settings()
    };
    let mut lineage = lineage_of(by_debezium, &schema, None);
    let row = row_of(
        &mut lineage,
        r#"{"before":null,"after":{"id":1,"at":1500000},"source":{"lsn":9},"op":"c"}"#,
    )
    .unwrap();
    assert_eq!(row, "1,1970-01-01 00:00:01.500000");
    let value = framed(
        1,
        r#"{"before":{"id":1,"at":null},"after":{"id":2,"at":null},"source":{"lsn":9},"op":"u"}"#,
    );
    let rows = lineage.data(None, Some(&value)).unwrap();
    assert_eq!(rows, [format!("1,{NULL}"), format!("2,{NULL}")]);
}

#[test]
fn references_lead_to_other_schemas_and_what_leads_nowhere_is_told() {
    let root = r##"{"type": "object", "properties": {"id": {"$ref": "ids.json#/definitions/id"}, "who": {"$ref": "https://example.com/who"}}}"##;
    let ids = r#"{"definitions": {"id": {"type": "integer"}}}"#;
    let who = r#"{"$id": "https://example.com/who", "type": "string"}"#;
    let mut lineage = lineage_of(settings(), PLAIN, None);
    let schema = compiled(root, &[("ids.json", ids), ("who.json", who)]);
    lineage.encoder.add_schema(SchemaId::confluent(1), Arc::new(schema));
    assert_eq!(row_of(&mut lineage, r#"{"id": 1, "who": "me"}"#).unwrap(), "1,\"me\"");
    for (text, why) in [
        (
            r##"{"type": "object", "properties": {"id": {"$ref": "#/definitions/id"}}}"##,
            "not there",
        ),
        (r##"{"$ref": "#"}"##, "without end"),
        ("{", "EOF"),
    ] {
        let schema = SchemaText {
            language: Language::JsonSchema,
            text: text.to_owned(),
            references: Vec::new(),
        };
        let error = WriterSchema::compile(&schema, &[]).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

/// A topic of one language with a schema of another halts; its records are not at fault.
#[test]
fn a_schema_of_another_language_is_no_schema_of_the_topic() {
    let avro = Settings {
        format: Format::Avro,
        ..settings()
    };
    let mut lineage = lineage_of(avro, PLAIN, None);
    let refused = row_of(&mut lineage, "{}").unwrap_err();
    assert!(
        refused.name() == "schema_language" && !refused.is_of_the_record(),
        "{refused}"
    );
    let mut lineage = lineage_of(settings(), PLAIN, None);
    let schema = WriterSchema::parse(r#"{"type": "record", "name": "r", "fields": []}"#).unwrap();
    lineage.encoder.add_schema(SchemaId::confluent(1), Arc::new(schema));
    assert_eq!(row_of(&mut lineage, "{}").unwrap_err().name(), "schema_language");
}
