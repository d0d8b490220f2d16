//! The signal log on Kafka: read the end of a partition, append to it (rules 6, 9, 10).

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use common::failure::Failure;
use common::ids::{Offset, Partition};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{Offset as At, TopicPartitionList};

use super::ANSWER_TIMEOUT;
use super::context::KafkaContext;
use super::pool::{Asker, Pool};
use super::producer::KafkaProducer;
use crate::port::{Result, SignalLog, SignalRecord, SignalSlice};

/// One wait for the next record, so that librdkafka's errors are seen in between.
const POLL: Duration = Duration::from_millis(100);

/// The signal topics of the cluster.
#[derive(Clone)]
pub struct KafkaSignalLog {
    pool: Arc<Pool>,
    producer: KafkaProducer,
}

impl KafkaSignalLog {
    pub(super) fn new(pool: Arc<Pool>, producer: KafkaProducer) -> KafkaSignalLog {
        KafkaSignalLog { pool, producer }
    }
}

#[async_trait]
impl SignalLog for KafkaSignalLog {
    async fn read_tail(&self, topic: &str, partition: Partition, count: u64) -> Result<SignalSlice> {
        let (topic, context) = (topic.to_owned(), self.pool.context().clone());
        self.pool
            .ask("read the signal log", move |consumer| {
                let (low, end) = bounds(consumer, &context, &topic, partition)?;
                let back = i64::try_from(count).unwrap_or(i64::MAX);
                let start = end.saturating_sub(back).max(low);
                slice(consumer, &context, &topic, partition, (low, start, end, u64::MAX))
            })
            .await
    }

    async fn read_from(&self, topic: &str, partition: Partition, from: Offset, count: u64) -> Result<SignalSlice> {
        let (topic, context) = (topic.to_owned(), self.pool.context().clone());
        self.pool
            .ask("read the signal log", move |consumer| {
                let (low, end) = bounds(consumer, &context, &topic, partition)?;
                slice(
                    consumer,
                    &context,
                    &topic,
                    partition,
                    (low, from.0.max(low), end, count),
                )
            })
            .await
    }

    async fn append(&self, topic: &str, partition: Partition, key: Vec<u8>, value: Vec<u8>) -> Result<Offset> {
        self.producer.produce(topic, partition, &key, &value).await
    }
}

/// First offset that exists, and the last stable offset.
pub(super) fn bounds(
    consumer: &Asker,
    context: &KafkaContext,
    topic: &str,
    partition: Partition,
) -> Result<(i64, i64)> {
    consumer
        .fetch_watermarks(topic, partition.0, ANSWER_TIMEOUT)
        .map_err(|error| {
            context
                .judge("ask for the bounds of the partition", &error)
                .topic(topic)
                .partition(partition)
        })
}

/// Reads `start..end`, at most `count` records.
fn slice(
    consumer: &Asker,
    context: &KafkaContext,
    topic: &str,
    partition: Partition,
    (low, start, end, count): (i64, i64, i64, u64),
) -> Result<SignalSlice> {
    let mut slice = SignalSlice {
        low: Offset(low),
        end: Offset(end),
        records: Vec::new(),
    };
    if start >= end {
        return Ok(slice);
    }
    read(consumer, context, topic, partition, Offset(start), |message| {
        let offset = message.offset();
        if offset < end {
            let value = message.payload().unwrap_or_default().to_vec();
            slice.records.push(SignalRecord {
                offset: Offset(offset),
                value,
            });
        }
        offset + 1 < end && (slice.records.len() as u64) < count
    })?;
    if start == low
        && let Some(first) = slice.records.first()
    {
        // A log may begin with what is no record; then the first record is what exists first.
        slice.low = first.offset;
    }
    Ok(slice)
}

/// Reads records of one partition from `start` until `more` says no or the end is met, which the caller knows from what it got. The
/// deadline is one of standstill, since a whole log may be long.
pub(super) fn read(
    consumer: &Asker,
    context: &KafkaContext,
    topic: &str,
    partition: Partition,
    start: Offset,
    mut more: impl FnMut(&rdkafka::message::BorrowedMessage<'_>) -> bool,
) -> Result<()> {
    let at = |failure: Failure| failure.topic(topic).partition(partition).offset(start);
    let mut one = TopicPartitionList::with_capacity(1);
    let assigned = one
        .add_partition_offset(topic, partition.0, At::Offset(start.0))
        .and_then(|()| consumer.assign(&one));
    assigned.map_err(|error| at(context.judge("assign the partition", &error)))?;
    let mut deadline = Instant::now() + ANSWER_TIMEOUT;
    let mut last_error = None;
    let outcome = loop {
        if Instant::now() > deadline {
            let error = last_error.unwrap_or(KafkaError::NoMessageReceived);
            break Err(at(context.judge("read the partition", &error)));
        }
        match consumer.poll(POLL) {
            None => {}
            // The consumer is assigned this partition alone, so the number says enough (rust-rdkafka 849).
            Some(Err(KafkaError::PartitionEOF(number))) if number == partition.0 => break Ok(()),
            Some(Err(error)) => last_error = Some(error),
            Some(Ok(message)) => {
                deadline = Instant::now() + ANSWER_TIMEOUT;
                let wanted = message.topic() == topic && message.partition() == partition.0;
                if wanted && message.offset() >= start.0 && !more(&message) {
                    break Ok(());
                }
            }
        }
    };
    let cleared = consumer
        .unassign()
        .map_err(|error| at(context.judge("give the partition back", &error)));
    outcome.and(cleared)
}
