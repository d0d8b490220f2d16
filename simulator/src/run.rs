//! One run: faults and records for a while, then a kind world until everything is applied or has halted, then the verdict.

use std::collections::BTreeMap;
use std::io;

use common::ids::Partition;

use crate::attendant::{Attendant, remedy};
use crate::dice::{Dice, Stream};
use crate::fake::signals::PROGRESS;
use crate::fake::upstream::{Log, Record, Standing, Topic};
use crate::group::{Group, Unit};
use crate::host::{Host, Shape, TARGETS, What};
use crate::judge::{self, Halted};
use crate::schedule::{Command, Damage, Fault, LIMIT, Role, Schedule};
use crate::workload::{self, Change, KEYED, MENDED_NULL_MARKER, Producer, TOPICS, signals_of};
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
/// How often somebody looks at what stands still.
const ATTEND_MS: u64 = 500;

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
    /// Objects that collectors deleted.
    pub collected: u64,
    /// Lineages and tables that stand still with an alarm.
    pub halted: usize,
    /// Records set aside at the end, by status.
    pub set_aside: BTreeMap<String, u64>,
    /// Refreshes that were begun, finished and given up.
    pub refreshed: BTreeMap<&'static str, u64>,
}

/// Where a process runs; nothing runs there while `host` is `None`.
struct Place {
    host: Option<Host>,
    lives: u32,
    back_at: Option<u64>,
}

impl Place {
    fn starting(at: Option<u64>) -> Place {
        Place {
            host: None,
            lives: 0,
            back_at: at,
        }
    }
}

/// Processes of one kind, and the group that shares their work out.
struct Side {
    what: What,
    places: Vec<Place>,
    group: Group,
}

/// Index of a role's side.
fn side_of(role: Role) -> usize {
    match role {
        Role::Spolt => 0,
        Role::Loader => 1,
        Role::Second => 2,
        Role::Operator => 3,
    }
}

/// The target whose loaders have this role; the first for all others.
fn target_of(role: Role) -> &'static str {
    if role == Role::Second { TARGETS[1] } else { TARGETS[0] }
}

struct Run<'a> {
    schedule: &'a Schedule,
    world: World,
    shape: Shape,
    order: Dice,
    sides: [Side; 4],
    /// Targets that load at some time of the run.
    targets: Vec<&'static str>,
    producer: Producer,
    attendant: Attendant,
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
    let mut more = run.quiet();
    while run.now < end && !run.is_broken() && !(run.now.is_multiple_of(LOOK_MS) && more.is_empty() && run.is_settled())
    {
        run.produce();
        if run.now >= go_on {
            for (topic, partition) in std::mem::take(&mut more) {
                let topic = usize::from(topic == workload::APPENDED);
                run.producer.produce_into(&mut run.world.state(), topic, partition);
            }
        }
        run.do_the_rest()?;
        run.tick(KIND_TICK_MS)?;
    }
    Ok(run.end())
}

impl<'a> Run<'a> {
    fn begin(schedule: &'a Schedule) -> io::Result<Run<'a>> {
        let mut dice = Dice::new(schedule.seed, Stream::Shape);
        let shape = Shape::draw(&mut dice, schedule.keyed);
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
        let mut state = world.state();
        state.signals.grow(PROGRESS, 1);
        state.present.insert(TARGETS[0]);
        state.retention_ms = shape.retention_ms;
        state.rules.bad_records_max = schedule.bad.map_or(0, |bad| bad.max);
        if shape.collects {
            let listed = if schedule.expects_second {
                &TARGETS[..]
            } else {
                &TARGETS[..1]
            };
            state.configured = listed.iter().map(|target| (*target).to_owned()).collect();
        }
        drop(state);
        let tables: Vec<Unit> = TOPICS.iter().map(|topic| (*topic, Partition(0))).collect();
        let side = |what, starting: &[Option<u64>], units| Side {
            what,
            places: starting.iter().map(|at| Place::starting(*at)).collect(),
            group: Group::new(units),
        };
        let joins = schedule.steps.iter().any(|step| step.fault == Fault::Join);
        let mut run = Run {
            schedule,
            world,
            shape,
            order: Dice::new(schedule.seed ^ 0x6f72, Stream::Delays),
            sides: [
                side(What::Spolt, &[Some(0); 2], units),
                side(What::Loader(TARGETS[0]), &[Some(0); 2], tables.clone()),
                side(What::Loader(TARGETS[1]), &[None], tables),
                side(What::Operator(Command::Collect), &[], Vec::new()),
            ],
            targets: TARGETS[..if joins { 2 } else { 1 }].to_vec(),
            producer: Producer::new(
                Dice::new(schedule.seed, Stream::Records),
                schedule.records,
                schedule
                    .bad
                    .map(|bad| (Dice::new(schedule.seed ^ 0x6261, Stream::Bad), bad.percent)),
            ),
            attendant: Attendant::default(),
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
        self.send_again();
        self.raise_the_dead()?;
        self.attend()?;
        for side in &mut self.sides {
            for ((place, life), order) in side.group.turn(self.now, &mut self.order) {
                let place = &side.places[place];
                if let Some(host) = place.host.as_ref().filter(|_| place.lives == life) {
                    host.order(&order);
                    self.world.state().note(format_args!("{} hears {order:?}", host.name));
                }
            }
        }
        let alive = |(side, places): (usize, &Side)| {
            let places = places.places.iter().enumerate();
            let alive = places.filter(|(_, place)| place.host.is_some());
            alive.map(move |(place, _)| (side, place)).collect::<Vec<_>>()
        };
        let mut turns: Vec<(usize, usize)> = self.sides.iter().enumerate().flat_map(alive).collect();
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

    fn attend(&mut self) -> io::Result<()> {
        if !self.schedule.attended || !self.now.is_multiple_of(ATTEND_MS) {
            return Ok(());
        }
        let halted = self.halted();
        let commands = self
            .attendant
            .turn(&self.world.state(), &halted, self.now, &mut self.order);
        for command in commands {
            *self.faults.entry(Fault::Operate(command).kind()).or_default() += 1;
            self.operate(command)?;
        }
        Ok(())
    }

    fn raise_the_dead(&mut self) -> io::Result<()> {
        for side in &mut self.sides {
            for (index, place) in side.places.iter_mut().enumerate() {
                if place.back_at.is_some_and(|at| at <= self.now) {
                    place.back_at = None;
                    place.lives += 1;
                    let name = format!("{}-{index}#{}", side.what.name(), place.lives);
                    self.world.state().note(format_args!("{name} starts"));
                    place.host = Some(Host::start(&self.world, side.what, name, self.shape)?);
                    side.group.join((index, place.lives), self.now, &mut self.order);
                }
            }
        }
        Ok(())
    }

    /// A process dies. A daemon is started again; a command is not.
    fn crash(&mut self, side: usize, place: usize, down_ms: u64) {
        let side = &mut self.sides[side];
        let Some(slot) = side.places.get_mut(place) else {
            return;
        };
        // What the process drops on its way out asks the world for delays: nothing of the world may be held meanwhile.
        if let Some(host) = slot.host.take() {
            self.world.state().note(format_args!("{} dies", host.name));
            drop(host);
            let daemon = !matches!(side.what, What::Operator(_));
            slot.back_at = daemon.then_some(self.now + down_ms);
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
            self.strike(fault)?;
        }
        Ok(())
    }

    /// The process that a fault means: of commands, one of those that run.
    fn place(&self, role: Role, place: usize) -> (usize, usize) {
        let side = side_of(role);
        let places = &self.sides[side].places;
        if role != Role::Operator {
            return (side, place.min(places.len() - 1));
        }
        let running: Vec<usize> = (0..places.len()).filter(|at| places[*at].host.is_some()).collect();
        (
            side,
            running
                .get(place % running.len().max(1))
                .copied()
                .unwrap_or(places.len()),
        )
    }

    fn strike(&mut self, fault: Fault) -> io::Result<()> {
        match fault {
            Fault::Crash(role, place, down_ms) => {
                let (side, place) = self.place(role, place);
                self.crash(side, place, down_ms);
            }
            Fault::Pause(role, place, millis) => self.pause(role, place, millis),
            Fault::Rebalance(role) => self.sides[side_of(role)].group.rotate(),
            Fault::Request(point, fate) => self.world.state().arm(point, fate),
            Fault::Clock(role, place, millis) => {
                let (side, place) = self.place(role, place);
                if let Some(host) = self.sides[side].places.get(place).and_then(|slot| slot.host.as_ref()) {
                    host.jump(millis);
                }
            }
            Fault::Operate(command) => self.operate(command)?,
            Fault::Join => self.join(),
            Fault::Leave => self.leave()?,
            Fault::Backup(role) => {
                let mut state = self.world.state();
                state.warehouse(target_of(role)).back_up();
                judge::refresh::backed_up(&mut state, target_of(role));
            }
            Fault::Restore(role, running) => self.restore(role, running),
            Fault::Compaction => {
                let mut state = self.world.state();
                let kept = state.delays.index(4);
                state.signals.compact_progress(kept);
            }
            Fault::Partition => self.add_partition(),
            Fault::Transaction(millis, commit) => open_transaction(&mut self.world.state(), millis, commit),
            Fault::Retention => retention(&mut self.world.state()),
            Fault::SignalRetention => signal_retention(&mut self.world.state(), &self.targets),
            Fault::Damage(damage) => damaged(&mut self.world.state(), damage),
            Fault::Mend(all) => {
                self.world.state().rules.null_marker = MENDED_NULL_MARKER;
                self.restart_spolts(if all { 2 } else { 1 });
            }
        }
        Ok(())
    }

    fn pause(&mut self, role: Role, place: usize, millis: u64) {
        let until = self.now + millis;
        let (side, place) = self.place(role, place);
        let side = &mut self.sides[side];
        let Some(slot) = side.places.get_mut(place) else {
            return;
        };
        if let Some(host) = slot.host.as_mut().filter(|host| host.paused_until.is_none()) {
            host.paused_until = Some(until);
            side.group
                .lose((place, slot.lives), self.now, Some(until), &mut self.order);
        }
    }

    fn operate(&mut self, command: Command) -> io::Result<()> {
        if command == Command::Collect && !self.shape.collects {
            return Ok(());
        }
        if command == Command::RaiseLimit {
            self.world.state().rules.bad_records_max = LIMIT;
            self.restart_spolts(2);
            return Ok(());
        }
        let side = &mut self.sides[side_of(Role::Operator)];
        let what = What::Operator(command);
        let name = format!("{}-{}", what.name(), side.places.len());
        self.world.state().note(format_args!("{name} starts"));
        let mut place = Place::starting(None);
        place.host = Some(Host::start(&self.world, what, name, self.shape)?);
        side.places.push(place);
        Ok(())
    }

    /// The first processes of s3-spolt start anew, with the configuration of now.
    fn restart_spolts(&mut self, count: usize) {
        for place in 0..count {
            self.crash(side_of(Role::Spolt), place, 200);
        }
    }

    /// While the world is kind somebody ends refreshes and replays what is open, again and again until nothing is left that can be.
    fn do_the_rest(&mut self) -> io::Result<()> {
        if !self.now.is_multiple_of(ATTEND_MS) {
            return Ok(());
        }
        for command in self.left() {
            let operators = &self.sides[side_of(Role::Operator)].places;
            let mut running = operators.iter().filter_map(|place| place.host.as_ref());
            if !running.any(|host| host.what == What::Operator(command)) {
                *self.faults.entry(Fault::Operate(command).kind()).or_default() += 1;
                self.operate(command)?;
            }
        }
        Ok(())
    }

    /// The source sends everything again where a refresh has begun.
    fn send_again(&mut self) {
        let begun = std::mem::take(&mut self.world.state().watch.begun);
        for topic in begun {
            let topic = usize::from(topic == workload::APPENDED);
            self.producer.snapshot(&mut self.world.state(), topic);
        }
    }

    /// What operators still have to do: to end refreshes, then to replay what can be replayed.
    fn left(&self) -> Vec<Command> {
        let state = self.world.state();
        let under_way = judge::refresh::under_way(&state);
        if !under_way.is_empty() {
            let end = |(target, topic)| Command::Refresh(target, topic, self.schedule.refreshes_end);
            return under_way.into_iter().map(end).collect();
        }
        let of_target = |target: &&'static str| TOPICS.map(|topic| (*target, topic));
        let tables = state.present.iter().flat_map(of_target);
        tables
            .filter(|(target, topic)| judge::aside::is_left(&state, target, topic))
            .map(|(target, topic)| Command::Replay(target, topic))
            .collect()
    }

    fn join(&mut self) {
        let mut state = self.world.state();
        state.present.insert(TARGETS[1]);
        if self.shape.collects {
            state.configured.insert(TARGETS[1].to_owned());
        }
        drop(state);
        let place = &mut self.sides[side_of(Role::Second)].places[0];
        if place.host.is_none() {
            place.back_at = Some(self.now);
        }
    }

    fn leave(&mut self) -> io::Result<()> {
        let second = side_of(Role::Second);
        self.crash(second, 0, 0);
        self.sides[second].places[0].back_at = None;
        self.world.state().present.remove(TARGETS[1]);
        self.operate(Command::Unregister)
    }

    fn restore(&mut self, role: Role, running: bool) {
        let (side, target) = (side_of(role), target_of(role));
        if !self.world.state().warehouse(target).is_backed_up() {
            return;
        }
        if !running {
            for place in 0..self.sides[side].places.len() {
                self.crash(side, place, 300);
            }
        }
        let mut state = self.world.state();
        state.warehouse(target).restore();
        judge::restored(&mut state, target);
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
            // Keys that moved before anybody read the topic are a key in two partitions, which no loader can put in order.
            state.keys_move &= judge::has_begun(&state, KEYED);
            drop(state);
            self.sides[0].group.units.push((topic, added));
        }
    }

    /// From now on nothing goes wrong, and what was broken is mended.
    fn be_kind(&mut self) {
        let mut state = self.world.state();
        state.disarm();
        state.note("the world is kind from now on");
        state.rules.null_marker = MENDED_NULL_MARKER;
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

    /// Partitions that get one more record. Where signals were lost, what comes after a gap shows it, so there must be something; and a
    /// loader under which the warehouse was restored looks at the checkpoints with the next claim.
    fn quiet(&self) -> Vec<Unit> {
        let state = self.world.state();
        if !state.watch.restored.is_empty() {
            return self.sides[0].group.units.clone();
        }
        let damaged = state.watch.damaged.iter();
        damaged
            .filter(|(_, damage)| matches!(damage, Damage::SignalsLost(_)))
            .map(|(unit, _)| *unit)
            .collect()
    }

    fn halted(&self) -> Vec<Halted> {
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
        if self.schedule.attended
            && halted
                .iter()
                .any(|one| remedy(&self.world.state(), &halted, one).is_some())
        {
            return false;
        }
        judge::end::is_settled(&self.world.state(), &halted, patient) && self.left().is_empty()
    }

    fn end(mut self) -> Outcome {
        let (halted, left) = (self.halted(), self.left());
        let mut state = self.world.state();
        for halted in &halted {
            let partition = halted
                .partition
                .map_or("all".to_owned(), |partition| partition.to_string());
            let by = halted.target.unwrap_or("s3-spolt");
            state.note(format_args!(
                "halted: {by} {}[{partition}] {}",
                halted.topic, halted.reason
            ));
        }
        if state.watch.violations.is_empty() {
            for one in halted.iter().filter(|_| self.schedule.attended) {
                if let Some(command) = remedy(&state, &halted, one) {
                    let evidence = format!("{command:?} was run, and it stands still as before: {}", one.reason);
                    state.watch.violations.push(evidence);
                }
            }
            for command in left {
                let evidence = format!("{command:?} was run again and again, and is needed as before");
                state.watch.violations.push(evidence);
            }
            judge::end::finally(&mut state, &halted);
        }
        let outcome = Outcome {
            violations: state.watch.violations.clone(),
            log: state.log.lines().to_vec(),
            faults: std::mem::take(&mut self.faults),
            steps: self.steps,
            millis: self.now,
            commits: state.warehouses.values().map(|warehouse| warehouse.commits).sum(),
            collected: state.watch.collected,
            halted: halted.len(),
            set_aside: judge::aside::counts(&state),
            refreshed: state.watch.refreshed.clone(),
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
        // What was claimed may be of an earlier life of the topic, and of more records.
        log.start = log.start.max(common::ids::Offset(claimed / 2)).min(log.stable());
        state.watch.retained.insert((topic, partition));
    }
}

/// Lets the older half of the signals that nobody needs any more expire.
fn signal_retention(state: &mut State, targets: &[&'static str]) {
    let (topic, partition) = any_partition(state);
    let applied = judge::signals_needed_from(state, targets, (topic, partition));
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
            for partition in state.upstream.partitions(topic) {
                state.upstream.end_life((topic, partition));
            }
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
            if matches!(damage, Damage::UpstreamTruncated(_)) {
                state.upstream.end_life((topic, partition));
            }
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
                    serial: 0,
                }),
            }
        }
    }
    state.watch.damaged.insert((topic, partition), damage);
}
