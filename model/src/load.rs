//! Part B: any signal log that satisfies I1 and I2, two loaders, one or two warehouses. Judges I4 to I9.
//!
//! The loaders are redshift-spolt's own state machine, the transaction is its own script (see [`crate::warehouse`]). What may happen: a
//! signal arrives, time passes, a transaction begins, takes its lock and snapshot, commits, is in doubt and lands later or never; a
//! loader pauses anywhere (by others going on), dies, or loses its connection; a warehouse is restored from a backup; objects that all
//! have applied are collected.

mod ending;
mod operator;
mod story;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use common::chain::Policy;
use common::claim::{Claim, Kind};
use common::failure::Failure;
use common::ids::{Offset, Partition};
use common::invariants;
use common::plan::{Plan, PlanId};
use redshift_spolt::load::machine::Limits;
use redshift_spolt::load::mode::Mode;
use redshift_spolt::load::run::{Caps, LoadPlan};
use redshift_spolt::load::statements::{Facts, Script, Target, compile};
use redshift_spolt::load::{Action, Event, Machine};

use crate::explore::{Law, Scenario};
use crate::intern::{Id, Memo, Table};
use crate::records::{self, BUCKET, REGION, Record, Records, Row, TOPIC};
use crate::reference;
use crate::sheet::{self, BESIDE};
use crate::warehouse::{Outside, Prepared, Session, Warehouse, wrong_rows};
use ending::Ending;
use operator::{Chosen, OPERATOR, Operator};

/// Later than every wish to be woken: ticks say this, everything else happens at 0.
const LATER_MS: i64 = 1 << 40;

/// One signal log per partition, and what the upstream topic holds.
#[derive(Debug, Clone)]
pub struct Case {
    /// By partition and life: the records.
    pub records: Vec<Vec<Records>>,
    /// By partition: the log.
    pub logs: Vec<Vec<Arc<Claim>>>,
    /// A claim was taken out of the log: loaders may stop at the gap.
    pub damaged: bool,
    /// Some value was left out that is nowhere to be had: loaders may stop there.
    pub lacking: bool,
    /// Operators replay records whose key could not be read as well (`--unknown-keys`): no key is ever deleted.
    pub insists: bool,
}

impl Case {
    /// Where a partition's checkpoint ends when all is applied, by the claims themselves: the end of its last life.
    fn end(&self, partition: usize) -> (u32, Offset) {
        let log = &self.logs[partition];
        let life = log.iter().map(|claim| claim.incarnation.0).max().unwrap_or(0);
        let of_life = log.iter().filter(|claim| claim.incarnation.0 == life);
        (life, of_life.map(|claim| claim.next).max().unwrap_or(Offset(0)))
    }

    /// What a partition's earlier lives came to: as far as claims before the reset reach.
    fn end_of_life(&self, partition: usize, life: u32) -> Offset {
        let log = self.logs[partition].iter();
        let before = log.take_while(|claim| claim.incarnation.0 <= life);
        let of_life = before.filter(|claim| claim.incarnation.0 == life && claim.kind != Kind::Horizon);
        of_life.map(|claim| claim.next).max().unwrap_or(Offset(0))
    }

    fn origin(&self, partition: usize, life: u32) -> Offset {
        let origin =
            |claim: &&Arc<Claim>| claim.incarnation.0 == life && matches!(claim.kind, Kind::Genesis | Kind::Reset);
        self.logs[partition]
            .iter()
            .find(origin)
            .map_or(Offset(0), |claim| claim.start)
    }
}

/// What may happen how often in one history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Faults {
    /// A loader dies and starts again.
    pub crashes: u8,
    /// A loader loses its connection; what it began may live on.
    pub losses: u8,
    /// The warehouse is restored from a backup.
    pub restores: u8,
    /// Objects below every checkpoint are collected.
    pub collections: u8,
    /// An operator tries records set aside again.
    pub replays: u8,
    /// An operator gives one of them up.
    pub discards: u8,
}

/// Bounds of a run.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// How changes become rows.
    pub mode: Mode,
    /// Home warehouse of each loader.
    pub homes: Vec<u8>,
    /// Faults.
    pub faults: Faults,
    /// All statements about rows run on SQLite, word for word: needed where deletes are kept or records are set aside. One plan only.
    pub word_for_word: bool,
    /// What is wrong with every script on purpose, to see that it is found.
    pub alter: Option<fn(&mut Script)>,
}

/// Scenario of part B.
pub struct Loading {
    cases: Vec<Case>,
    bounds: Bounds,
    target: Target,
    limits: Limits,
    plan_ids: Vec<PlanId>,
    plans: Mutex<Arc<BTreeMap<PlanId, Plan>>>,
    /// Warehouses that loaders load.
    homes: BTreeSet<usize>,
    claims: Table<Claim>,
    /// The logs of each case, by partition.
    logs: Vec<Vec<Vec<Id<Claim>>>>,
    /// By case: a loader that has just started.
    newborn: Vec<Id<Loader>>,
    loaders: Table<Loader>,
    warehouses: Table<Warehouse>,
    endings: Table<Ending>,
    scripts: Memo<Prepared, Arc<Result<Script, Failure>>>,
    events: Memo<(Id<Loader>, Happening), Id<Loader>>,
    begins: Memo<At, Left>,
    opens: Memo<At, Left>,
    closes: Memo<Closing, Closed>,
    verdicts: Memo<(u32, Id<Warehouse>), Option<Broken>>,
}

/// Which loader, the loader, and its warehouse.
type At = (u8, Id<Loader>, Id<Warehouse>);

/// Which case, how far its objects are collected, the warehouse, and which of its sessions ends.
type Closing = (u32, i8, Id<Warehouse>, u8);

/// The warehouse when the session has ended, and how it did; `None` when it cannot.
type Closed = Option<(Id<Warehouse>, Id<Ending>)>;

/// Where a step leaves a loader and its warehouse; `None` when it cannot be taken.
type Left = Option<(Id<Loader>, Id<Warehouse>)>;

/// A law that is broken, and what shows it.
type Broken = (&'static str, String);

/// What a loader's machine may be told; small, to be remembered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Happening {
    /// Of this partition, the signal at this place.
    Signal(u8, u8, Id<Claim>),
    /// The checkpoints of this warehouse.
    State(Id<Warehouse>),
    Tick,
    Begun,
    Ended(Id<Ending>),
}

/// A loader process: its machine, and what it waits for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Loader {
    machine: Machine,
    /// It asked for the checkpoints.
    asks: bool,
    /// It wants to be woken.
    wakes: bool,
    /// By partition: the next signal to be delivered; `None` while it does not read.
    cursors: Vec<Option<u8>>,
    /// A load that has not begun; or one that has.
    load: Option<Begun>,
    /// It has raised an alarm.
    alarm: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Begun {
    Not(Box<LoadPlan>, Option<redshift_spolt::load::state::TableRow>),
    Yes,
}

/// Where everything stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    case: u32,
    loaders: [Id<Loader>; 2],
    warehouses: [Id<Warehouse>; 2],
    backup: Option<Id<Warehouse>>,
    /// Objects that end here or before, of the first life of partition 0, are gone.
    collected: i8,
    restored: bool,
    operator: Operator,
    left: Faults,
}

/// What may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The next signal of a partition arrives.
    Deliver(u8, u8),
    /// The checkpoints are read under the lock.
    ReadState(u8),
    /// Time passes.
    Tick(u8),
    /// The catalog is read and the load compiled; a session says BEGIN.
    Begin(u8),
    /// Lock, snapshot, checkpoints.
    Open(u8),
    /// The rest of the transaction; COMMIT is answered.
    Commit(u8),
    /// The connection is lost. What was begun lives on without its owner.
    Lose(u8),
    /// The process dies and starts again.
    Crash(u8),
    /// Somebody who restored the warehouse restarts the loader: one without work does not look at its checkpoints by itself.
    Restart(u8),
    /// A transaction without owner commits after all.
    Land(u8, u8),
    /// Or the server rolls it back.
    Abort(u8, u8),
    /// A backup of the first warehouse is taken.
    Backup,
    /// The first warehouse is restored from it.
    Restore,
    /// Objects below every checkpoint are collected.
    Collect,
    /// An operator reads which records set aside are open, and chooses among them.
    Look(Chosen),
    /// His command reads the state under the lock, and makes the records into rows.
    Prepare,
    /// His load is compiled; a session says BEGIN.
    BeginReplay,
    /// Lock, snapshot, state.
    OpenReplay,
    /// The rest of his transaction; COMMIT is answered.
    CommitReplay,
    /// His command dies.
    OperatorDies,
    /// He gives a record up, of this life and offset.
    Discard(u8, u8),
}

impl Loading {
    /// Loaders over these logs.
    #[must_use]
    pub fn new(cases: Vec<Case>, bounds: Bounds) -> Loading {
        let plans = records::plans();
        let many = u64::MAX >> 1;
        let homes = bounds.homes.iter().map(|home| usize::from(*home)).collect();
        let mut loading = Loading {
            cases,
            homes,
            claims: Table::default(),
            logs: Vec::new(),
            newborn: Vec::new(),
            target: Target {
                table: sheet::target(),
                state_schema: BESIDE.to_owned(),
                create_schemas: false,
                mode: bounds.mode,
                varchar: BTreeMap::new(),
                order_by: None,
                metadata: Vec::new(),
                made: runtime::config::TableSettings::default(),
                refreshes: None,
            },
            bounds,
            limits: Limits {
                age_ms: 1,
                rows: many,
                bytes: many,
                caps: Caps {
                    claims: many,
                    rows: many,
                    bytes: many,
                },
                queue_claims: many,
            },
            plan_ids: plans.iter().map(Plan::id).collect(),
            plans: Mutex::new(Arc::new(plans.into_iter().map(|plan| (plan.id(), plan)).collect())),
            loaders: Table::default(),
            warehouses: Table::default(),
            endings: Table::default(),
            scripts: Memo::default(),
            events: Memo::default(),
            begins: Memo::default(),
            opens: Memo::default(),
            closes: Memo::default(),
            verdicts: Memo::default(),
        };
        let named = |log: &Vec<Arc<Claim>>| log.iter().map(|claim| loading.claims.id(Claim::clone(claim))).collect();
        let logs = |case: &Case| case.logs.iter().map(named).collect();
        loading.logs = loading.cases.iter().map(logs).collect();
        let fresh = |case| loading.loaders.id(loading.fresh(case));
        loading.newborn = loading.cases.iter().map(fresh).collect();
        loading
    }

    fn known_plans(&self) -> Arc<BTreeMap<PlanId, Plan>> {
        Arc::clone(&self.plans.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn script(&self, prepared: &Prepared) -> Arc<Result<Script, Failure>> {
        self.scripts.get(prepared, || {
            let plans = self.known_plans();
            let manifests = vec![(BUCKET.to_owned(), String::new()); prepared.load.manifests()];
            let known = prepared.row.as_ref().and_then(|row| row.plan.as_ref());
            let facts = Facts {
                load: &prepared.load,
                load_id: "g",
                plans: &plans,
                known: known.and_then(|plan| plans.get(plan)),
                table_row: prepared.row.as_ref(),
                catalog: &prepared.catalog,
                deleted: &[],
                aside: &prepared.aside,
                attached: &redshift_spolt::load::attached::NOTHING,
                manifests: &manifests,
                region: REGION,
                now_ms: 0,
            };
            let mut script = compile(&self.target, &facts);
            if let (Ok(script), Some(alter)) = (&mut script, self.bounds.alter) {
                alter(script);
            }
            if let Ok(Some(plan)) = script.as_ref().map(|script| script.plan.clone()) {
                let mut all = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
                Arc::make_mut(&mut all).insert(plan.id(), plan);
            }
            Arc::new(script)
        })
    }

    fn fresh(&self, case: &Case) -> Loader {
        let mut actions = Vec::new();
        let partitions = i32::try_from(case.logs.len()).unwrap_or(i32::MAX);
        let machine = Machine::new(
            TOPIC.to_owned(),
            partitions,
            self.limits,
            Policy::default(),
            &mut actions,
        );
        let mut loader = Loader {
            machine,
            asks: false,
            wakes: false,
            cursors: vec![None; case.logs.len()],
            load: None,
            alarm: false,
        };
        loader.carry_out(actions);
        loader
    }

    fn tell_loader(&self, id: Id<Loader>, happening: Happening) -> Id<Loader> {
        self.events.get(&(id, happening), || {
            let mut loader = Loader::clone(&self.loaders.get(id));
            self.happen(&mut loader, happening);
            self.loaders.id(loader)
        })
    }

    fn happen(&self, loader: &mut Loader, happening: Happening) {
        let mut actions = Vec::new();
        let (now_ms, event) = match happening {
            Happening::Signal(partition, index, claim) => {
                loader.cursors[usize::from(partition)] = Some(index + 1);
                let event = Event::Signal {
                    partition: Partition(i32::from(partition)),
                    offset: Offset(i64::from(index)),
                    claim: self.claims.get(claim),
                };
                (0, event)
            }
            Happening::State(warehouse) => {
                loader.asks = false;
                let read = self.warehouses.get(warehouse).state();
                (0, read.map_or_else(Event::StateFailed, Event::State))
            }
            Happening::Tick => {
                loader.wakes = false;
                (LATER_MS, Event::Tick)
            }
            Happening::Begun => {
                loader.load = Some(Begun::Yes);
                return;
            }
            Happening::Ended(ending) => {
                loader.load = None;
                (0, Event::Loaded(Ending::clone(&self.endings.get(ending)).outcome()))
            }
        };
        loader.machine.step(now_ms, event, &mut actions);
        loader.carry_out(actions);
    }

    fn object(&self, case: u32, collected: i8, claim: &Claim) -> Option<Vec<Row>> {
        let collectable = claim.partition.0 == 0 && claim.incarnation.0 == 0;
        if collectable && claim.next <= Offset(i64::from(collected)) {
            return None;
        }
        let case = &self.cases[case as usize];
        let (partition, life) = (claim.partition.0, claim.incarnation.0);
        let records = &case.records[usize::try_from(partition).ok()?][life as usize];
        Some(records.rows((life, partition), claim.start, claim.next))
    }

    /// The warehouse of a loader; operators work on the first.
    fn home(&self, loader: u8) -> usize {
        usize::from(self.bounds.homes.get(usize::from(loader)).copied().unwrap_or(0))
    }

    fn crew(&self) -> u8 {
        u8::try_from(self.bounds.homes.len()).unwrap_or(u8::MAX)
    }

    /// Rows that a warehouse must have at its checkpoints.
    fn due(&self, case: &Case, warehouse: &Warehouse) -> BTreeSet<Row> {
        let mut due = BTreeSet::new();
        for (index, lives) in case.records.iter().enumerate() {
            let partition = i32::try_from(index).unwrap_or(i32::MAX);
            let Some(at) = warehouse.position(Partition(partition)) else {
                continue;
            };
            for (life, records) in (0u32..).zip(lives) {
                let end = match life.cmp(&at.incarnation.0) {
                    std::cmp::Ordering::Less => case.end_of_life(index, life),
                    std::cmp::Ordering::Equal => at.next,
                    std::cmp::Ordering::Greater => continue,
                };
                let origin = case.origin(index, life);
                let emptied = records
                    .visible(origin, end)
                    .filter(|(_, record)| *record == Record::Truncate && self.bounds.mode == Mode::Upsert);
                let from = emptied.last().map_or(origin, |(offset, _)| offset.next());
                due.extend(records.rows((life, partition), from, end));
            }
        }
        due
    }

    fn verdict(&self, state: &State, warehouse: usize) -> Option<Broken> {
        let id = state.warehouses[warehouse];
        self.verdicts.get(&(state.case, id), || {
            let warehouse = self.warehouses.get(id);
            if warehouse.broken.is_some() {
                return warehouse.broken.clone();
            }
            let case = &self.cases[state.case as usize];
            if let Some(sheet) = warehouse.sheet() {
                return reference::wrong(sheet, self.bounds.mode, &self.changes(case, &warehouse));
            }
            let law = match self.bounds.mode {
                Mode::Append => "I4 exactly once",
                _ => "I6 order",
            };
            let due = self.due(case, &warehouse);
            wrong_rows(&warehouse.rows, &due).map(|evidence| (law, evidence))
        })
    }

    fn law(&self, state: &State, law: &'static str) -> Option<String> {
        let mut homes = self.homes.iter();
        let found = homes.find_map(|home| self.verdict(state, *home).filter(|found| found.0 == law));
        found.map(|(_, evidence)| evidence)
    }

    /// What a loader hears when its connection is gone.
    fn lost(&self) -> Happening {
        Happening::Ended(self.endings.id(Ending::Retry))
    }

    fn put_loader(&self, state: &mut State, loader: u8, happening: Happening) {
        let slot = &mut state.loaders[usize::from(loader)];
        *slot = self.tell_loader(*slot, happening);
    }

    /// A step of a loader's session: where it leaves the loader and its warehouse.
    fn session_step(
        &self,
        state: &State,
        loader: u8,
        known: &Memo<At, Left>,
        take: fn(&Loading, At) -> Left,
    ) -> Option<State> {
        let mut next = *state;
        let (home, slot) = (self.home(loader), usize::from(loader));
        let (of, at) = (state.loaders[slot], state.warehouses[home]);
        let after = known.get(&(loader, of, at), || take(self, (loader, of, at)));
        (next.loaders[slot], next.warehouses[home]) = after?;
        Some(next)
    }

    fn begin(&self, (loader, of, at): At) -> Left {
        let Some(Begun::Not(load, row)) = &self.loaders.get(of).load else {
            return None;
        };
        let mut warehouse = Warehouse::clone(&self.warehouses.get(at));
        let (catalog, aside) = warehouse.catalogs(load);
        let prepared = Prepared {
            load: load.clone(),
            row: row.clone(),
            catalog,
            aside,
        };
        if let Err(failure) = &*self.script(&prepared) {
            let ending = Ending::Halt {
                failure: failure.clone(),
                partition: failure.at.partition,
                separable: failure.at.key.is_some() || failure.at.partition.is_some(),
            };
            return Some((self.tell_ending(of, ending), at));
        }
        warehouse.sessions.push(Session {
            owner: Some(loader),
            load: prepared,
            snapshot: None,
            locked: false,
            may_commit: false,
        });
        Some((self.tell_loader(of, Happening::Begun), self.warehouses.id(warehouse)))
    }

    fn open(&self, (loader, of, at): At) -> Left {
        let mut warehouse = Warehouse::clone(&self.warehouses.get(at));
        let session = warehouse.session_of(loader)?;
        let script = self.script(&warehouse.sessions[session].load);
        let Ok(script) = &*script else { return None };
        let opened = warehouse.open(session, script);
        let told = match opened {
            Ok(()) => of,
            Err(outcome) => self.tell_ending(of, Ending::of(outcome)),
        };
        Some((told, self.warehouses.id(warehouse)))
    }

    fn tell_ending(&self, of: Id<Loader>, ending: Ending) -> Id<Loader> {
        self.tell_loader(of, Happening::Ended(self.endings.id(ending)))
    }

    /// The rest of a transaction, by its owner or without one.
    fn close(&self, state: &State, home: usize, session: usize) -> Option<(State, Id<Ending>)> {
        let mut next = *state;
        let index = u8::try_from(session).ok()?;
        let key = (state.case, state.collected, state.warehouses[home], index);
        let (after, ending) = self.closes.get(&key, || {
            let mut warehouse = Warehouse::clone(&self.warehouses.get(state.warehouses[home]));
            let script = self.script(&warehouse.sessions[session].load);
            let Ok(script) = &*script else { return None };
            let plans = self.known_plans();
            let outside = Outside {
                object: &|claim| self.object(state.case, state.collected, claim),
                aside: &|claim| self.aside(state.case, claim),
                mended: &|place| self.mended(state.case, place),
                plans: &plans,
            };
            let ending = match warehouse.close(session, script, &outside) {
                Ok(()) => Ending::Committed(script.row.clone()),
                Err(outcome) => Ending::of(outcome),
            };
            Some((self.warehouses.id(warehouse), self.endings.id(ending)))
        })?;
        next.warehouses[home] = after;
        Some((next, ending))
    }

    /// A loader's session goes on without it, if there is one.
    fn orphan(&self, state: &mut State, loader: u8) -> bool {
        let home = self.home(loader);
        let mut warehouse = Warehouse::clone(&self.warehouses.get(state.warehouses[home]));
        let Some(index) = warehouse.session_of(loader) else {
            return false;
        };
        let session = &mut warehouse.sessions[index];
        if session.snapshot.is_none() {
            // Nothing was done yet: the server rolls it back, and nobody can tell when.
            warehouse.sessions.remove(index);
        } else {
            session.owner = None;
            session.may_commit = true;
        }
        state.warehouses[home] = self.warehouses.id(warehouse);
        true
    }

    fn lowest(&self, state: &State) -> Offset {
        let at = self.homes.iter().map(|home| {
            let warehouse = self.warehouses.get(state.warehouses[*home]);
            warehouse.position(Partition(0)).map_or(Offset(0), |at| at.next)
        });
        at.min().unwrap_or(Offset(0))
    }

    fn restore(&self, state: &State) -> Option<State> {
        let mut next = *state;
        let mut warehouse = Warehouse::clone(&self.warehouses.get(state.backup?));
        warehouse.sessions.clear();
        next.restored = true;
        next.backup = None;
        next.left.restores -= 1;
        let now = self.warehouses.get(state.warehouses[0]);
        let owners: Vec<u8> = now.sessions.iter().filter_map(|session| session.owner).collect();
        next.warehouses[0] = self.warehouses.id(warehouse);
        for owner in owners {
            if owner == OPERATOR {
                next.operator = Operator::Idle;
            } else {
                self.put_loader(&mut next, owner, self.lost());
            }
        }
        Some(next)
    }
}

impl Loader {
    fn carry_out(&mut self, actions: Vec<Action>) {
        let mut open: std::collections::VecDeque<Action> = actions.into();
        while let Some(action) = open.pop_front() {
            match action {
                Action::ReadState => self.asks = true,
                Action::ReadSignals { partition, from } => {
                    let from = u8::try_from(from.map_or(0, |from| from.0)).unwrap_or(u8::MAX);
                    self.cursors[usize::try_from(partition.0).unwrap_or(0)] = Some(from);
                    let mut more = Vec::new();
                    let low = Offset(0);
                    self.machine.step(0, Event::LogBegins { partition, low }, &mut more);
                    open.extend(more);
                }
                Action::StopSignals { partition } => self.cursors[usize::try_from(partition.0).unwrap_or(0)] = None,
                Action::Load(load) => self.load = Some(Begun::Not(load, self.machine.row().cloned())),
                Action::WakeAt(_) => self.wakes = true,
                Action::Alarm { .. } => self.alarm = true,
                Action::Pause | Action::Resume | Action::Publish(_) => {}
            }
        }
    }
}

impl Scenario for Loading {
    type State = State;
    type Action = Step;

    fn beginnings(&self) -> Vec<State> {
        let warehouse = Warehouse::new(self.bounds.mode, self.bounds.word_for_word);
        let warehouse = self.warehouses.id(warehouse);
        (0u32..)
            .zip(&self.newborn)
            .map(|(case, loader)| State {
                case,
                loaders: [*loader; 2],
                warehouses: [warehouse; 2],
                backup: None,
                collected: -1,
                restored: false,
                operator: Operator::Idle,
                left: self.bounds.faults,
            })
            .collect()
    }

    fn possible(&self, state: &State, steps: &mut Vec<Step>) {
        let case = &self.cases[state.case as usize];
        for number in 0..self.crew() {
            let loader = self.loaders.get(state.loaders[usize::from(number)]);
            let warehouse = self.warehouses.get(state.warehouses[self.home(number)]);
            for (partition, cursor) in (0u8..).zip(&loader.cursors) {
                let more = cursor.is_some_and(|at| usize::from(at) < case.logs[usize::from(partition)].len());
                if more {
                    steps.push(Step::Deliver(number, partition));
                }
            }
            if loader.asks && !warehouse.is_locked() {
                steps.push(Step::ReadState(number));
            }
            if loader.wakes {
                steps.push(Step::Tick(number));
            }
            match &loader.load {
                Some(Begun::Not(..)) => steps.push(Step::Begin(number)),
                Some(Begun::Yes) => {
                    if let Some(session) = warehouse.session_of(number).map(|index| &warehouse.sessions[index]) {
                        if session.snapshot.is_some() {
                            steps.push(Step::Commit(number));
                        } else if !warehouse.is_locked() {
                            steps.push(Step::Open(number));
                        }
                        if state.left.losses > 0 {
                            steps.push(Step::Lose(number));
                        }
                    }
                }
                None => {}
            }
            if state.left.crashes > 0 {
                steps.push(Step::Crash(number));
            }
            if state.restored && loader.load.is_none() {
                steps.push(Step::Restart(number));
            }
        }
        for home in self.homes.iter().copied() {
            let warehouse = self.warehouses.get(state.warehouses[home]);
            let home = u8::try_from(home).unwrap_or(u8::MAX);
            for (index, session) in (0u8..).zip(&warehouse.sessions) {
                if session.owner.is_none() {
                    steps.push(Step::Land(home, index));
                    steps.push(Step::Abort(home, index));
                }
            }
        }
        self.operator_may(state, steps);
        if state.left.restores > 0 {
            steps.push(if state.backup.is_none() {
                Step::Backup
            } else {
                Step::Restore
            });
        }
        if state.left.collections > 0 && self.lowest(state) > Offset(i64::from(state.collected)).max(Offset(0)) {
            steps.push(Step::Collect);
        }
    }

    fn next(&self, state: &State, step: &Step) -> Option<State> {
        let mut next = *state;
        match *step {
            Step::Deliver(loader, partition) => {
                let at = self.loaders.get(state.loaders[usize::from(loader)]);
                let index = at.cursors[usize::from(partition)]?;
                let claim = self.logs[state.case as usize][usize::from(partition)][usize::from(index)];
                self.put_loader(&mut next, loader, Happening::Signal(partition, index, claim));
            }
            Step::ReadState(loader) => {
                let warehouse = state.warehouses[self.home(loader)];
                self.put_loader(&mut next, loader, Happening::State(warehouse));
            }
            Step::Tick(loader) => self.put_loader(&mut next, loader, Happening::Tick),
            Step::Begin(loader) => return self.session_step(state, loader, &self.begins, Loading::begin),
            Step::Open(loader) => return self.session_step(state, loader, &self.opens, Loading::open),
            Step::Commit(loader) => {
                let home = self.home(loader);
                let session = self.warehouses.get(state.warehouses[home]).session_of(loader)?;
                let (closed, ending) = self.close(state, home, session)?;
                next = closed;
                self.put_loader(&mut next, loader, Happening::Ended(ending));
            }
            Step::Lose(loader) => {
                next.left.losses -= 1;
                self.orphan(&mut next, loader);
                self.put_loader(&mut next, loader, self.lost());
            }
            Step::Crash(loader) => {
                next.left.crashes -= 1;
                self.orphan(&mut next, loader);
                next.loaders[usize::from(loader)] = self.newborn[state.case as usize];
            }
            Step::Restart(loader) => next.loaders[usize::from(loader)] = self.newborn[state.case as usize],
            Step::Land(home, session) => return Some(self.close(state, usize::from(home), usize::from(session))?.0),
            Step::Abort(home, session) => {
                let slot = &mut next.warehouses[usize::from(home)];
                let mut warehouse = Warehouse::clone(&self.warehouses.get(*slot));
                warehouse.sessions.remove(usize::from(session));
                *slot = self.warehouses.id(warehouse);
            }
            Step::Backup => next.backup = Some(state.warehouses[0]),
            Step::Restore => return self.restore(state),
            Step::Collect => {
                next.left.collections -= 1;
                next.collected = i8::try_from(self.lowest(state).0).unwrap_or(i8::MAX);
            }
            _ => return self.operator_does(state, step),
        }
        (next != *state).then_some(next)
    }

    fn laws(&self) -> Vec<Law<Self>> {
        let mut laws: Vec<Law<Self>> = vec![
            Law {
                name: "I5 monotone",
                broken: |model, state| model.law(state, "I5 monotone"),
            },
            Law {
                name: "I7 forward schema",
                broken: |model, state| model.law(state, "I7 forward schema"),
            },
            Law {
                name: "I8 garbage collection",
                broken: |model, state| {
                    let at = BTreeMap::from([("the slowest".to_owned(), model.lowest(state))]);
                    let gone = Offset(i64::from(state.collected));
                    let broken = invariants::collected(gone, &at)
                        .err()
                        .filter(|_| !state.restored && gone.0 > 0);
                    broken.map(|violation| violation.evidence)
                },
            },
        ];
        let order = Law {
            name: "I6 order",
            broken: |model: &Self, state: &State| model.law(state, "I6 order"),
        };
        let once = Law {
            name: "I4 exactly once",
            broken: |model: &Self, state: &State| model.law(state, "I4 exactly once"),
        };
        let replay = Law {
            name: reference::REPLAY,
            broken: |model: &Self, state: &State| model.law(state, reference::REPLAY),
        };
        match self.bounds.mode {
            _ if self.bounds.word_for_word => laws.extend([once, order, replay]),
            Mode::Append => laws.push(once),
            _ => laws.push(order),
        }
        laws
    }

    fn is_finished(&self, state: &State) -> bool {
        let case = &self.cases[state.case as usize];
        (0..self.crew()).all(|number| {
            let warehouse = self.warehouses.get(state.warehouses[self.home(number)]);
            let applied = (0..case.logs.len()).all(|index| {
                let at = warehouse.position(Partition(i32::try_from(index).unwrap_or(i32::MAX)));
                at.map(|at| (at.incarnation.0, at.next)) == Some(case.end(index))
            });
            let alarm = self.loaders.get(state.loaders[usize::from(number)]).alarm;
            // A gap that was made from outside, a value that is nowhere to be had, or objects that a restored warehouse misses, are for a
            // person to mend.
            let lacking = case.lacking && self.bounds.mode.is_keyed();
            let excused = alarm && (case.damaged || lacking || (state.restored && state.collected > 0));
            warehouse.sessions.is_empty() && (applied || excused)
        }) && state.operator == Operator::Idle
    }

    fn is_spent(&self, state: &State) -> bool {
        // A record that was given up cannot be replayed, and the other way round: one of them is enough.
        let acts = |faults: &Faults| faults.replays + faults.discards;
        let acted = acts(&self.bounds.faults) == 0 || acts(&state.left) < acts(&self.bounds.faults);
        let others = Faults {
            replays: 0,
            discards: 0,
            ..state.left
        };
        others == Faults::default() && acted
    }

    fn opening(&self, state: &State) -> Vec<String> {
        self.beginning_words(state)
    }

    fn tell(&self, before: &State, step: &Step, after: &State) -> String {
        self.step_words(before, step, after)
    }
}
