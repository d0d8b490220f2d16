//! Every mode against a reference that applies the changes one by one: whatever loads they come in, claims that overlap and are cut anew
//! included, the table holds what the mode promises, after every load. The statements run in SQLite.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod reference;
#[path = "../support/mod.rs"]
mod support;
mod topic;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::chain::Position;
use common::claim::Claim;
use common::failure::Failure;
use common::ids::{Incarnation, Offset, Partition};
use common::plan::{Plan, PlanId};
use proptest::prelude::*;
use redshift_spolt::load::aside;
use redshift_spolt::load::check::check;
use redshift_spolt::load::machine::Outcome;
use redshift_spolt::load::mode::Mode;
use redshift_spolt::load::replay::Place;
use redshift_spolt::load::run::{Group, GroupKey, LoadPlan};
use redshift_spolt::load::statements::{Facts, Purpose, Script, Target, compile};
use reference::{Line, reference};
use support::sqlite::{Sqlite, orders};
use topic::{Cell, Does, Log, Record, Row, cut, lives, log, marks, plan, planned, steps, time, within};

struct Warehouse {
    sqlite: Sqlite,
    target: Target,
}

impl Warehouse {
    fn new(mode: Mode) -> Warehouse {
        let target = Target {
            table: orders(),
            state_schema: "spolt".into(),
            create_schemas: false,
            mode,
            varchar: BTreeMap::new(),
            order_by: None,
            metadata: Vec::new(),
            made: runtime::config::TableSettings::default(),
            refreshes: None,
        };
        Warehouse {
            sqlite: Sqlite::new(),
            target,
        }
    }

    fn compile(&self, load: &LoadPlan) -> Result<Script, Failure> {
        let plan = plan();
        let plans: BTreeMap<PlanId, Plan> = BTreeMap::from([(plan.id(), plan)]);
        let row = self.sqlite.state().table;
        let manifests = vec![("lake".to_owned(), "m".to_owned()); load.groups.len()];
        let facts = Facts {
            load,
            load_id: "L",
            plans: &plans,
            known: row
                .as_ref()
                .and_then(|row| row.plan.as_ref())
                .and_then(|id| plans.get(id)),
            table_row: row.as_ref(),
            catalog: &self.sqlite.catalog("public", "orders"),
            deleted: &[],
            aside: &self.sqlite.catalog("spolt", "public__orders__set_aside"),
            attached: &redshift_spolt::load::attached::NOTHING,
            manifests: &manifests,
            region: "eu-central-1",
            now_ms: 1_700_000_000_000,
        };
        compile(&self.target, &facts)
    }

    /// Applies a load as the daemon does: each answer is judged, and the first that must not be ends it.
    fn load(&self, load: &LoadPlan, topic: &[Log]) -> Result<(), Outcome> {
        let row = self.sqlite.state().table;
        let script = self.compile(load).unwrap();
        // What is written down of changes of the table is written before, in part; SQLite need not be widened.
        let before = script
            .before
            .iter()
            .filter(|statement| statement.purpose == Purpose::RecordChange);
        for statement in before.chain(&script.transaction) {
            match statement.purpose {
                Purpose::Begin | Purpose::Lock | Purpose::ReadCatalog | Purpose::CountRows | Purpose::Commit => {}
                Purpose::Copy => self.copy(load, topic),
                _ => check(statement, &self.sqlite.run(&statement.sql), load, row.as_ref())?,
            }
        }
        Ok(())
    }

    fn copy(&self, load: &LoadPlan, topic: &[Log]) {
        for claim in load.groups.iter().flat_map(|group| &group.claims) {
            for (offset, record) in within(claim, topic) {
                let Does::Changes(rows) = &record.does else { continue };
                for row in rows {
                    let text = |cell: &Cell| match cell {
                        Cell::Set(text) => format!("'{text}'"),
                        _ => "NULL".to_owned(),
                    };
                    let sql = format!(
                        "INSERT INTO spolt_stage VALUES ('{}', {}, {}, {offset}, {}, '{}', '{}', {}, {}, {})",
                        row.op,
                        claim.incarnation,
                        claim.partition,
                        row.seq,
                        time(record.second),
                        marks(row),
                        row.key,
                        text(&row.cells[0]),
                        text(&row.cells[1]),
                    );
                    self.sqlite.run(&sql);
                }
            }
        }
    }
}

fn same(warehouse: &Warehouse, topic: &[Log]) {
    let mode = warehouse.target.mode;
    let expected = reference(topic, &warehouse.sqlite.state());
    let catalog = warehouse.sqlite.catalog("public", "orders");
    let mut expected = expected.lines(mode);
    if catalog.is_empty() {
        // What was truncated before there was a row had none, and no table to say so in.
        assert!(expected.iter().all(|line| line[4] == Some("t".into())), "{expected:?}");
        return;
    }
    let marks = catalog.iter().any(|column| column.name == "_kafka_unchanged");
    let own = match mode {
        Mode::Upsert => String::new(),
        Mode::SoftDelete => ", _kafka_deleted".to_owned(),
        Mode::History => ", _kafka_op, _kafka_valid_from, _kafka_valid_to, _kafka_is_current".to_owned(),
        Mode::Append if marks => ", _kafka_op, _kafka_timestamp, NULLIF(_kafka_unchanged, '')".to_owned(),
        Mode::Append => ", _kafka_op, _kafka_timestamp, NULL".to_owned(),
    };
    let sql = format!(
        "SELECT id, a, b, _kafka_incarnation || '/' || _kafka_partition || '/' || _kafka_offset || '/' || _kafka_seq{own} FROM public.orders"
    );
    let mut lines = warehouse.sqlite.run(&sql).rows;
    lines.sort();
    if mode == Mode::Append {
        // Before the first row there is no table in which a truncate could be written.
        let first = lines.iter().map(place).min();
        expected.retain(|line| line[4] != Some("t".into()) || Some(place(line)) > first);
    }
    assert_eq!(lines, expected, "{mode:?}");
}

fn place(line: &Line) -> Vec<i64> {
    let origin = line[3].as_ref().unwrap();
    origin.split('/').map(|part| part.parse().unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_table_of_every_mode_is_what_the_changes_say_whatever_loads_they_come_in(
        partitions in proptest::collection::vec(lives(), 1..=2),
        steps in steps(),
    ) {
        // A truncate of one partition has no order against the rows of another.
        let truncates = partitions.len() == 1;
        let topic: Vec<Log> = (0..).zip(&partitions).map(|(index, raw)| log(index, raw, truncates)).collect();
        for mode in [Mode::Upsert, Mode::SoftDelete, Mode::History, Mode::Append] {
            let warehouse = Warehouse::new(mode);
            let rest = std::iter::repeat_n([(9, vec![false; 5], 2), (9, vec![false; 5], 2)], 40);
            for step in steps.iter().cloned().chain(rest) {
                let Some(load) = planned(&warehouse.sqlite.state(), &topic, &step) else { continue };
                prop_assert_eq!(warehouse.load(&load, &topic), Ok(()), "{:?}", mode);
                same(&warehouse, &topic);
            }
            for (partition, checkpoint) in warehouse.sqlite.state().lineages {
                let log = &topic[usize::try_from(partition.0).unwrap()];
                let end = (log.len() - 1, log.last().unwrap().len());
                let at = checkpoint.position;
                prop_assert_eq!((at.incarnation.0 as usize, at.next.0 as usize), end);
            }
        }
    }
}

/// How many records the first load takes, and how many each further one: all at once, one by one, the first alone.
const LOADS: [[usize; 2]; 3] = [[9, 9], [1, 1], [1, 9]];

/// A topic of one partition.
fn loaded(mode: Mode, records: &[Does], loads: [usize; 2]) -> (Warehouse, Vec<Log>, Result<(), Outcome>) {
    let records = (1..).zip(records).map(|(second, does)| Record {
        second,
        does: does.clone(),
    });
    let topic = vec![vec![records.collect::<Vec<_>>()]];
    let warehouse = Warehouse::new(mode);
    let mut outcome = Ok(());
    let mut takes = std::iter::once(loads[0]).chain(std::iter::repeat(loads[1]));
    while outcome.is_ok() {
        let step = [(takes.next().unwrap(), vec![false; 5], 0), (0, vec![false; 5], 0)];
        let Some(load) = planned(&warehouse.sqlite.state(), &topic, &step) else {
            break;
        };
        outcome = warehouse.load(&load, &topic);
    }
    (warehouse, topic, outcome)
}

fn set(op: char, cells: [Cell; 2]) -> Does {
    Does::Changes(vec![Row {
        op,
        seq: 0,
        key: 1,
        cells,
    }])
}

fn text(text: &str) -> Cell {
    Cell::Set(text.to_owned())
}

fn delete() -> Does {
    set('d', [Cell::Null, Cell::Null])
}

fn rows(warehouse: &Warehouse, columns: &str) -> Vec<String> {
    let sql = format!("SELECT {columns} FROM public.orders ORDER BY _kafka_offset, _kafka_seq");
    let shown = |row: Line| {
        let cells: Vec<String> = row.into_iter().map(|cell| cell.unwrap_or_else(|| "-".into())).collect();
        cells.join(" ")
    };
    warehouse.sqlite.run(&sql).rows.into_iter().map(shown).collect()
}

#[test]
fn a_soft_delete_keeps_the_values_and_an_insert_revives_the_row() {
    let first = || set('c', [text("1"), text("2")]);
    let columns = "id, a, b, _kafka_offset, _kafka_deleted";
    for loads in LOADS {
        let (warehouse, ..) = loaded(Mode::SoftDelete, &[first(), delete()], loads);
        assert_eq!(rows(&warehouse, columns), ["1 1 2 1 1"], "{loads:?}");
        let left_out = set('u', [Cell::LeftOut, text("3")]);
        let (warehouse, ..) = loaded(Mode::SoftDelete, &[first(), left_out, delete(), delete()], loads);
        assert_eq!(rows(&warehouse, columns), ["1 1 3 3 1"], "{loads:?}");
        let revived = [first(), delete(), set('c', [text("4"), Cell::Null])];
        let (warehouse, ..) = loaded(Mode::SoftDelete, &revived, loads);
        assert_eq!(rows(&warehouse, columns), ["1 4 - 2 0"], "{loads:?}");
        let (warehouse, ..) = loaded(Mode::SoftDelete, &[delete()], loads);
        assert_eq!(rows(&warehouse, columns), ["1 - - 0 1"], "{loads:?}");
        let (warehouse, ..) = loaded(Mode::SoftDelete, &[first(), Does::Truncate], loads);
        assert_eq!(rows(&warehouse, columns), ["1 1 2 1 1"], "{loads:?}");
    }
}

#[test]
fn a_history_has_a_row_for_every_change_and_a_delete_ends_the_last() {
    let changes = [
        set('c', [text("1"), text("2")]),
        set('u', [Cell::LeftOut, text("3")]),
        delete(),
        delete(),
        set('c', [text("4"), text("5")]),
        Does::Truncate,
        set('c', [text("6"), text("7")]),
    ];
    for loads in LOADS {
        let (warehouse, ..) = loaded(Mode::History, &changes, loads);
        let columns =
            "_kafka_op, a, b, substr(_kafka_valid_from, 18, 2), substr(_kafka_valid_to, 18, 2), _kafka_is_current";
        assert_eq!(
            rows(&warehouse, columns),
            ["c 1 2 01 02 0", "u 1 3 02 03 0", "c 4 5 05 06 0", "c 6 7 07 - 1"],
            "{loads:?}"
        );
    }
}

/// After a delete or a truncate the old row is there still, and is not what the key has.
#[test]
fn a_value_left_out_is_never_taken_from_what_the_source_deleted() {
    let first = || set('c', [text("1"), text("2")]);
    for mode in [Mode::Upsert, Mode::SoftDelete, Mode::History] {
        for gone in [delete(), Does::Truncate] {
            for loads in LOADS {
                let left_out = set('u', [Cell::LeftOut, text("3")]);
                let (warehouse, _, outcome) = loaded(mode, &[first(), gone.clone(), left_out], loads);
                let Err(Outcome::Halt { failure, .. }) = outcome else {
                    panic!("{mode:?} {gone:?} {loads:?}: {:?}", rows(&warehouse, "*"))
                };
                assert!(failure.to_string().contains("unchanged values of `a`"), "{failure}");
            }
        }
    }
}

#[test]
fn a_table_goes_on_in_its_mode_and_an_upsert_table_may_keep_what_is_deleted() {
    let first = set('c', [text("1"), text("2")]);
    let modes = [Mode::Upsert, Mode::SoftDelete, Mode::History, Mode::Append];
    for began in modes {
        for mode in modes {
            for next in [delete(), Does::Truncate] {
                let (mut warehouse, mut topic, _) = loaded(began, std::slice::from_ref(&first), [9, 9]);
                topic[0][0].push(Record { second: 9, does: next });
                warehouse.target.mode = mode;
                let step = [(9, vec![false; 5], 0), (0, vec![false; 5], 0)];
                let load = planned(&warehouse.sqlite.state(), &topic, &step).unwrap();
                if began == mode {
                    assert_eq!(warehouse.load(&load, &topic), Ok(()));
                } else if (began, mode) == (Mode::Upsert, Mode::SoftDelete) {
                    assert_eq!(warehouse.load(&load, &topic), Ok(()));
                    assert_eq!(rows(&warehouse, "id, a, b, _kafka_deleted"), ["1 1 2 1"]);
                } else {
                    let refused = warehouse.compile(&load).unwrap_err().to_string();
                    let says = format!(
                        "began in mode `{}`, and `mode` now says `{}`",
                        began.name(),
                        mode.name()
                    );
                    assert!(refused.contains(&says) && refused.contains("hint: "), "{refused}");
                }
            }
        }
    }
}

#[test]
fn a_truncate_halts_where_rows_in_other_partitions_have_no_order_against_it() {
    for mode in [Mode::Upsert, Mode::SoftDelete, Mode::History] {
        let row = |key| {
            let Does::Changes(mut rows) = set('c', [text("1"), text("2")]) else {
                unreachable!()
            };
            rows[0].key = key;
            Record {
                second: 1,
                does: Does::Changes(rows),
            }
        };
        let truncate = Record {
            second: 2,
            does: Does::Truncate,
        };
        for rows_first in [true, false] {
            let first = if rows_first { vec![row(1)] } else { Vec::new() };
            let topic = vec![vec![[first, vec![truncate.clone()]].concat()], vec![vec![row(11)]]];
            let warehouse = Warehouse::new(mode);
            let refused = loop {
                let step = [(9, vec![false; 5], 0), (usize::from(rows_first), vec![false; 5], 0)];
                let load = planned(&warehouse.sqlite.state(), &topic, &step).unwrap();
                match warehouse.compile(&load) {
                    Ok(_) => assert_eq!(warehouse.load(&load, &topic), Ok(())),
                    Err(refused) => break refused,
                }
            };
            let text = refused.to_string();
            assert!(
                text.contains("whose changes lie in `2` partitions") && text.contains("hint: "),
                "{text}"
            );
            assert_eq!(refused.at.partition, Some(Partition(0)));
        }
    }
}

/// The table of records set aside, with the one at offset 1 that has the key 1.
fn set_aside(warehouse: &Warehouse) {
    let columns = aside::columns(&aside::key_columns(&plan()), false);
    let lines: Vec<String> = columns
        .iter()
        .map(|column| format!("\"{}\" {}", column.name, column.ty))
        .collect();
    let table = "spolt.public__orders__set_aside";
    warehouse
        .sqlite
        .run(&format!("CREATE TABLE {table} ({})", lines.join(", ")));
    warehouse.sqlite.run(&format!(
        "INSERT INTO {table} (_kafka_incarnation, _kafka_partition, _kafka_offset, _kafka_status, id) VALUES (0, 0, 1, 'open', 1)"
    ));
}

/// A record that was set aside and is mended later is applied only if nothing came after it of its key, deletes and truncates included.
#[test]
fn a_record_set_aside_is_replayed_only_where_nothing_came_later_of_its_key() {
    let first = || set('c', [text("1"), text("2")]);
    let laters: [(Option<Does>, bool); 5] = [
        (None, true),
        (Some(Does::Hole), true),
        (Some(set('u', [text("5"), text("6")])), false),
        (Some(delete()), false),
        (Some(Does::Truncate), false),
    ];
    for mode in [Mode::Upsert, Mode::SoftDelete, Mode::History] {
        for mended in [set('u', [text("3"), Cell::LeftOut]), delete()] {
            for (later, applies) in &laters {
                let (warehouse, mut topic, _) = loaded(mode, &[first(), Does::Hole], [9, 9]);
                set_aside(&warehouse);
                topic[0][0].extend(later.iter().map(|does| Record {
                    second: 9,
                    does: does.clone(),
                }));
                let step = [(9, vec![false; 5], 0), (0, vec![false; 5], 0)];
                if let Some(load) = planned(&warehouse.sqlite.state(), &topic, &step) {
                    assert_eq!(warehouse.load(&load, &topic), Ok(()));
                }
                let before = rows(&warehouse, "*");
                topic[0][0][1].does = mended.clone();
                let at = Position {
                    incarnation: Incarnation(0),
                    next: Offset(1),
                };
                let claim = cut(&topic, Partition(0), at, &(1, vec![true; 5], 0)).remove(0);
                let load = replay_of(claim);
                let what = format!("{mode:?} {mended:?} {later:?}");
                // What is not open any more is not asked for twice.
                let expected = if *applies { Ok(()) } else { Err(Outcome::Replan) };
                assert_eq!(warehouse.load(&load, &topic), expected, "{what}");
                let status = warehouse
                    .sqlite
                    .run("SELECT _kafka_status FROM spolt.public__orders__set_aside")
                    .rows;
                let expected = if *applies { "replayed" } else { "superseded" };
                assert_eq!(status, [[Some(expected.to_owned())]], "{what}");
                if *applies {
                    // As if it had been there at once.
                    same(&warehouse, &topic);
                } else {
                    assert_eq!(rows(&warehouse, "*"), before, "{what}");
                }
            }
        }
    }
}

/// A load without runs, as a replay is one.
fn replay_of(claim: Claim) -> LoadPlan {
    let object = claim.object.clone().unwrap();
    LoadPlan {
        replay: vec![Place {
            incarnation: claim.incarnation,
            partition: claim.partition,
            offset: claim.start,
        }],
        groups: vec![Group {
            key: GroupKey {
                plan: plan().id(),
                decoder: None,
                dialect: claim.dialect.clone().unwrap(),
                bucket: object.bucket,
                region: object.region,
            },
            rows: claim.rows,
            claims: vec![Arc::new(claim)],
        }],
        ..LoadPlan::default()
    }
}
