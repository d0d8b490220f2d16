//! Tables ordered by a column (rule 20): whatever loads a key's changes come in, and from whichever partitions, the table holds what the
//! last of them in the order says. The statements run in SQLite, against a reference that sorts all changes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use common::chain::Policy;
use common::claim::{Claim, Kind};
use common::failure::Failure;
use common::ids::{Offset, Partition};
use common::plan::{Plan, PlanId};
use common::table::ColumnType;
use proptest::prelude::*;
use redshift_spolt::load::check::check;
use redshift_spolt::load::evolve::Present;
use redshift_spolt::load::mode::Mode;
use redshift_spolt::load::run::{self, Caps, LoadPlan, Offer, Pending};
use redshift_spolt::load::state::State;
use redshift_spolt::load::statements::{Facts, Purpose, Script, Statement, Target, compile};
use runtime::port::Answer;
use support::sqlite::{Sqlite, orders};
use support::{bare, column, data};

const CAPS: Caps = Caps {
    claims: 100,
    rows: 1_000_000,
    bytes: 1 << 30,
};

/// One change of a key, as a row of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    /// The value of the column that orders.
    value: i64,
    offset: i64,
    partition: i32,
    seq: i64,
    key: i64,
    deletes: bool,
}

impl Row {
    fn note(self) -> String {
        format!("{}/{}/{}", self.partition, self.offset, self.seq)
    }

    /// As a record's time.
    fn time(self) -> String {
        format!("2026-01-01 00:00:{:02}.000000", self.value)
    }
}

/// A record: an upsert, a delete, or the change of a key into another.
fn record() -> impl Strategy<Value = (i64, Vec<(i64, bool)>)> {
    let rows = prop_oneof![
        4 => (0..3i64).prop_map(|key| vec![(key, false)]),
        2 => (0..3i64).prop_map(|key| vec![(key, true)]),
        1 => (0..3i64).prop_map(|key| vec![(key, true), ((key + 1) % 3, false)]),
    ];
    // Few values, so that many are equal.
    (0..5i64, rows)
}

fn partition(partition: i32) -> impl Strategy<Value = Vec<Vec<Row>>> {
    proptest::collection::vec(record(), 1..7).prop_map(move |records| {
        let rows = |(offset, (value, rows)): (i64, (i64, Vec<(i64, bool)>))| {
            (0..)
                .zip(rows)
                .map(|(seq, (key, deletes))| Row {
                    value,
                    offset,
                    partition,
                    seq,
                    key,
                    deletes,
                })
                .collect()
        };
        (0..).zip(records).map(rows).collect()
    })
}

/// Per load and partition: how many records it takes, in how many claims, and how far the first of them goes back.
fn steps() -> impl Strategy<Value = Vec<[(usize, bool, i64); 3]>> {
    let one = || (0..4usize, any::<bool>(), 0..3i64);
    proptest::collection::vec([one(), one(), one()], 1..6)
}

fn plan() -> Plan {
    Plan {
        columns: vec![
            column("id", ColumnType::BigInt, Some(0), None),
            column("updated", ColumnType::BigInt, None, None),
            column("note", ColumnType::Varchar { limit: Some(64) }, None, None),
        ],
    }
}

fn target(order_by: &str) -> Target {
    Target {
        table: orders(),
        state_schema: "spolt".into(),
        create_schemas: false,
        mode: Mode::Upsert,
        varchar: BTreeMap::new(),
        order_by: Some(order_by.to_owned()),
        metadata: Vec::new(),
        made: runtime::config::TableSettings::default(),
        refreshes: None,
    }
}

/// The warehouse, and how it is loaded.
struct Warehouse {
    sqlite: Sqlite,
    target: Target,
}

impl Warehouse {
    fn new(order_by: &str) -> Warehouse {
        Warehouse {
            sqlite: Sqlite::new(),
            target: target(order_by),
        }
    }

    fn run(&self, sql: &str) -> Answer {
        self.sqlite.run(sql)
    }

    fn state(&self) -> State {
        self.sqlite.state()
    }

    fn catalog(&self, schema: &str, table: &str) -> Vec<Present> {
        self.sqlite.catalog(schema, table)
    }

    fn compile(&self, load: &LoadPlan, state: &State) -> Result<Script, Failure> {
        let plan = plan();
        let plans: BTreeMap<PlanId, Plan> = BTreeMap::from([(plan.id(), plan)]);
        let row = state.table.as_ref();
        let manifests = vec![("lake".to_owned(), "m".to_owned()); load.groups.len()];
        let facts = Facts {
            load,
            load_id: "L",
            plans: &plans,
            known: row.and_then(|row| row.plan.as_ref()).map(|id| &plans[id]),
            table_row: row,
            catalog: &self.catalog("public", "orders"),
            deleted: &self.catalog("spolt", "public__orders__deleted"),
            aside: &[],
            attached: &redshift_spolt::load::attached::NOTHING,
            manifests: &manifests,
            region: "eu-central-1",
            now_ms: 1_700_000_000_000,
        };
        compile(&self.target, &facts)
    }

    /// Applies a load as the daemon does: each answer is judged, and only a whole script counts.
    fn load(&self, load: &LoadPlan, topic: &[Vec<Vec<Row>>]) {
        let state = self.state();
        let script = self.compile(load, &state).unwrap();
        // What is written down of changes of the table is written before, in part; SQLite need not be widened.
        let before = script
            .before
            .iter()
            .filter(|statement| statement.purpose == Purpose::RecordChange);
        for statement in before.chain(&script.transaction) {
            match statement.purpose {
                Purpose::Begin | Purpose::Lock | Purpose::ReadCatalog | Purpose::CountRows | Purpose::Commit => {}
                Purpose::Copy => self.copy(load, topic),
                _ => self.judged(statement, load, &state),
            }
        }
    }

    fn judged(&self, statement: &Statement, load: &LoadPlan, state: &State) {
        let answer = self.run(&statement.sql);
        let judged = check(statement, &answer, load, state.table.as_ref());
        assert_eq!(judged, Ok(()), "{:?}: {}", statement.purpose, statement.sql);
    }

    fn copy(&self, load: &LoadPlan, topic: &[Vec<Vec<Row>>]) {
        for claim in load.groups.iter().flat_map(|group| &group.claims) {
            let partition = usize::try_from(claim.partition.0).unwrap();
            let range = usize::try_from(claim.start.0).unwrap()..usize::try_from(claim.next.0).unwrap();
            for row in topic[partition][range].iter().flatten() {
                let op = if row.deletes { "d" } else { "u" };
                let sql = format!(
                    "INSERT INTO spolt_stage VALUES ('{op}', 0, {}, {}, {}, '{}', '', {}, {}, '{}')",
                    row.partition,
                    row.offset,
                    row.seq,
                    row.time(),
                    row.key,
                    row.value,
                    row.note()
                );
                self.run(&sql);
            }
        }
    }
}

/// What one load takes: per partition claims from the checkpoint on, the first of which may go back behind it.
fn planned(state: &State, topic: &[Vec<Vec<Row>>], step: [(usize, bool, i64); 3]) -> Option<LoadPlan> {
    let plan = plan().id();
    let mut queues: Vec<(Option<common::chain::Position>, VecDeque<Pending>)> = Vec::new();
    for (index, (take, split, back)) in step.into_iter().enumerate() {
        let partition = i32::try_from(index).unwrap();
        let at = state.lineages.get(&Partition(partition)).map(|found| found.position);
        let from = at.map_or(0, |at| at.next.0);
        let to = (from + i64::try_from(take).unwrap()).min(i64::try_from(topic[index].len()).unwrap());
        let mut claims = Vec::new();
        if at.is_none() && take > 0 {
            claims.push(Claim {
                partitions: Some(3),
                ..bare(Kind::Genesis, partition, 0, 0)
            });
        }
        let middle = if split { from + (to - from) / 2 } else { to };
        for (start, next) in [((from - back).max(0), middle), ((middle - back).max(0), to)] {
            if next > from {
                claims.push(data(partition, start, next, &plan));
            }
        }
        let pending = (0..).zip(claims).map(|(signal, claim)| Pending {
            signal: Offset(signal),
            arrived_ms: 0,
            claim: Arc::new(claim),
        });
        queues.push((at, pending.collect()));
    }
    let offers: Vec<Offer<'_>> = (0..)
        .map(Partition)
        .zip(&queues)
        .map(|(partition, (at, queue))| Offer {
            partition,
            at: *at,
            queue,
        })
        .collect();
    run::plan(&offers, CAPS, Policy::default())
}

/// The last change of each key in the order, of those that are applied: the rows, and the keys that are deleted.
fn reference(topic: &[Vec<Vec<Row>>], state: &State) -> (Vec<Row>, Vec<Row>) {
    let mut last: BTreeMap<i64, Row> = BTreeMap::new();
    for (partition, records) in (0..).map(Partition).zip(topic) {
        let applied = state.lineages.get(&partition).map_or(0, |found| found.position.next.0);
        for row in records.iter().flatten().filter(|row| row.offset < applied) {
            let entry = last.entry(row.key).or_insert(*row);
            *entry = (*entry).max(*row);
        }
    }
    last.into_values().partition(|row| !row.deletes)
}

fn same(warehouse: &Warehouse, topic: &[Vec<Vec<Row>>]) {
    let (rows, deleted) = reference(topic, &warehouse.state());
    let text = |row: &Row| vec![row.key.to_string(), row.value.to_string(), row.note()];
    let held = |table: &str, columns: &str| -> Vec<Vec<String>> {
        let sql = format!("SELECT {columns} FROM {table} ORDER BY id");
        let found = warehouse.run(&sql).rows;
        found
            .into_iter()
            .map(|row| row.into_iter().map(Option::unwrap).collect())
            .collect()
    };
    if warehouse.catalog("public", "orders").is_empty() {
        assert!(rows.is_empty() && deleted.is_empty());
        return;
    }
    let origin = "_kafka_partition || '/' || _kafka_offset || '/' || _kafka_seq";
    let columns = format!("id, updated, note, {origin}");
    let expected: Vec<Vec<String>> = rows.iter().map(|row| [text(row), vec![row.note()]].concat()).collect();
    assert_eq!(held("public.orders", &columns), expected);
    let expected: Vec<Vec<String>> = deleted
        .iter()
        .map(|row| vec![row.key.to_string(), row.note()])
        .collect();
    assert_eq!(
        held("spolt.public__orders__deleted", &format!("id, {origin}")),
        expected
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_table_is_what_the_order_says_whatever_loads_it_comes_in(
        topic in (partition(0), partition(1), partition(2)),
        steps in steps(),
        by_time in any::<bool>(),
    ) {
        let topic = [topic.0, topic.1, topic.2];
        let warehouse = Warehouse::new(if by_time { "_kafka_timestamp" } else { "updated" });
        let rest = [(10, false, 1); 3];
        for step in steps.into_iter().chain([rest]) {
            let Some(load) = planned(&warehouse.state(), &topic, step) else { continue };
            warehouse.load(&load, &topic);
            same(&warehouse, &topic);
        }
        let state = warehouse.state();
        let ends: Vec<i64> = state.lineages.values().map(|found| found.position.next.0).collect();
        let lengths: Vec<i64> = topic.iter().map(|records| records.len() as i64).collect();
        prop_assert_eq!(ends, lengths);
        prop_assert_eq!(state.table.unwrap().order, warehouse.target.order_by);
    }
}

/// A table of one row in each of two partitions, begun in the order of `updated`.
fn begun() -> (Warehouse, Vec<Vec<Vec<Row>>>) {
    let one = |partition| {
        vec![Row {
            value: 1,
            offset: 0,
            partition,
            seq: 0,
            key: 7,
            deletes: false,
        }]
    };
    let topic = vec![vec![one(0); 1], vec![one(1); 1], vec![]];
    let warehouse = Warehouse::new("updated");
    let load = planned(
        &warehouse.state(),
        &topic,
        [(1, false, 0), (1, false, 0), (0, false, 0)],
    )
    .unwrap();
    warehouse.load(&load, &topic);
    same(&warehouse, &topic);
    (warehouse, topic)
}

fn next(state: &State, change: impl Fn(Claim) -> Claim) -> LoadPlan {
    let at = state.lineages[&Partition(1)].position;
    let queue = VecDeque::from([Pending {
        signal: Offset(9),
        arrived_ms: 0,
        claim: Arc::new(change(data(1, 1, 2, &plan().id()))),
    }]);
    let offer = Offer {
        partition: Partition(1),
        at: Some(at),
        queue: &queue,
    };
    run::plan(&[offer], CAPS, Policy::default()).unwrap()
}

#[test]
fn what_has_no_place_in_the_order_is_refused() {
    let (warehouse, _) = begun();
    let state = warehouse.state();
    let marked = next(&state, |claim| Claim {
        unchanged: vec!["note".into()],
        ..claim
    });
    let refused = warehouse.compile(&marked, &state).unwrap_err();
    assert_eq!(
        (refused.at.partition, refused.at.offset),
        (Some(Partition(1)), Some(Offset(1)))
    );
    assert!(refused.to_string().contains("unchanged values of `note`"), "{refused}");
    let truncate = next(&state, |_| bare(Kind::Truncate, 1, 1, 2));
    let refused = warehouse.compile(&truncate, &state).unwrap_err().to_string();
    assert!(
        refused.contains("truncated the table") && refused.contains("`updated`"),
        "{refused}"
    );
}

#[test]
fn a_row_without_a_value_halts_its_partition() {
    let (warehouse, _) = begun();
    let state = warehouse.state();
    let load = next(&state, |claim| claim);
    let script = warehouse.compile(&load, &state).unwrap();
    let find = |statement: &&Statement| statement.purpose == Purpose::FindUnplaced;
    let found = script.transaction.iter().find(find).unwrap();
    let answer = Answer {
        rows: vec![vec![Some("1".into()), Some("1".into()), Some("d".into())]],
        affected: 1,
    };
    let outcome = check(found, &answer, &load, state.table.as_ref()).unwrap_err();
    let text = format!("{outcome:?}");
    assert!(
        text.contains("a delete has no value") && text.contains("Partition(1)"),
        "{text}"
    );
}

#[test]
fn the_order_of_a_table_is_that_of_its_first_row() {
    let (mut warehouse, _) = begun();
    let state = warehouse.state();
    let load = next(&state, |claim| claim);
    for (order_by, says) in [
        (None, "says their offsets"),
        (Some("_kafka_timestamp"), "says `_kafka_timestamp`"),
    ] {
        warehouse.target.order_by = order_by.map(str::to_owned);
        let refused = warehouse.compile(&load, &state).unwrap_err().to_string();
        assert!(
            refused.contains("ordered by `updated`") && refused.contains(says),
            "{refused}"
        );
    }
    for (order_by, says) in [
        ("id", "part of the key"),
        ("note", "is `VARCHAR"),
        ("gone", "not among the fields"),
    ] {
        let fresh = Warehouse::new(order_by);
        let refused = fresh.compile(&load, &State::default()).unwrap_err().to_string();
        assert!(refused.contains(says), "{refused}");
    }
    warehouse.target.order_by = Some("updated".into());
    warehouse.run("DROP TABLE \"spolt\".\"public__orders__deleted\"");
    let refused = warehouse.compile(&load, &state).unwrap_err().to_string();
    assert!(
        refused.contains("public__orders__deleted` of deleted keys is gone"),
        "{refused}"
    );
}
