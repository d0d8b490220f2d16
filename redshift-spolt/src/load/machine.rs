//! One state machine per target table: what has happened and what time it is go in, what to do comes out.
//!
//! At most one load of a table is in flight. Outcomes are never remembered: after anything but a clean commit the checkpoints are read
//! again under the lock, and the next load is planned from them (rule 18).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use common::chain::{self, Halt, Link, Policy, Position, Verdict};
use common::claim::Claim;
use common::failure::Failure;
use common::ids::{Incarnation, Offset, Partition};
use common::plan::PlanId;
use serde::Serialize;

use super::run::{self, Caps, LoadPlan, Offer, Pending, Run};
use super::state::{Checkpoint, State, TableRow};

/// When a load starts and how large it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// A load starts when the oldest waiting claim has waited so long, milliseconds.
    pub age_ms: i64,
    /// Or when so many rows wait.
    pub rows: u64,
    /// Or so many bytes.
    pub bytes: u64,
    /// The most that one load takes.
    pub caps: Caps,
    /// Waiting claims of the table before its signal partitions pause; they go on at half of it.
    pub queue_claims: u64,
}

/// First wait after a failure that may pass, milliseconds; doubled with every further one.
const BACKOFF_MS: i64 = 500;

/// The longest wait between tries: an outage of hours costs one try a minute.
const BACKOFF_MAX_MS: i64 = 60_000;

/// While the lineage of an added partition waits, or the table is refreshed, the state is read again this often, milliseconds: an operator may
/// have accepted the one, or given the other up.
const LOOK_MS: i64 = 30_000;

/// Claims beyond a gap that a lineage keeps in memory until what is missing arrives; what comes after them is read again then.
const AHEAD_MAX: usize = 1_000;

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// The checkpoints were read under the lock.
    State(State),
    /// They could not be read.
    StateFailed(Failure),
    /// The signal topic has this many partitions.
    Partitions(i32),
    /// A partition is read from this offset of its log or later; the log begins here.
    LogBegins {
        /// Signal partition.
        partition: Partition,
        /// First offset that exists.
        low: Offset,
    },
    /// A signal arrived; signals of a partition arrive in order.
    Signal {
        /// Signal partition.
        partition: Partition,
        /// Offset of the signal.
        offset: Offset,
        /// What it says.
        claim: Arc<Claim>,
    },
    /// A signal that cannot be acted on: its partition halts, for to skip it would be a gap.
    BadSignal {
        /// Signal partition.
        partition: Partition,
        /// Why.
        failure: Failure,
    },
    /// The load in flight ended.
    Loaded(Outcome),
    /// Time passed.
    Tick,
}

/// How a load ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// COMMIT was answered.
    Committed {
        /// The table's state row now.
        row: TableRow,
    },
    /// Another loader was faster, or what was planned no longer holds: read the checkpoints and plan anew.
    Replan,
    /// Nothing is known or nothing was done; a later try may succeed.
    Retry(Failure),
    /// It cannot succeed. With a partition, only that lineage is to blame.
    Halt {
        /// Why.
        failure: Failure,
        /// The lineage to blame, where it is known.
        partition: Option<Partition>,
        /// Whether the cause lies in the claims (not in the table's shape), so that loading lineage by lineage finds the one to blame.
        separable: bool,
    },
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Read the checkpoints under the lock; answered by [`Event::State`] or [`Event::StateFailed`].
    ReadState,
    /// Deliver the signals of a partition from this offset on (`None`: from the beginning of the log), whatever was delivered before.
    ReadSignals {
        /// Signal partition.
        partition: Partition,
        /// First signal wanted.
        from: Option<Offset>,
    },
    /// Deliver no more signals of a partition.
    StopSignals {
        /// Signal partition.
        partition: Partition,
    },
    /// Hold the signals of all partitions back.
    Pause,
    /// Go on delivering.
    Resume,
    /// Apply this; answered by [`Event::Loaded`].
    Load(Box<LoadPlan>),
    /// Tell the world how far a lineage is (rule 21).
    Publish(Vec<Run>),
    /// Send [`Event::Tick`] at this time or soon after, in the time of [`Machine::step`].
    WakeAt(i64),
    /// A lineage (or, without partition, the table) has stopped for good; raise the alarm.
    Alarm {
        /// The lineage.
        partition: Option<Partition>,
        /// Why.
        failure: Failure,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Phase {
    /// Waiting for the checkpoints.
    Reading,
    /// Nothing in flight; not before this time if something failed.
    Idle { not_before: i64 },
    /// The checkpoints are to be read, but not before this time.
    Backoff { until: i64 },
    /// A load is in flight.
    Loading(Box<LoadPlan>),
    /// The table has stopped.
    Halted(Failure),
}

/// One source partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Source {
    cluster: Option<String>,
    /// The checkpoint.
    position: Option<Position>,
    /// Where it will stand when all that waits is applied.
    tail: Option<Position>,
    /// First signal that is not dealt with.
    base: Option<Offset>,
    queue: VecDeque<Pending>,
    halted: Option<Failure>,
    /// Set while it is halted for want of claims: it goes on by itself when they arrive.
    gap: Option<Gap>,
    /// The log must be read again from here at the latest: claims from here on were seen and not kept.
    floor: Option<Offset>,
    /// The log was read from its beginning because of a gap; once is enough.
    rewound: bool,
}

/// What a lineage knows while claims are missing.
///
/// Why it may go on when they arrive later in the log than what lies beyond the gap: a claim is true by itself, wherever it stands (its
/// object holds exactly the records of its range), so applying needs a contiguous chain from the checkpoint and not the log's order. A
/// claim beyond the gap is therefore set aside, neither applied nor forgotten, and judged again whenever the position moves. A `gap`
/// claim moves it like any other. Only the order of lives is the log's: a `reset` waits while claims of an earlier life wait for theirs,
/// since taking it would make them void.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Gap {
    /// In log order.
    ahead: VecDeque<Pending>,
    /// There was more than could be kept.
    more: bool,
}

/// The state of one target table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Machine {
    topic: String,
    limits: Limits,
    policy: Policy,
    phase: Phase,
    partitions: i32,
    sources: BTreeMap<Partition, Source>,
    /// The table's own state row.
    row: Option<TableRow>,
    failures: u32,
    last_failure: Option<Failure>,
    /// Load one lineage at a time, until the one to blame is found.
    separate: bool,
    paused: bool,
    waiting: Waiting,
    /// When the state is read again for the sake of what an operator may have done.
    look_at: Option<i64>,
}

/// What waits over all lineages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
pub struct Waiting {
    /// Claims.
    pub claims: u64,
    /// Rows in them.
    pub rows: u64,
    /// Bytes in their objects, compressed.
    pub bytes: u64,
}

impl Machine {
    /// A machine for the signals of `topic`, whose signal topic has so many partitions; it first reads the checkpoints.
    #[must_use]
    pub fn new(topic: String, partitions: i32, limits: Limits, policy: Policy, actions: &mut Vec<Action>) -> Machine {
        actions.push(Action::ReadState);
        Machine {
            topic,
            limits,
            policy,
            phase: Phase::Reading,
            partitions,
            sources: BTreeMap::new(),
            row: None,
            failures: 0,
            last_failure: None,
            separate: false,
            paused: false,
            waiting: Waiting::default(),
            look_at: None,
        }
    }

    /// Takes one event at a time `now_ms` (milliseconds of a clock that never jumps; only for ages and backoff) and appends what is to be done.
    pub fn step(&mut self, now_ms: i64, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::State(state) => self.state_read(now_ms, state, actions),
            Event::StateFailed(failure) => self.failed(now_ms, failure, actions),
            Event::Partitions(count) => self.partitions_known(count, actions),
            Event::LogBegins { partition, low } => self.log_begins(partition, low, actions),
            Event::Signal {
                partition,
                offset,
                claim,
            } => self.signal(now_ms, partition, offset, claim, actions),
            Event::BadSignal { partition, failure } => self.halt_source(partition, failure, actions),
            Event::Loaded(outcome) => self.loaded(now_ms, outcome, actions),
            Event::Tick => self.tick(now_ms, actions),
        }
        self.start_load(now_ms, actions);
        self.look_again(now_ms, actions);
        self.regulate(actions);
    }

    /// A tick may come early (the driver keeps one alarm clock, set to the first of all wishes), so a wish that is left is said again.
    fn tick(&mut self, now_ms: i64, actions: &mut Vec<Action>) {
        match self.phase {
            Phase::Backoff { until } if now_ms >= until => {
                self.phase = Phase::Reading;
                actions.push(Action::ReadState);
            }
            Phase::Backoff { until } => actions.push(Action::WakeAt(until)),
            Phase::Idle { .. } if self.look_at.is_some_and(|at| now_ms >= at) => {
                self.look_at = None;
                self.phase = Phase::Reading;
                actions.push(Action::ReadState);
            }
            _ => {}
        }
    }

    /// Partitions that were added to a keyed table and wait for an operator (rule 13).
    fn added(&self) -> impl Iterator<Item = Partition> {
        let count = self.row.as_ref().and_then(|row| row.partitions);
        let halted = self.sources.iter().filter(|(_, source)| source.halted.is_some());
        halted
            .map(|(partition, _)| *partition)
            .filter(move |partition| count.is_some_and(|count| i64::from(partition.0) >= i64::from(count)))
    }

    /// Wakes the table to read its state while an added partition waits, or a refresh is under way: giving that up puts the checkpoints back,
    /// and there may be no claim any more whose load would notice.
    fn look_again(&mut self, now_ms: i64, actions: &mut Vec<Action>) {
        let refreshing = self.row.as_ref().is_some_and(|row| row.refreshing);
        if !matches!(self.phase, Phase::Idle { .. }) || !(refreshing || self.added().next().is_some()) {
            return;
        }
        let at = *self.look_at.get_or_insert(now_ms + LOOK_MS);
        actions.push(Action::WakeAt(at));
    }

    fn partitions_known(&mut self, count: i32, actions: &mut Vec<Action>) {
        let known = self.partitions;
        self.partitions = self.partitions.max(count);
        // Before the checkpoints are known there is no position to read from; `state_read` asks for all of them.
        if !matches!(self.phase, Phase::Reading | Phase::Backoff { .. } | Phase::Halted(_)) {
            for partition in (known..self.partitions).map(Partition) {
                let from = self.sources.entry(partition).or_default().base;
                actions.push(Action::ReadSignals { partition, from });
            }
        }
    }

    /// Rules 15 and 18: what is in memory stays as far as the checkpoints bear it out; else it is read again.
    fn state_read(&mut self, now_ms: i64, state: State, actions: &mut Vec<Action>) {
        if self.phase != Phase::Reading {
            return;
        }
        let waited: Vec<Partition> = self.added().collect();
        self.row.clone_from(&state.table);
        self.look_at = None;
        let still: Vec<Partition> = self.added().collect();
        for partition in waited.into_iter().filter(|partition| !still.contains(partition)) {
            // Accepted, and the old partitions have caught up: it begins as if it had just been seen.
            self.sources.remove(&partition);
        }
        self.phase = Phase::Idle { not_before: now_ms };
        let partitions: Vec<Partition> = (0..self.partitions)
            .map(Partition)
            .chain(state.lineages.keys().copied())
            .collect();
        for partition in partitions {
            if partition.0 >= self.partitions {
                self.halt_source(partition, lost_partition(partition, self.partitions), actions);
                continue;
            }
            match state.lineages.get(&partition) {
                Some(checkpoint) if checkpoint.topic != self.topic => {
                    let failure = foreign(&self.topic, &checkpoint.topic);
                    self.halt_source(partition, failure, actions);
                }
                checkpoint => {
                    let fresh = !self.sources.contains_key(&partition);
                    let source = self.sources.entry(partition).or_default();
                    let behind = source.resume(checkpoint, fresh, self.policy);
                    if behind && source.halted.is_none() {
                        actions.push(Action::ReadSignals {
                            partition,
                            from: source.base,
                        });
                    }
                    self.mend(partition, actions);
                }
            }
        }
        self.count_waiting();
    }

    /// Without a checkpoint the first genesis of the log is the origin, so the log must still have its beginning: the first genesis
    /// that is left could be a later, void one.
    fn log_begins(&mut self, partition: Partition, low: Offset, actions: &mut Vec<Action>) {
        let source = self.sources.entry(partition).or_default();
        if source.position.is_none() && source.tail.is_none() && low > Offset(0) && !self.policy.start_anywhere {
            let failure = halted(&Halt::NoOrigin { start: low })
                .topic(&self.topic)
                .partition(partition);
            self.halt_source(partition, failure, actions);
        }
    }

    fn signal(
        &mut self,
        now_ms: i64,
        partition: Partition,
        offset: Offset,
        claim: Arc<Claim>,
        actions: &mut Vec<Action>,
    ) {
        let topic = self.topic.clone();
        let source = self.sources.entry(partition).or_default();
        let deaf = source.halted.is_some() && source.gap.is_none();
        if deaf || matches!(self.phase, Phase::Halted(_)) {
            return;
        }
        if claim.topic != topic || claim.partition != partition {
            let failure = foreign(&topic, &format!("{}[{}]", claim.topic, claim.partition)).offset(offset);
            return self.halt_source(partition, failure, actions);
        }
        if let Some(cluster) = source.cluster.as_ref().filter(|cluster| **cluster != claim.cluster) {
            let failure = other_cluster(cluster, &claim.cluster).offset(offset);
            return self.halt_source(partition, failure, actions);
        }
        if source.floor.is_some_and(|floor| floor <= offset) {
            source.floor = None;
        }
        let pending = Pending {
            signal: offset,
            arrived_ms: now_ms,
            claim,
        };
        let before = source.tail;
        self.take(partition, pending, actions);
        if self.sources.get(&partition).is_some_and(|source| source.tail != before) {
            self.mend(partition, actions);
        }
    }

    /// Puts a claim where it belongs: into the queue, ahead of a gap, or nowhere.
    fn take(&mut self, partition: Partition, pending: Pending, actions: &mut Vec<Action>) {
        let source = self.sources.entry(partition).or_default();
        if source.halted.is_some() && source.gap.is_none() {
            return;
        }
        let claim = &pending.claim;
        let verdict = chain::judge(source.tail, &Link::of(claim), self.policy);
        let fail = |failure: Failure| failure.topic(&self.topic).partition(partition).offset(claim.start);
        match verdict {
            Verdict::Drop(_) => {}
            Verdict::Halt(Halt::Gap { .. } | Halt::UnannouncedLife { .. }) if source.rewind() => {
                actions.push(Action::ReadSignals { partition, from: None });
            }
            Verdict::Halt(halt @ (Halt::Gap { .. } | Halt::UnannouncedLife { .. })) => {
                let failure = fail(halted(&halt));
                source.set_aside(pending);
                self.miss(partition, failure, actions);
            }
            Verdict::Reset(_) if source.waits_before(claim.incarnation) => source.set_aside(pending),
            Verdict::Halt(halt) => {
                let failure = fail(halted(&halt));
                self.halt_source(partition, failure, actions);
            }
            _ => {
                source.cluster.get_or_insert_with(|| claim.cluster.clone());
                source.tail = verdict.after(source.tail);
                self.waiting.add(claim);
                source.queue.push_back(pending);
            }
        }
    }

    /// The lineage stands still until the missing claims arrive; it keeps listening for them.
    fn miss(&mut self, partition: Partition, failure: Failure, actions: &mut Vec<Action>) {
        let source = self.sources.entry(partition).or_default();
        if source.halted.is_none() {
            source.halted = Some(failure.clone());
            actions.push(Action::Alarm {
                partition: Some(partition),
                failure,
            });
        }
    }

    /// Takes what was set aside as far as it is contiguous now. When nothing is left the lineage is whole again.
    fn mend(&mut self, partition: Partition, actions: &mut Vec<Action>) {
        loop {
            let Some(source) = self.sources.get_mut(&partition) else {
                return;
            };
            let before = source.tail;
            let Some(gap) = &mut source.gap else { return };
            let Gap { ahead, more } = std::mem::take(gap);
            for pending in ahead {
                self.take(partition, pending, actions);
            }
            let Some(source) = self.sources.get_mut(&partition) else {
                return;
            };
            // Without a gap the lineage has halted for another reason, and listens no more.
            let Some(gap) = &mut source.gap else { return };
            gap.more |= more;
            if gap.ahead.is_empty() {
                (source.gap, source.halted) = (None, None);
                if more {
                    let from = source.base;
                    actions.push(Action::ReadSignals { partition, from });
                }
                return;
            }
            if source.tail == before {
                return;
            }
        }
    }

    fn loaded(&mut self, now_ms: i64, outcome: Outcome, actions: &mut Vec<Action>) {
        let Phase::Loading(load) = std::mem::replace(&mut self.phase, Phase::Idle { not_before: now_ms }) else {
            return;
        };
        match outcome {
            Outcome::Committed { row } => self.committed(*load, row, actions),
            Outcome::Replan => {
                self.phase = Phase::Reading;
                actions.push(Action::ReadState);
            }
            Outcome::Retry(failure) => self.failed(now_ms, failure, actions),
            Outcome::Halt {
                failure,
                partition,
                separable,
            } => {
                let alone = match load.runs.as_slice() {
                    [run] => Some(run.partition),
                    _ => None,
                };
                match (partition.or(alone.filter(|_| separable)), separable) {
                    (Some(partition), _) => {
                        self.separate = false;
                        self.halt_source(partition, failure, actions);
                        // What waits begins with the claim that failed.
                        self.sources.entry(partition).or_default().queue.clear();
                        self.count_waiting();
                    }
                    (None, true) => self.separate = true,
                    (None, false) => self.halt_table(failure, actions),
                }
            }
        }
    }

    fn committed(&mut self, load: LoadPlan, row: TableRow, actions: &mut Vec<Action>) {
        self.failures = 0;
        self.last_failure = None;
        self.separate = false;
        self.row = Some(row);
        for run in &load.runs {
            let Some(source) = self.sources.get_mut(&run.partition) else {
                continue;
            };
            let consumed = run.consumed.min(source.queue.len());
            source.queue.drain(..consumed);
            source.position = Some(run.to);
            source.base = Some(run.signal_next);
        }
        self.count_waiting();
        actions.push(Action::Publish(load.runs));
    }

    /// A failure that may pass: the checkpoints are read again after a wait, since the outcome may be unknown.
    fn failed(&mut self, now_ms: i64, failure: Failure, actions: &mut Vec<Action>) {
        let wait = (BACKOFF_MS << self.failures.min(7)).min(BACKOFF_MAX_MS);
        self.failures += 1;
        self.last_failure = Some(failure);
        self.phase = Phase::Backoff { until: now_ms + wait };
        actions.push(Action::WakeAt(now_ms + wait));
    }

    fn halt_source(&mut self, partition: Partition, failure: Failure, actions: &mut Vec<Action>) {
        let source = self.sources.entry(partition).or_default();
        if source.halted.is_none() || source.gap.take().is_some() {
            source.halted = Some(failure.clone());
            actions.push(Action::StopSignals { partition });
            actions.push(Action::Alarm {
                partition: Some(partition),
                failure,
            });
        }
    }

    fn halt_table(&mut self, failure: Failure, actions: &mut Vec<Action>) {
        for (partition, source) in &mut self.sources {
            source.queue.clear();
            if source.halted.is_none() || source.gap.is_some() {
                actions.push(Action::StopSignals { partition: *partition });
            }
        }
        self.count_waiting();
        actions.push(Action::Alarm {
            partition: None,
            failure: failure.clone(),
        });
        self.phase = Phase::Halted(failure);
    }

    fn start_load(&mut self, now_ms: i64, actions: &mut Vec<Action>) {
        let Phase::Idle { not_before } = self.phase else { return };
        let Some(oldest) = self
            .offering()
            .filter_map(|(_, source)| source.queue.front())
            .map(|p| p.arrived_ms)
            .min()
        else {
            return;
        };
        let due = (oldest + self.limits.age_ms).max(not_before);
        let enough = self.waiting.rows >= self.limits.rows
            || self.waiting.bytes >= self.limits.bytes
            || self.waiting.claims >= self.limits.caps.claims;
        if now_ms < due && !(enough && now_ms >= not_before) {
            actions.push(Action::WakeAt(due));
            return;
        }
        let mut offers: Vec<Offer<'_>> = self
            .offering()
            .map(|(partition, source)| Offer {
                partition: *partition,
                at: source.position,
                queue: &source.queue,
            })
            .collect();
        if self.separate {
            offers.sort_by_key(|offer| offer.queue.front().map(|pending| pending.arrived_ms));
            offers.truncate(1);
        }
        if let Some(mut load) = run::plan(&offers, self.limits.caps, self.policy) {
            for run in &mut load.runs {
                if let Some(source) = self.sources.get(&run.partition) {
                    run.signal_next = source.first_unsettled(run.consumed).min(run.signal_next);
                }
            }
            self.phase = Phase::Loading(Box::new(load.clone()));
            actions.push(Action::Load(Box::new(load)));
        }
    }

    /// Lineages with claims to load. What waited before a lineage halted is still good; a load that failed clears the queue.
    fn offering(&self) -> impl Iterator<Item = (&Partition, &Source)> {
        self.sources.iter().filter(|(_, source)| !source.queue.is_empty())
    }

    fn regulate(&mut self, actions: &mut Vec<Action>) {
        if !self.paused && self.waiting.claims >= self.limits.queue_claims {
            self.paused = true;
            actions.push(Action::Pause);
        } else if self.paused && self.waiting.claims <= self.limits.queue_claims / 2 {
            self.paused = false;
            actions.push(Action::Resume);
        }
    }

    fn count_waiting(&mut self) {
        let mut waiting = Waiting::default();
        for (_, source) in self.offering() {
            source.queue.iter().for_each(|pending| waiting.add(&pending.claim));
        }
        self.waiting = waiting;
    }
}

impl Source {
    /// Whether the log should be read from its beginning before a gap is believed: the stored signal position means nothing in a log that
    /// was rebuilt, and the beginning is always safe (rule 15).
    fn rewind(&mut self) -> bool {
        let first = !self.rewound && self.gap.is_none() && self.base.is_some_and(|base| base > Offset(0));
        self.rewound |= first;
        first
    }

    /// Takes the checkpoint as it was read under the lock. What waits stays if the checkpoint is where this source thought it was, or
    /// further (another loader, or a commit whose answer was lost). If it is not (the warehouse was restored), all that was read is
    /// forgotten. Returns whether the signals must be read again from `base`.
    fn resume(&mut self, checkpoint: Option<&Checkpoint>, fresh: bool, policy: Policy) -> bool {
        let stored = checkpoint.map(|checkpoint| checkpoint.signal_next);
        let position = checkpoint.map(|checkpoint| checkpoint.position);
        let behind = fresh || stored < self.base || position < self.position;
        if behind && self.gap.take().is_some() {
            self.halted = None;
        }
        self.position = position;
        self.base = stored;
        self.cluster = checkpoint
            .map(|checkpoint| checkpoint.cluster.clone())
            .or(self.cluster.take());
        self.tail = position;
        if behind {
            self.queue.clear();
            self.floor = None;
            return true;
        }
        let mut tail = position;
        self.queue.retain(|pending| {
            let verdict = chain::judge(tail, &Link::of(&pending.claim), policy);
            tail = verdict.after(tail);
            !matches!(verdict, Verdict::Drop(_))
        });
        self.tail = tail;
        false
    }
}

impl Source {
    /// Keeps a claim that lies beyond a gap, or remembers where it stands in the log.
    fn set_aside(&mut self, pending: Pending) {
        let gap = self.gap.get_or_insert_default();
        if gap.ahead.len() < AHEAD_MAX && !gap.more {
            gap.ahead.push_back(pending);
        } else {
            gap.more = true;
            self.floor = Some(self.floor.map_or(pending.signal, |floor| floor.min(pending.signal)));
        }
    }

    /// Whether claims of a life before this one wait beyond a gap.
    fn waits_before(&self, incarnation: Incarnation) -> bool {
        let waits = |gap: &Gap| gap.more || gap.ahead.iter().any(|pending| pending.claim.incarnation < incarnation);
        self.gap.as_ref().is_some_and(waits)
    }

    /// The first signal that is needed again after a crash, once so many waiting claims are applied. With a mended gap the queue is not
    /// in the log's order.
    fn first_unsettled(&self, consumed: usize) -> Offset {
        let ahead = self.gap.iter().flat_map(|gap| &gap.ahead);
        let unsettled = self
            .queue
            .iter()
            .skip(consumed)
            .chain(ahead)
            .map(|pending| pending.signal);
        unsettled.chain(self.floor).min().unwrap_or(Offset(i64::MAX))
    }
}

impl Waiting {
    fn add(&mut self, claim: &Claim) {
        self.claims += 1;
        self.rows += claim.rows;
        self.bytes += claim.object.as_ref().map_or(0, |object| object.bytes);
    }
}

fn halted(halt: &Halt) -> Failure {
    let failure = Failure::halt(halt.to_string());
    match halt {
        Halt::Gap { .. } => failure.hint(
            "claims are missing from the signal log (records deleted, or an unclean leader election); nothing was skipped: the lineage goes \
             on by itself when they, or a claim that gives the range up, are in the log",
        ),
        Halt::NoOrigin { .. } => failure.hint(
            "set `allow_expired_signals = true` for this topic to load only what the log still has, or fill the table from elsewhere",
        ),
        Halt::UnannouncedLife { .. } => failure.hint("the `reset` claim is missing from the signal log; repair the log from S3"),
    }
}

fn foreign(topic: &str, other: &str) -> Failure {
    Failure::halt(format!("the claims of `{topic}` are mixed with those of `{other}`"))
        .topic(topic)
        .hint("one signal topic serves one upstream topic, and one target table one topic")
}

fn other_cluster(cluster: &str, other: &str) -> Failure {
    Failure::halt(format!(
        "the table follows Kafka cluster `{cluster}`, but the claim is of cluster `{other}`"
    ))
    .hint("offsets of two clusters cannot be compared; load the other cluster's topic into another table")
}

fn lost_partition(partition: Partition, partitions: i32) -> Failure {
    Failure::halt(format!(
        "the table has a checkpoint for partition `{partition}`, but the signal topic has `{partitions}` partitions"
    ))
    .partition(partition)
    .hint("was the signal topic deleted and created again? rebuild it from the objects on S3")
}

/// What `/state` shows of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct View {
    /// `reading`, `idle`, `backoff`, `loading` or `halted`.
    pub phase: &'static str,
    /// Why the table halted.
    pub halted: Option<String>,
    /// The last failure that may pass, until a load succeeds.
    pub last_failure: Option<String>,
    /// What waits.
    pub waiting: Waiting,
    /// Plan with all columns of the table.
    pub plan: Option<PlanId>,
    /// Loads committed so far.
    pub loads: i64,
    /// Whether rows go into the table beside it, until a refresh is finished.
    pub refreshing: bool,
    /// By partition.
    pub lineages: BTreeMap<Partition, LineageView>,
}

/// What `/state` shows of a lineage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LineageView {
    /// Incarnation of the topic.
    pub incarnation: Option<u32>,
    /// The checkpoint.
    pub next: Option<Offset>,
    /// Where it will be when all that waits is applied.
    pub claimed: Option<Offset>,
    /// First signal that is not dealt with.
    pub signal_next: Option<Offset>,
    /// Claims that wait.
    pub waiting: usize,
    /// Why it halted.
    pub halted: Option<String>,
}

impl Machine {
    /// What `/state` shows.
    #[must_use]
    pub fn view(&self) -> View {
        let lineage = |source: &Source| LineageView {
            incarnation: source.position.or(source.tail).map(|position| position.incarnation.0),
            next: source.position.map(|position| position.next),
            claimed: source.tail.map(|position| position.next),
            signal_next: source.base,
            waiting: source.queue.len(),
            halted: source.halted.as_ref().map(ToString::to_string),
        };
        let (phase, halted) = match &self.phase {
            Phase::Reading => ("reading", None),
            Phase::Idle { .. } => ("idle", None),
            Phase::Backoff { .. } => ("backoff", None),
            Phase::Loading(_) => ("loading", None),
            Phase::Halted(failure) => ("halted", Some(failure.to_string())),
        };
        View {
            phase,
            halted,
            last_failure: self.last_failure.as_ref().map(ToString::to_string),
            waiting: self.waiting,
            plan: self.row.as_ref().and_then(|row| row.plan.clone()),
            loads: self.row.as_ref().map_or(0, |row| row.serial),
            refreshing: self.row.as_ref().is_some_and(|row| row.refreshing),
            lineages: self
                .sources
                .iter()
                .map(|(partition, source)| (*partition, lineage(source)))
                .collect(),
        }
    }

    /// The table's state row, as read or committed last; `None` before the first load.
    #[must_use]
    pub fn row(&self) -> Option<&TableRow> {
        self.row.as_ref()
    }

    /// Offsets that are claimed but not applied, over all lineages.
    #[must_use]
    pub fn lag(&self) -> i64 {
        let lag = |source: &Source| match (source.position, source.tail) {
            (Some(position), Some(tail)) if position.incarnation == tail.incarnation => tail.next.0 - position.next.0,
            _ => source
                .queue
                .iter()
                .map(|pending| i64::try_from(pending.claim.records).unwrap_or(i64::MAX))
                .sum(),
        };
        self.sources.values().map(lag).sum()
    }
}
