//! What each target does with its input, and what must hold whatever that is: nothing panics, what is refused leaves no trace, and what is
//! written can be read again by two readers that nobody here told what was meant.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use common::avro::{WriterSchema, frame};
use common::claim::Claim;
use common::envelope;
use common::ids::{Incarnation, Offset, Partition, SchemaId};
use common::json::{Declared, Undeclared};
use common::plan::META_COLUMNS;
use common::row::{
    BadValue, ColumnRules, EVERY_COLUMN, Format, KeySource, Outcome, Record, RowEncoder, Settings, Stats, TypeChanges,
};

use crate::stand_in::csv::{Dialect, Range, Scan, scan};
use crate::stand_in::sql::{classify, rewrite, token};

/// What a target does with an input; it panics where something does not hold.
pub type Body = fn(&[u8]);

/// Every body by the name of its target.
pub const ALL: [(&str, Body); 9] = [
    ("frame", frame),
    ("datum", datum),
    ("envelope", envelope),
    ("connect_json", connect_json),
    ("declared_json", declared_json),
    ("learned_json", learned_json),
    ("csv_text", csv_text),
    ("claim", claim),
    ("sql", sql),
];

/// The frame of a message is the bytes that it was cut from.
pub fn frame(data: &[u8]) {
    if let Ok((id, datum)) = frame::split(data) {
        assert_eq!([&[0][..], &id.to_be_bytes(), datum].concat(), data);
    }
    if let Ok((id, datum)) = frame::split_either(data) {
        let head = match id {
            frame::Id::Number(id) => [&[0][..], &id.to_be_bytes()].concat(),
            frame::Id::Guid(guid) => [&[1][..], &guid].concat(),
        };
        assert_eq!([&head[..], datum].concat(), data);
    }
}

const COLUMNS: [&str; 26] = [
    r#""boolean""#,
    r#""int""#,
    r#""long""#,
    r#""float""#,
    r#""double""#,
    r#""string""#,
    r#""bytes""#,
    r#"["null","string"]"#,
    r#"["string","null"]"#,
    r#"["null","string","long",{"type":"array","items":"int"}]"#,
    r#"{"type":"fixed","name":"F","size":5}"#,
    r#"{"type":"enum","name":"E","symbols":["A","B"]}"#,
    r#"{"type":"array","items":["null","string"]}"#,
    r#"{"type":"map","values":{"type":"array","items":"double"}}"#,
    r#"{"type":"record","name":"I","fields":[{"name":"a","type":"long"},{"name":"b","type":["null","string"]}]}"#,
    r#"{"type":"bytes","logicalType":"decimal","precision":38,"scale":9}"#,
    r#"{"type":"fixed","name":"D","size":9,"logicalType":"decimal","precision":20,"scale":0}"#,
    r#"{"type":"string","logicalType":"uuid"}"#,
    r#"{"type":"int","logicalType":"date"}"#,
    r#"{"type":"int","logicalType":"time-millis"}"#,
    r#"{"type":"long","logicalType":"timestamp-micros"}"#,
    r#"{"type":"long","connect.version":1,"connect.name":"io.debezium.time.NanoTimestamp"}"#,
    r#"{"type":"string","connect.version":1,"connect.name":"io.debezium.time.ZonedTimestamp"}"#,
    r#"{"type":"string","connect.version":1,"connect.name":"io.debezium.time.ZonedTime"}"#,
    r#"{"type":"string","connect.version":1,"connect.name":"io.debezium.data.Json"}"#,
    r#"{"type":"bytes","connect.version":1,"connect.name":"io.debezium.data.Bits","connect.parameters":{"length":"12"}}"#,
];

const ENVELOPE: &str = r#"{"type":"record","name":"Envelope","fields":[
    {"name":"before","type":["null",{"type":"record","name":"Value","fields":[
        {"name":"id","type":"long"},{"name":"t","type":["null","string"]},{"name":"f","type":"double"},
        {"name":"d","type":["null",{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}]}]}],"default":null},
    {"name":"after","type":["null","Value"],"default":null},
    {"name":"source","type":{"type":"record","name":"Source","fields":[{"name":"lsn","type":["null","long"]},{"name":"db","type":"string"}]}},
    {"name":"op","type":"string"},
    {"name":"ts_ms","type":["null","long"]}]}"#;

const KEY: &str = r#"{"type":"record","name":"Key","fields":[{"name":"id","type":"long"}]}"#;

const RULES: [BadValue; 3] = [BadValue::SetAside, BadValue::Null, BadValue::Truncate];

fn by_rule(rule: u8, settings: Settings) -> Settings {
    let rule = RULES[usize::from(rule) % RULES.len()];
    Settings {
        bad_values: BTreeMap::from([(EVERY_COLUMN.to_owned(), rule)]),
        ..settings
    }
}

fn encoder(schemas: &[&str], settings: Settings) -> RowEncoder {
    let mut encoder = RowEncoder::new(Arc::new(settings), Incarnation(0), Partition(0), None);
    for (id, schema) in (1..).zip(schemas) {
        let schema = WriterSchema::parse(schema).unwrap_or_else(|error| panic!("{schema}: {error}"));
        encoder.add_schema(SchemaId::confluent(id), Arc::new(schema));
    }
    encoder
}

thread_local! {
    static ENCODERS: RefCell<HashMap<(u8, u8, u8), RowEncoder>> = RefCell::new(HashMap::new());
}

/// Encodes a record with the encoder of this name, which is made when it is first wanted.
fn with_encoder(name: (u8, u8, u8), make: impl FnOnce() -> RowEncoder, key: Option<&[u8]>, value: Option<&[u8]>) {
    ENCODERS.with_borrow_mut(|all| drop(encode(all.entry(name).or_insert_with(make), key, value)));
}

/// Growths of a plan that one record may need.
const GROWTHS_MAX: usize = 1_000;

/// What a record becomes: its rows, or the lines of what is set aside.
fn encode(encoder: &mut RowEncoder, key: Option<&[u8]>, value: Option<&[u8]>) -> Vec<u8> {
    let record = Record {
        offset: Offset(7),
        timestamp_ms: 1_700_000_000_000,
        headers: None,
        key,
        value,
    };
    let (mut out, mut stats) = (b"before\n".to_vec(), Stats::default());
    for _ in 0..GROWTHS_MAX {
        match encoder.encode(&record, &mut out, &mut stats) {
            Ok(Outcome::Rows(count)) => {
                are_rows(encoder, &out[7..], usize::from(count));
                return out.split_off(7);
            }
            Ok(Outcome::PlanGrows(plan)) => encoder.adopt(plan),
            Ok(_) => {
                assert_eq!(out, b"before\n", "no row, and yet something was written");
                return Vec::new();
            }
            Err(error) => {
                assert_eq!(out, b"before\n", "a bad record leaves a trace: {error}");
                let mut kept = Vec::new();
                let lines = encoder.set_aside(&record, &error, &mut kept);
                assert_eq!(records(&kept).len() as u64, lines, "what is set aside cannot be read");
                return kept;
            }
        }
    }
    panic!("the plan does not come to rest");
}

/// Rows by both readers: as many as are said, and each with all columns.
fn are_rows(encoder: &RowEncoder, rows: &[u8], count: usize) {
    let columns = META_COLUMNS.len() + encoder.plan().map_or(0, |plan| plan.columns.len());
    let found = records(rows);
    assert_eq!(found.len(), count, "{:?}", String::from_utf8_lossy(rows));
    assert!(found.iter().all(|row| row.len() == columns), "{found:?}");
}

const DIALECT: Dialect = Dialect {
    delimiter: b',',
    quote: b'"',
};

/// The fields of each record, by the stand-in's reader and by the csv crate's, which must agree.
fn records(text: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    let (mut from, mut ranges) = (0, Vec::new());
    while from < text.len() {
        match scan(text, from, true, DIALECT, &mut ranges) {
            Scan::Record { next, .. } => {
                all.push(ranges.iter().map(|range| field(text, *range)).collect());
                from = next;
            }
            other => panic!("{other:?} in {:?}", String::from_utf8_lossy(text)),
        }
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(text);
    let other: Vec<Vec<Vec<u8>>> = reader
        .byte_records()
        .map(|record| match record {
            Ok(record) => record.iter().map(<[u8]>::to_vec).collect(),
            Err(error) => panic!("{error} in {:?}", String::from_utf8_lossy(text)),
        })
        .collect();
    assert_eq!(all, other, "two readers differ on {:?}", String::from_utf8_lossy(text));
    all
}

fn field(text: &[u8], range: Range) -> Vec<u8> {
    let content = &text[range.start..range.end];
    if !range.doubled {
        return content.to_vec();
    }
    let mut single = Vec::with_capacity(content.len());
    let mut bytes = content.iter();
    while let Some(byte) = bytes.next() {
        single.push(*byte);
        if *byte == b'"' {
            assert_eq!(bytes.next(), Some(&b'"'), "a quote that is not doubled");
        }
    }
    single
}

fn framed(id: u8, datum: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, 0, id][..], datum].concat()
}

/// A datum of one column: which, by which rule, and its bytes.
pub fn datum(data: &[u8]) {
    let [column, rule, datum @ ..] = data else { return };
    let column = usize::from(*column) % COLUMNS.len();
    let make = || {
        let schema = format!(
            r#"{{"type":"record","name":"R","fields":[{{"name":"v","type":{}}}]}}"#,
            COLUMNS[column]
        );
        let settings = Settings {
            key: KeySource::None,
            ..Settings::default()
        };
        encoder(&[&schema], by_rule(*rule, settings))
    };
    let name = (0, u8::try_from(column).unwrap_or(0), rule % 3);
    with_encoder(name, make, None, Some(&framed(1, datum)));
}

/// Key and value of a change in Debezium's envelope: a byte for the rule, one for the length of the key, the key, the value.
pub fn envelope(data: &[u8]) {
    let [rule, length, rest @ ..] = data else { return };
    let (key, value) = rest.split_at(usize::from(*length).min(rest.len()));
    let make = || {
        let settings = Settings {
            envelope: envelope::Kind::Debezium,
            position: Some("lsn".to_owned()),
            ..Settings::default()
        };
        encoder(&[KEY, ENVELOPE], by_rule(*rule, settings))
    };
    let (key, value) = (framed(1, key), framed(2, value));
    with_encoder((1, 0, rule % 3), make, Some(&key), Some(&value));
}

/// Key and value divided by a zero byte, which JSON does not have.
fn json(data: &[u8], settings: impl FnOnce(u8) -> Settings, kind: u8) {
    let [rule, text @ ..] = data else { return };
    let at = text.iter().position(|byte| *byte == 0);
    let (key, value) = match at {
        Some(at) => (Some(&text[..at]), &text[at + 1..]),
        None => (None, text),
    };
    // Where every record brings its schema, one that was met must not change what the next one comes to here.
    let mut encoder = encoder(&[], by_rule(*rule, settings(kind)));
    drop(encode(&mut encoder, key, Some(value)));
}

/// JSON with a schema in every record.
pub fn connect_json(data: &[u8]) {
    let settings = |_| Settings {
        envelope: envelope::Kind::Debezium,
        format: Format::ConnectJson,
        ..Settings::default()
    };
    json(data, settings, 0);
}

const DECLARED: [(&str, &str); 12] = [
    ("id", "bigint"),
    ("b", "boolean"),
    ("s", "smallint"),
    ("r", "real"),
    ("d", "decimal(20,4)"),
    ("t", "varchar"),
    ("u", "uuid"),
    ("x", "varbyte"),
    ("day", "date"),
    ("at", "timestamptz"),
    ("clock", "timetz"),
    ("doc", "json"),
];

/// JSON of a table that is declared.
pub fn declared_json(data: &[u8]) {
    let column = |(field, ty): &(&str, &str)| Declared {
        field: (*field).to_owned(),
        ty: ty.parse().unwrap_or_else(|_| panic!("{ty}")),
    };
    let settings = |_| Settings {
        format: Format::Json,
        key: KeySource::Columns(vec!["id".to_owned()]),
        columns: DECLARED.iter().map(column).collect(),
        ..Settings::default()
    };
    json(data, settings, 0);
}

/// Values of one lineage whose table is learned, divided by zero bytes: what each becomes does not depend on those before, but for the plan.
pub fn learned_json(data: &[u8]) {
    let [rule, texts @ ..] = data else { return };
    let settings = Settings {
        format: Format::Json,
        key: KeySource::Columns(vec!["id".to_owned()]),
        undeclared: Undeclared::Learn,
        column_rules: ColumnRules {
            type_changes: [TypeChanges::NewColumn, TypeChanges::Rebuild, TypeChanges::Halt][usize::from(rule % 3)],
            ..ColumnRules::default()
        },
        ..Settings::default()
    };
    let settings = Arc::new(by_rule(rule / 3, settings));
    let taken_up = |plan| RowEncoder::new(Arc::clone(&settings), Incarnation(0), Partition(0), plan);
    let mut seasoned = taken_up(None);
    for text in texts.split(|byte| *byte == 0) {
        let mut fresh = taken_up(seasoned.plan().cloned());
        let (by_one, by_other) = (
            encode(&mut seasoned, None, Some(text)),
            encode(&mut fresh, None, Some(text)),
        );
        assert_eq!(by_one, by_other, "{:?}", String::from_utf8_lossy(text));
        assert_eq!(seasoned.plan(), fresh.plan(), "{:?}", String::from_utf8_lossy(text));
    }
}

/// A text comes out of the file as it went in, or is refused.
pub fn csv_text(data: &[u8]) {
    thread_local! {
        static ENCODER: RefCell<RowEncoder> = RefCell::new(encoder(
            &[r#"{"type":"record","name":"R","fields":[{"name":"v","type":"string"},{"name":"w","type":"string"}]}"#],
            Settings { key: KeySource::None, unavailable_value: None, ..Settings::default() },
        ));
    }
    let half = data.len() / 2;
    let (one, other) = data.split_at(half);
    let long = |length: usize| {
        let mut zigzag = length as u64 * 2;
        let mut bytes = Vec::new();
        while zigzag >= 0x80 {
            bytes.push((zigzag & 0x7f) as u8 | 0x80);
            zigzag >>= 7;
        }
        bytes.push(zigzag as u8);
        bytes
    };
    let value = framed(1, &[&long(one.len())[..], one, &long(other.len()), other].concat());
    ENCODER.with_borrow_mut(|encoder| {
        let record = Record {
            offset: Offset(7),
            timestamp_ms: 0,
            headers: None,
            key: None,
            value: Some(&value),
        };
        let (mut out, mut stats) = (Vec::new(), Stats::default());
        loop {
            match encoder.encode(&record, &mut out, &mut stats) {
                Ok(Outcome::PlanGrows(plan)) => encoder.adopt(plan),
                Ok(Outcome::Rows(1)) => break,
                Ok(other) => panic!("{other:?}"),
                Err(error) => return assert!(out.is_empty(), "{error}"),
            }
        }
        let rows = records(&out);
        assert_eq!(rows.len(), 1);
        let texts = &rows[0][META_COLUMNS.len()..];
        assert_eq!(texts, [one.to_vec(), other.to_vec()]);
    });
}

/// A claim that is read is written as one that reads the same.
pub fn claim(data: &[u8]) {
    let Ok(claim) = Claim::decode(data) else { return };
    let again = Claim::decode(&claim.encode());
    assert_eq!(again.ok().as_ref(), Some(&claim));
    assert!(claim.metadata().is_ascii());
    let _ = (claim.aside_object(), claim.lineage());
}

/// Statements of a client of the stand-in: whatever they are, they are decided upon, and what is passed on can be cut into tokens again.
pub fn sql(data: &[u8]) {
    let [flags, text @ ..] = data else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let Ok(tokens) = token::tokenize(text) else { return };
    let context = rewrite::Context {
        keep_case: flags & 1 != 0,
        last_copy_count: 5,
        last_copy_id: -1,
    };
    for statement in token::statements(text, &tokens) {
        let Ok(plan) = classify::classify(text, statement, context) else {
            continue;
        };
        if let classify::Action::Send(script) | classify::Action::Write(script, _) = plan.action {
            let all = script.before.iter().chain([&script.main]).chain(&script.after);
            for sql in all {
                assert!(token::tokenize(sql).is_ok(), "{text:?} became {sql:?}");
            }
        }
    }
}
