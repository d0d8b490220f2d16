//! The polling thread: takes messages from the fetch client, copies them into chunks and hands those to the encoders. It never
//! decodes, compresses or waits for anybody but the fetch client.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use common::failure::Failure;
use common::ids::{Offset, Partition};
use common::row::Record;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use crate::ingest::batch::Reason;
use crate::ingest::budget::Verdict;
use crate::metrics;

use super::SlotId;
use super::chunk::{Chunk, Heads};
use super::encode::Work;
use super::memory::Memory;
use super::queue::Queue;

/// Longest wait for a message: also how long a command may wait when nothing arrives.
pub const POLL: Duration = Duration::from_millis(10);
/// A chunk that is not full is handed over after this long, so that a slow topic is not delayed by it.
const CHUNK_AGE: Duration = Duration::from_millis(10);
/// Messages between two looks at commands, chunk ages and memory.
const MESSAGES_PER_LOOK: usize = 512;
/// The largest object is cut at most this often, so that one has a chance to leave before the next is judged.
const CUT_PAUSE: Duration = Duration::from_millis(50);
/// Pause when memory is short or an encoder is behind.
pub const HOLD: Duration = Duration::from_millis(2);

/// What came out of the fetch client.
pub enum Fetched<'a> {
    /// A visible record.
    Record {
        /// Topic.
        topic: &'a str,
        /// Partition.
        partition: Partition,
        /// The record.
        record: Record<'a>,
        /// What its headers say of its schemas, where the topic has that there.
        heads: Heads<'a>,
    },
    /// One partition cannot be fetched.
    Lost {
        /// Topic.
        topic: String,
        /// Partition; `None` for all partitions of the topic.
        partition: Partition,
        /// Why.
        failure: Failure,
    },
    /// The client as a whole has trouble; it goes on by itself unless the class says otherwise.
    Trouble(Failure),
}

/// A client that fetches explicitly assigned partitions from explicit offsets. Used by one thread.
pub trait Fetcher: Send + 'static {
    /// Begins to fetch a partition at an offset; it is not paused, whatever it was before.
    ///
    /// # Errors
    /// When the client refuses.
    fn start(&mut self, topic: &str, partition: Partition, from: Offset) -> Result<(), Failure>;
    /// Ends fetching a partition; nothing of it comes out afterwards.
    fn stop(&mut self, topic: &str, partition: Partition);
    /// Pauses or resumes a partition.
    fn pause(&mut self, topic: &str, partition: Partition, paused: bool);
    /// Begins anew with nothing to fetch, because the client has stopped working without a word.
    ///
    /// # Errors
    /// When there can be no new client; the old one goes on.
    fn renew(&mut self) -> Result<(), Failure>;
    /// Waits for the next thing and hands it to `sink`. `false` when nothing came.
    fn poll(&mut self, wait: Duration, sink: &mut dyn FnMut(Fetched<'_>)) -> bool;
}

/// What the polling thread is told.
pub enum Command {
    /// Fetch a slot's partition.
    Start {
        /// Whose.
        slot: SlotId,
        /// Under which generation.
        generation: u64,
        /// Topic.
        topic: Arc<str>,
        /// Partition.
        partition: Partition,
        /// From where.
        from: Offset,
    },
    /// Fetch it no more.
    Stop(SlotId),
    /// Pause or resume it.
    Pause(SlotId, bool),
    /// A record is there at `next` or behind it, says somebody else: if nothing came since that was asked, the client has stalled.
    Stalled {
        /// Whose partition.
        slot: SlotId,
        /// Under which generation.
        generation: u64,
        /// First offset that had not come.
        next: Offset,
    },
}

/// What the polling thread says.
pub enum FetchSays {
    /// Something cannot be fetched.
    Lost(FetchLost),
    /// Nothing came of a partition for long, although it is not paused: is there anything?
    Silent {
        /// Whose partition.
        slot: SlotId,
        /// Under which generation.
        generation: u64,
        /// First offset that has not come.
        next: Offset,
    },
}

/// What cannot be fetched.
pub struct FetchLost {
    /// Whose partition; `None` when the client as a whole is meant.
    pub slot: Option<(SlotId, u64)>,
    /// Why.
    pub failure: Failure,
}

struct Active {
    slot: SlotId,
    generation: u64,
    topic: Arc<str>,
    partition: Partition,
    chunk: Chunk,
    since: Instant,
    paused: bool,
    /// First offset that has not come.
    next: Offset,
    /// When something came last, or when nothing had come for so long that it was asked why.
    heard: Instant,
}

/// How a turn of the polling thread ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The fetch client was looked at: go on.
    Polled,
    /// Memory is short: go on after [`HOLD`].
    Hold,
    /// Nobody is left who could command.
    Ended,
}

/// The polling thread. Ages are told by tokio's clock, which is the machine's own but where a test drives the time.
pub struct Fetch<F> {
    fetcher: F,
    memory: Arc<Memory>,
    encoders: Vec<Queue>,
    say: UnboundedSender<FetchSays>,
    active: Vec<Active>,
    by_name: HashMap<(Arc<str>, Partition), usize>,
    cut_at: Instant,
    /// Silence of a partition after which somebody else is asked.
    silence: Duration,
    /// When silence was looked for last.
    looked: Instant,
    /// When nothing was polled for want of memory last.
    held: Instant,
}

impl<F: Fetcher> Fetch<F> {
    /// A thread with nothing to fetch.
    pub fn new(
        fetcher: F,
        memory: Arc<Memory>,
        encoders: Vec<Queue>,
        silence: Duration,
        say: UnboundedSender<FetchSays>,
    ) -> Fetch<F> {
        Fetch {
            fetcher,
            memory,
            encoders,
            say,
            active: Vec::new(),
            by_name: HashMap::new(),
            cut_at: Instant::now(),
            silence,
            looked: Instant::now(),
            held: Instant::now(),
        }
    }

    /// Works until the sender of commands is gone.
    pub fn run(mut self, commands: &Receiver<Command>) {
        loop {
            match self.turn(commands) {
                Turn::Polled => {}
                Turn::Hold => std::thread::sleep(HOLD),
                Turn::Ended => return,
            }
        }
    }

    /// One turn: the commands that came, what time and memory ask for, and then a look at the fetch client. It waits for nobody but the
    /// fetch client (at most [`POLL`]) and an encoder that is behind.
    pub fn turn(&mut self, commands: &Receiver<Command>) -> Turn {
        loop {
            match commands.try_recv() {
                Ok(command) => self.obey(command),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Turn::Ended,
            }
        }
        self.hand_over_the_old();
        if self.must_hold() {
            self.held = Instant::now();
            return Turn::Hold;
        }
        self.poll();
        self.look_for_silence();
        Turn::Polled
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Start {
                slot,
                generation,
                topic,
                partition,
                from,
            } => {
                self.stop(slot);
                if let Err(failure) = self.fetcher.start(&topic, partition, from) {
                    let lost = FetchLost {
                        slot: Some((slot, generation)),
                        failure,
                    };
                    let _ = self.say.send(FetchSays::Lost(lost));
                    return;
                }
                self.by_name.insert((topic.clone(), partition), self.active.len());
                let chunk = Chunk::new(slot, generation, self.memory.reserve());
                self.active.push(Active {
                    slot,
                    generation,
                    topic,
                    partition,
                    chunk,
                    since: Instant::now(),
                    paused: false,
                    next: from,
                    heard: Instant::now(),
                });
            }
            Command::Stop(slot) => self.stop(slot),
            Command::Pause(slot, paused) => {
                if let Some(active) = self.active.iter_mut().find(|active| active.slot == slot) {
                    (active.paused, active.heard) = (paused, Instant::now());
                    self.fetcher.pause(&active.topic, active.partition, paused);
                }
            }
            Command::Stalled { slot, generation, next } => {
                let same = |active: &&Active| (active.slot, active.generation, active.next) == (slot, generation, next);
                if let Some(active) = self.active.iter().find(same).filter(|active| !active.paused) {
                    let (topic, partition) = (active.topic.clone(), active.partition);
                    self.renew(&topic, partition, next);
                }
            }
        }
    }

    /// The client has stopped delivering and does not say so: a new one takes its place, and every partition begins again from the signal
    /// log, which is always safe (rule 10).
    fn renew(&mut self, topic: &str, partition: Partition, next: Offset) {
        metrics::stalled();
        tracing::error!(
            topic,
            partition = partition.0,
            offset = next.0,
            "the fetch client has stalled: records are there and it delivers none; a new one takes its place"
        );
        if let Err(failure) = self.fetcher.renew() {
            let _ = self.say.send(FetchSays::Lost(FetchLost { slot: None, failure }));
            return;
        }
        self.by_name.clear();
        for active in self.active.drain(..) {
            let lost = FetchLost {
                slot: Some((active.slot, active.generation)),
                failure: Failure::retry("the fetch client had stalled and was made anew"),
            };
            let _ = self.say.send(FetchSays::Lost(lost));
        }
    }

    /// Asks about partitions of which nothing came for long, although memory was there; about each once in a while.
    fn look_for_silence(&mut self) {
        if self.looked.elapsed() < self.silence / 4 {
            return;
        }
        self.looked = Instant::now();
        if self.held.elapsed() < self.silence {
            return;
        }
        for active in &mut self.active {
            if active.paused || active.heard.elapsed() < self.silence {
                continue;
            }
            active.heard = Instant::now();
            let _ = self.say.send(FetchSays::Silent {
                slot: active.slot,
                generation: active.generation,
                next: active.next,
            });
        }
    }

    fn stop(&mut self, slot: SlotId) {
        let Some(index) = self.active.iter().position(|active| active.slot == slot) else {
            return;
        };
        let gone = self.active.swap_remove(index);
        self.fetcher.stop(&gone.topic, gone.partition);
        self.by_name.remove(&(gone.topic, gone.partition));
        if let Some(moved) = self.active.get(index) {
            self.by_name.insert((moved.topic.clone(), moved.partition), index);
        }
    }

    fn poll(&mut self) {
        let Fetch {
            fetcher,
            memory,
            encoders,
            say,
            active,
            by_name,
            ..
        } = self;
        let mut last = usize::MAX;
        for message in 0..MESSAGES_PER_LOOK {
            let wait = if message == 0 { POLL } else { Duration::ZERO };
            let came = fetcher.poll(wait, &mut |fetched| match fetched {
                Fetched::Record {
                    topic,
                    partition,
                    record,
                    heads,
                } => {
                    // Messages come in runs of one partition: look the slot up only when it changes.
                    if !active
                        .get(last)
                        .is_some_and(|active| active.partition == partition && *active.topic == *topic)
                    {
                        last = by_name
                            .get(&(Arc::from(topic), partition))
                            .copied()
                            .unwrap_or(usize::MAX);
                    }
                    let Some(active) = active.get_mut(last) else { return };
                    if active.chunk.is_empty() {
                        active.since = Instant::now();
                    }
                    active.next = record.offset.next();
                    active.chunk.push(&record, heads);
                    if active.chunk.is_full() {
                        hand_over(active, memory, encoders);
                    }
                }
                Fetched::Lost {
                    topic,
                    partition,
                    failure,
                } => {
                    if let Some(index) = by_name.get(&(Arc::from(topic), partition)) {
                        let active = &active[*index];
                        let lost = FetchLost {
                            slot: Some((active.slot, active.generation)),
                            failure,
                        };
                        let _ = say.send(FetchSays::Lost(lost));
                    }
                }
                Fetched::Trouble(failure) => {
                    let _ = say.send(FetchSays::Lost(FetchLost { slot: None, failure }));
                }
            });
            if !came {
                break;
            }
        }
    }

    fn hand_over_the_old(&mut self) {
        for active in &mut self.active {
            if !active.chunk.is_empty() && active.since.elapsed() >= CHUNK_AGE {
                hand_over(active, &self.memory, &self.encoders);
            }
        }
    }

    /// Acts on the state of memory; `true` if nothing more may be read for now.
    fn must_hold(&mut self) -> bool {
        let (verdict, largest) = self.memory.judge();
        let cut = matches!(verdict, Verdict::CutLargest | Verdict::CutLargestAndHold);
        if let Some(slot) = largest.filter(|_| cut && self.cut_at.elapsed() >= CUT_PAUSE) {
            self.encoders[slot.encoder(self.encoders.len())].tell(Work::Cut(slot, Reason::Memory));
            self.cut_at = Instant::now();
        }
        matches!(verdict, Verdict::Hold | Verdict::CutLargestAndHold)
    }
}

/// Sends a slot's chunk to its encoder and begins a new one.
fn hand_over(active: &mut Active, memory: &Arc<Memory>, encoders: &[Queue]) {
    active.heard = Instant::now();
    let empty = Chunk::new(active.slot, active.generation, memory.reserve());
    let mut chunk = std::mem::replace(&mut active.chunk, empty);
    chunk.account();
    encoders[active.slot.encoder(encoders.len())].hand_over(chunk);
}
