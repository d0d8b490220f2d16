//! What all processes share: virtual time, requests under way, the event log, and the state of the fakes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use common::csv::DEFAULT_NULL_MARKER;
use common::ids::Partition;
use common::row::Settings;
use runtime::port;
use tokio::sync::oneshot;

use crate::dice::{Dice, Stream};
use crate::fake::bucket::Bucket;
use crate::fake::signals::Signals;
use crate::fake::upstream::Upstream;
use crate::fake::warehouse::Warehouse;
use crate::host::TARGETS;
use crate::judge::Watch;
use crate::schedule::{Fate, Point};

/// Wall clock of the virtual beginning, milliseconds since 1970.
pub const EPOCH_MS: i64 = 1_750_000_000_000;

/// How long a client waits before it gives a request up, milliseconds.
const GIVE_UP_MS: u64 = 1_500;

/// Something that happens to the world at its time.
pub type Deed = Box<dyn FnOnce(&mut State) + Send>;

/// The event log: one line per event, with its virtual time.
#[derive(Debug, Default)]
pub struct Log {
    lines: Vec<String>,
}

impl Log {
    /// All lines in order.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}

/// What the configuration says of records that cannot become rows, as a process reads it when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowRules {
    /// What stands for NULL: a text that is the same has no place in a row.
    pub null_marker: &'static str,
    /// How many records of a partition may be set aside within an hour.
    pub bad_records_max: u32,
}

/// State of the world.
pub struct State {
    /// Virtual milliseconds since the beginning.
    pub now: u64,
    /// Delays.
    pub delays: Dice,
    /// What the daemons ask for.
    pub daemons: Dice,
    /// The event log.
    pub log: Log,
    /// Upstream topics.
    pub upstream: Upstream,
    /// The signal log.
    pub signals: Signals,
    /// S3.
    pub bucket: Bucket,
    /// The warehouses by target.
    pub warehouses: BTreeMap<&'static str, Warehouse>,
    /// Targets that loaders are started for.
    pub present: BTreeSet<&'static str>,
    /// Targets that the configuration of collectors lists.
    pub configured: BTreeSet<String>,
    /// Age below which collectors delete nothing, milliseconds.
    pub retention_ms: i64,
    /// Some producers do not use the added partitions yet: a key may still move to one.
    pub keys_move: bool,
    /// The configuration of now.
    pub rules: RowRules,
    /// Judges what can be judged on the fly.
    pub watch: Watch,
    /// Where a producer's transaction is open.
    pub open_transaction: Option<(&'static str, Partition)>,
    queue: BTreeMap<(u64, u64), Deed>,
    serial: u64,
    armed: BTreeMap<Point, VecDeque<Fate>>,
}

impl State {
    /// An empty world.
    #[must_use]
    pub fn new(seed: u64) -> State {
        State {
            now: 0,
            delays: Dice::new(seed, Stream::Delays),
            daemons: Dice::new(seed, Stream::Daemons),
            log: Log::default(),
            upstream: Upstream::default(),
            signals: Signals::default(),
            bucket: Bucket::default(),
            warehouses: TARGETS.map(|target| (target, Warehouse::default())).into(),
            present: BTreeSet::new(),
            configured: BTreeSet::new(),
            retention_ms: 0,
            keys_move: true,
            rules: RowRules {
                null_marker: DEFAULT_NULL_MARKER,
                bad_records_max: 0,
            },
            watch: Watch::default(),
            open_transaction: None,
            queue: BTreeMap::new(),
            serial: 0,
            armed: BTreeMap::new(),
        }
    }

    /// Does something so many milliseconds from now.
    pub fn after(&mut self, millis: u64, deed: impl FnOnce(&mut State) + Send + 'static) {
        self.serial += 1;
        self.queue.insert((self.now + millis, self.serial), Box::new(deed));
    }

    /// The same, but after all else of that moment and in the order of `rank`, not of the calls: what processes drop as they die, they
    /// drop in an order that tokio chooses, and a seed must give the same run again.
    pub fn after_all(&mut self, millis: u64, rank: u64, deed: impl FnOnce(&mut State) + Send + 'static) {
        self.queue.insert((self.now + millis, u64::MAX - rank), Box::new(deed));
    }

    /// The next request at this point meets this fate.
    pub fn arm(&mut self, point: Point, fate: Fate) {
        self.armed.entry(point).or_default().push_back(fate);
    }

    /// No request meets a fate any more.
    pub fn disarm(&mut self) {
        self.armed.clear();
    }

    /// The fate of a request that is made now.
    pub fn fate(&mut self, point: Point) -> Option<Fate> {
        self.armed.get_mut(&point)?.pop_front()
    }

    /// Writes a line.
    pub fn note(&mut self, line: impl fmt::Display) {
        self.log.lines.push(format!("{:>7} {line}", self.now));
    }

    /// Moves to a time, and does what is due until then in its order.
    pub fn advance(&mut self, to: u64) {
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > to {
                break;
            }
            let ((at, _), deed) = entry.remove_entry();
            self.now = self.now.max(at);
            deed(self);
        }
        self.now = to;
        self.deliver_signals();
    }

    /// Milliseconds that one way of a request takes, mostly few.
    pub fn way(&mut self) -> u64 {
        if self.delays.chance(90) {
            self.delays.between(1, 12)
        } else {
            self.delays.between(10, 120)
        }
    }
}

/// The world, as all share it.
#[derive(Clone)]
pub struct World(Arc<Mutex<State>>);

impl World {
    /// An empty world.
    #[must_use]
    pub fn new(seed: u64) -> World {
        World(Arc::new(Mutex::new(State::new(seed))))
    }

    /// The state. All processes of a run move on one thread, so this never waits.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a process sees the world.
#[derive(Clone)]
pub struct Port {
    /// The world.
    pub world: World,
    /// Name of the process in the event log, such as `s3-spolt-1#2`.
    pub name: Arc<str>,
    /// Whose warehouse it reaches.
    pub target: &'static str,
    /// Virtual time at which the process began.
    pub born: u64,
    /// The same moment by the clock of the process's runtime.
    pub began: tokio::time::Instant,
    /// The configuration that it read.
    pub rules: RowRules,
    /// What its wall clock is off by, milliseconds.
    pub skew: Arc<std::sync::atomic::AtomicI64>,
}

impl Port {
    /// How records become rows.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        Arc::new(Settings {
            envelope: common::envelope::Kind::Debezium,
            null_marker: self.rules.null_marker.to_owned(),
            ..Settings::default()
        })
    }
}

/// What came of a request.
pub enum Reply<T> {
    /// The answer.
    Answer(T),
    /// A refusal that may pass.
    Refused,
    /// No answer within the client's patience.
    Silence,
}

impl Port {
    /// Sends a request that changes the world: it arrives, is carried out and answered at times that the dice say, unless it meets
    /// another fate.
    pub async fn send<T: Send + 'static>(
        &self,
        point: Point,
        act: impl FnOnce(&mut State) -> T + Send + 'static,
    ) -> Reply<T> {
        let (say, said) = oneshot::channel();
        {
            let mut state = self.world.state();
            let there = state.way();
            let back = state.way();
            let fate = state.fate(point);
            if let Some(fate) = fate {
                state.note(format_args!("{} {point:?} meets {fate:?}", self.name));
            }
            match fate {
                None => carry_out(&mut state, there, back, act, say),
                Some(Fate::Slow(millis)) => carry_out(&mut state, there + millis / 2, millis / 2 + back, act, say),
                Some(Fate::Refused) => state.after(there + back, |_| drop(say.send(Reply::Refused))),
                Some(Fate::RequestLost) => state.after(GIVE_UP_MS, |_| drop(say.send(Reply::Silence))),
                Some(Fate::AnswerLost) => {
                    state.after(there, |state| drop(act(state)));
                    state.after(GIVE_UP_MS, |_| drop(say.send(Reply::Silence)));
                }
                Some(Fate::Late(millis)) => {
                    state.after(GIVE_UP_MS, |_| drop(say.send(Reply::Silence)));
                    state.after(GIVE_UP_MS + millis, |state| drop(act(state)));
                }
            }
        }
        said.await.unwrap_or(Reply::Silence)
    }
}

fn carry_out<T: Send + 'static>(
    state: &mut State,
    there: u64,
    back: u64,
    act: impl FnOnce(&mut State) -> T + Send + 'static,
    say: oneshot::Sender<Reply<T>>,
) {
    state.after(there, move |state| {
        let answer = act(state);
        state.after(back, move |_| drop(say.send(Reply::Answer(answer))));
    });
}

#[async_trait]
impl port::World for Port {
    fn now_ms(&self) -> i64 {
        EPOCH_MS + self.steady_ms() + self.skew.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn steady_ms(&self) -> i64 {
        let own = tokio::time::Instant::now().duration_since(self.began);
        i64::try_from(u128::from(self.born) + own.as_millis()).unwrap_or(i64::MAX)
    }

    async fn sleep_ms(&self, millis: u64) {
        // A year is beyond every run, and within what a timer can hold.
        tokio::time::sleep(std::time::Duration::from_millis(millis.min(31_536_000_000))).await;
    }

    fn uuid(&self) -> String {
        self.world.state().daemons.uuid()
    }

    fn random_below(&self, bound: u64) -> u64 {
        self.world.state().daemons.below(bound)
    }
}
