//! Topics that are listed and created.

use common::failure::Failure;
use rdkafka::admin::{AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;
use tracing::info;

use super::ANSWER_TIMEOUT;
use super::clients::Kafka;
use super::failure::of_code;
use crate::port::Result;

/// A topic as metadata tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicMeta {
    /// Name.
    pub name: String,
    /// Number of partitions.
    pub partitions: u32,
    /// Smallest number of replicas of a partition.
    pub replication: u32,
}

/// Settings of a signal topic (rule 4): nothing is ever dropped from it unless an operator says so.
pub(super) const SIGNAL_SETTINGS: [(&str, &str); 3] = [
    ("cleanup.policy", "delete"),
    ("retention.ms", "-1"),
    ("retention.bytes", "-1"),
];

impl Kafka {
    /// All topics that this user may see, internal ones left out.
    ///
    /// # Errors
    /// Of class retry while no broker answers.
    pub async fn topics(&self) -> Result<Vec<TopicMeta>> {
        self.metadata(None).await
    }

    /// One topic, or `None` if it does not exist.
    ///
    /// # Errors
    /// Of class retry while no broker answers; of class stop without the right to see it.
    pub async fn topic(&self, name: &str) -> Result<Option<TopicMeta>> {
        Ok(self.metadata(Some(name.to_owned())).await?.into_iter().next())
    }

    /// How many members the daemon's own group has now, as far as the brokers tell (a group of the newer protocol shows none).
    ///
    /// # Errors
    /// Of class retry while no broker answers; of class stop without the right to see the group.
    pub async fn group_members(&self) -> Result<usize> {
        let (context, group) = (self.context.clone(), self.group_id.clone());
        self.pool
            .ask("ask for the members of the group", move |consumer| {
                let list = consumer
                    .fetch_group_list(Some(&group), ANSWER_TIMEOUT)
                    .map_err(|error| context.judge("ask for the members of the group", &error))?;
                let of_group = list.groups().iter().filter(|found| found.name() == group);
                Ok(of_group.map(|found| found.members().len()).sum())
            })
            .await
    }

    async fn metadata(&self, only: Option<String>) -> Result<Vec<TopicMeta>> {
        let context = self.context.clone();
        self.pool
            .ask("list topics", move |consumer| {
                let metadata = consumer
                    .fetch_metadata(only.as_deref(), ANSWER_TIMEOUT)
                    .map_err(|error| context.judge("list topics", &error))?;
                let mut topics = Vec::new();
                for topic in metadata.topics().iter().filter(|topic| !topic.name().starts_with("__")) {
                    let code: Option<Code> = topic.error().map(Into::into);
                    match code {
                        None if topic.partitions().is_empty() => {}
                        None => topics.push(TopicMeta {
                            name: topic.name().to_owned(),
                            partitions: u32::try_from(topic.partitions().len()).unwrap_or(u32::MAX),
                            replication: topic
                                .partitions()
                                .iter()
                                .map(|partition| u32::try_from(partition.replicas().len()).unwrap_or(u32::MAX))
                                .min()
                                .unwrap_or(0),
                        }),
                        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => {}
                        // In a listing, what cannot be read now is left out; asked for by name, the reason counts.
                        Some(code) if only.is_some() => {
                            return Err(of_code("ask for the topic", code).topic(topic.name()));
                        }
                        Some(_) => {}
                    }
                }
                Ok(topics)
            })
            .await
    }

    /// Makes sure that a signal topic exists with at least so many partitions (rule 4). Its settings are not changed if it exists;
    /// [`Kafka::check_topic`] judges them.
    ///
    /// # Errors
    /// Of class stop without the right to create it, or with more replicas than brokers.
    pub async fn ensure_signal_topic(&self, name: &str, partitions: u32, replication: u16) -> Result<()> {
        self.ensure(name, partitions, replication, &SIGNAL_SETTINGS).await
    }

    /// Makes sure that the compacted progress topic exists (rule 21).
    ///
    /// # Errors
    /// As for a signal topic.
    pub async fn ensure_progress_topic(&self, name: &str, replication: u16) -> Result<()> {
        // Compaction passes over the segment that is written to; one a day would be read whole by every collection.
        let settings = [
            ("cleanup.policy", "compact"),
            ("segment.ms", "3600000"),
            ("min.cleanable.dirty.ratio", "0.1"),
        ];
        self.ensure(name, 1, replication, &settings).await
    }

    async fn ensure(&self, name: &str, partitions: u32, replication: u16, settings: &[(&str, &str)]) -> Result<()> {
        match self.topic(name).await? {
            Some(topic) if topic.partitions >= partitions => return Ok(()),
            Some(_) => self.grow(name, partitions).await?,
            None => self.create(name, partitions, replication, settings).await?,
        }
        self.wait_for(name, partitions).await
    }

    async fn create(&self, name: &str, partitions: u32, replication: u16, settings: &[(&str, &str)]) -> Result<()> {
        let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(i32::from(replication)));
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        let options = AdminOptions::new()
            .request_timeout(Some(ANSWER_TIMEOUT))
            .operation_timeout(Some(ANSWER_TIMEOUT));
        let done = self.admin.create_topics([&topic], &options).await;
        match self.outcome("create the topic", name, done)? {
            None => info!(topic = name, partitions, replication, "topic created"),
            // Another instance was faster.
            Some(Code::TopicAlreadyExists) => {}
            Some(code) => return Err(of_code("create the topic", code).topic(name)),
        }
        Ok(())
    }

    async fn grow(&self, name: &str, partitions: u32) -> Result<()> {
        let more = NewPartitions::new(name, partitions as usize);
        let options = AdminOptions::new()
            .request_timeout(Some(ANSWER_TIMEOUT))
            .operation_timeout(Some(ANSWER_TIMEOUT));
        let done = self.admin.create_partitions([&more], &options).await;
        match self.outcome("add partitions to the topic", name, done)? {
            None => info!(topic = name, partitions, "topic has more partitions"),
            // Another instance was faster; whether it made enough is seen next.
            Some(Code::InvalidPartitions) => {}
            Some(code) => return Err(of_code("add partitions to the topic", code).topic(name)),
        }
        Ok(())
    }

    fn outcome(
        &self,
        doing: &str,
        name: &str,
        done: rdkafka::error::KafkaResult<Vec<rdkafka::admin::TopicResult>>,
    ) -> Result<Option<Code>> {
        let results = done.map_err(|error: KafkaError| self.context.judge(doing, &error).topic(name))?;
        Ok(results
            .into_iter()
            .find_map(|result| result.err().map(|(_, code)| code)))
    }

    /// Metadata spreads among brokers with a delay, and a partition has a leader before that leader knows it: until every partition
    /// answers, a read or a write of the new topic would fail.
    async fn wait_for(&self, name: &str, partitions: u32) -> Result<()> {
        let deadline = tokio::time::Instant::now() + ANSWER_TIMEOUT;
        loop {
            let known = self
                .topic(name)
                .await?
                .is_some_and(|topic| topic.partitions >= partitions);
            if known && self.all_answer(name, partitions).await? {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                let message = format!("wait until {partitions} partitions of the topic answer: they do not yet");
                return Err(Failure::retry(message).topic(name));
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    async fn all_answer(&self, name: &str, partitions: u32) -> Result<bool> {
        let (name, partitions) = (name.to_owned(), i32::try_from(partitions).unwrap_or(i32::MAX));
        self.pool
            .ask("ask whether the partitions answer", move |consumer| {
                Ok(
                    (0..partitions)
                        .all(|partition| consumer.fetch_watermarks(&name, partition, ANSWER_TIMEOUT).is_ok()),
                )
            })
            .await
    }
}
