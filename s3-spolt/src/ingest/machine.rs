//! The state machine of one lineage (protocol rules 5-12): own, recover, cut, put, signal, fail-stop.
//!
//! The machine never waits and never acts. [`Machine::step`] takes what happened and appends what to do; the driver does it and
//! reports back with the generation under which it was asked, so that the late answer to a question nobody asks any more changes
//! nothing.

use std::collections::VecDeque;

use common::claim::{Claim, Kind};
use common::failure::{Class, Failure};
use common::ids::{Incarnation, Lineage, Offset, Partition};
use common::mutant::Mutant;

use super::identity::Mismatch;
use super::resume::{Found, ReadBack, Resume, find};

/// How many signals are read back at first; each further try reads [`READ_BACK_GROWTH`] times as many (rule 6).
const READ_BACK_FIRST: u64 = 1;
/// See [`READ_BACK_FIRST`].
const READ_BACK_GROWTH: u64 = 16;
/// From here on the whole partition is read instead.
const READ_BACK_MAX: u64 = 65_536;
/// How long a halted lineage waits before it looks whether the signal log has moved on without it: an operator's `reset` or `gap`
/// takes effect soon, and thousands of halted lineages cost next to nothing.
const HALTED_LOOK_MS: u64 = 30_000;
/// How often a running lineage checks that its topic is still the same (rule 12). A truncation that the fetch client notices is checked
/// at once; this finds the ones that it cannot see.
const VERIFY_EVERY_MS: u64 = 600_000;
/// How many signals a halted or verifying lineage reads back: the last of other writers may hide what an operator wrote before them.
const LOOK_BACK: u64 = 64;
/// Pause after the first failure in a row; it doubles with each further one.
const BACKOFF_FIRST_MS: u64 = 200;
/// Longest pause between two tries: short enough that a person who has mended something sees it work.
const BACKOFF_MAX_MS: u64 = 30_000;
/// A broker that has just failed over may report an old end for a moment (failure table 57); after so many looks it is believed.
const BEYOND_END_LOOKS: u8 = 5;

/// Where a topic without any claim begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Start {
    /// At the first record that exists.
    Earliest,
    /// At the end.
    Latest,
    /// At the first record of this time or later, milliseconds since 1970.
    At(i64),
}

/// What a broker says about the partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Facts {
    /// First offset that exists.
    pub log_start: Offset,
    /// Exclusive end of what can be read: the last stable offset.
    pub end: Offset,
    /// Id of the topic's present life.
    pub topic_id: Option<String>,
    /// Number of partitions of the topic.
    pub partitions: u32,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Event {
    /// The group gave us the partition.
    Owned,
    /// The group took the partition away: no new work starts (rule 5).
    Revoked,
    /// The process is about to end: publish what is open, read nothing more.
    Drain,
    /// The pause after a failure is over.
    Wake,
    /// The end of the signal partition was read.
    ReadBack(ReadBack),
    /// The broker answered.
    Facts(Facts),
    /// The offset of the configured start time.
    Origin(Offset),
    /// The record at the tail's offset has this fingerprint; `None` if it is no longer there.
    Fingerprint(Option<u32>),
    /// The empty object of a claim without rows lies on S3.
    BareStored,
    /// The genesis lies in the signal log.
    GenesisAppended,
    /// The next object is encoded: it covers `start..next`.
    Sealed {
        /// Inclusive.
        start: Offset,
        /// Exclusive.
        next: Offset,
    },
    /// The object that ends before `next` lies on S3.
    Stored {
        /// Exclusive end of the object.
        next: Offset,
    },
    /// The signal of the oldest object was acknowledged.
    Acknowledged,
    /// Nothing is open any more: the answer to [`Action::CutOpen`].
    NothingOpen,
    /// A record cannot become a row. Everything before it is sealed.
    Poisoned(Failure),
    /// Something that was asked for failed, or its outcome is unknown (rule 10).
    Failed(Failure),
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Read the last so many signals of the partition; `u64::MAX` for all.
    ReadBack(u64),
    /// Ask the broker for the partition's bounds and topic id.
    AskFacts,
    /// Ask for the first offset of this time, milliseconds since 1970.
    AskOrigin(i64),
    /// Ask for the fingerprint of the record at this offset.
    AskFingerprint(Offset),
    /// Put the empty object of this claim.
    PutBare(Box<Claim>),
    /// Append this genesis to the signal log.
    AppendGenesis(Box<Claim>),
    /// Fetch explicitly from here and encode.
    Read(Box<Resume>),
    /// Stop fetching and forget what is open and not yet sealed; sealed objects stay known.
    StopReading,
    /// Seal what is open, whatever its size, and say [`Event::NothingOpen`] afterwards.
    CutOpen,
    /// Put the sealed object that ends before this offset.
    Put(Offset),
    /// Append the signal of the sealed object that ends before this offset.
    Signal(Offset),
    /// Everything before this offset is claimed: for lag tools alone (rule 11).
    Claimed(Offset),
    /// Forget all sealed objects.
    Forget,
    /// Wake the machine after so many milliseconds (with jitter, which is the driver's to add).
    WakeAfter(u64),
    /// Tell a person: the lineage stands still until somebody mends the cause.
    Halt(Failure),
    /// The failure concerns the whole process.
    StopProcess(Failure),
    /// The lineage has finished after [`Event::Drain`].
    Drained,
}

/// An object that is encoded but whose claim is not yet acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Sealed {
    start: Offset,
    next: Offset,
    stored: bool,
}

/// Reading, encoding, putting and signalling.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Running {
    /// Seen durably in the signal log; the next signal starts here.
    pos: Offset,
    /// Where the next sealed object must start.
    head: Offset,
    /// In order; the first is the next to be signalled.
    sealed: VecDeque<Sealed>,
    /// How many of `sealed`, from the first, have a signal under way: at most one (rule 9).
    signalling: usize,
    ending: Ending,
    /// Life of the topic that is read.
    incarnation: Incarnation,
    verifying: Verifying,
}

/// How far a running lineage is with looking at its topic again (rule 12).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Verifying {
    /// Not before the next wake.
    No,
    /// The last claims are being read; when that was asked, everything before `seen` was durably claimed.
    ReadingBack { seen: Offset },
    /// The broker is asked for the bounds.
    AskingBounds(Resume),
    /// The broker is asked for the last claimed record.
    AskingFingerprint(Resume),
}

/// A lineage that stands still.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Halted {
    failure: Failure,
    /// Where it stood, if that was known: a claim beyond it in the signal log sets it free.
    at: Option<(Incarnation, Offset)>,
    /// How many signals are being read back; 0 between two looks.
    looking: u64,
}

/// Whether and why a running lineage takes nothing new.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Ending {
    /// It goes on.
    No,
    /// A record cannot be encoded; what is before it is still published.
    Poison(Failure),
    /// The process is about to end; `open` until the encoder says that nothing is open.
    Drain { open: bool },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Phase {
    Unowned,
    ReadingBack { count: u64 },
    AskingBounds { resume: Resume, whole: bool, looks: u8 },
    AskingFingerprint { resume: Resume, whole: bool },
    AskingForGenesis,
    AskingOrigin { facts: Facts },
    StoringGenesis { claim: Box<Claim> },
    AppendingGenesis,
    Running(Running),
    Waiting,
    Halted(Box<Halted>),
    Drained,
}

/// The state machine of one partition of one topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Machine {
    cluster: String,
    topic: String,
    partition: Partition,
    start: Start,
    generation: u64,
    failures: u32,
    phase: Phase,
}

impl Machine {
    /// A machine that does not own its partition yet.
    #[must_use]
    pub fn new(cluster: &str, topic: &str, partition: Partition, start: Start) -> Machine {
        Machine {
            cluster: cluster.to_owned(),
            topic: topic.to_owned(),
            partition,
            start,
            generation: 0,
            failures: 0,
            phase: Phase::Unowned,
        }
    }

    /// Number of the present attempt. Whatever was asked under an earlier one is void.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// One word for /state.
    #[must_use]
    pub fn phase_name(&self) -> &'static str {
        match &self.phase {
            Phase::Unowned => "unowned",
            Phase::ReadingBack { .. } => "reading_back",
            Phase::AskingBounds { .. } | Phase::AskingFingerprint { .. } => "verifying",
            Phase::AskingForGenesis
            | Phase::AskingOrigin { .. }
            | Phase::StoringGenesis { .. }
            | Phase::AppendingGenesis => "originating",
            Phase::Running(running) => match running.ending {
                Ending::No => "running",
                Ending::Poison(_) => "halting",
                Ending::Drain { .. } => "draining",
            },
            Phase::Waiting => "waiting",
            Phase::Halted(_) => "halted",
            Phase::Drained => "drained",
        }
    }

    /// Why the lineage stands still, if it does.
    #[must_use]
    pub fn halted(&self) -> Option<&Failure> {
        match &self.phase {
            Phase::Halted(halted) => Some(&halted.failure),
            Phase::Running(Running {
                ending: Ending::Poison(failure),
                ..
            }) => Some(failure),
            _ => None,
        }
    }

    /// The position seen durably in the signal log, while the lineage runs.
    #[must_use]
    pub fn pos(&self) -> Option<Offset> {
        match &self.phase {
            Phase::Running(running) => Some(running.pos),
            _ => None,
        }
    }

    /// Objects that are sealed but not yet acknowledged.
    #[must_use]
    pub fn sealed(&self) -> usize {
        match &self.phase {
            Phase::Running(running) => running.sealed.len(),
            _ => 0,
        }
    }

    /// Takes what happened under `generation` and appends what to do about it.
    pub fn step(&mut self, generation: u64, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Owned => return self.own(actions),
            Event::Revoked => return self.revoke(actions),
            Event::Drain => return self.drain(actions),
            _ if generation != self.generation => return,
            Event::Failed(failure) => return self.fail(failure, actions),
            _ => {}
        }
        match std::mem::replace(&mut self.phase, Phase::Waiting) {
            Phase::Waiting => {
                if event == Event::Wake {
                    self.recover(actions);
                }
            }
            Phase::ReadingBack { count } => self.read_back(count, event, actions),
            Phase::AskingBounds { resume, whole, looks } => self.bounds(resume, whole, looks, event, actions),
            Phase::AskingFingerprint { resume, whole } => self.verify(resume, whole, event, actions),
            Phase::AskingForGenesis => self.origin_facts(event, actions),
            Phase::AskingOrigin { facts } => match event {
                Event::Origin(origin) => self.originate(&facts, origin, actions),
                _ => self.phase = Phase::AskingOrigin { facts },
            },
            Phase::StoringGenesis { claim } => match event {
                Event::BareStored => {
                    actions.push(Action::AppendGenesis(claim));
                    self.phase = Phase::AppendingGenesis;
                }
                _ => self.phase = Phase::StoringGenesis { claim },
            },
            Phase::AppendingGenesis => match event {
                // Whether ours was the first is for the log to say (rule 6).
                Event::GenesisAppended => self.ask_read_back(u64::MAX, actions),
                _ => self.phase = Phase::AppendingGenesis,
            },
            Phase::Running(running) => self.run(running, event, actions),
            Phase::Halted(halted) => self.look(halted, event, actions),
            settled @ (Phase::Unowned | Phase::Drained) => self.phase = settled,
        }
    }

    fn own(&mut self, actions: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Unowned | Phase::Drained) {
            self.failures = 0;
            self.recover(actions);
        }
    }

    fn revoke(&mut self, actions: &mut Vec<Action>) {
        self.abandon(actions);
        self.phase = Phase::Unowned;
    }

    fn drain(&mut self, actions: &mut Vec<Action>) {
        if let Phase::Running(running) = &mut self.phase {
            if running.ending == Ending::No {
                running.ending = Ending::Drain { open: true };
                actions.push(Action::CutOpen);
            }
            return;
        }
        self.generation += 1;
        self.phase = Phase::Drained;
        actions.push(Action::Drained);
    }

    /// Rule 10: forget the position and go to rule 6, after a pause.
    fn fail(&mut self, failure: Failure, actions: &mut Vec<Action>) {
        if let Phase::Halted(halted) = &mut self.phase {
            // A look that failed: the next one may not.
            halted.looking = 0;
            actions.push(Action::WakeAfter(HALTED_LOOK_MS));
            return;
        }
        if matches!(self.phase, Phase::Unowned | Phase::Drained) {
            return;
        }
        let at = self.standing();
        let draining = matches!(
            &self.phase,
            Phase::Running(Running {
                ending: Ending::Drain { .. },
                ..
            })
        );
        self.abandon(actions);
        match failure.class {
            _ if draining => {
                self.phase = Phase::Drained;
                actions.push(Action::Drained);
            }
            Class::Halt => self.halt(failure, at, actions),
            Class::Retry | Class::Stop => {
                let pause = BACKOFF_FIRST_MS << self.failures.min(16);
                self.failures += 1;
                self.phase = Phase::Waiting;
                actions.push(Action::WakeAfter(pause.min(BACKOFF_MAX_MS)));
                if failure.class == Class::Stop {
                    actions.push(Action::StopProcess(failure));
                }
            }
        }
    }

    fn halt(&mut self, failure: Failure, at: Option<(Incarnation, Offset)>, actions: &mut Vec<Action>) {
        let failure = failure.topic(&self.topic).partition(self.partition);
        actions.extend([Action::Halt(failure.clone()), Action::WakeAfter(HALTED_LOOK_MS)]);
        let looking = 0;
        self.phase = Phase::Halted(Box::new(Halted { failure, at, looking }));
    }

    /// Where the lineage stands, as far as the signal log was read.
    fn standing(&self) -> Option<(Incarnation, Offset)> {
        match &self.phase {
            Phase::Running(running) => Some((running.incarnation, running.pos)),
            Phase::AskingBounds { resume, .. } | Phase::AskingFingerprint { resume, .. } => {
                Some((resume.incarnation, resume.pos))
            }
            _ => None,
        }
    }

    /// A halted lineage looks at the signal log from time to time: when a claim has moved its position (an operator's `reset` or `gap`,
    /// or what another process wrote), it recovers as if it had just been owned, all checks included. The cause of the halt itself is
    /// not tried again, so a lineage cannot flap.
    fn look(&mut self, mut halted: Box<Halted>, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Wake if halted.looking == 0 => {
                halted.looking = LOOK_BACK;
                actions.push(Action::ReadBack(LOOK_BACK));
            }
            Event::ReadBack(read) if halted.looking > 0 => {
                match find(&read, &self.cluster, &self.topic, self.partition) {
                    Found::Resume(resume) if Some((resume.incarnation, resume.pos)) > halted.at => {
                        // As far back as now: where an older claim lies behind an operator's `gap`, the last one alone would lead back to
                        // where it halted, again and again.
                        self.failures = 0;
                        self.generation += 1;
                        return self.ask_read_back(halted.looking, actions);
                    }
                    Found::ReadAll | Found::ReadMore if halted.looking < u64::MAX => {
                        halted.looking = u64::MAX;
                        actions.push(Action::ReadBack(u64::MAX));
                    }
                    _ => {
                        halted.looking = 0;
                        actions.push(Action::WakeAfter(HALTED_LOOK_MS));
                    }
                }
            }
            _ => {}
        }
        self.phase = Phase::Halted(halted);
    }

    /// Leaves whatever was under way behind. What is in flight may still land: that is harmless (rule 5).
    fn abandon(&mut self, actions: &mut Vec<Action>) {
        self.generation += 1;
        if matches!(self.phase, Phase::Running(_)) {
            actions.extend([Action::StopReading, Action::Forget]);
        }
    }

    fn recover(&mut self, actions: &mut Vec<Action>) {
        self.generation += 1;
        self.ask_read_back(READ_BACK_FIRST, actions);
    }

    fn ask_read_back(&mut self, count: u64, actions: &mut Vec<Action>) {
        actions.push(Action::ReadBack(count));
        self.phase = Phase::ReadingBack { count };
    }

    fn read_back(&mut self, count: u64, event: Event, actions: &mut Vec<Action>) {
        let Event::ReadBack(read) = event else {
            self.phase = Phase::ReadingBack { count };
            return;
        };
        match find(&read, &self.cluster, &self.topic, self.partition) {
            Found::Resume(resume) => {
                let whole = read.from_beginning || count == u64::MAX;
                actions.push(Action::AskFacts);
                self.phase = Phase::AskingBounds {
                    resume,
                    whole,
                    looks: 0,
                };
            }
            Found::ReadAll => self.ask_read_back(u64::MAX, actions),
            Found::ReadMore if count >= READ_BACK_MAX => self.ask_read_back(u64::MAX, actions),
            Found::ReadMore => self.ask_read_back(count * READ_BACK_GROWTH, actions),
            Found::Nothing => {
                actions.push(Action::AskFacts);
                self.phase = Phase::AskingForGenesis;
            }
        }
    }

    fn origin_facts(&mut self, event: Event, actions: &mut Vec<Action>) {
        let Event::Facts(facts) = event else {
            self.phase = Phase::AskingForGenesis;
            return;
        };
        match self.start {
            Start::Earliest => self.originate(&facts, facts.log_start, actions),
            Start::Latest => self.originate(&facts, facts.end, actions),
            Start::At(time_ms) => {
                actions.push(Action::AskOrigin(time_ms));
                self.phase = Phase::AskingOrigin { facts };
            }
        }
    }

    fn originate(&mut self, facts: &Facts, origin: Offset, actions: &mut Vec<Action>) {
        let lineage = Lineage {
            cluster: self.cluster.clone(),
            topic: self.topic.clone(),
            incarnation: Incarnation::default(),
            partition: self.partition,
        };
        let claim = Box::new(Claim {
            topic_id: facts.topic_id.clone(),
            partitions: Some(facts.partitions),
            ..Claim::new(Kind::Genesis, &lineage, origin, origin)
        });
        actions.push(Action::PutBare(claim.clone()));
        self.phase = Phase::StoringGenesis { claim };
    }

    /// Rule 12, first half: the topic is the same and still holds the position.
    fn bounds(&mut self, resume: Resume, whole: bool, looks: u8, event: Event, actions: &mut Vec<Action>) {
        let facts = match event {
            Event::Facts(facts) => facts,
            Event::Wake => {
                actions.push(Action::AskFacts);
                self.phase = Phase::AskingBounds { resume, whole, looks };
                return;
            }
            _ => {
                self.phase = Phase::AskingBounds { resume, whole, looks };
                return;
            }
        };
        if resume.pos > facts.end && looks < BEYOND_END_LOOKS {
            actions.push(Action::WakeAfter(BACKOFF_FIRST_MS << looks));
            self.phase = Phase::AskingBounds {
                resume,
                whole,
                looks: looks + 1,
            };
            return;
        }
        if let Some(mismatch) = Mismatch::of_bounds(&resume, &facts) {
            return self.mismatched(&resume, whole, &mismatch, actions);
        }
        match Mismatch::witness(&resume, &facts) {
            Some(offset) => {
                actions.push(Action::AskFingerprint(offset));
                self.phase = Phase::AskingFingerprint { resume, whole };
            }
            None => self.start(resume, actions),
        }
    }

    /// Rule 12, second half: the last claimed record is still the same.
    fn verify(&mut self, resume: Resume, whole: bool, event: Event, actions: &mut Vec<Action>) {
        let Event::Fingerprint(seen) = event else {
            self.phase = Phase::AskingFingerprint { resume, whole };
            return;
        };
        match Mismatch::of_tail(&resume, seen) {
            Some(mismatch) => self.mismatched(&resume, whole, &mismatch, actions),
            None => self.start(resume, actions),
        }
    }

    /// Before a lineage halts, the whole log is read: a paused writer that woke up after a `reset` may have left the last claims, which
    /// are void, and hide the life that the topic is in.
    fn mismatched(&mut self, resume: &Resume, whole: bool, mismatch: &Mismatch, actions: &mut Vec<Action>) {
        if !whole {
            return self.ask_read_back(u64::MAX, actions);
        }
        let at = Some((resume.incarnation, resume.pos));
        self.halt(mismatch.failure(resume.pos), at, actions);
    }

    fn start(&mut self, resume: Resume, actions: &mut Vec<Action>) {
        self.phase = Phase::Running(Running {
            pos: resume.pos,
            head: resume.pos,
            sealed: VecDeque::new(),
            signalling: 0,
            ending: Ending::No,
            incarnation: resume.incarnation,
            verifying: Verifying::No,
        });
        actions.extend([Action::Read(Box::new(resume)), Action::WakeAfter(VERIFY_EVERY_MS)]);
    }

    /// Rule 12 while running: the same questions as at recovery, beside the work. Whatever does not fit is judged by a recovery, which
    /// starts from the signal log and halts with the reason if it must.
    fn verify_running(&self, running: &mut Running, event: &Event, actions: &mut Vec<Action>) -> Result<(), ()> {
        let again = |actions: &mut Vec<Action>| {
            actions.push(Action::WakeAfter(VERIFY_EVERY_MS));
            Verifying::No
        };
        running.verifying = match (std::mem::replace(&mut running.verifying, Verifying::No), event) {
            (Verifying::No, Event::Wake) => {
                actions.push(Action::ReadBack(LOOK_BACK));
                Verifying::ReadingBack { seen: running.pos }
            }
            (Verifying::ReadingBack { seen }, Event::ReadBack(read)) => {
                match find(read, &self.cluster, &self.topic, self.partition) {
                    Found::Resume(resume) if resume.incarnation > running.incarnation => return Err(()),
                    // The log lost its end (failure table 13): go on from what is left, or no loader ever passes the gap.
                    Found::Resume(resume) if resume.incarnation == running.incarnation && resume.pos < seen => {
                        return Err(());
                    }
                    Found::Nothing => return Err(()),
                    Found::Resume(resume) if resume.incarnation == running.incarnation => {
                        actions.push(Action::AskFacts);
                        Verifying::AskingBounds(resume)
                    }
                    // Only the origin is claimed yet, or void claims fill the end of the log: nothing to compare with.
                    _ => again(actions),
                }
            }
            (Verifying::AskingBounds(resume), Event::Facts(facts)) => {
                // Retention may pass a claimed position while later records are read already; that is no hole.
                let mismatch = Mismatch::of_bounds(&resume, facts);
                if mismatch.is_some_and(|mismatch| !matches!(mismatch, Mismatch::Hole { .. })) {
                    return Err(());
                }
                match Mismatch::witness(&resume, facts) {
                    Some(offset) => {
                        actions.push(Action::AskFingerprint(offset));
                        Verifying::AskingFingerprint(resume)
                    }
                    None => again(actions),
                }
            }
            (Verifying::AskingFingerprint(resume), Event::Fingerprint(seen)) => {
                if Mismatch::of_tail(&resume, *seen).is_some() {
                    return Err(());
                }
                again(actions)
            }
            (unchanged, _) => unchanged,
        };
        Ok(())
    }

    fn run(&mut self, mut running: Running, event: Event, actions: &mut Vec<Action>) {
        if self.verify_running(&mut running, &event, actions).is_err() && running.ending == Ending::No {
            self.phase = Phase::Running(running);
            self.abandon(actions);
            return self.ask_read_back(READ_BACK_FIRST, actions);
        }
        match event {
            Event::Sealed { start, next } => {
                // A batch that does not continue the last one would be a gap; only a mutant lets it through (rule 7).
                if start != running.head && !Mutant::StartAtFirstRecord.is_on() {
                    self.phase = Phase::Running(running);
                    return self.fail(discontinuous(start), actions);
                }
                running.head = next;
                running.sealed.push_back(Sealed {
                    start,
                    next,
                    stored: false,
                });
                actions.push(Action::Put(next));
            }
            Event::Stored { next } => {
                if let Some(sealed) = running.sealed.iter_mut().find(|sealed| sealed.next == next) {
                    sealed.stored = true;
                }
            }
            Event::Acknowledged => {
                if let Some(sealed) = running.sealed.pop_front() {
                    running.pos = sealed.next;
                    running.signalling = running.signalling.saturating_sub(1);
                    self.failures = 0;
                    actions.push(Action::Claimed(sealed.next));
                }
            }
            Event::Poisoned(failure) if running.ending == Ending::No => running.ending = Ending::Poison(failure),
            Event::NothingOpen => {
                if let Ending::Drain { open } = &mut running.ending {
                    *open = false;
                }
            }
            _ => {}
        }
        self.signal(&mut running, actions);
        self.end_or_go_on(running, actions);
    }

    /// Rule 9: the signal of the oldest object, once it is stored, if none is under way.
    fn signal(&self, running: &mut Running, actions: &mut Vec<Action>) {
        let pipelined = Mutant::PipelinedSignals.is_on() || Mutant::PipelinedSignalsNoContinuity.is_on();
        while let Some(sealed) = running.sealed.get(running.signalling) {
            if !sealed.stored || (running.signalling > 0 && !pipelined) {
                break;
            }
            running.signalling += 1;
            actions.push(Action::Signal(sealed.next));
        }
    }

    fn end_or_go_on(&mut self, running: Running, actions: &mut Vec<Action>) {
        if !running.sealed.is_empty() {
            self.phase = Phase::Running(running);
            return;
        }
        match running.ending {
            Ending::Poison(failure) => {
                self.generation += 1;
                actions.push(Action::StopReading);
                self.halt(failure, Some((running.incarnation, running.pos)), actions);
            }
            Ending::Drain { open: false } => {
                self.generation += 1;
                actions.extend([Action::StopReading, Action::Drained]);
                self.phase = Phase::Drained;
            }
            Ending::No | Ending::Drain { open: true } => self.phase = Phase::Running(running),
        }
    }
}

fn discontinuous(start: Offset) -> Failure {
    Failure::retry(
        "the encoder sealed an object that does not continue the last one; reading again from the signal log",
    )
    .offset(start)
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
