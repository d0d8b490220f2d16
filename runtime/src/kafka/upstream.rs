//! Questions about upstream partitions (rule 12).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use common::claim::fingerprint;
use common::failure::Failure;
use common::ids::{Offset, Partition};
use rdkafka::consumer::Consumer as _;
use rdkafka::message::Message as _;
use rdkafka::{Offset as At, TopicPartitionList};

use super::ANSWER_TIMEOUT;
use super::context::KafkaContext;
use super::pool::{Asker, Pool};
use super::signal_log::{bounds, read};
use super::topic_id::topic_id;
use crate::port::{PartitionFacts, Result, Upstream};

/// How long the id and the partition count of a topic are remembered: the partitions of a topic recover together, and ask once.
const IDENTITY_AGE: Duration = Duration::from_secs(2);

/// Id and partition count.
type Identity = (Option<String>, u32);

/// The upstream topics of the cluster.
#[derive(Clone)]
pub struct KafkaUpstream {
    pool: Arc<Pool>,
    identities: Arc<Mutex<HashMap<String, (Instant, Identity)>>>,
}

impl KafkaUpstream {
    pub(super) fn new(pool: Arc<Pool>) -> KafkaUpstream {
        KafkaUpstream {
            pool,
            identities: Arc::default(),
        }
    }

    /// What the brokers answer to a question that was asked not before `since`.
    fn identity(&self, consumer: &Asker, context: &KafkaContext, topic: &str, since: Instant) -> Result<Identity> {
        let known = self.lock().get(topic).filter(|(asked, _)| *asked >= since).cloned();
        if let Some((_, identity)) = known {
            return Ok(identity);
        }
        let asked = Instant::now();
        let partitions = partitions(consumer, context, topic)?;
        let id = topic_id(consumer.client(), topic)
            .map_err(|error| context.judge("ask for the topic id", &error).topic(topic))?;
        let identity = (id, partitions);
        self.lock().insert(topic.to_owned(), (asked, identity.clone()));
        Ok(identity)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Instant, Identity)>> {
        self.identities.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many partitions a topic has; a failure of class retry if there is no such topic.
pub(super) fn partitions(consumer: &Asker, context: &KafkaContext, topic: &str) -> Result<u32> {
    let metadata = consumer
        .fetch_metadata(Some(topic), ANSWER_TIMEOUT)
        .map_err(|error| context.judge("ask for the topic", &error).topic(topic))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    match found {
        Some(found) if found.error().is_none() && !found.partitions().is_empty() => {
            Ok(u32::try_from(found.partitions().len()).unwrap_or(u32::MAX))
        }
        Some(found) if found.error().is_some() => {
            let code = found
                .error()
                .map_or(rdkafka::types::RDKafkaErrorCode::Unknown, Into::into);
            Err(super::failure::of_code("ask for the topic", code).topic(topic))
        }
        _ => Err(Failure::retry("ask for the topic: it has no partitions").topic(topic)),
    }
}

#[async_trait]
impl Upstream for KafkaUpstream {
    async fn facts(&self, topic: &str, partition: Partition) -> Result<PartitionFacts> {
        let (this, topic, context) = (self.clone(), topic.to_owned(), self.pool.context().clone());
        self.pool
            .ask("ask about the partition", move |consumer| {
                let recently = Instant::now().checked_sub(IDENTITY_AGE).unwrap_or_else(Instant::now);
                let (topic_id, partitions) = this.identity(consumer, &context, &topic, recently)?;
                let (low, end) = bounds(consumer, &context, &topic, partition)?;
                Ok(PartitionFacts {
                    log_start: Offset(low),
                    end: Offset(end),
                    topic_id,
                    partitions,
                })
            })
            .await
    }

    async fn topic_id(&self, topic: &str, _: Partition) -> Result<Option<String>> {
        let (this, topic, context) = (self.clone(), topic.to_owned(), self.pool.context().clone());
        let called = Instant::now();
        self.pool
            .ask("ask for the topic id", move |consumer| {
                this.identity(consumer, &context, &topic, called).map(|(id, _)| id)
            })
            .await
    }

    async fn offset_at(&self, topic: &str, partition: Partition, time_ms: i64) -> Result<Offset> {
        let (topic, context) = (topic.to_owned(), self.pool.context().clone());
        self.pool
            .ask("ask for the offset of a time", move |consumer| {
                let judge = |error| {
                    context
                        .judge("ask for the offset of a time", &error)
                        .topic(&topic)
                        .partition(partition)
                };
                let mut times = TopicPartitionList::with_capacity(1);
                times
                    .add_partition_offset(&topic, partition.0, At::Offset(time_ms))
                    .map_err(judge)?;
                let answer = consumer.offsets_for_times(times, ANSWER_TIMEOUT).map_err(judge)?;
                let element = answer.find_partition(&topic, partition.0);
                let found = element.as_ref().map(|element| (element.error(), element.offset()));
                match found {
                    Some((Err(error), _)) => Err(judge(error)),
                    Some((Ok(()), At::Offset(offset))) => Ok(Offset(offset)),
                    _ => bounds(consumer, &context, &topic, partition).map(|(_, end)| Offset(end)),
                }
            })
            .await
    }

    async fn next_visible(&self, topic: &str, partition: Partition, from: Offset) -> Result<Option<Offset>> {
        let (topic, context) = (topic.to_owned(), self.pool.context().clone());
        self.pool
            .ask("look for the next record", move |consumer| {
                let (low, end) = bounds(consumer, &context, &topic, partition)?;
                let from = from.0.max(low);
                let mut found = None;
                if from < end {
                    read(consumer, &context, &topic, partition, Offset(from), |message| {
                        found = Some(Offset(message.offset()));
                        false
                    })?;
                }
                Ok(found)
            })
            .await
    }

    async fn fingerprint(&self, topic: &str, partition: Partition, offset: Offset) -> Result<Option<u32>> {
        let (topic, context) = (topic.to_owned(), self.pool.context().clone());
        self.pool
            .ask("read the record of the fingerprint", move |consumer| {
                let (low, end) = bounds(consumer, &context, &topic, partition)?;
                if offset.0 < low || offset.0 >= end {
                    return Ok(None);
                }
                let mut found = None;
                read(consumer, &context, &topic, partition, offset, |message| {
                    if message.offset() == offset.0 {
                        found = Some(fingerprint(message.key(), message.payload()));
                    }
                    false
                })?;
                Ok(found)
            })
            .await
    }
}
