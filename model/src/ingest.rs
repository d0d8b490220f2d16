//! Part A: two s3-spolts, S3, the signal log, and loaders that only count. Judges I1 to I4, I8 and I9.
//!
//! The spolts are s3-spolt's own state machine, batch and naming of objects; the operator's `reset` and `gap` and the collector's
//! decisions are the daemons' own. What may happen: a PUT or a signal lands late, twice, unacknowledged or never; a process dies, loses
//! its partition, pauses anywhere (by others going on); both own the partition at once; the signal log loses its end; the upstream topic
//! is created anew or loses its beginning; objects are collected.

mod judge;
mod process;
mod story;

use std::collections::{BTreeMap, BTreeSet};

use common::chain::{self, Link, Policy, Position, Verdict};
use common::claim::{Claim, Kind, Tail};
use common::horizon::{self, Candidate};
use common::ids::{Offset, Partition};
use common::invariants;
use common::mutant::Mutant;
use common::plan::{Plan, PlanId};
use s3_spolt::ingest::machine::{Facts, Machine, Start};
use s3_spolt::ingest::operator;
use s3_spolt::ingest::resume::{Found, ReadBack, find};

use crate::explore::{Law, Scenario};
use crate::intern::{Id, Memo, Table};
use crate::records::{self, CLUSTER, Records, TOPIC, crc, lineage, seal, topic_id};

use process::{FlightChange, News, Telling};

/// What may happen how often in one history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Faults {
    /// A process dies and starts again.
    pub crashes: u8,
    /// A PUT or signal is answered by an error or not at all; it may land all the same.
    pub failures: u8,
    /// A PUT or signal lands twice.
    pub doubles: u8,
    /// A process loses its partition and may get it back.
    pub revokes: u8,
    /// The signal log loses its last record.
    pub truncations: u8,
    /// The upstream topic is created anew.
    pub recreations: u8,
    /// The upstream topic loses its first record.
    pub expiries: u8,
    /// So many operators may have a `reset` or `gap` on its way at once.
    pub operators: u8,
    /// Objects are collected.
    pub collections: u8,
}

/// Bounds of a run.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// The records of each life of the topic; several patterns are explored one beside the other.
    pub upstream: Vec<Vec<Records>>,
    /// Spolts, at most 2.
    pub spolts: usize,
    /// Loaders that only count, at most 2.
    pub targets: usize,
    /// Objects that a process may have sealed and not yet claimed.
    pub ahead: usize,
    /// Faults.
    pub faults: Faults,
}

/// Scenario of part A.
pub struct Spolting {
    bounds: Bounds,
    plan: PlanId,
    claims: Table<Claim>,
    processes: Table<Process>,
    /// A process that has just started.
    newborn: Id<Process>,
    stores: Table<Store>,
    logs: Table<Log>,
    flights: Table<Vec<Op>>,
    seals: Memo<(u8, u8, u32, Offset, Offset), Id<Claim>>,
    tellings: Memo<Telling, (Id<Process>, Id<Vec<Op>>)>,
    flight_changes: Memo<(Flight, FlightChange), Flight>,
    landings: Memo<Landing, (Id<Store>, Id<Log>)>,
    chains: Memo<Id<Log>, Option<String>>,
    truths: Memo<Judged, Option<String>>,
    counts: Memo<(u8, Id<Log>, Target), Option<String>>,
    reaches: Memo<Id<Log>, Option<(Position, u8)>>,
}

type Log = Vec<Id<Claim>>;

/// What is on its way.
type Flight = Id<Vec<Op>>;

/// What lands, and where: the pattern of records, what it is, its claim, the store and the log.
type Landing = (u8, Errand, Id<Claim>, Id<Store>, Id<Log>);

/// What I1 depends on: the pattern of records, the log, the store, and the lowest position of a loader.
type Judged = (u8, Id<Log>, Id<Store>, Option<Position>);

/// What lies under each key: the claim it was put with, and the offsets of its rows.
type Store = BTreeMap<String, (Id<Claim>, BTreeSet<Offset>)>;

/// A process of s3-spolt.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Process {
    machine: Machine,
    /// The question it waits for.
    asks: Option<Ask>,
    /// It wants to be woken.
    wakes: bool,
    reading: Option<Reading>,
    sealed: Vec<Id<Claim>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Ask {
    ReadBack(u64),
    Facts,
    Fingerprint(Offset),
    Bare(Box<Claim>),
    Cut,
}

/// Where the encoder goes on. `life` is the topic that it reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Reading {
    incarnation: u32,
    life: u8,
    head: Offset,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Errand {
    Put,
    Signal,
    Genesis,
}

/// Something on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Op {
    errand: Errand,
    claim: Id<Claim>,
    /// Process and generation that wait for the answer.
    owner: Option<(u8, u64)>,
    landed: bool,
}

/// A loader that only counts: where it stands, what it read, how often each offset of each life was applied (two bits each).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Target {
    at: Option<Position>,
    read: u8,
    applied: [u16; 2],
    halted: Option<Halted>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Halted {
    Gap,
    Missing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Collector {
    Idle,
    Announced(Position),
    Deleting(Option<Position>),
}

/// Where everything stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    pattern: u8,
    life: u8,
    log_start: u8,
    damaged: bool,
    spolts: [Id<Process>; 2],
    flight: Id<Vec<Op>>,
    store: Id<Store>,
    log: Id<Log>,
    targets: [Target; 2],
    collector: Collector,
    /// End of the furthest object that was deleted.
    deleted: Option<Position>,
    left: Faults,
}

/// What may happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A process is given the partition.
    Own(u8),
    /// It loses it.
    Revoke(u8),
    /// It dies and starts again.
    Crash(u8),
    /// Its pause is over.
    Wake(u8),
    /// Its question is answered.
    Answer(u8),
    /// It seals the records up to here.
    Seal(u8, Offset),
    /// What it fetches is no longer there.
    FetchFails(u8),
    /// A PUT or signal lands.
    Land(u8),
    /// Its answer arrives.
    Acknowledge(u8),
    /// It is answered by an error, or not in time.
    Fail(u8),
    /// It will land once more.
    Double(u8),
    /// A loader takes the next signal.
    Apply(u8),
    /// A loader's consumer notices that the log was cut off, or the loader is restarted: it reads from the beginning (rule 15).
    Reread(u8),
    /// The signal log loses its last record.
    Truncate,
    /// The topic is created anew.
    Recreate,
    /// The topic loses its first record.
    Expire,
    /// An operator looks, and sends what he decides.
    Operate,
    /// The horizon is computed and written to the signal log.
    Announce,
    /// The positions are read again.
    Look,
    /// An object is deleted.
    Delete(String),
    /// The collection ends.
    Leave,
}

impl Spolting {
    /// A world within these bounds.
    #[must_use]
    pub fn new(bounds: Bounds) -> Spolting {
        let processes = Table::default();
        let newborn = processes.id(Process {
            machine: Machine::new(CLUSTER, TOPIC, Partition(0), Start::Earliest),
            asks: None,
            wakes: false,
            reading: None,
            sealed: Vec::new(),
        });
        Spolting {
            bounds,
            plan: Plan::id(&records::plans()[0]),
            claims: Table::default(),
            processes,
            newborn,
            stores: Table::default(),
            logs: Table::default(),
            flights: Table::default(),
            seals: Memo::default(),
            tellings: Memo::default(),
            flight_changes: Memo::default(),
            landings: Memo::default(),
            chains: Memo::default(),
            truths: Memo::default(),
            counts: Memo::default(),
            reaches: Memo::default(),
        }
    }

    fn records(&self, state: &State, life: u8) -> &Records {
        &self.bounds.upstream[usize::from(state.pattern)][usize::from(life)]
    }

    fn claims_of(&self, log: &[Id<Claim>]) -> Vec<Claim> {
        log.iter().map(|claim| Claim::clone(&self.claims.get(*claim))).collect()
    }

    fn facts(&self, pattern: u8, life: u8, log_start: u8) -> Facts {
        Facts {
            log_start: Offset(i64::from(log_start)),
            end: self.bounds.upstream[usize::from(pattern)][usize::from(life)].end(),
            topic_id: Some(topic_id(u32::from(life))),
            partitions: 1,
        }
    }

    fn fingerprint(&self, state: &State, offset: Offset) -> Option<u32> {
        let records = self.records(state, state.life);
        let there =
            offset >= Offset(i64::from(state.log_start)) && records.visible(offset, offset.next()).next().is_some();
        there.then(|| crc(u32::from(state.life), offset))
    }

    fn seal(&self, state: &State, number: u8, end: Offset) -> Option<State> {
        let mut next = *state;
        let mut process = Process::clone(&self.processes.get(state.spolts[usize::from(number)]));
        let reading = process.reading.as_mut()?;
        let key = (state.pattern, reading.life, reading.incarnation, reading.head, end);
        let claim = self.seals.get(&key, || {
            let records = self.records(state, reading.life);
            let mut claim = seal(
                &lineage(reading.incarnation, 0),
                records,
                reading.head,
                end,
                &self.plan,
                None,
            );
            claim.topic_id = Some(topic_id(u32::from(reading.life)));
            claim.tail = claim.tail.map(|tail| Tail {
                crc32c: crc(u32::from(reading.life), tail.offset),
                ..tail
            });
            self.claims.id(claim)
        });
        reading.head = end;
        next.spolts[usize::from(number)] = self.processes.id(process);
        self.tell_process(&mut next, number, None, News::Sealed(claim));
        Some(next)
    }

    fn object_rows(&self, state: &State, claim: &Claim) -> BTreeSet<Offset> {
        // An object's rows are those of the life that was read; its topic id says which.
        let life = if claim.topic_id.as_deref() == Some(&topic_id(1)) {
            1
        } else {
            0
        };
        self.records(state, life).offsets(0, claim.start, claim.next)
    }

    fn land(&self, state: &mut State, op: Op) {
        let key = (state.pattern, op.errand, op.claim, state.store, state.log);
        (state.store, state.log) = self.landings.get(&key, || {
            if op.errand == Errand::Put {
                (self.stored(state, op.claim), state.log)
            } else {
                let mut log = Log::clone(&self.logs.get(state.log));
                log.push(op.claim);
                (state.store, self.logs.id(log))
            }
        });
    }

    fn stored(&self, state: &State, id: Id<Claim>) -> Id<Store> {
        let claim = self.claims.get(id);
        let Some(object) = &claim.object else {
            return state.store;
        };
        let mut store = Store::clone(&self.stores.get(state.store));
        let content = (id, self.object_rows(state, &claim));
        if Mutant::KeyByFirstOffset.is_on() {
            store.insert(object.key.clone(), content);
        } else {
            store.entry(object.key.clone()).or_insert(content);
        }
        self.stores.id(store)
    }

    fn move_op(&self, state: &State, step: &Step) -> Option<State> {
        let mut next = *state;
        let op = |index: u8| self.flights.get(state.flight)[usize::from(index)];
        match *step {
            Step::Land(index) => {
                self.land(&mut next, op(index));
                next.flight = self.fly(state.flight, FlightChange::Landed(index));
            }
            Step::Double(index) => {
                next.left.doubles -= 1;
                next.flight = self.fly(state.flight, FlightChange::Doubled(index));
            }
            Step::Acknowledge(index) => {
                let op = op(index);
                let (owner, generation) = op.owner?;
                next.flight = self.fly(state.flight, FlightChange::Answered(index));
                let news = match op.errand {
                    Errand::Put => News::Stored(self.claims.get(op.claim).next),
                    Errand::Signal => News::Acknowledged,
                    Errand::Genesis => News::GenesisAppended,
                };
                self.tell_process(&mut next, owner, Some(generation), news);
            }
            Step::Fail(index) => {
                next.left.failures -= 1;
                let (owner, generation) = op(index).owner?;
                next.flight = self.fly(state.flight, FlightChange::Unanswered(index));
                self.tell_process(&mut next, owner, Some(generation), News::Unanswered);
            }
            _ => return None,
        }
        Some(next)
    }

    fn crash(&self, state: &State, number: u8) -> State {
        let mut next = *state;
        next.left.crashes -= 1;
        next.spolts[usize::from(number)] = self.newborn;
        next.flight = self.fly(state.flight, FlightChange::OwnerDied(number));
        next
    }

    /// A loader takes the next signal of the log, as rule 16 judges it.
    fn apply(&self, state: &State, number: u8) -> State {
        let mut next = *state;
        let log = self.logs.get(state.log);
        let target = &mut next.targets[usize::from(number)];
        if usize::from(target.read) > log.len() {
            // Out of range: from the beginning (rule 15).
            target.read = 0;
            return next;
        }
        let Some(claim) = log.get(usize::from(target.read)).map(|claim| self.claims.get(*claim)) else {
            return next;
        };
        let verdict = chain::judge(target.at, &Link::of(&claim), Policy::default());
        match verdict {
            Verdict::Halt(_) => {
                target.halted = Some(Halted::Gap);
                return next;
            }
            Verdict::Take { from, to } => {
                let store = self.stores.get(state.store);
                let object = claim.object.as_ref().and_then(|object| store.get(&object.key));
                let Some((_, rows)) = object else {
                    target.halted = Some(Halted::Missing);
                    return next;
                };
                for offset in rows.iter().filter(|offset| **offset >= from) {
                    let (life, shift) = (to.incarnation.0 as usize, offset.0 * 2);
                    let mask: u16 = 3 << shift;
                    let times: u16 = (target.applied[life] & mask) >> shift;
                    target.applied[life] = (target.applied[life] & !mask) | ((times + 1).min(3) << shift);
                }
            }
            _ => {}
        }
        target.at = verdict.after(target.at);
        target.read += 1;
        next
    }

    fn findings(&self, state: &State) -> Option<operator::Findings> {
        let read = ReadBack {
            from_beginning: true,
            claims: self.claims_of(&self.logs.get(state.log)),
        };
        let Found::Resume(resume) = find(&read, CLUSTER, TOPIC, Partition(0)) else {
            return None;
        };
        let fingerprint = resume.tail.and_then(|tail| self.fingerprint(state, tail.offset));
        Some(operator::Findings {
            cluster: CLUSTER.to_owned(),
            topic: TOPIC.to_owned(),
            partition: Partition(0),
            resume: Some(resume),
            facts: self.facts(state.pattern, state.life, state.log_start),
            fingerprint,
        })
    }

    /// What an operator would send now, by the commands' own decision.
    fn decided(&self, state: &State) -> Option<Claim> {
        let findings = self.findings(state)?;
        operator::gap(&findings, None, false)
            .or_else(|_| operator::reset(&findings, None, false))
            .ok()
    }

    fn operate(&self, state: &State) -> Option<State> {
        let mut next = *state;
        let claim = self.claims.id(self.decided(state)?);
        next.flight = self.fly(state.flight, FlightChange::Decided(claim));
        Some(next)
    }

    fn standings<'a>(&self, state: &'a State) -> impl Iterator<Item = (usize, Option<Position>)> + 'a {
        state
            .targets
            .iter()
            .take(self.bounds.targets)
            .map(|target| target.at)
            .enumerate()
    }

    /// The horizon, by the collector's own decision.
    fn horizon(&self, state: &State) -> Option<Position> {
        horizon::lowest(self.standings(state)).and_then(|slowest| slowest.at)
    }

    fn announce(&self, state: &State) -> Option<State> {
        let mut next = *state;
        let at = self.horizon(state)?;
        next.left.collections -= 1;
        let claim = Claim::new(Kind::Horizon, &lineage(at.incarnation.0, 0), at.next, at.next);
        let mut log = Log::clone(&self.logs.get(state.log));
        log.push(self.claims.id(claim));
        next.log = self.logs.id(log);
        next.collector = Collector::Announced(at);
        Some(next)
    }

    fn may_delete(&self, state: &State, key: &str, claim: &Claim, bound: Option<Position>) -> bool {
        let candidate = Candidate {
            kind: claim.kind,
            end: Position {
                incarnation: claim.incarnation,
                next: claim.next,
            },
            age_ms: 1,
        };
        let referenced = || {
            let log = self.logs.get(state.log);
            let names = |claim: &Id<Claim>| {
                self.claims
                    .get(*claim)
                    .object
                    .as_ref()
                    .is_some_and(|object| object.key == key)
            };
            log.iter().any(names)
        };
        horizon::may_delete(candidate, bound, 0, referenced)
    }
}

/// The life of the topic that was read: the topic id says which.
fn life_of(claim: &Claim) -> u8 {
    u8::from(claim.topic_id.as_deref() == Some(&topic_id(1)))
}

impl Scenario for Spolting {
    type State = State;
    type Action = Step;

    fn beginnings(&self) -> Vec<State> {
        let patterns = u8::try_from(self.bounds.upstream.len()).unwrap_or(u8::MAX);
        (0..patterns)
            .map(|pattern| State {
                pattern,
                life: 0,
                log_start: 0,
                damaged: false,
                spolts: [self.newborn; 2],
                flight: self.flights.id(Vec::new()),
                store: self.stores.id(Store::new()),
                log: self.logs.id(Log::new()),
                targets: [Target::default(); 2],
                collector: Collector::Idle,
                deleted: None,
                left: self.bounds.faults,
            })
            .collect()
    }

    fn possible(&self, state: &State, steps: &mut Vec<Step>) {
        for number in 0..u8::try_from(self.bounds.spolts).unwrap_or(2) {
            self.possible_of(state, number, steps);
        }
        for (index, op) in (0u8..).zip(self.flights.get(state.flight).iter()) {
            if !op.landed {
                steps.push(Step::Land(index));
                if state.left.doubles > 0 {
                    steps.push(Step::Double(index));
                }
            }
            if op.owner.is_some() && op.landed {
                steps.push(Step::Acknowledge(index));
            }
            if op.owner.is_some() && state.left.failures > 0 {
                steps.push(Step::Fail(index));
            }
        }
        let log = self.logs.get(state.log);
        for (number, target) in (0u8..).zip(state.targets.iter().take(self.bounds.targets)) {
            if target.halted.is_none() && usize::from(target.read) != log.len() {
                steps.push(Step::Apply(number));
            }
            if state.damaged && target.read > 0 {
                steps.push(Step::Reread(number));
            }
        }
        if state.left.truncations > 0 && !log.is_empty() {
            steps.push(Step::Truncate);
        }
        let lives = self.bounds.upstream[usize::from(state.pattern)].len();
        if state.left.recreations > 0 && usize::from(state.life) + 1 < lives {
            steps.push(Step::Recreate);
        }
        if state.left.expiries > 0 && Offset(i64::from(state.log_start)) < self.records(state, state.life).end() {
            steps.push(Step::Expire);
        }
        let decisions = || {
            let flight = self.flights.get(state.flight);
            let decided = |op: &&Op| matches!(self.claims.get(op.claim).kind, Kind::Gap | Kind::Reset);
            flight.iter().filter(decided).count()
        };
        let operators = usize::from(state.left.operators);
        if operators > 0 && decisions() < operators && self.decided(state).is_some() {
            steps.push(Step::Operate);
        }
        match state.collector {
            Collector::Idle if state.left.collections > 0 && self.horizon(state).is_some() => {
                steps.push(Step::Announce)
            }
            Collector::Idle => {}
            Collector::Announced(_) => steps.push(Step::Look),
            Collector::Deleting(bound) => {
                for (key, (claim, _)) in self.stores.get(state.store).iter() {
                    if self.may_delete(state, key, &self.claims.get(*claim), bound) {
                        steps.push(Step::Delete(key.clone()));
                    }
                }
                steps.push(Step::Leave);
            }
        }
    }

    fn next(&self, state: &State, step: &Step) -> Option<State> {
        let mut next = *state;
        match step {
            Step::Own(number) => self.tell_process(&mut next, *number, None, News::Owned),
            Step::Revoke(number) => {
                next.left.revokes -= 1;
                self.tell_process(&mut next, *number, None, News::Revoked);
            }
            Step::Crash(number) => return Some(self.crash(state, *number)),
            Step::Wake(number) => self.tell_process(&mut next, *number, None, News::Wake),
            Step::Answer(number) => return self.answer(state, *number),
            Step::Seal(number, end) => return self.seal(state, *number, *end),
            Step::FetchFails(number) => self.tell_process(&mut next, *number, None, News::FetchFails),
            Step::Land(_) | Step::Acknowledge(_) | Step::Fail(_) | Step::Double(_) => return self.move_op(state, step),
            Step::Apply(number) => next = self.apply(state, *number),
            Step::Reread(number) => {
                let target = &mut next.targets[usize::from(*number)];
                (target.read, target.halted) = (0, None);
            }
            Step::Truncate => {
                next.left.truncations -= 1;
                next.damaged = true;
                let mut log = Log::clone(&self.logs.get(state.log));
                log.pop();
                next.log = self.logs.id(log);
            }
            Step::Recreate => {
                next.left.recreations -= 1;
                next.life += 1;
                next.log_start = 0;
            }
            Step::Expire => {
                next.left.expiries -= 1;
                next.log_start += 1;
            }
            Step::Operate => return self.operate(state),
            Step::Announce => return self.announce(state),
            Step::Look => {
                let Collector::Announced(announced) = state.collector else {
                    return None;
                };
                next.collector = Collector::Deleting(horizon::bound(announced, self.horizon(state)));
            }
            Step::Delete(key) => {
                let mut store = Store::clone(&self.stores.get(state.store));
                let claim = self.claims.get(store.remove(key)?.0);
                next.deleted = next.deleted.max(Some(Position {
                    incarnation: claim.incarnation,
                    next: claim.next,
                }));
                next.store = self.stores.id(store);
            }
            Step::Leave => next.collector = Collector::Idle,
        }
        (next != *state).then_some(next)
    }

    fn laws(&self) -> Vec<Law<Self>> {
        vec![
            Law {
                name: "I1 truth",
                broken: Spolting::untrue,
            },
            Law {
                name: "I2 chain",
                broken: Spolting::gaping,
            },
            Law {
                name: "I4 exactly once",
                broken: Spolting::miscounted,
            },
            Law {
                name: "I8 garbage collection",
                broken: |model, state| {
                    // Offsets of two lives on one line.
                    let line = |at: Position| Offset(i64::from(at.incarnation.0) * 1_000 + at.next.0);
                    let standings = model.standings(state);
                    let at = standings.map(|(number, at)| (format!("loader {number}"), at.map_or(Offset(-1), line)));
                    let broken = invariants::collected(line(state.deleted?), &at.collect()).err();
                    broken.map(|violation| violation.evidence)
                },
            },
        ]
    }

    fn is_finished(&self, state: &State) -> bool {
        let Some(reach) = self.reach(state) else { return false };
        let records = self.records(state, state.life);
        if records
            .visible(reach.next.max(Offset(i64::from(state.log_start))), records.end())
            .next()
            .is_some()
        {
            return false;
        }
        state.targets.iter().take(self.bounds.targets).all(|target| {
            // A target may be ahead of a log that lost its end.
            target.at >= Some(reach) || (state.damaged && target.halted == Some(Halted::Gap))
        })
    }

    fn is_spent(&self, state: &State) -> bool {
        let operators = self.bounds.faults.operators;
        let decided = || {
            let log = self.logs.get(state.log);
            let mut kinds = log.iter().map(|claim| self.claims.get(*claim).kind);
            kinds.any(|kind| matches!(kind, Kind::Gap | Kind::Reset))
        };
        let unspent = Faults {
            operators,
            ..Faults::default()
        };
        state.left == unspent && (operators == 0 || decided())
    }

    fn opening(&self, state: &State) -> Vec<String> {
        self.beginning_words(state)
    }

    fn tell(&self, before: &State, step: &Step, after: &State) -> String {
        self.step_words(before, step, after)
    }
}

impl Spolting {
    fn possible_of(&self, state: &State, number: u8, steps: &mut Vec<Step>) {
        let process = self.processes.get(state.spolts[usize::from(number)]);
        let faults = &self.bounds.faults;
        // A topic and a log that stay as they are need not be looked at again.
        let looks = faults.recreations + faults.expiries + faults.truncations > 0;
        let phase = process.machine.phase_name();
        match phase {
            "unowned" => steps.push(Step::Own(number)),
            "running" => {
                if let Some(reading) = process
                    .reading
                    .as_ref()
                    .filter(|_| process.machine.sealed() < self.bounds.ahead)
                {
                    let cuts = self.records(state, reading.life).cuts(reading.head);
                    steps.extend(cuts.map(|end| Step::Seal(number, end)));
                }
            }
            _ => {}
        }
        if let Some(reading) = &process.reading {
            let gone = reading.head < Offset(i64::from(state.log_start)) || reading.life != state.life;
            if gone && phase == "running" {
                steps.push(Step::FetchFails(number));
            }
        }
        if process.asks.is_some() {
            steps.push(Step::Answer(number));
        }
        if process.wakes && (looks || phase != "running") {
            steps.push(Step::Wake(number));
        }
        if state.left.crashes > 0 && phase != "unowned" {
            steps.push(Step::Crash(number));
        }
        if state.left.revokes > 0 && phase != "unowned" {
            steps.push(Step::Revoke(number));
        }
    }
}
