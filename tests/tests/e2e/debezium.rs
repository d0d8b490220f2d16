//! Records that a real Debezium wrote, loaded and compared with the source tables as they were at the end (tests/data).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use spolt_tests::rig::Rig;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/debezium-postgres")
}

/// A line of a capture.
struct Captured {
    partition: i32,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

fn captured(topic: &str) -> Vec<Captured> {
    let file = std::fs::File::open(data().join(format!("topics/{topic}.jsonl.gz"))).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let bytes = |value: &serde_json::Value| value.as_str().map(|text| STANDARD.decode(text).unwrap());
    text.lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let partition = i32::try_from(line["partition"].as_i64().unwrap()).unwrap();
            Captured {
                partition,
                key: bytes(&line["key"]),
                value: bytes(&line["value"]),
            }
        })
        .collect()
}

/// Registers the schemas that a capture uses in this registry, and puts their new ids into the frames.
async fn reframed(rig: &mut Rig, topic: &str, records: &mut [Captured]) {
    let mut ids: BTreeMap<[u8; 4], u32> = BTreeMap::new();
    for record in records {
        for (part, bytes) in [("key", &mut record.key), ("value", &mut record.value)] {
            let Some(bytes) = bytes else { continue };
            let old: [u8; 4] = bytes[1..5].try_into().unwrap();
            if let Entry::Vacant(unknown) = ids.entry(old) {
                let file = data().join(format!("schemas/{}.avsc", u32::from_be_bytes(old)));
                let schema = std::fs::read_to_string(file).unwrap();
                unknown.insert(rig.register(&format!("{topic}-{part}"), &schema).await);
            }
            bytes[1..5].copy_from_slice(&ids[&old].to_be_bytes());
        }
    }
}

async fn loads_to(setting: &str, table: &str, sql: &str, expected: Vec<Vec<Option<String>>>) {
    loads_with("", setting, table, sql, expected).await;
}

/// The same with rules for the topic.
async fn loads_with(rules: &str, setting: &str, table: &str, sql: &str, expected: Vec<Vec<Option<String>>>) {
    let mut rig = Rig::new(&format!("dbz_{setting}_{table}")).await;
    let topic = rig.topic(table);
    if !rules.is_empty() {
        rig.extra_config = format!("[[topic]]\nname = '^.*'\n{rules}\n");
    }
    let mut records = captured(&format!("{setting}.public.{table}"));
    let partitions = records.iter().map(|record| record.partition).max().unwrap() + 1;
    rig.create_topic(&topic, partitions).await;
    if !["pgj", "pgn"].contains(&setting) {
        reframed(&mut rig, &topic, &mut records).await;
    }
    let _writer = rig.start_s3_spolt();
    let _loader = rig.start_redshift_spolt();
    rig.produce_raw(
        &topic,
        records
            .iter()
            .map(|record| (record.partition, record.key.as_deref(), record.value.as_deref())),
    );
    let sql = sql.replace("TABLE", &format!("\"{}\".\"{table}\"", rig.name));
    rig.equals(&rig.parts.redshift, table, &sql, expected).await;
}

fn final_table(table: &str, columns: &[&str]) -> Vec<Vec<Option<String>>> {
    let plain = data().join(format!("final/{table}.csv"));
    let file: Box<dyn Read> = if plain.exists() {
        Box::new(std::fs::File::open(plain).unwrap())
    } else {
        let packed = data().join(format!("final/{table}.csv.gz"));
        Box::new(flate2::read::GzDecoder::new(std::fs::File::open(packed).unwrap()))
    };
    let mut reader = csv::Reader::from_reader(file);
    let headers = reader.headers().unwrap().clone();
    let at: Vec<usize> = columns
        .iter()
        .map(|column| headers.iter().position(|header| header == *column).unwrap())
        .collect();
    let cell = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let mut rows: Vec<Vec<Option<String>>> = reader
        .records()
        .map(|row| row.map(|row| at.iter().map(|at| cell(&row[*at])).collect()).unwrap())
        .collect();
    rows.sort();
    rows
}

async fn composite_key(setting: &str) {
    let sql = "SELECT \"region\", \"n\", \"v\" FROM TABLE";
    let mut expected = final_table("composite_key", &["region", "n", "v"]);
    expected.sort_by_key(|row| (row[0].clone(), row[1].clone().map(|n| n.parse::<i64>().unwrap())));
    loads_to(
        setting,
        "composite_key",
        &format!("{sql} ORDER BY \"region\", \"n\""),
        expected,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn composite_keys_of_which_a_part_changes() {
    composite_key("pgd").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn composite_keys_in_connect_mode() {
    composite_key("pgc").await;
}

/// Settings that begin with a snapshot of what the others left.
async fn later(rules: &str, setting: &str) {
    let sql = "SELECT \"region\", \"n\", \"v\" FROM TABLE ORDER BY \"region\", \"n\"";
    let mut expected = final_table("composite_key.later", &["region", "n", "v"]);
    expected.sort_by_key(|row| (row[0].clone(), row[1].clone().map(|n| n.parse::<i64>().unwrap())));
    loads_with(rules, setting, "composite_key", sql, expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flattened_records() {
    later("envelope = \"debezium_flat\"", "pgu").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_with_schemas() {
    later("format = \"connect_json\"", "pgj").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_of_a_declared_table() {
    let columns = "columns = { region = \"varchar\", n = \"bigint\", v = \"varchar\" }";
    later(
        &format!("format = \"json\"\nkey = [\"region\", \"n\"]\n{columns}"),
        "pgn",
    )
    .await;
}

/// One row has numbers that are not finite: it is set aside, and the others are there with all their digits.
#[tokio::test(flavor = "multi_thread")]
async fn every_type_in_json_with_schemas() {
    let columns = ["id", "c_int8", "c_num", "c_num38_9", "c_varchar", "c_text"];
    let mut expected = final_table("every_type.later", &columns);
    expected.retain(|row| row[0].as_deref() != Some("102"));
    expected.sort_by_key(|row| row[0].clone().map(|id| id.parse::<i64>().unwrap()));
    let listed = columns.map(|column| format!("\"{column}\"")).join(", ");
    let sql = format!("SELECT {listed} FROM TABLE ORDER BY \"id\"");
    loads_with("format = \"connect_json\"", "pgj", "every_type", &sql, expected).await;
}

/// Updates of `toasted` leave the big value out; what the table has stays (rule 25).
async fn toasted(setting: &str) {
    let sql = "SELECT \"id\", \"small\", \"big\" FROM TABLE ORDER BY \"id\"";
    let mut expected = final_table("toasted", &["id", "small", "big"]);
    expected.sort_by_key(|row| row[0].clone().map(|id| id.parse::<i64>().unwrap()));
    loads_to(setting, "toasted", sql, expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_left_out_as_unchanged_stay() {
    toasted("pgd").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_left_out_as_unchanged_stay_in_connect_mode() {
    toasted("pgc").await;
}

/// The source was truncated once; a column that is unique serves as its key (rule 26).
#[tokio::test(flavor = "multi_thread")]
async fn a_truncate_empties_the_table() {
    let expected = final_table("no_key", &["a", "b"]);
    let sql = "SELECT \"a\", \"b\" FROM TABLE ORDER BY \"a\"";
    loads_with("key = [\"a\"]", "pgd", "no_key", sql, expected).await;
}
