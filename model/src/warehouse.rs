//! A small warehouse that runs the loader's own script: statement by statement, each answered as a database would, each answer judged
//! by the loader's own check. Rows are (life, partition, offset, seq) and a key; transactions are atomic, a lock waits, and a
//! transaction whose snapshot is older than the last commit cannot write the state (error 1023).

use std::collections::{BTreeMap, BTreeSet};

use common::chain::Position;
use common::claim::Claim;
use common::ids::{Incarnation, Offset, Partition};
use common::invariants;
use common::plan::{Plan, PlanId};
use common::table::ColumnType;
use redshift_spolt::load::aside::{self, AsideGroup};
use redshift_spolt::load::check::check;
use redshift_spolt::load::evolve::Present;
use redshift_spolt::load::machine::Outcome;
use redshift_spolt::load::mode::Mode;
use redshift_spolt::load::outcome::meaning;
use redshift_spolt::load::replay::Place;
use redshift_spolt::load::run::{Group, LoadPlan};
use redshift_spolt::load::state::{State, TableRow};
use redshift_spolt::load::statements::{Purpose, Script, Statement};
use redshift_spolt::load::unchanged::{MARKS, marks_column};
use runtime::port::{Answer, SqlFailure};

use crate::records::{BadRecord, Row, Value, writer};
use crate::sheet::{Open, Sheet};
use crate::stage;

/// What the rows of a target are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Rows {
    /// Every change, and how often it is there.
    All(BTreeMap<Row, u8>),
    /// The row of each key.
    Last(BTreeMap<u8, Row>),
    /// Whatever the statements make of it, word for word.
    Sheet(Box<Sheet>),
}

/// One row of the state table, as it lies there: nothing but the loader keeps a second one out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Checkpoint {
    /// Source partition.
    pub partition: Partition,
    /// How far it is applied.
    pub position: Position,
    /// First signal that may still matter.
    pub signal_next: Offset,
}

/// A transaction that the server knows of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Session {
    /// The loader that waits for its answers; `None` when nobody does any more.
    pub owner: Option<u8>,
    /// The load.
    pub load: Prepared,
    /// State of the table when the snapshot was taken; `None` before it was.
    pub snapshot: Option<i64>,
    /// It holds the lock of the state table.
    pub locked: bool,
    /// COMMIT was sent, or may have been.
    pub may_commit: bool,
}

/// What a script was compiled from: the same again makes the same script.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Prepared {
    /// What to apply.
    pub load: Box<LoadPlan>,
    /// The table's state row that it was planned from.
    pub row: Option<TableRow>,
    /// The target as the catalog had it.
    pub catalog: Vec<Present>,
    /// The same of its table of records set aside.
    pub aside: Vec<Present>,
}

/// One target table with its state table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Warehouse {
    /// Rows of kind `lineage`.
    pub checkpoints: Vec<Checkpoint>,
    /// Row of kind `table`.
    pub row: Option<TableRow>,
    /// Columns of the target; empty while there is none.
    pub catalog: Vec<Present>,
    /// Rows of the target.
    pub rows: Rows,
    /// Open transactions.
    pub sessions: Vec<Session>,
    /// What a commit broke, if one did.
    pub broken: Option<(&'static str, String)>,
}

/// What lies outside of the warehouse.
pub struct Outside<'a> {
    /// The rows of a claim's object, if it is still there.
    pub object: &'a dyn Fn(&Claim) -> Option<Vec<Row>>,
    /// The records that a claim sets aside.
    pub aside: &'a dyn Fn(&Claim) -> Vec<BadRecord>,
    /// The rows of a record that was set aside, mended.
    pub mended: &'a dyn Fn(Place) -> Vec<Row>,
    /// Plan documents.
    pub plans: &'a BTreeMap<PlanId, Plan>,
}

impl Warehouse {
    /// An empty one. Where its statements run `word_for_word`, its rows are a [`Sheet`].
    #[must_use]
    pub fn new(mode: Mode, word_for_word: bool) -> Warehouse {
        Warehouse {
            checkpoints: Vec::new(),
            row: None,
            catalog: Vec::new(),
            rows: match mode {
                _ if word_for_word => Rows::Sheet(Box::default()),
                Mode::Append => Rows::All(BTreeMap::new()),
                _ => Rows::Last(BTreeMap::new()),
            },
            sessions: Vec::new(),
            broken: None,
        }
    }

    /// Where a partition stands.
    #[must_use]
    pub fn position(&self, partition: Partition) -> Option<Position> {
        self.checkpoints
            .iter()
            .find(|checkpoint| checkpoint.partition == partition)
            .map(|checkpoint| checkpoint.position)
    }

    /// Target and records set aside, where the statements run word for word.
    #[must_use]
    pub fn sheet(&self) -> Option<&Sheet> {
        match &self.rows {
            Rows::Sheet(sheet) => Some(sheet),
            _ => None,
        }
    }

    /// The columns of target and records set aside, as far as a load asks for them.
    #[must_use]
    pub fn catalogs(&self, load: &LoadPlan) -> (Vec<Present>, Vec<Present>) {
        let touched = !load.groups.is_empty() || load.emptying().is_some();
        let target = if touched { self.columns() } else { Vec::new() };
        let aside = self.sheet().filter(|_| touched || !load.asides.is_empty());
        (target, aside.map_or_else(Vec::new, |sheet| sheet.aside.catalog()))
    }

    fn columns(&self) -> Vec<Present> {
        self.sheet()
            .map_or_else(|| self.catalog.clone(), |sheet| sheet.target.catalog())
    }

    /// A statement by itself, under the lock: the status of records set aside.
    #[must_use]
    pub fn marked(&self, sql: &str) -> Warehouse {
        let mut after = self.clone();
        if let Rows::Sheet(sheet) = &mut after.rows {
            let open = Open::begin(sheet);
            let _ = open.run(sql);
            **sheet = open.content();
        }
        after
    }

    /// Whether a new lock would have to wait.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.sessions.iter().any(|session| session.locked)
    }

    /// The session of a loader.
    #[must_use]
    pub fn session_of(&self, loader: u8) -> Option<usize> {
        self.sessions.iter().position(|session| session.owner == Some(loader))
    }

    /// The state table's rows as the loader's own reading has them.
    ///
    /// # Errors
    /// As [`State::parse`].
    pub fn state(&self) -> Result<State, common::failure::Failure> {
        State::parse(&self.state_answer())
    }

    fn serial(&self) -> i64 {
        self.row.as_ref().map_or(0, |row| row.serial)
    }

    fn state_answer(&self) -> Answer {
        let text = |value: &dyn std::fmt::Display| Some(value.to_string());
        let mut rows: Vec<Vec<Option<String>>> = Vec::new();
        for checkpoint in &self.checkpoints {
            rows.push(vec![
                text(&"lineage"),
                text(&crate::records::CLUSTER),
                text(&crate::records::TOPIC),
                text(&checkpoint.position.incarnation),
                text(&checkpoint.partition),
                text(&checkpoint.position.next),
                None,
                None,
                None,
                text(&checkpoint.signal_next),
                None,
            ]);
        }
        if let Some(row) = &self.row {
            let plan = row.plan.as_ref().map(|plan| plan.0.clone());
            let partitions = row.partitions.map(|count| count.to_string());
            let mut fields = vec![text(&"table"), None, None, None, None, None, text(&row.serial)];
            fields.extend([text(&row.generation), plan, None, partitions]);
            rows.push(fields);
        }
        let affected = rows.len() as u64;
        Answer { rows, affected }
    }

    /// BEGIN up to the reading of the checkpoints. The lock must be free if the script takes it.
    ///
    /// # Errors
    /// With what the load comes to when it cannot go on; the session is gone then.
    pub fn open(&mut self, session: usize, script: &Script) -> Result<(), Outcome> {
        let prepared = self.sessions[session].load.clone();
        for statement in opening(script) {
            let answer = match statement.purpose {
                Purpose::Lock => {
                    self.sessions[session].locked = true;
                    Answer::default()
                }
                Purpose::ReadState => {
                    self.sessions[session].snapshot = Some(self.serial());
                    self.state_answer()
                }
                _ => Answer::default(),
            };
            if let Err(outcome) = check(statement, &answer, &prepared.load, prepared.row.as_ref()) {
                self.sessions.remove(session);
                return Err(outcome);
            }
        }
        Ok(())
    }

    /// Everything behind the reading of the checkpoints, COMMIT included: all of it, or nothing. The session ends.
    ///
    /// # Errors
    /// With what the load comes to when it was rolled back.
    pub fn close(&mut self, session: usize, script: &Script, outside: &Outside<'_>) -> Result<(), Outcome> {
        let session = self.sessions.remove(session);
        let mut work = Work {
            after: self.clone(),
            stage: Vec::new(),
            copied: 0,
            groups: session.load.load.groups.iter(),
            asides: session.load.load.asides.iter(),
            open: self.sheet().map(Open::begin),
            outside,
            snapshot: session.snapshot,
        };
        for statement in script.transaction.iter().skip(opening(script).count()) {
            let answer = match work.run(statement, script, &session.load.load) {
                Ok(answer) => answer,
                Err(failure) => return Err(meaning(Some(statement.purpose), &failure).outcome()),
            };
            check(statement, &answer, &session.load.load, session.load.row.as_ref())?;
        }
        let mut after = work.after;
        if let Some(open) = work.open {
            after.rows = Rows::Sheet(Box::new(open.content()));
        }
        after.broken = self.broken.clone().or_else(|| self.judge(&after, outside.plans));
        *self = after;
        Ok(())
    }

    /// I5 and I7, which speak of a commit.
    fn judge(&self, after: &Warehouse, plans: &BTreeMap<PlanId, Plan>) -> Option<(&'static str, String)> {
        for checkpoint in &self.checkpoints {
            let place = |position: Position| (position.incarnation, position.next);
            let now = after.position(checkpoint.partition)?;
            if let Err(violation) = invariants::monotone(place(checkpoint.position), place(now)) {
                return Some((violation.invariant, violation.evidence));
            }
        }
        let plan = |warehouse: &Warehouse| plans.get(warehouse.row.as_ref()?.plan.as_ref()?).cloned();
        if let Some(before) = plan(self) {
            let now = plan(after).unwrap_or_default();
            if let Err(violation) = invariants::forward_schema(&before, &now) {
                return Some((violation.invariant, violation.evidence));
            }
        }
        let now = after.columns();
        let lost = self
            .columns()
            .into_iter()
            .find(|column| !now.iter().any(|now| now.name == column.name));
        lost.map(|column| {
            (
                "I7 forward schema",
                format!("the table lost its column `{}`", column.name),
            )
        })
    }
}

/// The statements up to the reading of the checkpoints.
fn opening(script: &Script) -> impl Iterator<Item = &Statement> {
    let count = script
        .transaction
        .iter()
        .position(|statement| statement.purpose == Purpose::ReadState);
    script.transaction.iter().take(count.map_or(0, |index| index + 1))
}

struct Work<'a> {
    after: Warehouse,
    stage: Vec<Row>,
    copied: u64,
    groups: std::slice::Iter<'a, Group>,
    asides: std::slice::Iter<'a, AsideGroup>,
    /// The tables, where the statements run word for word.
    open: Option<Open>,
    outside: &'a Outside<'a>,
    snapshot: Option<i64>,
}

fn error(code: &str, message: &str) -> SqlFailure {
    SqlFailure {
        code: Some(code.to_owned()),
        message: message.to_owned(),
        detail: None,
    }
}

fn touched(rows: usize) -> Answer {
    Answer {
        rows: Vec::new(),
        affected: rows as u64,
    }
}

impl Work<'_> {
    fn run(&mut self, statement: &Statement, script: &Script, load: &LoadPlan) -> Result<Answer, SqlFailure> {
        if let Some(open) = &self.open {
            match statement.purpose {
                Purpose::Copy => return self.copy_word_for_word(&statement.sql, load),
                Purpose::ReadCatalog => return Ok(catalog_answer(&open.catalog(&statement.sql))),
                purpose if !beside(purpose) => return Ok(open.run(&statement.sql)),
                _ => {}
            }
        }
        match statement.purpose {
            Purpose::FirstRows => return Ok(self.first_rows(load)),
            Purpose::ReadCatalog => return Ok(catalog_answer(&self.after.catalog)),
            Purpose::CreateTarget => self.after.catalog = created(script, &statement.sql),
            Purpose::AddColumn => {
                let name = added(&statement.sql);
                let ty = marks(&statement.sql).unwrap_or(ColumnType::BigInt);
                self.after.catalog.push(present(name, ty, true));
            }
            Purpose::Copy => return self.copy(),
            Purpose::CountRows => {
                return Ok(Answer {
                    rows: vec![vec![Some(self.copied.to_string())]],
                    affected: 1,
                });
            }
            Purpose::Trim => {
                let trims: BTreeMap<i32, Offset> = load
                    .runs
                    .iter()
                    .filter_map(|run| Some((run.partition.0, run.trim?)))
                    .collect();
                self.stage
                    .retain(|row| trims.get(&row.partition).is_none_or(|below| row.offset >= *below));
            }
            Purpose::FillUnchanged | Purpose::CountUnchanged => return Ok(self.left_out(&statement.sql)),
            Purpose::FindConflict => return Ok(self.conflict(statement.sql.contains("JOIN"))),
            Purpose::DeleteTarget => {
                let keys: BTreeSet<u8> = self.stage.iter().map(|row| row.key).collect();
                if let Rows::Last(rows) = &mut self.after.rows {
                    rows.retain(|key, _| !keys.contains(key));
                }
            }
            Purpose::InsertTarget => self.insert(statement.sql.contains("ROW_NUMBER()")),
            Purpose::EmptyTarget => {
                if let Rows::Last(rows) = &mut self.after.rows {
                    rows.clear();
                }
            }
            Purpose::DropStage => self.stage.clear(),
            Purpose::Checkpoint => return self.checkpoint(load, statement.sql.contains("AND \"next_offset\" = ")),
            Purpose::TableRow => return Ok(self.table_row(script, statement.sql.contains("AND \"serial\" = "))),
            Purpose::Ledger => return Ok(touched(load.claims())),
            // A changelog of the model holds the rows of records alone: that a truncate has one is tested elsewhere.
            Purpose::RecordTruncate
            // Only where statements run word for word are records set aside, and deletes kept.
            | Purpose::TrimAside
            | Purpose::SetAside
            | Purpose::Supersede
            | Purpose::FindClosed
            | Purpose::DropLate
            | Purpose::MarkReplayed
            | Purpose::SetApart
            | Purpose::CloseRows
            | Purpose::MarkDeleted
            // No table of the model is ordered by a column, and no column changes its type.
            | Purpose::Convert
            | Purpose::Restage
            | Purpose::FindUnplaced
            | Purpose::PassOver
            | Purpose::Forget
            | Purpose::Remember
            | Purpose::CreateSchema
            | Purpose::Widen
            | Purpose::Begin
            | Purpose::Lock
            | Purpose::ReadState
            | Purpose::RecordChange
            | Purpose::FillDefault
            | Purpose::CreateStage
            | Purpose::Commit => {}
        }
        Ok(Answer::default())
    }

    fn first_rows(&mut self, load: &LoadPlan) -> Answer {
        let mut count = 0;
        for run in load.runs.iter().filter(|run| run.stored.is_none()) {
            self.after.checkpoints.push(Checkpoint {
                partition: run.partition,
                position: run.from,
                signal_next: Offset(0),
            });
            count += 1;
        }
        if self.after.row.is_none() {
            self.after.row = Some(TableRow {
                serial: 0,
                generation: "g".to_owned(),
                plan: None,
                partitions: None,
                grown: Vec::new(),
                order: None,
                refreshing: false,
            });
            count += 1;
        }
        touched(count)
    }

    /// One group: all of its objects, or an error (the manifest says `mandatory`).
    fn copy(&mut self) -> Result<Answer, SqlFailure> {
        self.copied = 0;
        for claim in self.groups.next().into_iter().flat_map(|group| &group.claims) {
            let Some(rows) = (self.outside.object)(claim) else {
                return Err(error("XX000", "Mandatory url is not present in manifest file."));
            };
            self.copied += rows.len() as u64;
            self.stage.extend(rows);
        }
        Ok(Answer::default())
    }

    /// The same into the tables of SQLite: rows of claims, records that they set aside, or rows of records that are replayed.
    fn copy_word_for_word(&mut self, sql: &str, load: &LoadPlan) -> Result<Answer, SqlFailure> {
        let Some(open) = &self.open else {
            return Ok(Answer::default());
        };
        self.copied = 0;
        if sql.contains(&format!("COPY \"{}\"", aside::STAGE)) {
            for claim in self.asides.next().into_iter().flat_map(|group| &group.claims) {
                let records = (self.outside.aside)(claim);
                open.stage_aside(claim, &records);
                self.copied += records.len() as u64;
            }
            return Ok(Answer::default());
        }
        for claim in self.groups.next().into_iter().flat_map(|group| &group.claims) {
            let rows = if load.replay.is_empty() {
                (self.outside.object)(claim)
                    .ok_or_else(|| error("XX000", "Mandatory url is not present in manifest file."))?
            } else {
                let places = load.replay.iter();
                places.flat_map(|place| (self.outside.mended)(*place)).collect()
            };
            open.stage(&rows);
            self.copied += rows.len() as u64;
        }
        Ok(Answer::default())
    }

    /// What the source left out as unchanged, by the statement's own words.
    fn left_out(&mut self, sql: &str) -> Answer {
        let target: Vec<Row> = match &self.after.rows {
            Rows::Last(rows) => rows.values().copied().collect(),
            Rows::All(_) | Rows::Sheet(_) => Vec::new(),
        };
        stage::run(sql, &mut self.stage, &target)
    }

    /// A key that lies in two partitions: within the stage, or in stage and target.
    fn conflict(&self, with_target: bool) -> Answer {
        let present = |row: &Row| match &self.after.rows {
            Rows::Last(rows) => rows.get(&row.key).filter(|present| present.life >= row.life).copied(),
            Rows::All(_) | Rows::Sheet(_) => None,
        };
        let staged = |row: &Row| {
            let mut same = self.stage.iter().filter(|other| other.key == row.key);
            same.find(|other| other.partition != row.partition).copied()
        };
        let other = |row: &Row| if with_target { present(row) } else { staged(row) };
        let found = self.stage.iter().find_map(|row| {
            let other = other(row).filter(|other| other.partition != row.partition)?;
            let text = |value: &dyn std::fmt::Display| Some(value.to_string());
            Some(vec![
                text(&other.partition),
                text(&row.partition),
                text(&row.offset),
                text(&row.key),
            ])
        });
        Answer {
            affected: u64::from(found.is_some()),
            rows: found.into_iter().collect(),
        }
    }

    fn insert(&mut self, ranked: bool) {
        match &mut self.after.rows {
            Rows::Sheet(_) => {}
            Rows::All(rows) => {
                let once: BTreeSet<Row> = self.stage.iter().copied().collect();
                let staged: Vec<Row> = if ranked {
                    once.into_iter().collect()
                } else {
                    self.stage.clone()
                };
                for row in staged {
                    *rows.entry(row).or_default() += 1;
                }
            }
            Rows::Last(rows) => {
                let mut last: BTreeMap<u8, Row> = BTreeMap::new();
                for row in &self.stage {
                    let known = last.entry(row.key).or_insert(*row);
                    if (row.offset, row.seq) > (known.offset, known.seq) {
                        *known = *row;
                    }
                }
                // Nothing in a target says that a value was left out: it is NULL there.
                let kept = last.into_iter().filter(|(_, row)| !row.delete);
                rows.extend(kept.map(|(key, row)| match row.value {
                    Value::LeftOut => (
                        key,
                        Row {
                            value: Value::Null,
                            ..row
                        },
                    ),
                    _ => (key, row),
                }));
            }
        }
    }

    fn checkpoint(&mut self, load: &LoadPlan, guarded: bool) -> Result<Answer, SqlFailure> {
        // FirstRows of this very transaction aside, the rows must be as the snapshot saw them.
        if self
            .snapshot
            .is_some_and(|seen| self.after.row.as_ref().is_some_and(|row| row.serial != seen))
        {
            return Err(error("XX000", "1023"));
        }
        let mut count = 0;
        for run in &load.runs {
            for row in self
                .after
                .checkpoints
                .iter_mut()
                .filter(|row| row.partition == run.partition)
            {
                if !guarded || row.position == run.from {
                    row.position = run.to;
                    row.signal_next = run.signal_next;
                    count += 1;
                }
            }
        }
        Ok(touched(count))
    }

    fn table_row(&mut self, script: &Script, guarded: bool) -> Answer {
        match &mut self.after.row {
            Some(row) if !guarded || row.serial == script.row.serial - 1 => {
                let generation = std::mem::take(&mut row.generation);
                *row = TableRow {
                    generation,
                    ..script.row.clone()
                };
                touched(1)
            }
            _ => touched(0),
        }
    }
}

/// Whether a statement is about the state and not about rows, or is none of SQLite's in a transaction that ends here.
fn beside(purpose: Purpose) -> bool {
    matches!(
        purpose,
        Purpose::FirstRows
            | Purpose::Checkpoint
            | Purpose::TableRow
            | Purpose::Ledger
            | Purpose::RecordChange
            | Purpose::CountRows
            | Purpose::Commit
    )
}

/// The columns that CREATE TABLE makes: those of the plan, then the origin of each row.
fn created(script: &Script, sql: &str) -> Vec<Present> {
    let plan = script.plan.clone().unwrap_or_default();
    let key = script.mode.is_keyed();
    let data = plan
        .columns
        .iter()
        .map(|column| present(&column.name, column.ty, !(key && column.key.is_some())));
    let marks = marks(sql).map(|ty| present(MARKS, ty, true));
    let meta = script.mode.meta_columns();
    data.chain(marks)
        .chain(meta.into_iter().map(|(name, ty)| present(name, ty, true)))
        .collect()
}

/// The type of the column of marks, if a statement makes one: only a changelog has it.
fn marks(sql: &str) -> Option<ColumnType> {
    sql.contains(&format!("\"{MARKS}\"")).then(|| marks_column().ty)
}

/// The name in `ALTER TABLE … ADD COLUMN "name" TYPE`.
fn added(sql: &str) -> &str {
    let name = sql
        .split("ADD COLUMN \"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    name.expect("invariant: a column is added by its delimited name")
}

fn present(name: &str, ty: ColumnType, nullable: bool) -> Present {
    let (ty, width) = match ty {
        ColumnType::SmallInt => ("smallint", None),
        ColumnType::Integer => ("integer", None),
        ColumnType::Varchar { limit } => ("character varying", limit),
        ColumnType::Timestamp => ("timestamp without time zone", None),
        _ => ("bigint", None),
    };
    Present {
        name: name.to_owned(),
        ty: ty.to_owned(),
        width,
        precision: None,
        scale: None,
        nullable,
    }
}

fn catalog_answer(catalog: &[Present]) -> Answer {
    let row = |column: &Present| {
        let nullable = if column.nullable { "YES" } else { "NO" };
        vec![
            Some(column.name.clone()),
            Some(column.ty.clone()),
            column.width.map(|width| width.to_string()),
            None,
            None,
            Some(nullable.to_owned()),
        ]
    };
    Answer {
        rows: catalog.iter().map(row).collect(),
        affected: catalog.len() as u64,
    }
}

/// I4 or I6, whichever the table's kind allows to see: the rows of a target against those that a life's records make below its
/// checkpoint. `due` are these rows.
#[must_use]
pub fn wrong_rows(rows: &Rows, due: &BTreeSet<Row>) -> Option<String> {
    match rows {
        // Judged by `reference`.
        Rows::Sheet(_) => None,
        Rows::All(rows) => {
            let places: BTreeSet<(u32, i32, u16)> = due
                .iter()
                .chain(rows.keys())
                .map(|row| (row.life, row.partition, row.seq))
                .collect();
            let end = |place: (u32, i32, u16)| {
                let of = due.iter().filter(|row| (row.life, row.partition, row.seq) == place);
                of.map(|row| row.offset.next()).max().unwrap_or(Offset(0))
            };
            places
                .into_iter()
                .find_map(|place| {
                    let here = |row: &&Row| (row.life, row.partition, row.seq) == place;
                    let applied: BTreeMap<Offset, usize> = rows
                        .iter()
                        .filter(|(row, _)| here(row))
                        .map(|(row, times)| (row.offset, usize::from(*times)))
                        .collect();
                    let with_rows: BTreeSet<Offset> = due.iter().filter(here).map(|row| row.offset).collect();
                    invariants::exactly_once(&applied, &with_rows, end(place))
                        .err()
                        .map(|violation| violation.evidence)
                })
                .or_else(|| {
                    let other = rows.keys().find(|row| !due.contains(row))?;
                    Some(format!(
                        "offset `{}` has a row that its record did not write",
                        other.offset
                    ))
                })
        }
        Rows::Last(rows) => {
            let survivors = rows.iter().map(|(key, row)| (*key, writer(row))).collect();
            let value = |row: &Row| match row.value {
                Value::Own => Some(writer(row)),
                Value::Of(offset, seq) => Some((offset, seq)),
                Value::LeftOut | Value::Null => None,
            };
            let values = rows.iter().map(|(key, row)| (*key, value(row))).collect();
            invariants::order(&survivors, &crate::records::last_changes(due))
                .and_then(|()| invariants::values(&values, &crate::records::last_values(due)))
                .err()
                .map(|violation| violation.evidence)
        }
    }
}

/// A position in a few letters.
#[must_use]
pub fn place(position: Option<Position>) -> String {
    match position {
        None => "nothing applied".to_owned(),
        Some(Position {
            incarnation: Incarnation(0),
            next,
        }) => format!("checkpoint {next}"),
        Some(position) => format!("checkpoint {} of i{}", position.next, position.incarnation),
    }
}
