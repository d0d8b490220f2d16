//! The real signal reader and the real progress topic.
//!
//! One consumer without subscription reads all signal partitions of all tables at explicit offsets; it lives in a thread of its own,
//! since librdkafka's poll blocks. What it reads is routed by partition to the table that asked, with the serial number of the request.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use common::failure::Failure;
use common::ids::{Offset, Partition};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset as At, TopicPartitionList};
use runtime::kafka::{Kafka, KafkaContext, KafkaProducer};
use runtime::port::Result;
use tracing::{debug, info, warn};

use super::port::{Delivered, Delivery, Progress, Signals, Wish};

/// How long one poll waits: bounds how late a command is carried out.
const POLL: Duration = Duration::from_millis(50);

/// Longest wait for the bounds of a partition. The thread reads nothing meanwhile.
const BOUNDS_TIMEOUT: Duration = Duration::from_secs(5);

/// Wait before a wish that failed is tried again.
const WISH_RETRY: Duration = Duration::from_secs(1);

/// librdkafka's queue of signals, KiB: some ten thousand claims.
const QUEUE_KBYTES: &str = "16384";

type Key = (String, Partition);

enum Command {
    Read(Wish),
    Stop(Key),
    Pause(String),
    Resume(String),
}

/// Reads signal partitions for all tables of the process.
pub struct SignalReader {
    kafka: Kafka,
    commands: Sender<Command>,
}

impl SignalReader {
    /// Starts the reading thread, which ends when the reader is dropped.
    ///
    /// # Errors
    /// When the client or the thread cannot be created.
    pub fn start(kafka: Kafka) -> Result<SignalReader> {
        let mut config = kafka.fetch_config()?;
        config.set("queued.max.messages.kbytes", QUEUE_KBYTES);
        let consumer: BaseConsumer<KafkaContext> = config
            .create_with_context(kafka.context())
            .map_err(|error| Failure::stop(format!("create the signal reader: {error}")))?;
        let (commands, inbox) = channel();
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || Reader { consumer, reading: BTreeMap::new(), wishes: Vec::new() }.run(&inbox))
            .map_err(|error| Failure::stop(format!("start the signal reader: {error}")))?;
        Ok(SignalReader { kafka, commands })
    }

    fn command(&self, command: Command) {
        if self.commands.send(command).is_err() {
            warn!("the signal reader has ended");
        }
    }
}

#[async_trait]
impl Signals for SignalReader {
    async fn partitions(&self, topic: &str) -> Result<i32> {
        let found = self.kafka.topic(topic).await?;
        Ok(found.map_or(0, |topic| i32::try_from(topic.partitions).unwrap_or(i32::MAX)))
    }

    fn read(&self, wish: Wish) {
        self.command(Command::Read(wish));
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
    reading: BTreeMap<Key, Reading>,
    /// What is asked for and not begun, with the time of the next try.
    wishes: Vec<(Instant, Wish)>,
}

impl Reader {
    fn run(mut self, inbox: &Receiver<Command>) {
        loop {
            let idle = self.reading.is_empty() && self.wishes.is_empty();
            let patience = if idle { Duration::from_secs(3600) } else { Duration::ZERO };
            match inbox.recv_timeout(patience) {
                Ok(command) => {
                    self.obey(command);
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.begin_due();
            self.poll();
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Read(wish) => {
                self.forget(&(wish.topic.clone(), wish.partition));
                self.wishes.push((Instant::now(), wish));
            }
            Command::Stop(key) => self.forget(&key),
            Command::Pause(topic) => self.hold(&topic, true),
            Command::Resume(topic) => self.hold(&topic, false),
        }
    }

    fn forget(&mut self, key: &Key) {
        self.wishes.retain(|(_, wish)| (&wish.topic, wish.partition) != (&key.0, key.1));
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
        let done = if pause { self.consumer.pause(&list) } else { self.consumer.resume(&list) };
        debug!(topic, pause, ok = done.is_ok(), "signals held or let go");
        if let Err(error) = done {
            warn!(topic, pause, %error, "hold signals back");
        }
    }

    fn begin_due(&mut self) {
        let now = Instant::now();
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.wishes).into_iter().partition(|(at, _)| *at <= now);
        self.wishes = later;
        for (_, wish) in due {
            if let Err(error) = self.begin(&wish) {
                warn!(topic = wish.topic, partition = %wish.partition, %error, "begin to read signals");
                self.wishes.push((Instant::now() + WISH_RETRY, wish));
            }
        }
    }

    /// Rule 15: from the offset that is wanted, or from the beginning where the log does not reach so far.
    fn begin(&mut self, wish: &Wish) -> std::result::Result<(), KafkaError> {
        let (low, end) = self.consumer.fetch_watermarks(&wish.topic, wish.partition.0, BOUNDS_TIMEOUT)?;
        let start = wish.from.map_or(low, |from| from.0);
        let start = if (low..=end).contains(&start) { start } else { low };
        if wish.from.is_some_and(|from| from.0 != start) {
            info!(topic = wish.topic, partition = %wish.partition, wanted = ?wish.from, low, end, "signal position is out of range, the log is read from its beginning");
        }
        let key = (wish.topic.clone(), wish.partition);
        self.consumer.incremental_assign(&one(&key, Some(start)))?;
        self.reading.insert(key, Reading { wish: wish.clone(), next: start });
        deliver(wish, Delivery::Begun { low: Offset(low) });
        Ok(())
    }

    fn poll(&mut self) {
        match self.consumer.poll(POLL) {
            None => {}
            Some(Ok(message)) => {
                let key = (message.topic().to_owned(), Partition(message.partition()));
                let Some(reading) = self.reading.get_mut(&key) else { return };
                if message.offset() < reading.next {
                    return;
                }
                reading.next = message.offset() + 1;
                let value = message.payload().unwrap_or_default().to_vec();
                let taken = deliver(&reading.wish, Delivery::Signal { offset: Offset(message.offset()), value });
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
        let cut = matches!(error.rdkafka_error_code(), Some(Code::OffsetOutOfRange | Code::AutoOffsetReset | Code::LogTruncation));
        if !cut {
            debug!(%error, "signal reader has trouble");
            return;
        }
        let keys: Vec<Key> = self.reading.keys().cloned().collect();
        for key in keys {
            let bounds = self.consumer.fetch_watermarks(&key.0, key.1.0, BOUNDS_TIMEOUT);
            let Some(reading) = self.reading.get(&key) else { continue };
            if bounds.is_ok_and(|(low, end)| (low..=end).contains(&reading.next)) {
                continue;
            }
            warn!(topic = key.0, partition = %key.1, next = reading.next, %error, "signals were cut off, the log is read from its beginning");
            let wish = Wish { from: None, ..reading.wish.clone() };
            self.forget(&key);
            self.wishes.push((Instant::now(), wish));
        }
    }
}

fn deliver(wish: &Wish, what: Delivery) -> bool {
    wish.sink.send(Delivered { partition: wish.partition, serial: wish.serial, what }).is_ok()
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
        self.producer.produce(&self.topic, Partition(0), key.as_bytes(), &value).await.map(drop)
    }
}
