//! The real signal reader and the real progress topic.
//!
//! One consumer without subscription reads all signal partitions of all tables at explicit offsets; it lives in a thread of its own,
//! since librdkafka's poll blocks. What it reads is routed by partition to the table that asked, with the serial number of the request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use common::claim::Claim;
use common::failure::Failure;
use common::horizon::Survey;
use common::ids::{Offset, Partition};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset as At, TopicPartitionList};
use runtime::kafka::{Kafka, KafkaContext, KafkaProducer};
use runtime::port::{PartitionFacts, Result, SignalLog, Upstream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::{debug, error, info, warn};

use super::port::{Delivered, Delivery, Progress, Signals, Wish};
use super::silence::Silence;
use super::watch;

/// How long one poll waits: bounds how late a command is carried out.
const POLL: Duration = Duration::from_millis(50);

/// Longest wait for the bounds of a partition after trouble. The thread reads nothing meanwhile.
const BOUNDS_TIMEOUT: Duration = Duration::from_secs(5);

/// A partition of which nothing came for so long is asked about, milliseconds: a reader that stalled is found after it.
const SILENCE_MS: i64 = 300_000;

/// Wait before a wish that failed is tried again.
const WISH_RETRY: Duration = Duration::from_secs(1);

/// librdkafka's queue of signals, KiB: some ten thousand claims.
const QUEUE_KBYTES: &str = "16384";

/// Signals that a survey reads at once: some 10 MB.
const SURVEY_PAGE: u64 = 5_000;

type Key = (String, Partition);

enum Command {
    /// A partition is wanted: forget what was asked of it before.
    Want(u64, Wish),
    /// Its bounds are known.
    Begin(u64, Wish, PartitionFacts),
    Stop(Key),
    Pause(String),
    Resume(String),
    /// A signal is there at this offset or behind it, says somebody else: if nothing came since that was asked, the reader has stalled.
    Stalled(Key, i64),
}

/// Reads signal partitions for all tables of the process.
pub struct SignalReader {
    kafka: Kafka,
    commands: Sender<Command>,
    requests: AtomicU64,
}

impl SignalReader {
    /// Starts the reading thread, which ends when the reader is dropped.
    ///
    /// # Errors
    /// When the client or the thread cannot be created.
    pub fn start(kafka: Kafka) -> Result<SignalReader> {
        let consumer = consumer(&kafka)?;
        let (commands, inbox) = channel();
        let (again, mut cut_off) = unbounded_channel();
        let (suspect, suspects) = unbounded_channel();
        ask_about(kafka.clone(), suspects, commands.clone());
        let own = kafka.clone();
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                Reader {
                    consumer,
                    kafka: own,
                    silence: Silence::new(SILENCE_MS),
                    began: Instant::now(),
                    suspect,
                    reading: BTreeMap::new(),
                    wanted: BTreeMap::new(),
                    held: BTreeSet::new(),
                    again,
                }
                .run(&inbox)
            })
            .map_err(|error| Failure::stop(format!("start the signal reader: {error}")))?;
        let reader = SignalReader {
            kafka: kafka.clone(),
            commands: commands.clone(),
            requests: AtomicU64::new(0),
        };
        // Partitions that were cut off while they were read are asked for like any other.
        let requests = SignalReader {
            kafka,
            commands,
            requests: AtomicU64::new(1 << 32),
        };
        tokio::spawn(async move {
            while let Some(wish) = cut_off.recv().await {
                requests.read(wish);
            }
        });
        Ok(reader)
    }

    fn command(&self, command: Command) {
        if self.commands.send(command).is_err() {
            warn!("the signal reader has ended");
        }
    }
}

fn consumer(kafka: &Kafka) -> Result<BaseConsumer<KafkaContext>> {
    let mut config = kafka.fetch_config()?;
    config.set("queued.max.messages.kbytes", QUEUE_KBYTES);
    config
        .create_with_context(kafka.context())
        .map_err(|error| Failure::stop(format!("create the signal reader: {error}")))
}

/// Asks by other clients whether silent partitions have anything: the one that reads may be what is broken.
fn ask_about(kafka: Kafka, mut suspects: UnboundedReceiver<(Key, i64)>, commands: Sender<Command>) {
    tokio::spawn(async move {
        while let Some((key, next)) = suspects.recv().await {
            let found = kafka.signal_log().read_from(&key.0, key.1, Offset(next), 1).await;
            match found.map(|slice| slice.records.is_empty()) {
                Ok(true) => {}
                Ok(false) => drop(commands.send(Command::Stalled(key, next))),
                Err(failure) => debug!(topic = key.0, partition = %key.1, %failure, "ask why no signal comes"),
            }
        }
    });
}

#[async_trait]
impl Signals for SignalReader {
    async fn partitions(&self, topic: &str) -> Result<i32> {
        let found = self.kafka.topic(topic).await?;
        Ok(found.map_or(0, |topic| i32::try_from(topic.partitions).unwrap_or(i32::MAX)))
    }

    async fn survey(&self, topic: &str, partition: Partition) -> Result<Survey> {
        let (log, mut survey, mut from) = (self.kafka.signal_log(), Survey::default(), Offset(0));
        loop {
            let slice = log.read_from(topic, partition, from, SURVEY_PAGE).await?;
            // What cannot be read halts the lineage when it is delivered.
            let claims = slice
                .records
                .iter()
                .filter_map(|record| Claim::decode(&record.value).ok());
            claims.for_each(|claim| survey.take_claim(&claim));
            match slice.records.last() {
                Some(last) if slice.records.len() as u64 == SURVEY_PAGE => from = last.offset.next(),
                _ => return Ok(survey),
            }
        }
    }

    fn read(&self, wish: Wish) {
        let request = self.requests.fetch_add(1, Ordering::Relaxed);
        self.command(Command::Want(request, wish.clone()));
        let (upstream, commands) = (self.kafka.upstream(), self.commands.clone());
        // Bounds are asked for by other clients: on the reader's own connection the question would wait behind its long poll.
        tokio::spawn(async move {
            let mut told = false;
            while !wish.sink.is_closed() {
                match upstream.facts(&wish.topic, wish.partition).await {
                    Ok(facts) => {
                        let _ = commands.send(Command::Begin(request, wish, facts));
                        return;
                    }
                    Err(failure) if !told => {
                        warn!(topic = wish.topic, partition = %wish.partition, error = %failure, "begin to read signals")
                    }
                    Err(_) => {}
                }
                told = true;
                tokio::time::sleep(WISH_RETRY).await;
            }
        });
    }

    fn stop(&self, topic: &str, partition: Partition) {
        self.command(Command::Stop((topic.to_owned(), partition)));
    }

    fn pause(&self, topic: &str) {
        self.command(Command::Pause(topic.to_owned()));
    }

    fn resume(&self, topic: &str) {
        self.command(Command::Resume(topic.to_owned()));
    }
}

/// A partition that is being read.
struct Reading {
    wish: Wish,
    /// First offset that was not delivered.
    next: i64,
}

struct Reader {
    consumer: BaseConsumer<KafkaContext>,
    kafka: Kafka,
    silence: Silence<Key>,
    began: Instant,
    /// Where partitions go that are silent, with the first offset that did not come.
    suspect: UnboundedSender<(Key, i64)>,
    reading: BTreeMap<Key, Reading>,
    /// The newest request for each partition that has not begun.
    wanted: BTreeMap<Key, u64>,
    /// Topics that are held back.
    held: BTreeSet<String>,
    /// Where partitions go that have to begin anew.
    again: UnboundedSender<Wish>,
}

impl Reader {
    fn run(mut self, inbox: &Receiver<Command>) {
        loop {
            let patience = if self.reading.is_empty() {
                Duration::from_secs(3600)
            } else {
                Duration::ZERO
            };
            match inbox.recv_timeout(patience) {
                Ok(command) => {
                    self.obey(command);
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.poll();
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Want(request, wish) => {
                let key = (wish.topic.clone(), wish.partition);
                self.forget(&key);
                self.wanted.insert(key, request);
            }
            Command::Begin(request, wish, facts) => {
                let key = (wish.topic.clone(), wish.partition);
                if self.wanted.get(&key) == Some(&request) {
                    self.wanted.remove(&key);
                    self.begin(key, wish, &facts);
                }
            }
            Command::Stop(key) => self.forget(&key),
            Command::Pause(topic) => {
                self.hold(&topic, true);
                self.held.insert(topic);
            }
            Command::Resume(topic) => {
                self.hold(&topic, false);
                self.held.remove(&topic);
            }
            Command::Stalled(key, next) => {
                let same = self.reading.get(&key).is_some_and(|reading| reading.next == next);
                if same && !self.held.contains(&key.0) {
                    self.renew(&key, next);
                }
            }
        }
    }

    /// The client has stopped delivering and does not say so: a new one takes its place, and all partitions go on where they were.
    fn renew(&mut self, key: &Key, next: i64) {
        watch::stalled();
        error!(topic = key.0, partition = %key.1, next, "the signal reader has stalled: signals are there and it delivers none; a new one takes its place");
        let fresh = match consumer(&self.kafka) {
            Ok(fresh) => fresh,
            Err(failure) => return warn!(%failure, "make a new signal reader"),
        };
        let old = std::mem::replace(&mut self.consumer, fresh);
        // To close one that hangs may take for ever (librdkafka 4674).
        let leave = std::thread::Builder::new().name("stalled".into());
        if let Err(error) = leave.spawn(move || drop(old)) {
            warn!(%error, "leave the stalled signal reader");
        }
        for (key, reading) in std::mem::take(&mut self.reading) {
            self.silence.forget(&key);
            let _ = self.again.send(Wish {
                from: Some(Offset(reading.next)),
                ..reading.wish
            });
        }
    }

    fn now_ms(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    fn look_for_silence(&mut self) {
        let now_ms = self.now_ms();
        let held = &self.held;
        for key in self.silence.suspects(now_ms, |key| held.contains(&key.0)) {
            if let Some(reading) = self.reading.get(&key) {
                let _ = self.suspect.send((key, reading.next));
            }
        }
    }

    fn forget(&mut self, key: &Key) {
        self.wanted.remove(key);
        self.silence.forget(key);
        if self.reading.remove(key).is_some()
            && let Err(error) = self.consumer.incremental_unassign(&one(key, None))
        {
            warn!(topic = key.0, partition = %key.1, %error, "stop reading signals");
        }
    }

    fn hold(&mut self, topic: &str, pause: bool) {
        let mut list = TopicPartitionList::new();
        for (topic, partition) in self.reading.keys().filter(|key| key.0 == topic) {
            list.add_partition(topic, partition.0);
        }
        let done = if pause {
            self.consumer.pause(&list)
        } else {
            self.consumer.resume(&list)
        };
        debug!(topic, pause, ok = done.is_ok(), "signals held or let go");
        if let Err(error) = done {
            warn!(topic, pause, %error, "hold signals back");
        }
    }

    /// Rule 15: from the offset that is wanted, or from the beginning where the log does not reach so far.
    fn begin(&mut self, key: Key, wish: Wish, facts: &PartitionFacts) {
        let (low, end) = (facts.log_start, facts.end);
        let wanted = wish.from.unwrap_or(low);
        let start = if (low..=end).contains(&wanted) { wanted } else { low };
        if start != wanted {
            info!(topic = key.0, partition = %key.1, %wanted, %low, %end, "signal position is out of range, the log is read from its beginning");
        }
        if let Err(error) = self.consumer.incremental_assign(&one(&key, Some(start.0))) {
            warn!(topic = key.0, partition = %key.1, %error, "begin to read signals");
            let _ = self.again.send(wish);
            return;
        }
        // librdkafka keeps a pause across unassign and assign, and knows none of a partition that is new.
        let held = self.held.contains(&key.0);
        let list = one(&key, None);
        let done = if held {
            self.consumer.pause(&list)
        } else {
            self.consumer.resume(&list)
        };
        if let Err(error) = done {
            warn!(topic = key.0, partition = %key.1, held, %error, "hold signals back or let them go");
        }
        deliver(&wish, Delivery::Begun { low });
        let now_ms = self.now_ms();
        self.silence.heard(&key, now_ms);
        self.reading.insert(key, Reading { wish, next: start.0 });
    }

    fn poll(&mut self) {
        self.look_for_silence();
        match self.consumer.poll(POLL) {
            None => {}
            Some(Ok(message)) => {
                let key = (message.topic().to_owned(), Partition(message.partition()));
                let Some(reading) = self.reading.get_mut(&key) else {
                    return;
                };
                if message.offset() < reading.next {
                    return;
                }
                reading.next = message.offset() + 1;
                let now_ms = i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX);
                self.silence.heard(&key, now_ms);
                let value = message.payload().unwrap_or_default().to_vec();
                let taken = deliver(
                    &reading.wish,
                    Delivery::Signal {
                        offset: Offset(message.offset()),
                        value,
                    },
                );
                drop(message);
                if !taken {
                    self.forget(&key);
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) => {}
            Some(Err(error)) => self.trouble(&error),
        }
    }

    /// A log that was cut while it was read does not say which: every partition is compared with its bounds.
    fn trouble(&mut self, error: &KafkaError) {
        let cut = matches!(
            error.rdkafka_error_code(),
            Some(Code::OffsetOutOfRange | Code::AutoOffsetReset | Code::LogTruncation)
        );
        if !cut {
            debug!(%error, "signal reader has trouble");
            return;
        }
        let keys: Vec<Key> = self.reading.keys().cloned().collect();
        for key in keys {
            let bounds = self.consumer.fetch_watermarks(&key.0, key.1.0, BOUNDS_TIMEOUT);
            let Some(reading) = self.reading.get(&key) else {
                continue;
            };
            if bounds.is_ok_and(|(low, end)| (low..=end).contains(&reading.next)) {
                continue;
            }
            warn!(topic = key.0, partition = %key.1, next = reading.next, %error, "signals were cut off, the log is read from its beginning");
            let wish = Wish {
                from: None,
                ..reading.wish.clone()
            };
            self.forget(&key);
            let _ = self.again.send(wish);
        }
    }
}

fn deliver(wish: &Wish, what: Delivery) -> bool {
    wish.sink
        .send(Delivered {
            partition: wish.partition,
            serial: wish.serial,
            what,
        })
        .is_ok()
}

fn one(key: &Key, start: Option<i64>) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(1);
    let mut element = list.add_partition(&key.0, key.1.0);
    if let Some(start) = start {
        // An offset that a partition of this client reported is one that it takes.
        let _ = element.set_offset(At::Offset(start));
    }
    list
}

/// Publishes to the compacted progress topic, which has one partition.
pub struct ProgressTopic {
    producer: KafkaProducer,
    topic: String,
}

impl ProgressTopic {
    /// Progress goes to `topic`.
    #[must_use]
    pub fn new(producer: KafkaProducer, topic: String) -> ProgressTopic {
        ProgressTopic { producer, topic }
    }
}

#[async_trait]
impl Progress for ProgressTopic {
    async fn publish(&self, key: String, value: Vec<u8>) -> Result<()> {
        self.producer
            .produce(&self.topic, Partition(0), key.as_bytes(), &value)
            .await
            .map(drop)
    }
}
