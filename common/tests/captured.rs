//! Every captured topic, in every setting of Debezium, becomes rows that lead to the source's table as it was in the end. What ends up
//! otherwise is listed here by name; docs/formats.md says why.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod support;

use std::collections::BTreeSet;

use common::envelope;
use common::plan::Column;
use common::row::{Format, KeySource, Settings};
use support::debezium::{Lineage, topic};
use support::rendering::{RULES, canonical, rendered};
use support::table::{Row, Table};

/// How the topics of a setting are read.
fn settings(prefix: &str, table: &str) -> Settings {
    let envelope = match prefix {
        "pgu" => envelope::Kind::DebeziumFlat,
        _ => envelope::Kind::Debezium,
    };
    let (format, columns) = match prefix {
        "pgj" => (Format::ConnectJson, Vec::new()),
        "pgn" => (Format::Json, support::declared::columns(table)),
        _ => (Format::Avro, Vec::new()),
    };
    Settings {
        envelope,
        format,
        columns,
        ..Settings::default()
    }
}

/// All settings; the first three ran one workload, the others went on from its end.
const PREFIXES: [&str; 6] = ["pgd", "pgc", "pgm", "pgj", "pgn", "pgu"];

fn is_later(prefix: &str) -> bool {
    ["pgj", "pgn", "pgu"].contains(&prefix)
}

fn source(prefix: &str, table: &str) -> Vec<Row> {
    let later = if is_later(prefix) { ".later" } else { "" };
    support::source::rows(&format!("{table}{later}"))
}

/// Loads a topic; the table, and the columns that it has in the end.
fn load(prefix: &str, table: &str, key: KeySource) -> (Table, Vec<Column>) {
    let lines = topic(&format!("{prefix}.public.{table}"));
    // Without a schema a record's key does not say what its fields are.
    let key = match (prefix, table) {
        ("pgn", "composite_key") => KeySource::Columns(vec!["region".into(), "n".into()]),
        ("pgn", _) => KeySource::Columns(vec!["id".into()]),
        _ => key,
    };
    let settings = Settings {
        key,
        ..settings(prefix, table)
    };
    let mut lineage = Lineage::by(settings);
    let loaded = Table::of(&mut lineage, &lines);
    (loaded, lineage.plan().columns.clone())
}

/// A value that is not what the source has: key, column, what the table holds.
type Difference = (String, String, Option<String>);

/// Compares with the source: which keys are missing, and which values differ after the rules were applied.
fn differences(
    prefix: &str,
    table: &str,
    keys: &[&str],
    loaded: &Table,
    columns: &[Column],
    used: &mut Vec<&'static str>,
) -> (Vec<String>, Vec<Difference>) {
    let (mut missing, mut differing) = (Vec::new(), Vec::new());
    let source = source(prefix, table);
    let mut unmatched: BTreeSet<_> = loaded.rows.keys().cloned().collect();
    for row in &source {
        let key: Vec<_> = keys.iter().map(|name| row[*name].clone()).collect();
        let shown = key.iter().flatten().cloned().collect::<Vec<_>>().join("/");
        let Some(found) = loaded.rows.get(&key) else {
            missing.push(shown);
            continue;
        };
        unmatched.remove(&key);
        for (name, value) in row {
            let column = columns
                .iter()
                .find(|column| column.name == *name)
                .unwrap_or_else(|| panic!("no `{name}`"));
            let wanted = value
                .as_deref()
                .map(|text| canonical(column.ty, &rendered(prefix, name, text, used)));
            let found = found[name].as_deref().map(|text| canonical(column.ty, text));
            if found != wanted {
                differing.push((shown.clone(), name.clone(), found));
            }
        }
    }
    assert!(
        unmatched.is_empty(),
        "{prefix}: rows that the source does not have: {unmatched:?}"
    );
    (missing, differing)
}

/// Columns that the table has and the source not, in the end.
fn surplus(prefix: &str, table: &str, columns: &[Column]) -> Vec<String> {
    let source = source(prefix, table);
    let more = columns.iter().map(|column| column.name.clone());
    more.filter(|name| !source[0].contains_key(name)).collect()
}

fn record_key() -> KeySource {
    KeySource::Record
}

#[test]
fn composite_keys_that_change_and_come_back() {
    for prefix in PREFIXES {
        let (loaded, columns) = load(prefix, "composite_key", record_key());
        let found = differences(
            prefix,
            "composite_key",
            &["region", "n"],
            &loaded,
            &columns,
            &mut Vec::new(),
        );
        assert_eq!(found, (vec![], vec![]), "{prefix}");
        assert!(loaded.refused.is_empty() && loaded.rows.len() > 200);
        assert_eq!(
            surplus(prefix, "composite_key", &columns),
            Vec::<String>::new(),
            "{prefix}"
        );
    }
}

/// Numbers that are not finite are refused with their column, so the one row that has them is not there.
#[test]
fn one_column_of_every_type() {
    let mut used = Vec::new();
    for prefix in PREFIXES {
        let (loaded, columns) = load(prefix, "every_type", record_key());
        let found = differences(prefix, "every_type", &["id"], &loaded, &columns, &mut used);
        assert_eq!(found, (vec!["102".to_owned()], vec![]), "{prefix}");
        let refused: Vec<_> = loaded
            .refused
            .iter()
            .map(|(_, column, why)| (column.as_deref(), why.as_str()))
            .collect();
        let not_finite = (Some("c_float4"), "the number is not finite, which COPY cannot load");
        assert_eq!(
            refused,
            [not_finite, not_finite],
            "{prefix}: id 102 twice, or 2 and then 102"
        );
        assert_eq!(columns.len(), 46, "{prefix}");
    }
    let unused: Vec<_> = RULES
        .iter()
        .map(|rule| rule.name)
        .filter(|name| !used.contains(name))
        .collect();
    assert!(unused.is_empty(), "rules that no value needed: {unused:?}");
}

#[test]
fn the_rules_are_those_of_the_documentation() {
    let documented = include_str!("../../docs/formats.md");
    let rules = RULES.iter().map(|rule| rule.name);
    let others = [
        "not finite",
        "a renamed column",
        "a default that is no constant",
        "a dropped column",
        "arrays of arrays are nulls",
    ];
    let missing: Vec<_> = rules.chain(others).filter(|name| !documented.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_table_without_a_key_is_a_changelog_that_a_truncate_empties() {
    for prefix in ["pgd", "pgc", "pgm"] {
        let (loaded, columns) = load(prefix, "no_key", record_key());
        let wanted: Vec<_> = source(prefix, "no_key")
            .into_iter()
            .map(|row| ("c".to_owned(), row))
            .collect();
        assert_eq!((loaded.truncates, &loaded.changelog), (1, &wanted), "{prefix}");
        assert!(columns.iter().all(|column| column.key.is_none()) && loaded.refused.is_empty());
        // A column that is unique serves as the key.
        let (keyed, columns) = load(prefix, "no_key", KeySource::Columns(vec!["a".into()]));
        let found = differences(prefix, "no_key", &["a"], &keyed, &columns, &mut Vec::new());
        assert_eq!((keyed.truncates, found), (1, (vec![], vec![])), "{prefix}");
    }
}

/// Exceptions: a renamed column is a new one that rows not written since do not have (`a2`); a column with a default that is no constant
/// gets what Debezium says instead of one (`z`); a column that was dropped or renamed stays.
#[test]
fn a_table_that_evolves() {
    for prefix in PREFIXES {
        let (loaded, columns) = load(prefix, "evolving", record_key());
        let (missing, differing) = differences(prefix, "evolving", &["id"], &loaded, &columns, &mut Vec::new());
        let (expected, kept): (Vec<Difference>, &[&str]) = if is_later(prefix) {
            let untouched = loaded
                .rows
                .keys()
                .flatten()
                .flatten()
                .filter(|id| !["1", "2", "3", "4"].contains(&id.as_str()));
            // JSON without a schema has no defaults.
            let epoch = (prefix != "pgn").then(|| "1970-01-01 00:00:00+00".to_owned());
            let mut epochs: Vec<_> = untouched
                .map(|id| (id.clone(), "z".to_owned(), epoch.clone()))
                .collect();
            epochs.sort_by_key(|(id, ..)| id.parse::<u32>().unwrap());
            (epochs, &[])
        } else {
            let untouched = 10..=60;
            (
                untouched.map(|id| (id.to_string(), "a2".to_owned(), None)).collect(),
                &["a", "b"],
            )
        };
        assert_eq!((missing, differing), (vec![], expected), "{prefix}");
        assert_eq!(surplus(prefix, "evolving", &columns), kept, "{prefix}");
        assert!(loaded.refused.is_empty());
    }
}

#[test]
fn large_values_that_did_not_change_stay() {
    for prefix in ["pgd", "pgc", "pgm"] {
        let (loaded, columns) = load(prefix, "toasted", record_key());
        let found = differences(prefix, "toasted", &["id"], &loaded, &columns, &mut Vec::new());
        assert_eq!(found, (vec![], vec![]), "{prefix}");
        assert!(loaded.refused.is_empty() && loaded.rows.len() > 1);
    }
}
