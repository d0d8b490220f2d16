//! A corpus of odd records: what each comes to, by the name of the reason or as a row. None may panic, none may be lost in silence.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::avro::WriterSchema;
use common::csv::{DEFAULT_NULL_MARKER, TEXT_BYTES_MAX};
use common::envelope;
use common::ids::{Incarnation, Offset, Partition, SchemaId};
use common::row::{ASIDE_PART_BYTES, BadValue, EVERY_COLUMN, KeySource, Outcome, Record, RowEncoder, Settings, Stats};
use support::odd::{ASKED, ROW, SKIPPED, framed, number, schema_of, text, values};

/// An encoder that knows schema 1, and its verdict on one record.
struct Bench {
    encoder: RowEncoder,
    rows: Vec<u8>,
    stats: Stats,
}

impl Bench {
    fn new(schema: &str, settings: Settings) -> Bench {
        let mut encoder = RowEncoder::new(Arc::new(settings), Incarnation(0), Partition(0), None);
        let schema = WriterSchema::parse(schema).unwrap_or_else(|error| panic!("{schema}: {error}"));
        encoder.add_schema(SchemaId::confluent(1), Arc::new(schema));
        Bench {
            encoder,
            rows: Vec::new(),
            stats: Stats::default(),
        }
    }

    fn verdict(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> &'static str {
        let record = Record {
            offset: Offset(7),
            timestamp_ms: 1_700_000_000_000,
            headers: None,
            key,
            value,
        };
        loop {
            match self.encoder.encode(&record, &mut self.rows, &mut self.stats) {
                Ok(Outcome::Rows(_)) => return ROW,
                Ok(Outcome::Skipped) => return SKIPPED,
                Ok(Outcome::Truncate) => return "truncate",
                Ok(Outcome::NeedSchema(_)) => return ASKED,
                Ok(Outcome::PlanGrows(plan)) => self.encoder.adopt(plan),
                Err(error) => {
                    assert!(error.may_be_set_aside(), "{error}");
                    assert!(self.rows.is_empty(), "a bad record leaves no row");
                    self.is_kept(&record, &error);
                    return error.problem.name();
                }
            }
        }
    }

    /// What is kept of a bad record can be read by another CSV reader, and has all its bytes.
    fn is_kept(&mut self, record: &Record<'_>, error: &common::row::EncodeError) {
        let mut kept = Vec::new();
        let lines = self.encoder.set_aside(record, error, &mut kept);
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&*kept);
        let all: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(all.len() as u64, lines);
        for (index, bytes) in [(8, record.key), (10, record.value)] {
            let digits: String = all
                .iter()
                .map(|line| &line[index + 1])
                .filter(|part| *part != DEFAULT_NULL_MARKER)
                .collect();
            let expected: String = bytes
                .unwrap_or_default()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(digits, expected);
            let length = bytes.map_or(DEFAULT_NULL_MARKER.to_owned(), |bytes| bytes.len().to_string());
            assert_eq!(all[0][index], length);
        }
        assert_eq!((&all[0][5], &all[0][12]), (error.problem.name(), "open"));
    }
}

fn plain() -> Settings {
    Settings {
        key: KeySource::None,
        ..Settings::default()
    }
}

#[test]
fn every_odd_value_comes_to_what_is_written() {
    let all = values();
    let wrong: Vec<String> = all
        .iter()
        .filter_map(|(name, ty, datum, expected)| {
            let found = Bench::new(&schema_of(ty), plain()).verdict(None, Some(&framed(1, datum)));
            (found != *expected).then(|| format!("{name}: {found}, not {expected}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let bad = all.iter().filter(|(.., expected)| *expected != ROW).count();
    assert!(bad >= 90 && all.len() >= 125, "{bad} bad of {}", all.len());
}

/// The same values under the rule that replaces them: all but damaged data get their row, with NULL, and say so.
#[test]
fn what_a_rule_replaces_keeps_its_row() {
    let settings = || Settings {
        bad_values: BTreeMap::from([(EVERY_COLUMN.to_owned(), BadValue::Null)]),
        ..plain()
    };
    let damaged = [
        "truncated",
        "bad_length",
        "bad_number",
        "bad_branch",
        "bad_symbol",
        "bad_boolean",
        "trailing_bytes",
    ];
    for (name, ty, datum, expected) in values() {
        let mut bench = Bench::new(&schema_of(&ty), settings());
        let found = bench.verdict(None, Some(&framed(1, &datum)));
        if expected == ROW || damaged.contains(&expected) {
            assert_eq!(found, expected, "{name}");
            continue;
        }
        assert_eq!(found, ROW, "{name}");
        let amended = bench.encoder.amended();
        let [only] = amended.as_slice() else {
            panic!("{name}: {amended:?}")
        };
        assert_eq!(
            (only.column.as_str(), only.reason.name(), only.by),
            ("v", expected, BadValue::Null),
            "{name}"
        );
        let row = String::from_utf8(bench.rows.clone()).unwrap();
        assert!(row.ends_with(&format!(",{DEFAULT_NULL_MARKER}\n")), "{name}: {row}");
    }
}

#[test]
fn texts_are_cut_at_a_character_where_the_column_says_so_and_their_neighbours_stay() {
    let schema = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"string"},{"name":"v","type":["null","string"]},{"name":"b","type":"long"}]}"#;
    let settings = Settings {
        bad_values: BTreeMap::from([("v".to_owned(), BadValue::Truncate)]),
        ..plain()
    };
    let long = "ä".repeat(40_000);
    let record = |a: &[u8], v: &[u8]| framed(1, &[text(a), number(1), text(v), number(5)].concat());
    let mut bench = Bench::new(schema, settings);
    assert_eq!(bench.verdict(None, Some(&record(b"x", long.as_bytes()))), ROW);
    let row = String::from_utf8(bench.rows.clone()).unwrap();
    let cut = "ä".repeat(TEXT_BYTES_MAX / 2);
    assert!(row.ends_with(&format!(",\"x\",\"{cut}\",5\n")));
    assert_eq!(bench.encoder.amended().len(), 1);
    bench.rows.clear();
    assert_eq!(bench.verdict(None, Some(&record(b"x", b"short"))), ROW);
    assert!(!bench.encoder.has_amended(), "said of one record only");
    bench.rows.clear();
    assert_eq!(
        bench.verdict(None, Some(&record(long.as_bytes(), b"short"))),
        "text_too_long",
        "another column"
    );
    assert_eq!(
        bench.verdict(None, Some(&record(b"x", b"a\0"))),
        "nul_character",
        "another problem"
    );
}

#[test]
fn frames_that_are_none() {
    let verdict = |value: &[u8]| Bench::new(&schema_of(r#""int""#), plain()).verdict(None, Some(value));
    for value in [
        &b""[..],
        &[0],
        &[0, 0],
        &[0, 0, 0, 0],
        b"\x30\0\0\0\x01\x02",
        b"{\"v\":1}",
        b"\x01\0\0\0\x01\x02",
        b"no frame",
        &[0xff; 40],
    ] {
        assert_eq!(verdict(value), "bad_frame", "{value:?}");
    }
    assert_eq!(
        verdict(&framed(999, &number(1))),
        ASKED,
        "an unknown id waits for the registry"
    );
    assert_eq!(verdict(&framed(1, &number(1))), ROW);
}

const KEYED: &str = r#"{"type":"record","name":"R","fields":[{"name":"id","type":["null","string"]},{"name":"v","type":["null","string"]}]}"#;

fn keyed(id: Option<&[u8]>, rest: &[u8]) -> Vec<u8> {
    let id = id.map_or(number(0), |id| [number(1), text(id)].concat());
    framed(1, &[id, rest.to_vec()].concat())
}

#[test]
fn keys_that_could_not_be_found_again() {
    let settings = || Settings {
        key: KeySource::Columns(vec!["id".into()]),
        bad_values: BTreeMap::from([(EVERY_COLUMN.to_owned(), BadValue::Null)]),
        ..Settings::default()
    };
    let verdict = |id: Option<&[u8]>| Bench::new(KEYED, settings()).verdict(None, Some(&keyed(id, &number(0))));
    assert_eq!(verdict(Some(b"a")), ROW);
    assert_eq!(verdict(Some(b" a")), ROW);
    assert_eq!(verdict(Some(b"")), ROW);
    assert_eq!(verdict(None), "null_key");
    assert_eq!(verdict(Some(b"a ")), "key_ends_in_blank");
    assert_eq!(verdict(Some(b" ")), "key_ends_in_blank");
    assert_eq!(verdict(Some(b"__debezium_unavailable_value")), "key_unchanged");
    assert_eq!(verdict(Some(DEFAULT_NULL_MARKER.as_bytes())), "null_marker");
    assert_eq!(verdict(Some(b"a\0")), "nul_character", "no rule replaces a key");
}

/// The key of a record that is set aside is kept where it can be read, so that later changes of it are noticed.
#[test]
fn what_is_set_aside_has_its_key() {
    let settings = Settings {
        key: KeySource::Columns(vec!["id".into()]),
        ..Settings::default()
    };
    let mut bench = Bench::new(KEYED, settings);
    assert_eq!(bench.verdict(None, Some(&keyed(Some(b"k,1"), &number(0)))), ROW);
    bench.rows.clear();
    let bad = keyed(Some(b"k,2"), &[number(1), text(b"a\0")].concat());
    let damaged = keyed(Some(b"k,3"), &[]);
    for (value, key) in [(bad, "k,2"), (damaged, DEFAULT_NULL_MARKER)] {
        let record = Record {
            offset: Offset(9),
            timestamp_ms: -1,
            headers: None,
            key: None,
            value: Some(&value),
        };
        let error = bench
            .encoder
            .encode(&record, &mut bench.rows, &mut bench.stats)
            .unwrap_err();
        let mut kept = Vec::new();
        assert_eq!(bench.encoder.set_aside(&record, &error, &mut kept), 1);
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&*kept);
        let line = reader.records().next().unwrap().unwrap();
        assert_eq!((&line[2], &line[3], &line[13]), ("9", DEFAULT_NULL_MARKER, key));
    }
}

#[test]
fn envelopes_that_say_nothing_of_use() {
    let schema = r#"{"type":"record","name":"Envelope","fields":[
        {"name":"before","type":["null",{"type":"record","name":"Value","fields":[{"name":"id","type":"long"}]}]},
        {"name":"after","type":["null","Value"]},{"name":"op","type":"string"}]}"#;
    let settings = || Settings {
        envelope: envelope::Kind::Debezium,
        key: KeySource::Columns(vec!["id".into()]),
        ..Settings::default()
    };
    let image = |id: Option<i64>| id.map_or(number(0), |id| [number(1), number(id)].concat());
    let verdict = |before, after, op: &[u8]| {
        let datum = [image(before), image(after), text(op)].concat();
        Bench::new(schema, settings()).verdict(None, Some(&framed(1, &datum)))
    };
    assert_eq!(verdict(None, Some(1), b"c"), ROW);
    assert_eq!(verdict(Some(1), None, b"d"), ROW);
    assert_eq!(verdict(None, None, b"t"), "truncate");
    assert_eq!(verdict(None, None, b"m"), SKIPPED);
    assert_eq!(verdict(None, None, b"c"), "no_image");
    assert_eq!(verdict(None, None, b"u"), "no_image");
    assert_eq!(verdict(None, None, b"d"), "delete_without_key");
    assert_eq!(verdict(None, Some(1), b"x"), "no_image");
    assert_eq!(verdict(None, Some(1), b"cc"), "unknown_operation");
    assert_eq!(verdict(None, Some(1), b""), "unknown_operation");
    assert_eq!(
        Bench::new(schema, settings()).verdict(Some(b"k"), None),
        SKIPPED,
        "a tombstone"
    );
}

/// Five megabytes of texts that each fit are a row that COPY refuses; nothing of them is lost.
#[test]
fn a_row_beyond_what_copy_takes_is_kept_in_parts() {
    let fields: Vec<String> = (0..80)
        .map(|n| format!(r#"{{"name":"c{n}","type":"string"}}"#))
        .collect();
    let schema = format!(r#"{{"type":"record","name":"R","fields":[{}]}}"#, fields.join(","));
    let datum: Vec<u8> = (0..80).flat_map(|_| text(&vec![b'x'; 65_000])).collect();
    let mut bench = Bench::new(&schema, plain());
    let value = framed(1, &datum);
    assert!(value.len() > 9 * ASIDE_PART_BYTES);
    assert_eq!(bench.verdict(None, Some(&value)), "row_too_long");
}
