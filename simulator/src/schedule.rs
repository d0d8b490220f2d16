//! Which faults happen when. A schedule is drawn from the seed and is a plain list, so that it can be shortened.

use std::fmt;

use common::ids::Partition;
use common::mutant::Mutant;
use redshift_spolt::load::mode::Mode;

use crate::dice::{Dice, Stream};
use crate::host::TARGETS;
use crate::workload::TOPICS;

/// What becomes of one request on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is carried out, and the answer takes so long, milliseconds.
    Slow(u64),
    /// It never arrives; the client gives up.
    RequestLost,
    /// It is carried out; the client gives up waiting for the answer.
    AnswerLost,
    /// The client gives up; it is carried out so many milliseconds later all the same.
    Late(u64),
    /// It is refused with an error that may pass: 503, a serialization failure, a registry that is down.
    Refused,
}

/// Where a request can meet its fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// A claim is appended to the signal log.
    Append,
    /// The end of the signal log is read.
    ReadTail,
    /// An object is put.
    Put,
    /// An object is read or looked for by a daemon.
    Get,
    /// Objects are deleted.
    Delete,
    /// A question about an upstream partition.
    Ask,
    /// A schema is asked for.
    Schema,
    /// A session is opened.
    Connect,
    /// A statement other than COMMIT.
    Statement,
    /// COMMIT.
    Commit,
    /// Progress is published.
    Progress,
}

/// The points at which requests meet their fates.
const POINTS: [Point; 11] = [
    Point::Append,
    Point::ReadTail,
    Point::Put,
    Point::Get,
    Point::Delete,
    Point::Ask,
    Point::Schema,
    Point::Connect,
    Point::Statement,
    Point::Commit,
    Point::Progress,
];

/// `bad_records_max` where it is no matter.
pub const LIMIT: u32 = 1_000;

/// Which daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// s3-spolt.
    Spolt,
    /// redshift-spolt of the first target.
    Loader,
    /// redshift-spolt of the second target, where there is one.
    Second,
    /// A command that an operator runs.
    Operator,
}

/// A command of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Command {
    /// `s3-spolt gc --apply`.
    Collect,
    /// `redshift-spolt unregister --apply` for the second target.
    Unregister,
    /// `s3-spolt reset --apply` for a whole topic that was recreated, or for a partition that was cut short, from where it was cut.
    Reset(&'static str, Option<Partition>),
    /// `s3-spolt gap --apply` for a partition: up to the first record that exists, or with `--force` past a record that cannot be read.
    Gap(&'static str, Partition),
    /// `redshift-spolt accept-partitions --apply` for the keyed topic of a target.
    Accept(&'static str),
    /// `redshift-spolt set-aside replay --apply` for a topic of a target, by the settings of now.
    Replay(&'static str, &'static str),
    /// `redshift-spolt set-aside discard --apply` for one of the open records of a topic of a target.
    Discard(&'static str, &'static str),
    /// `bad_records_max` is raised, and every s3-spolt started anew.
    RaiseLimit,
    /// `redshift-spolt refresh begin | finish | give-up --apply` for a topic of a target.
    Refresh(&'static str, &'static str, Refresh),
}

/// A step of a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refresh {
    /// Rows go beside the table from now on.
    Begin,
    /// They take the place of the table's.
    Finish,
    /// They are forgotten.
    GiveUp,
}

/// What somebody does to the topics that the assumptions forbid (E1), or that only an operator can mend. A lineage that is hit may halt
/// with an alarm; it must not lose or double anything in silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// Retention passes what was claimed.
    RetentionBeyond,
    /// The upstream partition loses its last records, claimed ones among them (unclean election).
    UpstreamTruncated(u64),
    /// The upstream topic is deleted and made again.
    Recreated,
    /// A record that cannot be read.
    Poison,
    /// The signal partition loses its last so many records (unclean election).
    SignalsLost(u64),
    /// A claimed object is deleted by hand.
    ObjectDeleted,
}

/// Something that happens to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A process dies as by kill -9, and starts again after so many milliseconds.
    Crash(Role, usize, u64),
    /// A process stands still, as by SIGSTOP, for so many milliseconds.
    Pause(Role, usize, u64),
    /// The group shares the work out anew.
    Rebalance(Role),
    /// The next request at this point meets this fate.
    Request(Point, Fate),
    /// A process's wall clock jumps by so many milliseconds.
    Clock(Role, usize, i64),
    /// A transaction of a producer stays open for so many milliseconds, and is then committed or aborted.
    Transaction(u64, bool),
    /// Retention takes what was claimed long ago.
    Retention,
    /// The first half of the signal log expires, as far as every table has applied it.
    SignalRetention,
    /// Both topics get one more partition.
    Partition,
    /// See [`Damage`].
    Damage(Damage),
    /// An operator runs a command.
    Operate(Command),
    /// The second target begins, or comes back: its loader starts, and the configuration of collectors lists it from now on.
    Join,
    /// The second target's loader is stopped, and its registration ended by `unregister`; then nothing is kept for it.
    Leave,
    /// A backup is taken of a target's warehouse; an earlier one is thrown away.
    Backup(Role),
    /// A target's warehouse is restored to its backup. True: under a running loader, else the loader starts anew afterwards.
    Restore(Role, bool),
    /// The progress topic is compacted.
    Compaction,
    /// The setting is changed by which some records could not become rows. True: every s3-spolt starts anew with it; else one of them,
    /// and the other goes on by the old one until it dies.
    Mend(bool),
}

impl Fault {
    /// A word for counts.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::Crash(Role::Spolt, ..) => "crash s3-spolt",
            Fault::Crash(Role::Loader | Role::Second, ..) => "crash redshift-spolt",
            Fault::Crash(Role::Operator, ..) => "crash of a command",
            Fault::Pause(Role::Spolt, ..) => "pause s3-spolt",
            Fault::Pause(Role::Loader | Role::Second, ..) => "pause redshift-spolt",
            Fault::Pause(Role::Operator, ..) => "pause of a command",
            Fault::Rebalance(_) => "rebalance",
            Fault::Request(point, _) => match point {
                Point::Append => "signal append",
                Point::ReadTail => "signal read",
                Point::Put => "S3 put",
                Point::Get => "S3 get or list",
                Point::Delete => "S3 delete",
                Point::Ask => "upstream question",
                Point::Schema => "registry",
                Point::Connect => "warehouse connect",
                Point::Statement => "warehouse statement",
                Point::Commit => "warehouse commit",
                Point::Progress => "progress",
            },
            Fault::Clock(..) => "clock jump",
            Fault::Transaction(..) => "open transaction",
            Fault::Retention => "retention",
            Fault::SignalRetention => "signal retention",
            Fault::Partition => "partition added",
            Fault::Operate(Command::Collect) => "operator: gc",
            Fault::Operate(Command::Unregister) => "operator: unregister",
            Fault::Operate(Command::Reset(..)) => "operator: reset",
            Fault::Operate(Command::Gap(..)) => "operator: gap",
            Fault::Operate(Command::Accept(_)) => "operator: accept-partitions",
            Fault::Operate(Command::Replay(..)) => "operator: set-aside replay",
            Fault::Operate(Command::Discard(..)) => "operator: set-aside discard",
            Fault::Operate(Command::RaiseLimit) => "operator: bad_records_max raised",
            Fault::Operate(Command::Refresh(_, _, Refresh::Begin)) => "operator: refresh begin",
            Fault::Operate(Command::Refresh(_, _, Refresh::Finish)) => "operator: refresh finish",
            Fault::Operate(Command::Refresh(_, _, Refresh::GiveUp)) => "operator: refresh give-up",
            Fault::Mend(_) => "operator: null_marker changed",
            Fault::Join => "second target begins",
            Fault::Leave => "second target ends",
            Fault::Backup(_) => "warehouse backup",
            Fault::Restore(..) => "warehouse restored",
            Fault::Compaction => "progress compacted",
            Fault::Damage(damage) => match damage {
                Damage::RetentionBeyond => "damage: retention beyond",
                Damage::UpstreamTruncated(_) => "damage: upstream truncated",
                Damage::Recreated => "damage: topic recreated",
                Damage::Poison => "damage: poison record",
                Damage::SignalsLost(_) => "damage: signals lost",
                Damage::ObjectDeleted => "damage: object deleted",
            },
        }
    }
}

/// A fault and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Milliseconds since the beginning of the run.
    pub at_ms: u64,
    /// What happens.
    pub fault: Fault,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>6} ms  {:?}", self.at_ms, self.fault)
    }
}

/// Records that cannot become rows (rule 27).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bad {
    /// So many of a hundred rows.
    pub percent: u64,
    /// `bad_records_max`: how many of them a partition sets aside before it halts.
    pub max: u32,
}

/// Whether a run has something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Has {
    /// As the dice say.
    Drawn,
    Always,
    Never,
}

impl Has {
    fn is_so(self, dice: &mut Dice, percent: u64) -> bool {
        let drawn = dice.chance(percent);
        match self {
            Has::Drawn => drawn,
            Has::Always => true,
            Has::Never => false,
        }
    }
}

/// Everything that makes a run what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Seed of all streams.
    pub seed: u64,
    /// How long records are produced and faults happen, milliseconds.
    pub span_ms: u64,
    /// Records of both topics together.
    pub records: u64,
    /// The configuration of collectors lists the second target before it has begun.
    pub expects_second: bool,
    /// Somebody looks at what stands still, and runs the command that mends it.
    pub attended: bool,
    /// What the tables of the keyed topic keep.
    pub keyed: Mode,
    /// Records that cannot become rows, if there are any.
    pub bad: Option<Bad>,
    /// What becomes of refreshes that are under way when the world becomes kind.
    pub refreshes_end: Refresh,
    /// Faults in the order of their times.
    pub steps: Vec<Step>,
}

impl Schedule {
    /// The schedule of a seed: some runs are calm, most have a dozen faults, and one in six has a damage.
    #[must_use]
    pub fn of(seed: u64) -> Schedule {
        Schedule::with(seed, Has::Drawn, Has::Drawn)
    }

    fn with(seed: u64, has_bad: Has, has_refreshes: Has) -> Schedule {
        let mut shape = Dice::new(seed, Stream::Shape);
        let mut dice = Dice::new(seed, Stream::Faults);
        let span_ms = shape.between(4, 12) * 1_000;
        let records = shape.between(60, 260);
        let faults = if dice.chance(5) { 0 } else { dice.between(4, 32) };
        let mut steps: Vec<Step> = (0..faults)
            .map(|_| Step {
                at_ms: dice.below(span_ms),
                fault: fault(&mut dice),
            })
            .collect();
        if dice.chance(16) {
            steps.push(Step {
                at_ms: dice.between(span_ms / 4, span_ms),
                fault: Fault::Damage(damage(&mut dice)),
            });
        }
        if dice.chance(10) {
            steps.push(Step {
                at_ms: dice.between(span_ms / 4, span_ms),
                fault: Fault::Partition,
            });
        }
        let mut targets = Dice::new(seed, Stream::Targets);
        steps.extend(second_target(&mut targets, span_ms));
        steps.extend(restored(&mut targets, span_ms));
        let collections = if targets.chance(50) { targets.below(4) } else { 0 };
        steps.extend((0..collections).map(|_| Step {
            at_ms: targets.below(span_ms),
            fault: Fault::Operate(Command::Collect),
        }));
        let bad = bad_records(&mut Dice::new(seed, Stream::Bad), has_bad, span_ms, &mut steps);
        let mut refreshes = Dice::new(seed, Stream::Refreshes);
        let keyed = mode(seed);
        refreshed(&mut refreshes, has_refreshes, (span_ms, keyed), &mut steps);
        steps.sort_by_key(|step| step.at_ms);
        Schedule {
            seed,
            span_ms,
            records,
            expects_second: targets.chance(50),
            attended: targets.chance(65),
            keyed,
            bad,
            refreshes_end: if refreshes.chance(50) {
                Refresh::Finish
            } else {
                Refresh::GiveUp
            },
            steps,
        }
    }

    /// The schedule of a seed for a mutant: the log is damaged from outside where only that shows the mutant (G2). Mutants are about what is
    /// applied, and shown by upsert tables.
    #[must_use]
    pub fn for_mutant(seed: u64, mutant: Mutant) -> Schedule {
        let (bad, refreshed) = match Mutant::BEYOND.iter().find(|(beyond, _)| *beyond == mutant) {
            Some((_, name)) if name.starts_with('F') => (Has::Always, Has::Always),
            Some(_) => (Has::Always, Has::Never),
            None => (Has::Never, Has::Never),
        };
        let mut schedule = Schedule {
            keyed: Mode::Upsert,
            ..Schedule::with(seed, bad, refreshed)
        };
        if matches!(
            mutant,
            Mutant::NoContinuity | Mutant::NoContinuityNoTrim | Mutant::PipelinedSignalsNoContinuity
        ) {
            let mut dice = Dice::new(seed ^ 0x6732, Stream::Faults);
            schedule.steps.push(Step {
                at_ms: dice.between(schedule.span_ms / 4, schedule.span_ms),
                fault: Fault::Damage(Damage::SignalsLost(dice.between(1, 4))),
            });
            schedule.steps.sort_by_key(|step| step.at_ms);
        }
        schedule
    }
}

/// What the keyed tables of a seed keep: not by dice, so that the schedules of the seeds stay what they are.
fn mode(seed: u64) -> Mode {
    match seed % 4 {
        2 => Mode::SoftDelete,
        3 => Mode::History,
        _ => Mode::Upsert,
    }
}

/// Half of the runs have a second target: from the beginning, or from some time on; some of those end it, and some let it come back.
fn second_target(dice: &mut Dice, span_ms: u64) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut at = |at_ms, fault| steps.push(Step { at_ms, fault });
    if !dice.chance(50) {
        return steps;
    }
    let begins = if dice.chance(50) {
        0
    } else {
        dice.between(span_ms / 4, span_ms)
    };
    at(begins, Fault::Join);
    if dice.chance(40) {
        let ends = dice.between(begins, span_ms);
        at(ends, Fault::Leave);
        if dice.chance(60) {
            at(dice.between(ends, span_ms), Fault::Join);
        }
    }
    steps
}

/// One run in ten has a warehouse that is restored.
fn restored(dice: &mut Dice, span_ms: u64) -> Vec<Step> {
    if !dice.chance(10) {
        return Vec::new();
    }
    let role = if dice.chance(70) { Role::Loader } else { Role::Second };
    let taken = dice.below(span_ms);
    let back = dice.between(taken, span_ms);
    let running = dice.chance(50);
    vec![
        Step {
            at_ms: taken,
            fault: Fault::Backup(role),
        },
        Step {
            at_ms: back,
            fault: Fault::Restore(role, running),
        },
    ]
}

/// Two runs of five have records that cannot become rows until a setting is changed. Operators change it at some time, or only when the
/// world is kind; they replay and discard before and after that, and some of their commands die.
fn bad_records(dice: &mut Dice, has: Has, span_ms: u64, steps: &mut Vec<Step>) -> Option<Bad> {
    if !has.is_so(dice, 40) {
        return None;
    }
    let few = dice.chance(30);
    let bad = Bad {
        percent: dice.between(3, 30),
        max: if few {
            u32::try_from(dice.between(1, 4)).unwrap_or(1)
        } else {
            LIMIT
        },
    };
    let mut at = |at_ms, fault| steps.push(Step { at_ms, fault });
    let mended = dice.between(span_ms / 4, span_ms);
    if dice.chance(75) {
        at(mended, Fault::Mend(dice.chance(60)));
    }
    for _ in 0..dice.below(6) {
        let from = if dice.chance(70) { mended } else { span_ms / 4 };
        let when = dice.between(from, span_ms);
        let target = TARGETS[usize::from(dice.chance(25))];
        let topic = TOPICS[dice.index(2)];
        let discards = dice.chance(20);
        let command = if discards {
            Command::Discard(target, topic)
        } else {
            Command::Replay(target, topic)
        };
        at(when, Fault::Operate(command));
        if dice.chance(20) {
            at(when + dice.below(100), Fault::Operate(command));
        }
        if dice.chance(40) {
            at(when + dice.between(20, 400), Fault::Crash(Role::Operator, 0, 0));
        }
    }
    Some(bad)
}

/// In three runs of ten a table is refreshed, in some of them twice: an operator begins it, the source sends everything again, and he
/// finishes it or gives it up, sometimes twice at once, and sometimes his command dies.
fn refreshed(dice: &mut Dice, has: Has, (span_ms, keyed): (u64, Mode), steps: &mut Vec<Step>) {
    if !has.is_so(dice, 30) {
        return;
    }
    let target = TARGETS[usize::from(dice.chance(20))];
    // A history is not refreshed; one of ten is tried.
    let appended = dice.chance(if keyed == Mode::History { 90 } else { 30 });
    let topic = TOPICS[usize::from(appended)];
    let mut from = span_ms / 6;
    for _ in 0..dice.between(1, 2) {
        let last = from.max(span_ms * 3 / 4);
        let begins = dice.between(from, last);
        let ends = dice.between(begins, span_ms);
        from = ends;
        let end = if dice.chance(65) {
            Refresh::Finish
        } else {
            Refresh::GiveUp
        };
        // Who begins too early, before anything is loaded, is refused, and tries again.
        let again = dice.between(begins, ends);
        for (at_ms, step) in [(begins, Refresh::Begin), (again, Refresh::Begin), (ends, end)] {
            let fault = Fault::Operate(Command::Refresh(target, topic, step));
            steps.push(Step { at_ms, fault });
            if dice.chance(20) {
                let at_ms = at_ms + dice.below(100);
                steps.push(Step { at_ms, fault });
            }
            if dice.chance(30) {
                let at_ms = at_ms + dice.between(20, 400);
                let fault = Fault::Crash(Role::Operator, 0, 0);
                steps.push(Step { at_ms, fault });
            }
        }
    }
}

fn fault(dice: &mut Dice) -> Fault {
    let role = match dice.below(100) {
        0..45 => Role::Spolt,
        45..80 => Role::Loader,
        80..90 => Role::Second,
        _ => Role::Operator,
    };
    let process = dice.index(2);
    match dice.below(100) {
        0..16 => Fault::Crash(role, process, dice.between(10, 3_000)),
        16..30 => Fault::Pause(role, process, dice.between(50, 6_000)),
        30..38 => Fault::Rebalance(role),
        38..86 => {
            let point = POINTS[dice.index(POINTS.len())];
            // The three that matter most are met most.
            let point = match dice.below(6) {
                0 => Point::Append,
                1 => Point::Put,
                2 => Point::Commit,
                _ => point,
            };
            Fault::Request(point, fate(dice))
        }
        86..89 => {
            let hours = dice.between(0, 24) * 3_600_000;
            let millis = i64::try_from(hours + dice.below(5_000)).unwrap_or(0);
            Fault::Clock(role, process, if dice.chance(50) { millis } else { -millis })
        }
        89..94 => Fault::Transaction(dice.between(100, 4_000), dice.chance(50)),
        94..96 => Fault::Retention,
        96..98 => Fault::SignalRetention,
        _ => Fault::Compaction,
    }
}

fn fate(dice: &mut Dice) -> Fate {
    match dice.below(5) {
        0 => Fate::Slow(dice.between(100, 5_000)),
        1 => Fate::RequestLost,
        2 => Fate::AnswerLost,
        3 => Fate::Late(dice.between(100, 8_000)),
        _ => Fate::Refused,
    }
}

fn damage(dice: &mut Dice) -> Damage {
    match dice.below(6) {
        0 => Damage::RetentionBeyond,
        1 => Damage::UpstreamTruncated(dice.between(1, 12)),
        2 => Damage::Recreated,
        3 => Damage::Poison,
        4 => Damage::SignalsLost(dice.between(1, 4)),
        _ => Damage::ObjectDeleted,
    }
}
