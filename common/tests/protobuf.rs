//! Protobuf whose schemas are in a registry. The bytes of the messages are written out here by the rules of the wire format, not by the
//! library that reads them.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod support;

use std::sync::Arc;

use common::avro::{Language, SchemaText, WriterSchema};
use common::csv::DEFAULT_NULL_MARKER as NULL;
use common::ids::SchemaId;
use common::row::{Format, KeySource, SchemaIds, Settings};
use support::lineage::Lineage;

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A field of wire type 0.
fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

/// A field of wire type 2.
fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(value.len() as u64), value.to_vec()].concat()
}

/// A field of wire type 1.
fn fixed64(field: u64, value: [u8; 8]) -> Vec<u8> {
    [varint(field << 3 | 1), value.to_vec()].concat()
}

fn framed(id: u32, indexes: &[u8], message: &[u8]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), indexes, message].concat()
}

fn schema_text(text: &str, references: &[(&str, &str)]) -> SchemaText {
    let owned = references
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    SchemaText {
        language: Language::Protobuf,
        text: text.to_owned(),
        references: owned.collect(),
    }
}

fn lineage_of(schema: SchemaText, settings: Settings) -> Lineage {
    let settings = Settings {
        format: Format::Protobuf,
        ..settings
    };
    Lineage::of(settings, move |id| {
        WriterSchema::compile(&schema, &id.path()).unwrap_or_else(|error| panic!("{error}"))
    })
}

fn without_key() -> Settings {
    Settings {
        key: KeySource::None,
        ..Settings::default()
    }
}

const ALL: &str = r#"
syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "google/type/date.proto";
import "google/type/decimal.proto";
import "confluent/type/decimal.proto";
import "kinds.proto";

message Order {
  int32 id = 1;
  uint32 unsigned_32 = 2;
  sint64 signed_64 = 3;
  uint64 unsigned_64 = 4;
  double ratio = 5;
  bool open = 6;
  string note = 7;
  optional string maybe = 8;
  bytes raw = 9;
  kinds.Kind kind = 10;
  google.protobuf.Timestamp at = 11;
  google.protobuf.Int64Value wrapped = 12;
  google.type.Date day = 13;
  google.type.Decimal price = 14;
  confluent.type.Decimal amount = 15;
  repeated int64 numbers = 16;
  map<string, int32> counts = 17;
  Line line = 18;
  oneof either { string left = 19; int32 right = 20; }
  message Line { string what = 1; }
}

message Other {
  message Inner { string name = 1; }
}
"#;
const KINDS: &str = "syntax = \"proto3\"; package kinds; enum Kind { NONE = 0; SOME = 1; }";

fn all() -> SchemaText {
    schema_text(ALL, &[("kinds.proto", KINDS)])
}

#[test]
fn fields_are_columns() {
    let message = [
        number(1, u64::MAX), // -1
        number(2, 4_000_000_000),
        number(3, 5), // -3 in zigzag
        number(4, u64::MAX),
        fixed64(5, 1.5_f64.to_le_bytes()),
        number(6, 1),
        bytes(7, "Ω, \"q\"".as_bytes()),
        bytes(8, b""),
        bytes(9, &[0xab, 0xcd]),
        number(10, 1),
        bytes(11, &[number(1, 1_500_000_000), number(2, 123_456_789)].concat()),
        bytes(12, &number(1, 7)),
        bytes(13, &[number(1, 2026), number(2, 1), number(3, 31)].concat()),
        bytes(14, &bytes(1, b"12.50")),
        bytes(15, &[bytes(1, &[0x04, 0xe2]), number(3, 2)].concat()),
        bytes(16, &[varint(1), varint(9_007_199_254_740_993)].concat()),
        bytes(17, &[bytes(1, b"b"), number(2, 2)].concat()),
        bytes(17, &[bytes(1, b"a"), number(2, 1)].concat()),
        bytes(18, &bytes(1, b"x")),
        number(20, 3),
    ]
    .concat();
    let mut lineage = lineage_of(all(), without_key());
    let row = lineage.row(None, Some(&framed(7, &[0], &message))).unwrap();
    let expected = [
        "-1",
        "4000000000",
        "-3",
        "18446744073709551615",
        "1.5",
        "t",
        "\"Ω, \"\"q\"\"\"",
        "\"\"",
        "\"abcd\"",
        "\"SOME\"",
        "2017-07-14 02:40:00.123456+00",
        "7",
        "2026-01-31",
        "\"12.50\"",
        "\"12.50\"",
        "\"[1,9007199254740993]\"",
        "\"{\"\"a\"\":1,\"\"b\"\":2}\"",
        "\"{\"\"what\"\":\"\"x\"\"}\"",
        NULL,
        "3",
    ];
    assert_eq!(row, expected.join(","));
    let columns = lineage.columns();
    let expected = [
        "id INTEGER not null",
        "unsigned_32 BIGINT not null",
        "signed_64 BIGINT not null",
        "unsigned_64 DECIMAL(20,0) not null",
        "ratio DOUBLE PRECISION not null",
        "open BOOLEAN not null",
        "note VARCHAR not null",
        "maybe VARCHAR",
        "raw VARBYTE not null",
        "kind VARCHAR not null",
        "at TIMESTAMPTZ",
        "wrapped BIGINT",
        "day DATE",
        "price VARCHAR",
    ];
    assert_eq!(columns[..14], expected);
    assert!(columns[14].starts_with("amount VARCHAR("), "{columns:?}");
    let expected = [
        "numbers SUPER not null",
        "counts SUPER not null",
        "line SUPER",
        "left VARCHAR",
        "right INTEGER",
    ];
    assert_eq!(columns[15..], expected);
}

/// What is not written is the default of its type, where the type has no way to be absent.
#[test]
fn an_empty_message_is_a_row_of_defaults() {
    let mut lineage = lineage_of(all(), without_key());
    let row = lineage.row(None, Some(&framed(7, &[2, 0], &[]))).unwrap();
    let nulls = |count: usize| vec![NULL; count].join(",");
    let expected = format!(
        "0,0,0,0,0.0,f,\"\",{NULL},\"\",\"NONE\",{},\"[]\",\"{{}}\",{}",
        nulls(5),
        nulls(3)
    );
    assert_eq!(row, expected);
}

#[test]
fn the_message_is_named_by_its_place_in_the_frame_or_a_header() {
    let mut lineage = lineage_of(all(), without_key());
    let inner = bytes(1, b"me");
    let row = lineage.row(None, Some(&framed(7, &[4, 2, 0], &inner))).unwrap();
    assert_eq!(row, "\"me\"");
    let names: Vec<String> = lineage.stats.schemas_seen().into_iter().map(|id| id.0).collect();
    assert_eq!(names, ["confluent:7#1.0"], "claims say which message it was");
    let in_headers = Settings {
        schema_ids: SchemaIds::Header,
        ..without_key()
    };
    let mut lineage = lineage_of(all(), in_headers);
    let header = [&[1][..], &[3; 16], &[4, 2, 0]].concat();
    let composed = [common::avro::frame::head(&header, true), &inner].concat();
    assert_eq!(lineage.row(None, Some(&composed)).unwrap(), "\"me\"");
    assert!(
        lineage.asked[0].0.starts_with("guid:") && lineage.asked[0].0.ends_with("#1.0"),
        "{:?}",
        lineage.asked
    );
}

#[test]
fn what_is_no_message_is_refused() {
    let mut lineage = lineage_of(all(), without_key());
    lineage.row(None, Some(&framed(7, &[0], &[]))).unwrap();
    for wrong in [
        framed(7, &[], &[]),
        framed(7, &[4, 2], &[]),
        framed(7, &[0], &[0x0a]),
        framed(7, &[0], &bytes(7, &[0xff])),
        framed(7, &[0], &bytes(13, &number(1, 2026))),
        framed(7, &[0], &bytes(11, &number(2, u64::MAX))),
    ] {
        let refused = lineage.row(None, Some(&wrong)).unwrap_err();
        assert_eq!(refused.name(), "bad_protobuf", "{wrong:?}: {refused}");
        assert!(refused.is_of_the_record());
    }
    assert_eq!(lineage.row(None, Some(b"{}")).unwrap_err().name(), "bad_frame");
}

#[test]
fn keys_come_from_the_record_and_tombstones_delete() {
    let key = schema_text("syntax = \"proto3\"; message Key { int32 id = 1; }", &[]);
    let mut lineage = lineage_of(all(), Settings::default());
    let schema = WriterSchema::compile(&key, &[]).unwrap();
    lineage.encoder.add_schema(SchemaId::confluent(8), Arc::new(schema));
    let key = framed(8, &[0], &number(1, 5));
    let value = framed(7, &[0], &number(1, 5));
    assert!(lineage.row(Some(&key), Some(&value)).unwrap().starts_with("5,"));
    let deleted = lineage.row(Some(&key), None).unwrap();
    assert!(deleted.starts_with(&format!("5,{NULL},")), "{deleted}");
}

#[test]
fn texts_that_cannot_be_compiled_say_why() {
    for (text, why) in [
        ("syntax = \"proto3\"; import \"gone.proto\"; message A {}", "gone.proto"),
        ("syntax = \"proto3\"; message A { Missing b = 1; }", "Missing"),
        ("syntax = \"proto3\";", "no message"),
        ("not protobuf", "expected"),
    ] {
        let error = WriterSchema::compile(&schema_text(text, &[]), &[])
            .unwrap_err()
            .to_string();
        assert!(error.contains(why), "{error}");
    }
    let error = WriterSchema::compile(&all(), &[9]).unwrap_err().to_string();
    assert!(error.contains("[9]"), "{error}");
}

/// Confluent's serializer for Python registers compiled files in base64: these two are what it wrote. A registry that does not make texts of
/// them gives them back so.
#[test]
fn compiled_files_are_schemas_too() {
    let place = "CgtwbGFjZS5wcm90bxIFcGxhY2UqGAoGUmVnaW9uEgYKAmRlEAASBgoCZnIQAWIGcHJvdG8z";
    let row = "Cglyb3cucHJvdG8SA3JvdxoLcGxhY2UucHJvdG8aH2dvb2dsZS9wcm90b2J1Zi90aW1lc3RhbXAucHJvdG8iGQoGVW51c2VkEg8KB25vdGhpbmcYASABKAUiiAEKA1JvdxIKCgJpZBgB\
               IAEoAxIdCgZyZWdpb24YAiABKA4yDS5wbGFjZS5SZWdpb24SFAoHcmVhZGluZxgDIAEoAUgAiAEBEiYKAmF0GAQgASgLMhouZ29vZ2xlLnByb3RvYnVmLlRpbWVzdGFtcBIMCgR0YWdzGAUgAygJ\
               QgoKCF9yZWFkaW5nYgZwcm90bzM=";
    let mut lineage = lineage_of(schema_text(row, &[("place.proto", place)]), without_key());
    let message = [number(1, 7), number(2, 1), bytes(4, &number(1, 1_767_225_600))].concat();
    assert_eq!(
        lineage.row(None, Some(&framed(7, &[2, 2], &message))).unwrap(),
        format!("7,\"fr\",{NULL},2026-01-01 00:00:00+00,\"[]\"")
    );
    let wrong = WriterSchema::compile(&schema_text("bm8gcHJvdG8=", &[]), &[0]).unwrap_err();
    assert!(wrong.to_string().contains("Protobuf schema"), "{wrong}");
}
