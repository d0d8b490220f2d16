//! Records that a real Debezium wrote, encoded and compared with what another Avro library read in them.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod support;

use std::collections::BTreeMap;

use common::row::{Outcome, PlanError, Problem, Reason, Settings};
use support::debezium::{Line, Lineage, after_by_another_library, topic};

const NULL: &str = common::csv::DEFAULT_NULL_MARKER;
const META: usize = 7;

/// Encodes a line and compares its rows with the other library's reading.
fn check(lineage: &mut Lineage, line: &Line) -> Vec<Vec<Option<String>>> {
    let rows = match lineage.encode(line).unwrap_or_else(|error| panic!("{error}")) {
        (Outcome::Rows(count), rows) => {
            assert_eq!(rows.len(), usize::from(count));
            rows
        }
        (Outcome::Skipped, rows) => {
            assert!(rows.is_empty());
            assert!(line.value_decoded.is_null(), "only tombstones are skipped");
            return rows;
        }
        (other, _) => panic!("{other:?}"),
    };
    let datum = &line.value_decoded["datum"];
    let op = datum["op"].as_str().unwrap();
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!(row[0].as_deref(), Some(op));
    assert_eq!(row[3].as_deref(), Some(line.offset.to_string().as_str()));
    let plan = lineage.plan();
    assert_eq!(row.len(), META + plan.columns.len());
    let keyed = plan.columns.iter().any(|column| column.key.is_some());
    let expected = after_by_another_library(line, &lineage.schemas, if op == "d" { "before" } else { "after" });
    for (column, found) in plan.columns.iter().zip(&row[META..]) {
        let wanted = match expected.get(&column.source) {
            _ if op == "d" && keyed && column.key.is_none() => None,
            Some(value) => value.clone(),
            None => column.default.clone(),
        };
        assert_eq!(
            found, &wanted,
            "{}: offset {}, column {}",
            line.topic, line.offset, column.name
        );
    }
    rows
}

#[test]
fn keys_of_two_columns_that_change_and_come_back() {
    for prefix in ["pgd", "pgc", "pgm"] {
        let lines = topic(&format!("{prefix}.public.composite_key"));
        let mut lineage = Lineage::default();
        let mut table = BTreeMap::new();
        for line in &lines {
            for row in check(&mut lineage, line) {
                let key = (row[META].clone(), row[META + 1].clone());
                match row[0].as_deref() {
                    Some("d") => _ = table.remove(&key),
                    _ => _ = table.insert(key, row[META + 2].clone()),
                }
            }
        }
        assert_eq!(lines.len(), 625);
        assert_eq!(lineage.plans, 1, "one plan from first to last");
        let expected: BTreeMap<_, _> = support::debezium::final_table("composite_key")
            .into_iter()
            .map(|row| ((row[0].clone(), row[1].clone()), row[2].clone()))
            .collect();
        assert_eq!(table, expected);
    }
}

#[test]
fn a_table_without_a_key_has_images_and_a_truncate() {
    for prefix in ["pgd", "pgc", "pgm"] {
        let mut lineage = Lineage::default();
        let mut truncates = Vec::new();
        let mut ops = BTreeMap::new();
        for line in topic(&format!("{prefix}.public.no_key")) {
            if line.value_decoded["datum"]["op"] == "t" {
                let (outcome, rows) = lineage.encode(&line).unwrap();
                assert_eq!((outcome, rows.len()), (Outcome::Truncate, 0));
                truncates.push(line.offset);
                continue;
            }
            for row in check(&mut lineage, &line) {
                *ops.entry(row[0].clone().unwrap()).or_insert(0) += 1;
                assert!(row[META].is_some(), "deletes carry the whole row before");
            }
        }
        assert_eq!(truncates, [70]);
        assert!(ops["c"] > 0 && ops["u"] > 0 && ops["d"] > 0, "{ops:?}");
        assert!(lineage.plan().key_columns().is_empty());
    }
}

/// Six schemas one after the other: each new column and each wider type is a plan of its own, a dropped column none.
#[test]
fn a_table_that_evolves_grows_its_plan_and_never_shrinks_it() {
    for prefix in ["pgd", "pgc", "pgm"] {
        let lines = topic(&format!("{prefix}.public.evolving"));
        let mut lineage = Lineage::default();
        for line in &lines {
            check(&mut lineage, line);
        }
        let columns: Vec<String> = lineage
            .plan()
            .columns
            .iter()
            .map(|c| format!("{} {}", c.name, c.ty))
            .collect();
        assert_eq!(
            columns,
            ["id INTEGER", "a VARCHAR", "b BIGINT", "a2 VARCHAR", "c VARCHAR"]
        );
        assert_eq!(lineage.plan().columns[4].default.as_deref(), Some("x"));
        assert_eq!(lineage.plans, 5, "first, b, b wider, a2, c; none when b was dropped");
        // Old and new records in turn, as after a rebalance or with two writers: no cut.
        for line in lines.iter().rev().step_by(7) {
            check(&mut lineage, line);
        }
        assert_eq!(lineage.plans, 5);
    }
}

#[test]
fn large_values_that_did_not_change_are_marked() {
    for prefix in ["pgd", "pgc", "pgm"] {
        let mut lineage = Lineage::default();
        let mut marked = 0;
        let mut table: BTreeMap<String, Vec<Option<String>>> = BTreeMap::new();
        for line in topic(&format!("{prefix}.public.toasted")) {
            let placeholder = line.value_decoded["datum"]["after"]["big"] == "__debezium_unavailable_value";
            for mut row in if placeholder {
                lineage.encode(&line).unwrap().1
            } else {
                check(&mut lineage, &line)
            } {
                assert_eq!(row[6].as_deref(), placeholder.then_some("big"));
                let key = row[META].clone().unwrap();
                if placeholder {
                    marked += 1;
                    assert_eq!(row[META + 2], None);
                    row[META + 2] = table[&key][2].clone();
                }
                match row[0].as_deref() {
                    Some("d") => _ = table.remove(&key),
                    _ => _ = table.insert(key, row[META..].to_vec()),
                }
            }
        }
        assert!(marked > 0);
        assert_eq!(lineage.stats.unchanged_columns(Some(&lineage.plan())), ["big"]);
        assert!(lineage.stats.longest_by_column(Some(&lineage.plan()))["big"] > 10_000);
        let expected = support::debezium::final_table("toasted")
            .into_iter()
            .map(|row| (row[0].clone().unwrap(), row));
        assert_eq!(table, expected.collect());
    }
}

/// Numbers that are not finite are refused with their column; the rest of those rows is read with the two numbers replaced.
#[test]
fn one_column_of_every_type() {
    for prefix in ["pgd", "pgc", "pgm"] {
        let mut lineage = Lineage::default();
        let mut refused = 0;
        for mut line in topic(&format!("{prefix}.public.every_type")) {
            if line.value_decoded["datum"]["after"]["c_float4"] == "-Infinity" {
                let error = lineage.encode(&line).unwrap_err();
                assert_eq!(error.problem, Problem::Value(Reason::NotFinite));
                assert_eq!(error.column.as_deref(), Some("c_float4"));
                refused += 1;
                line.make_finite();
            }
            check(&mut lineage, &line);
        }
        assert_eq!(refused, 2);
        insta::assert_snapshot!(
            format!("every_type_{prefix}"),
            lineage
                .plan()
                .columns
                .iter()
                .map(|c| format!("{} {}\n", c.name, c.ty))
                .collect::<String>()
        );
    }
}

#[test]
fn heartbeats_and_transactions_make_no_rows() {
    for name in ["__debezium-heartbeat.pgd", "pgd.transaction"] {
        let mut lineage = Lineage::default();
        let lines = topic(name);
        assert!(lines.len() > 10);
        for line in &lines {
            assert_eq!(lineage.encode(line).unwrap().0, Outcome::Skipped);
        }
    }
}

/// The bytes of one row of each kind, so that a change of them is seen: they lie on S3 for ever (protocol E4).
#[test]
fn rows_as_they_are_written() {
    let mut lineage = Lineage::default();
    for line in topic("pgd.public.every_type") {
        _ = lineage.encode(&line);
    }
    insta::assert_snapshot!(String::from_utf8(lineage.out.clone()).unwrap());
    assert!(!lineage.out.is_empty() && lineage.out.ends_with(b"\n"));
    assert!(String::from_utf8_lossy(&lineage.out).contains(NULL));
}

#[test]
fn every_row_carries_its_place_at_the_source_if_it_shall() {
    let by = |field: &str| {
        Lineage::with(Settings {
            position: Some(field.to_owned()),
            ..Settings::default()
        })
    };
    let (mut deletes, mut last) = (0, 0);
    for prefix in ["pgd", "pgc", "pgm"] {
        let lines = topic(&format!("{prefix}.public.composite_key"));
        let (mut lineage, mut without) = (by("lsn"), Lineage::default());
        for line in &lines {
            let (outcome, rows) = lineage.encode(line).unwrap();
            let (_, plain) = without.encode(line).unwrap();
            let Outcome::Rows(_) = outcome else { continue };
            let place = line.value_decoded["datum"]["source"]["lsn"].as_i64().unwrap();
            let at = META
                + lineage
                    .plan()
                    .columns
                    .iter()
                    .position(|column| column.source == "source.lsn")
                    .unwrap();
            assert_eq!(lineage.plan().columns[at - META].name, "source_lsn");
            for (mut row, plain) in rows.into_iter().zip(plain) {
                deletes += usize::from(row[0].as_deref() == Some("d"));
                assert_eq!(row.remove(at), Some(place.to_string()), "offset {}", line.offset);
                assert_eq!(row, plain, "the rest is as it was");
            }
            last = last.max(place);
        }
    }
    assert!(deletes > 0 && last > 0);
    let lines = topic("pgd.public.composite_key");
    for (field, wanted) in [("nowhere", "no field `source.nowhere`"), ("table", "type `VARCHAR`")] {
        let refused = by(field).encode(&lines[0]).unwrap_err();
        let Problem::Plan { error, .. } = &refused.problem else {
            panic!("{refused}")
        };
        assert!(matches!(
            error,
            PlanError::NoPosition(_) | PlanError::PositionType { .. }
        ));
        assert!(refused.to_string().contains(wanted), "{refused}");
    }
}
