//! Every mode against a reference that applies the changes one by one: whatever loads they come in, claims that overlap and are cut anew
//! included, the table holds what the mode promises, after every load. The statements run in SQLite.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use common::chain::{Policy, Position};
use common::claim::{Claim, Kind};
use common::failure::Failure;
use common::ids::{Incarnation, Offset, Partition};
use common::plan::{Plan, PlanId};
use common::table::ColumnType;
use proptest::prelude::*;
use redshift_spolt::load::check::check;
use redshift_spolt::load::machine::Outcome;
use redshift_spolt::load::mode::Mode;
use redshift_spolt::load::run::{self, Caps, LoadPlan, Offer, Pending};
use redshift_spolt::load::statements::{Facts, Purpose, Script, Target, compile};
use support::sqlite::{Sqlite, orders};
use support::{bare, column, data};

const CAPS: Caps = Caps {
    claims: 100,
    rows: 1_000_000,
    bytes: 1 << 30,
};

/// The two columns whose values may be left out.
const COLUMNS: [&str; 2] = ["a", "b"];

/// A column of a change: what it was set to, or that it was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cell {
    Null,
    Set(String),
    LeftOut,
}

/// One change of a key.
#[derive(Debug, Clone)]
struct Row {
    op: char,
    seq: i64,
    key: i64,
    cells: [Cell; 2],
}

/// What a record of the topic does.
#[derive(Debug, Clone)]
enum Does {
    /// Nothing that anybody sees.
    Hole,
    Truncate,
    Changes(Vec<Row>),
}

#[derive(Debug, Clone)]
struct Record {
    second: i64,
    does: Does,
}

/// The records of a partition, by life and offset.
type Log = Vec<Vec<Record>>;

/// A record before it is known which keys live: what (0-1 hole, 2-6 upsert, 7-8 delete, 9 change of key, 10 truncate), key, which columns
/// are left out, time.
type Raw = (u8, i64, [bool; 2], i64);

fn raw() -> impl Strategy<Value = Raw> {
    (0u8..11, 0..3i64, any::<[bool; 2]>(), 0..50i64)
}

/// Lives of a partition: usually one.
fn lives() -> impl Strategy<Value = Vec<Vec<Raw>>> {
    let life = || proptest::collection::vec(raw(), 1..9);
    prop_oneof![
        3 => life().prop_map(|one| vec![one]),
        1 => (life(), life()).prop_map(|(one, two)| vec![one, two]),
    ]
}

/// What a source would send: an update leaves values out only of a row that is there.
fn log(partition: usize, raw: &[Vec<Raw>], truncates: bool) -> Log {
    let mut live: BTreeMap<i64, ()> = BTreeMap::new();
    let mut lives = Vec::new();
    for (life, records) in raw.iter().enumerate() {
        let mut log = Vec::new();
        for (offset, (what, key, out, second)) in records.iter().enumerate() {
            let key = partition as i64 * 10 + key;
            let other = key - key % 10 + (key + 1) % 10 % 3;
            let cells = |left_out: bool| {
                let cell = |index: usize| match left_out && out[index] {
                    true => Cell::LeftOut,
                    false => Cell::Set(format!("{}{life}/{partition}/{offset}", COLUMNS[index])),
                };
                [cell(0), cell(1)]
            };
            let delete = Row {
                op: 'd',
                seq: 0,
                key,
                cells: [Cell::Null, Cell::Null],
            };
            let does = match what {
                0 | 1 => Does::Hole,
                10 if truncates => {
                    live.clear();
                    Does::Truncate
                }
                7 | 8 => {
                    live.remove(&key);
                    Does::Changes(vec![delete])
                }
                9 if live.contains_key(&key) => {
                    live.remove(&key);
                    live.insert(other, ());
                    let born = Row {
                        op: 'u',
                        seq: 1,
                        key: other,
                        cells: cells(false),
                    };
                    Does::Changes(vec![delete, born])
                }
                _ => {
                    let there = live.insert(key, ()).is_some();
                    Does::Changes(vec![Row {
                        op: if there { 'u' } else { 'c' },
                        seq: 0,
                        key,
                        cells: cells(there),
                    }])
                }
            };
            log.push(Record { second: *second, does });
        }
        lives.push(log);
    }
    lives
}

fn time(second: i64) -> String {
    format!("2026-01-01 00:00:{second:02}.000")
}

fn plan() -> Plan {
    let text = || ColumnType::Varchar { limit: Some(64) };
    Plan {
        columns: vec![
            column("id", ColumnType::BigInt, Some(0), None),
            column("a", text(), None, None),
            column("b", text(), None, None),
        ],
    }
}

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
            aside: &[],
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
        for statement in &script.transaction {
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

fn marks(row: &Row) -> String {
    let left_out = COLUMNS
        .iter()
        .zip(&row.cells)
        .filter(|(_, cell)| **cell == Cell::LeftOut);
    left_out.map(|(name, _)| *name).collect::<Vec<_>>().join(",")
}

fn records(topic: &[Log], partition: Partition, life: Incarnation) -> &[Record] {
    let log = &topic[usize::try_from(partition.0).unwrap()];
    log.get(life.0 as usize).map_or(&[], Vec::as_slice)
}

fn within<'a>(claim: &Claim, topic: &'a [Log]) -> impl Iterator<Item = (i64, &'a Record)> {
    let records = records(topic, claim.partition, claim.incarnation);
    let range = usize::try_from(claim.start.0).unwrap()..usize::try_from(claim.next.0).unwrap();
    (claim.start.0..).zip(&records[range])
}

/// The claim of a range that holds no truncate, or ends with its only one.
fn claim(topic: &[Log], partition: Partition, life: Incarnation, start: i64, next: i64) -> Claim {
    let in_life = |claim: Claim| Claim {
        incarnation: life,
        ..claim
    };
    let whole = in_life(data(partition.0, start, next, &plan().id()));
    let (mut rows, mut left_out, mut kind) = (0, Vec::new(), Kind::Skip);
    for (_, record) in within(&whole, topic) {
        match &record.does {
            Does::Hole => {}
            Does::Truncate => {
                let bare = in_life(bare(Kind::Truncate, partition.0, start, next));
                let at = 1_767_225_600_000 + record.second * 1_000;
                return Claim {
                    max_time_ms: Some(at),
                    ..bare
                };
            }
            Does::Changes(changes) => {
                kind = Kind::Data;
                rows += changes.len() as u64;
                left_out.extend(changes.iter().map(marks));
            }
        }
    }
    if kind == Kind::Skip {
        return in_life(bare(kind, partition.0, start, next));
    }
    let unchanged = COLUMNS
        .iter()
        .filter(|name| left_out.iter().any(|marks| marks.contains(**name)));
    Claim {
        rows,
        unchanged: unchanged.map(|name| (*name).to_owned()).collect(),
        ..whole
    }
}

/// Per load and partition: how many records the claims go on for, where they are cut, and how far each goes back.
type Step = [(usize, Vec<bool>, i64); 2];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = || (0..5usize, proptest::collection::vec(any::<bool>(), 5), 0..4i64);
    proptest::collection::vec([one(), one()], 1..8)
}

/// The claims of a partition as some writer may cut them from `from` on: a truncate is alone in its own, but for holes before it.
fn cut(topic: &[Log], partition: Partition, at: Position, step: &(usize, Vec<bool>, i64)) -> Vec<Claim> {
    let life = at.incarnation;
    let records = records(topic, partition, life);
    let truncates = |offset: i64| matches!(records[offset as usize].does, Does::Truncate);
    let end = (at.next.0 + step.0 as i64).min(records.len() as i64);
    let mut claims = Vec::new();
    let mut from = at.next.0;
    for offset in at.next.0..end {
        let ends = truncates(offset);
        let before = (offset + 1 < records.len() as i64) && truncates(offset + 1);
        if !(ends || before || offset + 1 == end || step.1[(offset - at.next.0) as usize % 5]) {
            continue;
        }
        let mut start = from;
        let fits = |start: i64| match ends {
            // Only what nobody sees may stand before a truncate in its claim.
            true => matches!(records[start as usize].does, Does::Hole),
            false => !truncates(start),
        };
        for _ in 0..step.2 {
            if start > 0 && fits(start - 1) {
                start -= 1;
            }
        }
        if ends && (start..offset).any(|offset| !matches!(records[offset as usize].does, Does::Hole)) {
            start = offset;
        }
        claims.push(claim(topic, partition, life, start, offset + 1));
        from = offset + 1;
    }
    claims
}

fn planned(state: &redshift_spolt::load::state::State, topic: &[Log], step: &Step) -> Option<LoadPlan> {
    let mut queues: Vec<(Option<Position>, VecDeque<Pending>)> = Vec::new();
    for (index, step) in step.iter().enumerate().take(topic.len()) {
        let partition = Partition(i32::try_from(index).unwrap());
        let at = state.lineages.get(&partition).map(|found| found.position);
        let from = at.unwrap_or(Position {
            incarnation: Incarnation(0),
            next: Offset(0),
        });
        let mut claims = Vec::new();
        if at.is_none() {
            claims.push(Claim {
                partitions: u32::try_from(topic.len()).ok(),
                ..bare(Kind::Genesis, partition.0, 0, 0)
            });
        }
        claims.extend(cut(topic, partition, from, step));
        let (life, next) = (from.incarnation.0, from.next.0 as usize);
        let lives = &topic[index];
        if next == lives[life as usize].len() && life as usize + 1 < lives.len() {
            claims.push(Claim {
                incarnation: Incarnation(life + 1),
                ..bare(Kind::Reset, partition.0, 0, 0)
            });
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

type Values = [Option<String>; 2];
type Line = Vec<Option<String>>;

/// A key's row in the reference.
#[derive(Debug, Clone)]
struct Held {
    values: Values,
    origin: String,
    deleted: bool,
}

#[derive(Debug, Clone)]
struct Past {
    key: i64,
    op: char,
    values: Values,
    origin: String,
    from: String,
    to: Option<String>,
    current: bool,
}

/// Everything that every mode must hold, from the changes one by one.
#[derive(Debug, Default)]
struct Reference {
    /// By key, deleted ones included.
    rows: BTreeMap<i64, Held>,
    past: Vec<Past>,
    changes: Vec<Line>,
}

impl Reference {
    fn apply(&mut self, record: &Record, life: usize, partition: usize, offset: usize) {
        let origin = |seq: i64| format!("{life}/{partition}/{offset}/{seq}");
        match &record.does {
            Does::Hole => {}
            Does::Truncate => {
                for held in self.rows.values_mut().filter(|held| !held.deleted) {
                    held.deleted = true;
                    held.origin = origin(0);
                }
                self.close(None, record.second);
                self.changes.push(vec![
                    None,
                    None,
                    None,
                    Some(origin(0)),
                    Some("t".into()),
                    Some(time(record.second)),
                    None,
                ]);
            }
            Does::Changes(rows) => rows.iter().for_each(|row| self.change(row, record, &origin(row.seq))),
        }
    }

    fn close(&mut self, key: Option<i64>, second: i64) {
        let ends = |past: &&mut Past| past.current && key.is_none_or(|key| past.key == key);
        for past in self.past.iter_mut().filter(ends) {
            past.current = false;
            past.to = Some(time(second));
        }
    }

    fn change(&mut self, row: &Row, record: &Record, origin: &str) {
        let sent = |cell: &Cell| match cell {
            Cell::Set(text) => Some(text.clone()),
            _ => None,
        };
        let [a, b] = &row.cells;
        // Where the table is of another mode it has no mark, and then none can be asked for.
        let marked = Some(marks(row)).filter(|marks| !marks.is_empty());
        self.changes.push(vec![
            Some(row.key.to_string()),
            sent(a),
            sent(b),
            Some(origin.to_owned()),
            Some(row.op.to_string()),
            Some(time(record.second)),
            marked,
        ]);
        self.close(Some(row.key), record.second);
        let before = self.rows.get(&row.key).cloned();
        if row.op == 'd' {
            let values = before.map_or([None, None], |held| held.values);
            let held = Held {
                values,
                origin: origin.to_owned(),
                deleted: true,
            };
            self.rows.insert(row.key, held);
            return;
        }
        let value = |index: usize| match &row.cells[index] {
            Cell::LeftOut => before.as_ref().unwrap().values[index].clone(),
            cell => sent(cell),
        };
        let values = [value(0), value(1)];
        self.past.push(Past {
            key: row.key,
            op: row.op,
            values: values.clone(),
            origin: origin.to_owned(),
            from: time(record.second),
            to: None,
            current: true,
        });
        let held = Held {
            values,
            origin: origin.to_owned(),
            deleted: false,
        };
        self.rows.insert(row.key, held);
    }

    /// The rows that a table of this mode must have, sorted.
    fn lines(&self, mode: Mode) -> Vec<Line> {
        let flag = |yes: bool| Some(i32::from(yes).to_string());
        let held = |(key, held): (&i64, &Held)| {
            let [a, b] = held.values.clone();
            vec![Some(key.to_string()), a, b, Some(held.origin.clone())]
        };
        let mut lines: Vec<Line> = match mode {
            Mode::Upsert => self.rows.iter().filter(|(_, row)| !row.deleted).map(held).collect(),
            Mode::SoftDelete => self
                .rows
                .iter()
                .map(|row| [held(row), vec![flag(row.1.deleted)]].concat())
                .collect(),
            Mode::Append => self.changes.clone(),
            Mode::History => self
                .past
                .iter()
                .map(|past| {
                    let [a, b] = past.values.clone();
                    let times = [Some(past.from.clone()), past.to.clone(), flag(past.current)];
                    let start = vec![
                        Some(past.key.to_string()),
                        a,
                        b,
                        Some(past.origin.clone()),
                        Some(past.op.to_string()),
                    ];
                    [start, times.to_vec()].concat()
                })
                .collect(),
        };
        lines.sort();
        lines
    }
}

/// What is applied, change by change: life by life, and within a life a partition after the other, whose keys differ.
fn reference(topic: &[Log], state: &redshift_spolt::load::state::State) -> Reference {
    let mut reference = Reference::default();
    for (partition, log) in topic.iter().enumerate() {
        let Some(at) = state.lineages.get(&Partition(i32::try_from(partition).unwrap())) else {
            continue;
        };
        for (life, records) in log.iter().enumerate() {
            let applied = match life.cmp(&(at.position.incarnation.0 as usize)) {
                std::cmp::Ordering::Less => records.len(),
                std::cmp::Ordering::Equal => at.position.next.0 as usize,
                std::cmp::Ordering::Greater => 0,
            };
            for (offset, record) in records.iter().enumerate().take(applied) {
                reference.apply(record, life, partition, offset);
            }
        }
    }
    reference
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
