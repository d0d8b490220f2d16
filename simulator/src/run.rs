//! One run: faults and records for a while, then a kind world until everything is applied or has halted, then the verdict.

use std::collections::BTreeMap;
use std::io;

use common::ids::Partition;

use crate::dice::{Dice, Stream};
use crate::fake::upstream::{Log, Record, Standing, Topic};
use crate::group::{Group, Unit};
use crate::host::{Host, Shape, group_of};
use crate::judge;
use crate::schedule::{Damage, Fault, Role, Schedule};
use crate::workload::{self, Change, Producer, TOPICS, signals_of};
use crate::world::{EPOCH_MS, State, World};

/// Virtual milliseconds between two looks at the world.
const TICK_MS: u64 = 10;
/// The same while the world is kind.
const KIND_TICK_MS: u64 = 20;
/// How long a kind world waits for everything to be applied: a table's longest pause is a minute.
const KINDNESS_MS: u64 = 240_000;
/// Within how long a kind world notices that a topic holds other records: the longest pause of a lineage, and the looks that follow.
const NOTICE_MS: u64 = 45_000;
/// When partitions whose signals were lost get one more record: late claims have landed by then.
const GO_ON_MS: u64 = 12_000;
/// How often the end is looked for.
const LOOK_MS: u64 = 100;

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// What is broken; empty if all holds.
    pub violations: Vec<String>,
    /// The event log.
    pub log: Vec<String>,
    /// Faults that happened, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Steps of all processes.
    pub steps: u64,
    /// Virtual milliseconds.
    pub millis: u64,
    /// Transactions that wrote.
    pub commits: u64,
    /// Lineages and tables that stand still with an alarm.
    pub halted: usize,
}

struct Place {
    host: Option<Host>,
    lives: u32,
    back_at: Option<u64>,
}

struct Side {
    role: Role,
    places: Vec<Place>,
    group: Group,
}

struct Run<'a> {
    schedule: &'a Schedule,
    world: World,
    shape: Shape,
    order: Dice,
    sides: [Side; 2],
    producer: Producer,
    produced: u64,
    next_step: usize,
    faults: BTreeMap<&'static str, u64>,
    steps: u64,
    now: u64,
}

/// Runs a schedule.
///
/// # Errors
/// When the machine cannot make a runtime.
pub fn run(schedule: &Schedule) -> io::Result<Outcome> {
    let mut run = Run::begin(schedule)?;
    while run.now < schedule.span_ms && !run.is_broken() {
        run.faults_due()?;
        run.produce();
        run.tick(TICK_MS)?;
    }
    run.be_kind();
    let (go_on, end) = (run.now + GO_ON_MS, run.now + KINDNESS_MS);
    let mut more = run.lost_signals();
    while run.now < end && !run.is_broken() && !(run.now.is_multiple_of(LOOK_MS) && more.is_empty() && run.is_settled())
    {
        run.produce();
        if run.now >= go_on {
            for (topic, partition) in std::mem::take(&mut more) {
                let topic = usize::from(topic == workload::APPENDED);
                run.producer.produce_into(&mut run.world.state(), topic, partition);
            }
        }
        run.tick(KIND_TICK_MS)?;
    }
    Ok(run.end())
}

impl<'a> Run<'a> {
    fn begin(schedule: &'a Schedule) -> io::Result<Run<'a>> {
        let mut dice = Dice::new(schedule.seed, Stream::Shape);
        let shape = Shape::draw(&mut dice);
        let world = World::new(schedule.seed);
        let partitions = usize::try_from(dice.between(1, 3)).unwrap_or(1);
        let mut units: Vec<Unit> = Vec::new();
        for topic in TOPICS {
            let made = Topic {
                id: format!("{topic}-1"),
                partitions: vec![Log::default(); partitions],
            };
            world.state().upstream.topics.insert(topic, made);
            units.extend((0..partitions).map(|p| (topic, Partition(i32::try_from(p).unwrap_or(0)))));
        }
        let tables = TOPICS.iter().map(|topic| (*topic, Partition(0))).collect();
        let side = |role, units| Side {
            role,
            places: (0..2)
                .map(|_| Place {
                    host: None,
                    lives: 0,
                    back_at: Some(0),
                })
                .collect(),
            group: Group::new(units),
        };
        let mut run = Run {
            schedule,
            world,
            shape,
            order: Dice::new(schedule.seed ^ 0x6f72, Stream::Delays),
            sides: [side(Role::Spolt, units), side(Role::Loader, tables)],
            producer: Producer::new(Dice::new(schedule.seed, Stream::Records), schedule.records),
            produced: 0,
            next_step: 0,
            faults: BTreeMap::new(),
            steps: 0,
            now: 0,
        };
        run.raise_the_dead()?;
        Ok(run)
    }

    fn is_broken(&self) -> bool {
        !self.world.state().watch.violations.is_empty()
    }

    fn produce(&mut self) {
        let due = self.schedule.records * self.now.min(self.schedule.span_ms) / self.schedule.span_ms;
        while self.produced < due {
            self.produced += 1;
            self.producer.produce(&mut self.world.state());
        }
    }

    /// Moves the world and then every process, in an order that the dice say.
    fn tick(&mut self, millis: u64) -> io::Result<()> {
        self.now += millis;
        self.world.state().advance(self.now);
        self.raise_the_dead()?;
        for side in &mut self.sides {
            for ((place, life), order) in side.group.turn(self.now, &mut self.order) {
                let place = &side.places[place];
                if let Some(host) = place.host.as_ref().filter(|_| place.lives == life) {
                    host.order(&order);
                    self.world.state().note(format_args!("{} hears {order:?}", host.name));
                }
            }
        }
        let mut turns = [(0, 0), (0, 1), (1, 0), (1, 1)];
        for left in (1..turns.len()).rev() {
            turns.swap(left, self.order.index(left + 1));
        }
        for (side, place) in turns {
            let Some(host) = &mut self.sides[side].places[place].host else {
                continue;
            };
            host.step(self.now);
            self.steps += 1;
            if let Some(reason) = host.ended() {
                self.world.state().note(format_args!("{} ends: {reason}", host.name));
                self.crash(side, place, 500);
            }
        }
        Ok(())
    }

    fn raise_the_dead(&mut self) -> io::Result<()> {
        for side in &mut self.sides {
            for (index, place) in side.places.iter_mut().enumerate() {
                if place.back_at.is_some_and(|at| at <= self.now) {
                    place.back_at = None;
                    place.lives += 1;
                    let role = if side.role == Role::Spolt {
                        "s3-spolt"
                    } else {
                        "redshift-spolt"
                    };
                    let name = format!("{role}-{index}#{}", place.lives);
                    self.world.state().note(format_args!("{name} starts"));
                    place.host = Some(Host::start(&self.world, side.role, name, self.shape)?);
                    side.group.join((index, place.lives), self.now, &mut self.order);
                }
            }
        }
        Ok(())
    }

    fn crash(&mut self, side: usize, place: usize, down_ms: u64) {
        let side = &mut self.sides[side];
        let slot = &mut side.places[place];
        // What the process drops on its way out asks the world for delays: nothing of the world may be held meanwhile.
        if let Some(host) = slot.host.take() {
            self.world.state().note(format_args!("{} dies", host.name));
            drop(host);
            slot.back_at = Some(self.now + down_ms);
            side.group.lose((place, slot.lives), self.now, None, &mut self.order);
        }
    }

    fn faults_due(&mut self) -> io::Result<()> {
        while let Some(step) = self
            .schedule
            .steps
            .get(self.next_step)
            .filter(|step| step.at_ms <= self.now)
        {
            self.next_step += 1;
            let fault = step.fault;
            *self.faults.entry(fault.kind()).or_default() += 1;
            self.world.state().note(format_args!("fault {fault:?}"));
            self.strike(fault);
        }
        Ok(())
    }

    fn strike(&mut self, fault: Fault) {
        let side = |role| usize::from(role == Role::Loader);
        match fault {
            Fault::Crash(role, place, down_ms) => self.crash(side(role), place, down_ms),
            Fault::Pause(role, place, millis) => {
                let until = self.now + millis;
                let side = &mut self.sides[side(role)];
                let slot = &mut side.places[place];
                if let Some(host) = slot.host.as_mut().filter(|host| host.paused_until.is_none()) {
                    host.paused_until = Some(until);
                    side.group
                        .lose((place, slot.lives), self.now, Some(until), &mut self.order);
                }
            }
            Fault::Rebalance(role) => self.sides[side(role)].group.rotate(),
            Fault::Request(point, fate) => self.world.state().arm(point, fate),
            Fault::Clock(role, place, millis) => {
                if let Some(host) = &self.sides[side(role)].places[place].host {
                    host.jump(millis);
                }
            }
            Fault::Partition => self.add_partition(),
            Fault::Transaction(millis, commit) => open_transaction(&mut self.world.state(), millis, commit),
            Fault::Retention => retention(&mut self.world.state()),
            Fault::SignalRetention => signal_retention(&mut self.world.state()),
            Fault::Damage(damage) => damaged(&mut self.world.state(), damage),
        }
    }

    fn add_partition(&mut self) {
        for topic in TOPICS {
            let mut state = self.world.state();
            let Some(known) = state.upstream.topics.get_mut(topic) else {
                continue;
            };
            let added = Partition(i32::try_from(known.partitions.len()).unwrap_or(0));
            known.partitions.push(Log::default());
            state.watch.added.insert((topic, added));
            drop(state);
            self.sides[0].group.units.push((topic, added));
        }
    }

    /// From now on nothing goes wrong, and what was broken is mended.
    fn be_kind(&mut self) {
        let mut state = self.world.state();
        state.disarm();
        state.note("the world is kind from now on");
        if state.open_transaction.is_some() {
            end_transaction(&mut state, true);
        }
        drop(state);
        for side in &mut self.sides {
            for place in &mut side.places {
                if let Some(host) = &mut place.host {
                    host.paused_until = host.paused_until.map(|until| until.min(self.now));
                }
            }
        }
    }

    /// Partitions whose signals were lost: what comes after a gap shows it, so there must be something.
    fn lost_signals(&self) -> Vec<Unit> {
        let state = self.world.state();
        let damaged = state.watch.damaged.iter();
        damaged
            .filter(|(_, damage)| matches!(damage, Damage::SignalsLost(_)))
            .map(|(unit, _)| *unit)
            .collect()
    }

    fn halted(&self) -> Vec<(String, Option<Partition>, String)> {
        let places = self.sides.iter().flat_map(|side| &side.places);
        let mut halted: Vec<_> = places
            .filter_map(|place| place.host.as_ref())
            .flat_map(Host::halted)
            .collect();
        halted.sort();
        halted.dedup();
        halted
    }

    fn is_settled(&self) -> bool {
        let halted = self.halted();
        let patient = self.now < self.schedule.span_ms + NOTICE_MS;
        judge::is_settled(&self.world.state(), &halted, patient)
    }

    fn end(mut self) -> Outcome {
        let halted = self.halted();
        let mut state = self.world.state();
        for (topic, partition, reason) in &halted {
            let partition = partition.map_or("all".to_owned(), |partition| partition.to_string());
            state.note(format_args!("halted: {topic}[{partition}] {reason}"));
        }
        if state.watch.violations.is_empty() {
            judge::finally(&mut state, &halted);
        }
        let outcome = Outcome {
            violations: state.watch.violations.clone(),
            log: state.log.lines().to_vec(),
            faults: std::mem::take(&mut self.faults),
            steps: self.steps,
            millis: self.now,
            commits: state.warehouse.commits,
            halted: halted.len(),
        };
        drop(state);
        // Processes first: their last words need the world.
        for side in &mut self.sides {
            side.places.iter_mut().for_each(|place| place.host = None);
        }
        outcome
    }
}

fn any_partition(state: &mut State) -> Unit {
    let topic = TOPICS[state.delays.index(2)];
    let count = state.upstream.topics[topic].partitions.len();
    (topic, Partition(i32::try_from(state.delays.index(count)).unwrap_or(0)))
}

fn open_transaction(state: &mut State, millis: u64, commit: bool) {
    if state.open_transaction.is_none() {
        state.open_transaction = Some(any_partition(state));
        state.after(millis, move |state| end_transaction(state, commit));
    }
}

fn end_transaction(state: &mut State, commit: bool) {
    let Some((topic, partition)) = state.open_transaction.take() else {
        return;
    };
    let timestamp_ms = EPOCH_MS + i64::try_from(state.now).unwrap_or(0);
    if let Some(log) = state.upstream.log_mut(topic, partition) {
        let standing = if commit { Standing::Visible } else { Standing::Hidden };
        for record in log
            .records
            .iter_mut()
            .filter(|record| record.standing == Standing::Open)
        {
            record.standing = standing;
        }
        log.append(0, |offset| workload::marker(offset, timestamp_ms));
    }
}

/// Takes the older half of what is claimed.
fn retention(state: &mut State) {
    let (topic, partition) = any_partition(state);
    let claims = state.signals.claims(&signals_of(topic), partition);
    let claimed = claims.iter().map(|claim| claim.next.0).max().unwrap_or(0);
    if let Some(log) = state.upstream.log_mut(topic, partition) {
        log.start = log.start.max(common::ids::Offset(claimed / 2));
        state.watch.retained.insert((topic, partition));
    }
}

/// Lets the older half of what the table has applied expire.
fn signal_retention(state: &mut State) {
    let (topic, partition) = any_partition(state);
    let applied = judge::checkpoint(state, group_of(topic), partition).map_or(0, |checkpoint| checkpoint.signal_next);
    state.signals.expire(&signals_of(topic), partition, applied / 2);
}

fn damaged(state: &mut State, damage: Damage) {
    let (topic, partition) = any_partition(state);
    let timestamp_ms = EPOCH_MS + i64::try_from(state.now).unwrap_or(0);
    state.note(format_args!("damage hits {topic}[{partition}]"));
    match damage {
        Damage::SignalsLost(count) => {
            let count = usize::try_from(count).unwrap_or(0);
            state.signals.lose(&signals_of(topic), partition, count);
        }
        Damage::ObjectDeleted => {
            let claims = state.signals.claims(&signals_of(topic), partition);
            if let Some(object) = claims.last().and_then(|claim| claim.object.as_ref()) {
                state.bucket.delete(&object.key);
            }
        }
        Damage::Recreated => {
            if let Some(known) = state.upstream.topics.get_mut(topic) {
                known.id = format!("{topic}-2");
                known.partitions.iter_mut().for_each(|log| *log = Log::default());
                let count = known.partitions.len();
                for partition in (0..count).map(|p| Partition(i32::try_from(p).unwrap_or(0))) {
                    state.watch.damaged.insert((topic, partition), damage);
                }
            }
        }
        Damage::RetentionBeyond | Damage::UpstreamTruncated(_) | Damage::Poison => {
            let Some(log) = state.upstream.log_mut(topic, partition) else {
                return;
            };
            match damage {
                Damage::RetentionBeyond => log.start = log.stable(),
                Damage::UpstreamTruncated(count) => log.truncate(count),
                _ => log.append(0, |offset| Record {
                    offset,
                    timestamp_ms,
                    key: None,
                    value: Some(b"not avro".to_vec()),
                    standing: Standing::Visible,
                    change: Change::Poison,
                }),
            }
        }
    }
    state.watch.damaged.insert((topic, partition), damage);
}
