//! Random schemas and values, from Avro to the warehouse: written by apache-avro, encoded by us, put on S3, loaded by COPY into the
//! stand-in, selected, and compared with the value. DuckDB reads the same objects as a second reader.
//!
//! `SPOLT_PROPERTY_SCHEMAS` makes it longer, `SPOLT_PROPERTY_SEED` makes it begin elsewhere; a failure names its seed.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod duck;
mod leaf;
mod table;
mod text;
mod tree;
mod warehouse;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use common::table::ColumnType;
use spolt_tests::warehouse::Row;

use leaf::Shown;
use table::{Encoded, Table};

/// Schemas of a run, unless the environment says otherwise.
const SCHEMAS: u64 = 300;

/// Rows of each.
const ROWS: usize = 40;

fn from_env(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).unwrap_or_default();
    let number = text.parse();
    if text.is_empty() {
        default
    } else {
        number.unwrap_or_else(|_| panic!("`{name}` is `{text}`, no number"))
    }
}

/// Who has read a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    Redshift,
    DuckDb,
}

/// Whether a value is shown as it should be.
fn is(wanted: &Shown, found: Option<&str>, reader: Reader) -> bool {
    match (wanted, found) {
        (Shown::Null, None) => true,
        // COPY takes empty bytes for NULL.
        (Shown::Bytes(bytes), None) => bytes.is_empty() && reader == Reader::Redshift,
        (Shown::Null, Some(_)) | (_, None) => false,
        (Shown::Text(text), Some(found)) => text == found,
        (Shown::Time(time), Some(found)) => text::trimmed(time) == text::trimmed(found),
        (Shown::Real(value), Some(found)) => found
            .parse::<f32>()
            .is_ok_and(|found| found.to_bits() == value.to_bits()),
        (Shown::Double(value), Some(found)) => found
            .parse::<f64>()
            .is_ok_and(|found| found.to_bits() == value.to_bits()),
        (Shown::Bytes(bytes), Some(found)) => text::hex(bytes) == found,
    }
}

/// A value of DuckDB in Redshift's spelling.
fn respelled(ty: ColumnType, text: String) -> String {
    match (ty, text.strip_prefix('-').unwrap_or(&text)) {
        (ColumnType::Boolean, "true") => "t".to_owned(),
        (ColumnType::Boolean, "false") => "f".to_owned(),
        (ColumnType::Decimal { .. }, digits) if digits.starts_with('.') => text.replacen('.', "0.", 1),
        _ => text,
    }
}

/// What was found wrong: the first example of every type and reader.
#[derive(Default)]
struct Wrong(BTreeMap<String, String>);

/// Every value of a table as a reader has it; how many they are.
fn compare(table: &Table, encoded: &Encoded, rows: &[Row], reader: Reader, wrong: &mut Wrong) -> usize {
    assert_eq!(
        rows.len(),
        table.rows.len(),
        "seed {}: rows that {reader:?} has",
        table.seed
    );
    for (at, (wanted, found)) in table.rows.iter().zip(rows).enumerate() {
        for (column, (made, found)) in wanted.iter().zip(found).enumerate() {
            let (ty, kind) = (encoded.plan.columns[column].ty, &table.types[column]);
            let found = match reader {
                Reader::Redshift => found.clone(),
                Reader::DuckDb => found.clone().map(|text| respelled(ty, text)),
            };
            if is(&made.shown, found.as_deref(), reader) {
                continue;
            }
            let example = || {
                format!(
                    "seed {}, row {at}, column {column} ({ty}, {kind:?}): {reader:?} has {found:?}, the value is {:?}",
                    table.seed, made.shown
                )
            };
            wrong.0.entry(format!("{reader:?} {kind:?}")).or_insert_with(example);
        }
    }
    table.rows.len() * table.types.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_arrives_as_it_was_written() {
    let (first, schemas) = (
        from_env("SPOLT_PROPERTY_SEED", 1),
        from_env("SPOLT_PROPERTY_SCHEMAS", SCHEMAS),
    );
    let mut warehouse = warehouse::Warehouse::new().await;
    let mut duck = duck::Duck::start();
    let (mut values, mut types, mut wrong) = ([0, 0], BTreeSet::new(), Wrong::default());
    for seed in first..first + schemas {
        let table = Table::of(seed, ROWS);
        let encoded = table.encode();
        let object = warehouse.put(&table, &encoded).await;
        let rows = warehouse.load(&object, &encoded).await;
        values[0] += compare(&table, &encoded, &rows, Reader::Redshift, &mut wrong);
        let rows = duck.read(&object, &encoded);
        values[1] += compare(&table, &encoded, &rows, Reader::DuckDb, &mut wrong);
        types.extend(
            encoded
                .plan
                .columns
                .iter()
                .map(|column| format!("{:?}", std::mem::discriminant(&column.ty))),
        );
    }
    let wrong: Vec<&str> = wrong.0.values().map(String::as_str).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        schemas < SCHEMAS || types.len() == 15,
        "every type of column appears: {types:?}"
    );
    // Past the test harness, which swallows what a test that passes prints.
    let _ = writeln!(
        std::io::stderr(),
        "properties: {schemas} schemas from seed {first}, {} rows, {} values by COPY and SELECT, {} values by DuckDB",
        schemas * ROWS as u64,
        values[0],
        values[1]
    );
}
