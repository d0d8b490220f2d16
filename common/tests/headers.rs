//! Schema ids in headers: what stood in a header stands before the datum when a record comes here.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod support;

use apache_avro::types::Value;
use apache_avro::{Schema, to_avro_datum};
use common::avro::WriterSchema;
use common::avro::frame;
use common::ids::{SchemaId, SchemaKey};
use common::row::{SchemaIds, Settings};
use support::lineage::Lineage;

const KEY: &str = r#"{"type":"record","name":"k","fields":[{"name":"id","type":"long"}]}"#;
const VALUE: &str =
    r#"{"type":"record","name":"v","fields":[{"name":"id","type":"long"},{"name":"t","type":"string"}]}"#;

fn datum(schema: &str, fields: Vec<(String, Value)>) -> Vec<u8> {
    to_avro_datum(&Schema::parse_str(schema).unwrap(), Value::Record(fields)).unwrap()
}

fn key(id: i64) -> Vec<u8> {
    datum(KEY, vec![("id".into(), Value::Long(id))])
}

fn value(id: i64, text: &str) -> Vec<u8> {
    datum(
        VALUE,
        vec![("id".into(), Value::Long(id)), ("t".into(), Value::String(text.into()))],
    )
}

fn by_guid(guid: u8, datum: &[u8]) -> Vec<u8> {
    let header = [&[1][..], &[guid; 16]].concat();
    [frame::head(&header, false), datum].concat()
}

fn by_number(id: u32, datum: &[u8]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), datum].concat()
}

fn lineage_of(schema_ids: SchemaIds) -> Lineage {
    let settings = Settings {
        schema_ids,
        ..Settings::default()
    };
    Lineage::of(settings, |id| {
        let is_key = *id == SchemaKey::Guid([1; 16]).into() || *id == SchemaId::confluent(1);
        WriterSchema::parse(if is_key { KEY } else { VALUE }).unwrap()
    })
}

#[test]
fn guids_and_numbers_may_interleave_and_claims_name_both() {
    let mut lineage = lineage_of(SchemaIds::Header);
    for round in 0..3 {
        let row = lineage.row(Some(&by_guid(1, &key(7))), Some(&by_guid(2, &value(7, "a"))));
        assert_eq!(row.unwrap(), "7,\"a\"", "round {round}");
        let row = lineage.row(Some(&by_number(1, &key(8))), Some(&by_number(2, &value(8, "b"))));
        assert_eq!(row.unwrap(), "8,\"b\"", "round {round}");
        let row = lineage.row(Some(&by_guid(1, &key(9))), Some(&by_number(2, &value(9, "c"))));
        assert_eq!(row.unwrap(), "9,\"c\"", "round {round}");
    }
    let names: Vec<String> = lineage.stats.schemas_seen().into_iter().map(|id| id.0).collect();
    let guid = |digit: &str| SchemaKey::Guid([digit.parse().unwrap(); 16]).to_string();
    let mut seen = ["confluent:1".to_owned(), "confluent:2".to_owned(), guid("1"), guid("2")].to_vec();
    seen.sort();
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!(sorted, seen);
    assert_eq!(
        lineage.asked.len(),
        4,
        "each schema is asked for once: {:?}",
        lineage.asked
    );
}

#[test]
fn a_tombstone_deletes_by_a_key_whose_id_is_in_a_header() {
    let mut lineage = lineage_of(SchemaIds::Header);
    lineage
        .row(Some(&by_guid(1, &key(7))), Some(&by_guid(2, &value(7, "a"))))
        .unwrap();
    let row = lineage.row(Some(&by_guid(1, &key(7))), None).unwrap();
    assert_eq!(row, format!("7,{}", common::csv::DEFAULT_NULL_MARKER));
}

/// More schemas than are remembered: each is found again, and none is taken for another.
#[test]
fn names_that_were_forgotten_are_met_anew() {
    let mut lineage = lineage_of(SchemaIds::Header);
    for round in 0..2 {
        for guid in 2..=200 {
            let row = lineage.row(Some(&by_guid(1, &key(7))), Some(&by_guid(guid, &value(7, "a"))));
            assert_eq!(row.unwrap(), "7,\"a\"", "round {round}, guid {guid}");
        }
    }
}

#[test]
fn a_guid_is_no_frame_where_ids_are_said_to_be_numbers() {
    let mut lineage = lineage_of(SchemaIds::Prefix);
    let refused = lineage
        .row(Some(&by_number(1, &key(7))), Some(&by_guid(2, &value(7, "a"))))
        .unwrap_err();
    assert_eq!(refused.name(), "bad_frame");
    let mut lineage = lineage_of(SchemaIds::Header);
    for wrong in [&b""[..], b"{}", &[1, 2, 3], &[0xff, 1], &[0, 0xff, 0, 0, 0, 2]] {
        let refused = lineage.row(Some(&by_number(1, &key(7))), Some(wrong)).unwrap_err();
        assert_eq!(refused.name(), "bad_frame", "{wrong:?}");
    }
}
