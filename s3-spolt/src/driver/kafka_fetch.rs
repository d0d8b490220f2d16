//! The fetch client on librdkafka: explicit partitions at explicit offsets, read_committed, never a member of the group.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use common::avro::frame;
use common::failure::Failure;
use common::ids::{Offset, Partition};
use common::row::{Record, headers};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::statistics::Statistics;
use rdkafka::util::Timeout;
use rdkafka::{Offset as At, TopicPartitionList};
use runtime::config::{HeaderUse, HeaderUses};
use runtime::kafka::{Kafka, KafkaContext};

use super::chunk::Heads;
use super::fetch::{Fetched, Fetcher};

/// Ends of partitions as the fetch client last heard of them: (topic, partition) -> last stable offset.
pub type Ends = Arc<Mutex<HashMap<(String, Partition), Offset>>>;

/// Receives librdkafka's logs and statistics.
struct Context {
    inner: KafkaContext,
    ends: Ends,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.inner.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.inner.error(error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, topic) in statistics.topics {
            for (partition, facts) in topic.partitions {
                // -1 stands for the partition of messages without one, -1001 for an unknown offset.
                if partition >= 0 && facts.ls_offset >= 0 {
                    ends.insert((name.clone(), Partition(partition)), Offset(facts.ls_offset));
                }
            }
        }
    }
}

impl ConsumerContext for Context {}

/// The fetch client.
pub struct KafkaFetcher {
    consumer: BaseConsumer<Context>,
    kafka: Kafka,
    queue_bytes: u64,
    ends: Ends,
    header_uses: HeaderUses,
    /// The topics among those that were started whose headers are read. librdkafka reads the headers of a record when they are asked
    /// for, each into memory of its own, so nobody else's are.
    headed: HashMap<String, HeaderUse>,
    /// The headers of the present record.
    headers: Vec<u8>,
}

impl KafkaFetcher {
    /// Creates the client; `queue_bytes` bounds what librdkafka fetches ahead, `header_uses` says what is read of the headers of a topic.
    ///
    /// # Errors
    /// When librdkafka refuses a property, or a secret cannot be read.
    pub fn new(kafka: &Kafka, queue_bytes: u64, ends: Ends, header_uses: HeaderUses) -> Result<KafkaFetcher, Failure> {
        let consumer = consumer(kafka, queue_bytes, ends.clone())?;
        Ok(KafkaFetcher {
            consumer,
            kafka: kafka.clone(),
            queue_bytes,
            ends,
            header_uses,
            headed: HashMap::new(),
            headers: Vec::new(),
        })
    }
}

/// What the headers of a message say of its schemas, and all of them as a block where they are a column. The last header of a name holds,
/// as for Confluent's readers.
fn read_headers<'a>(message: &'a BorrowedMessage<'_>, wanted: HeaderUse, block: &mut Vec<u8>) -> Heads<'a> {
    let mut heads = Heads::default();
    block.clear();
    let Some(headers) = message.headers() else { return heads };
    for header in headers.iter() {
        if wanted.column {
            headers::push(block, header.key, header.value);
        }
        let Some(indexes) = wanted.schema_ids else { continue };
        let head = || frame::head(header.value.unwrap_or_default(), indexes);
        match header.key {
            frame::VALUE_HEADER => heads.value = head(),
            frame::KEY_HEADER => heads.key = head(),
            _ => {}
        }
    }
    heads
}

fn consumer(kafka: &Kafka, queue_bytes: u64, ends: Ends) -> Result<BaseConsumer<Context>, Failure> {
    let mut config = kafka.fetch_config()?;
    let kilobytes = (queue_bytes / 1024).clamp(1_024, 2_097_151).to_string();
    config
        .set("queued.max.messages.kbytes", &kilobytes)
        .set("queued.min.messages", "10000000")
        .set("statistics.interval.ms", "5000");
    config
        .create_with_context(Context {
            inner: kafka.context(),
            ends,
        })
        .map_err(|error| Failure::stop(format!("create the fetch client: {error}")))
}

fn list(topic: &str, partition: Partition) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition(topic, partition.0);
    list
}

impl Fetcher for KafkaFetcher {
    fn start(&mut self, topic: &str, partition: Partition, from: Offset) -> Result<(), Failure> {
        let headers = (self.header_uses)(topic);
        if !headers.is_none() {
            self.headed.insert(topic.to_owned(), headers);
        }
        let failed = |error: KafkaError| {
            Failure::retry(format!("assign the partition to the fetch client: {error}"))
                .topic(topic)
                .partition(partition)
                .offset(from)
        };
        let mut one = TopicPartitionList::with_capacity(1);
        one.add_partition_offset(topic, partition.0, At::Offset(from.0))
            .map_err(failed)?;
        self.consumer.incremental_assign(&one).map_err(failed)?;
        // librdkafka keeps a pause across unassign and assign: a partition that was paused when it was left would stay silent for ever.
        self.consumer.resume(&list(topic, partition)).map_err(failed)
    }

    fn stop(&mut self, topic: &str, partition: Partition) {
        if let Err(error) = self.consumer.incremental_unassign(&list(topic, partition)) {
            tracing::warn!(topic, partition = partition.0, %error, "could not unassign a partition");
        }
    }

    fn pause(&mut self, topic: &str, partition: Partition, paused: bool) {
        let list = list(topic, partition);
        let done = if paused {
            self.consumer.pause(&list)
        } else {
            self.consumer.resume(&list)
        };
        if let Err(error) = done {
            tracing::warn!(topic, partition = partition.0, paused, %error, "could not pause or resume a partition");
        }
    }

    /// The old client is left to a thread of its own: to close one that hangs may take for ever (librdkafka 4674).
    fn renew(&mut self) -> Result<(), Failure> {
        let fresh = consumer(&self.kafka, self.queue_bytes, self.ends.clone())?;
        let old = std::mem::replace(&mut self.consumer, fresh);
        let leave = std::thread::Builder::new().name("stalled".into());
        leave
            .spawn(move || drop(old))
            .map(drop)
            .map_err(|error| Failure::stop(format!("leave the stalled fetch client: {error}")))
    }

    fn poll(&mut self, wait: Duration, sink: &mut dyn FnMut(Fetched<'_>)) -> bool {
        match self.consumer.poll(Timeout::After(wait)) {
            None => false,
            Some(Ok(message)) => {
                let headed = if self.headed.is_empty() {
                    None
                } else {
                    self.headed.get(message.topic()).copied()
                };
                let heads = headed.map_or_else(Heads::default, |wanted| {
                    read_headers(&message, wanted, &mut self.headers)
                });
                let column = headed.is_some_and(|wanted| wanted.column);
                sink(Fetched::Record {
                    topic: message.topic(),
                    partition: Partition(message.partition()),
                    record: Record {
                        offset: Offset(message.offset()),
                        timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
                        key: message.key(),
                        value: message.payload(),
                        headers: column.then_some(self.headers.as_slice()),
                    },
                    heads,
                });
                true
            }
            Some(Err(error)) => {
                self.failed(&error, sink);
                true
            }
        }
    }
}

impl KafkaFetcher {
    /// An error of one partition does not name it in the safe API: every partition then verifies itself anew, which is always safe.
    fn failed(&self, error: &KafkaError, sink: &mut dyn FnMut(Fetched<'_>)) {
        let concerns_positions = matches!(
            error.rdkafka_error_code(),
            Some(
                RDKafkaErrorCode::OffsetOutOfRange
                    | RDKafkaErrorCode::AutoOffsetReset
                    | RDKafkaErrorCode::LogTruncation
                    | RDKafkaErrorCode::UnknownTopicOrPartition
                    | RDKafkaErrorCode::UnknownPartition
                    | RDKafkaErrorCode::UnknownTopic
                    | RDKafkaErrorCode::TopicAuthorizationFailed
            )
        );
        if !concerns_positions {
            return sink(Fetched::Trouble(runtime::kafka::failure("fetch", error)));
        }
        let assigned = self.consumer.assignment().unwrap_or_default();
        for element in assigned.elements() {
            sink(Fetched::Lost {
                topic: element.topic().to_owned(),
                partition: Partition(element.partition()),
                failure: Failure::retry(format!("fetch: {error}")),
            });
        }
    }
}
