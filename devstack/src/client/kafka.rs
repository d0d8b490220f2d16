//! Kafka: topics, ends, and reading a topic whole.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::{Offset, TopicPartitionList};

/// One request to a local broker; generous, since two cores may be busy with other work.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A Kafka cluster.
#[derive(Debug, Clone)]
pub struct Kafka {
    bootstrap: String,
}

impl Kafka {
    /// The cluster at `bootstrap` (host:port).
    #[must_use]
    pub fn new(bootstrap: &str) -> Self {
        Self {
            bootstrap: bootstrap.to_owned(),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// A client configuration that knows where the cluster is.
    #[must_use]
    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        // librdkafka writes each refused connection to standard error while a broker starts; the callers report what matters.
        config.set("bootstrap.servers", &self.bootstrap).set("log_level", "3");
        config
    }

    fn consumer(&self) -> Result<BaseConsumer> {
        let mut config = self.config();
        config
            .set("group.id", "devstack")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "error");
        config
            .set("isolation.level", "read_committed")
            .set("allow.auto.create.topics", "false");
        config.create().context("cannot make a Kafka consumer")
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        self.config().create().context("cannot make a Kafka admin client")
    }

    /// Asks for the cluster's metadata: the number of brokers.
    ///
    /// # Errors
    /// No broker answers within `timeout`.
    pub async fn brokers(&self, timeout: Duration) -> Result<usize> {
        let consumer = self.consumer()?;
        let brokers = blocking(move || Ok(consumer.fetch_metadata(None, timeout)?.brokers().len())).await?;
        Ok(brokers)
    }

    /// Names of all topics, internal ones (`__...`) left out.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn topics(&self) -> Result<Vec<String>> {
        let consumer = self.consumer()?;
        blocking(move || {
            let metadata = consumer.fetch_metadata(None, TIMEOUT)?;
            let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
            Ok(names.filter(|name| !name.starts_with("__")).collect())
        })
        .await
    }

    /// Creates a topic with one replica and the given settings, and waits until its partitions have leaders.
    ///
    /// # Errors
    /// It exists already, or the cluster refuses.
    pub async fn create_topic(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) -> Result<()> {
        self.create(name, partitions, TopicReplication::Fixed(1), settings)
            .await
    }

    /// The same with every partition on these brokers, of which the first is preferred as the leader.
    ///
    /// # Errors
    /// It exists already, or the cluster refuses.
    pub async fn create_topic_on(
        &self,
        name: &str,
        partitions: i32,
        brokers: &[i32],
        settings: &[(&str, &str)],
    ) -> Result<()> {
        let replicas = vec![brokers; usize::try_from(partitions).context("a negative number of partitions")?];
        self.create(name, partitions, TopicReplication::Variable(&replicas), settings)
            .await
    }

    async fn create(
        &self,
        name: &str,
        partitions: i32,
        replication: TopicReplication<'_>,
        settings: &[(&str, &str)],
    ) -> Result<()> {
        let mut topic = NewTopic::new(name, partitions, replication);
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        let admin = self.admin()?;
        single(admin.create_topics([&topic], &options()).await?)
            .with_context(|| format!("cannot create the topic `{name}`"))?;
        let wanted = usize::try_from(partitions).context("a negative number of partitions")?;
        self.until_partitions(name, wanted).await
    }

    /// Makes these the settings of a topic; others that it had go back to the brokers' defaults.
    ///
    /// # Errors
    /// The cluster refuses.
    pub async fn set_topic(&self, name: &str, settings: &[(&str, &str)]) -> Result<()> {
        let mut change = AlterConfig::new(ResourceSpecifier::Topic(name));
        for (key, value) in settings {
            change = change.set(key, value);
        }
        let result = self.admin()?.alter_configs([&change], &options()).await?;
        match result.into_iter().next() {
            Some(Err((_, code))) => bail!("cannot change the settings of the topic `{name}`: {code}"),
            _ => Ok(()),
        }
    }

    /// Deletes the records of a partition below `before`; all that are visible if that is `None`.
    ///
    /// # Errors
    /// The cluster refuses.
    pub async fn delete_records(&self, topic: &str, partition: i32, before: Option<i64>) -> Result<()> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, before.map_or(Offset::End, Offset::Offset))?;
        let deleted = self.admin()?.delete_records(&list, &options()).await;
        let deleted = deleted.with_context(|| format!("cannot delete records of `{topic}` [{partition}]"))?;
        let failed = deleted.elements().into_iter().find_map(|element| element.error().err());
        failed.map_or(Ok(()), |error| {
            Err(error).with_context(|| format!("cannot delete records of `{topic}` [{partition}]"))
        })
    }

    /// The broker that leads each partition; `None` while nobody does.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn leaders(&self, topic: &str) -> Result<Vec<Option<i32>>> {
        let consumer = self.consumer()?;
        let topic = topic.to_owned();
        blocking(move || {
            let metadata = consumer.fetch_metadata(Some(&topic), TIMEOUT)?;
            let partitions = metadata
                .topics()
                .iter()
                .flat_map(rdkafka::metadata::MetadataTopic::partitions);
            Ok(partitions
                .map(|partition| Some(partition.leader()).filter(|leader| *leader >= 0))
                .collect())
        })
        .await
    }

    /// Raises the number of partitions.
    ///
    /// # Errors
    /// The cluster refuses.
    pub async fn add_partitions(&self, name: &str, partitions: usize) -> Result<()> {
        let admin = self.admin()?;
        let result = admin
            .create_partitions([&NewPartitions::new(name, partitions)], &options())
            .await?;
        single(result).with_context(|| format!("cannot give the topic `{name}` `{partitions}` partitions"))?;
        self.until_partitions(name, partitions).await
    }

    /// Deletes a topic; one that does not exist is fine.
    ///
    /// # Errors
    /// The cluster refuses.
    pub async fn delete_topic(&self, name: &str) -> Result<()> {
        let result = self.admin()?.delete_topics(&[name], &options()).await?;
        match result.into_iter().next() {
            Some(Err((_, code))) if code != RDKafkaErrorCode::UnknownTopicOrPartition => {
                bail!("cannot delete the topic `{name}`: {code}")
            }
            _ => Ok(()),
        }
    }

    async fn until_partitions(&self, name: &str, wanted: usize) -> Result<()> {
        crate::wait::until(
            TIMEOUT,
            &format!("leaders of `{wanted}` partitions of `{name}`"),
            || async { Ok((self.partitions(name).await? == wanted).then_some(())) },
        )
        .await
    }

    /// How many partitions of the topic have a leader; 0 if there is no such topic.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn partitions(&self, topic: &str) -> Result<usize> {
        Ok(self.leaders(topic).await?.into_iter().flatten().count())
    }

    /// First and next offset of each partition, as a read_committed reader sees them.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn bounds(&self, topic: &str) -> Result<Vec<(i64, i64)>> {
        let count = self.partitions(topic).await?;
        let consumer = self.consumer()?;
        let topic = topic.to_owned();
        blocking(move || {
            let partitions = 0..i32::try_from(count).context("too many partitions")?;
            partitions
                .map(|partition| Ok(consumer.fetch_watermarks(&topic, partition, TIMEOUT)?))
                .collect()
        })
        .await
    }

    /// All records that are in the topic now, by partition and offset.
    ///
    /// # Errors
    /// They cannot be read within `deadline`.
    pub async fn read_all(&self, topic: &str, deadline: Duration) -> Result<Vec<OwnedMessage>> {
        let mut reader = self.tail(topic).await?;
        blocking(move || reader.read_to_end(deadline)).await
    }

    /// A reader that begins at the beginning of the topic and goes on where it left off.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn tail(&self, topic: &str) -> Result<Tail> {
        let count = self.partitions(topic).await?;
        let consumer = self.consumer()?;
        let mut list = TopicPartitionList::new();
        for partition in 0..i32::try_from(count).context("too many partitions")? {
            list.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
        consumer.assign(&list)?;
        Ok(Tail {
            consumer,
            topic: topic.to_owned(),
            next: vec![0; count],
        })
    }
}

/// Reads a topic from its beginning, in several goes.
pub struct Tail {
    consumer: BaseConsumer,
    topic: String,
    next: Vec<i64>,
}

impl Tail {
    /// What has come since the last call, without waiting for more than one fetch.
    ///
    /// # Errors
    /// The broker answers with an error that does not pass by itself.
    pub fn read_new(&mut self, wait: Duration) -> Result<Vec<OwnedMessage>> {
        let mut found = Vec::new();
        let mut wait = wait;
        while let Some(message) = self.one(wait)? {
            found.push(message);
            wait = Duration::ZERO;
        }
        Ok(found)
    }

    /// Reads until the present end of every partition.
    ///
    /// # Errors
    /// The end is not reached within `deadline`.
    pub fn read_to_end(&mut self, deadline: Duration) -> Result<Vec<OwnedMessage>> {
        let began = Instant::now();
        let mut ends = Vec::new();
        for partition in 0..self.next.len() {
            let bounds = self
                .consumer
                .fetch_watermarks(&self.topic, i32::try_from(partition)?, TIMEOUT)?;
            self.next[partition] = self.next[partition].max(bounds.0);
            ends.push(bounds.1);
        }
        let mut found = Vec::new();
        while self.next.iter().zip(&ends).any(|(next, end)| next < end) {
            if began.elapsed() > deadline {
                bail!(
                    "the topic `{}` was not read to its end within `{}` s",
                    self.topic,
                    deadline.as_secs()
                );
            }
            match self.one(Duration::from_millis(100))? {
                Some(message) => found.push(message),
                // Compacted, aborted and control records leave holes: the consumer's position passes them, no message does.
                None => self.pass_holes()?,
            }
        }
        Ok(found)
    }

    fn one(&mut self, wait: Duration) -> Result<Option<OwnedMessage>> {
        match self.consumer.poll(wait) {
            None => Ok(None),
            Some(Ok(message)) => {
                let next = usize::try_from(message.partition())
                    .ok()
                    .and_then(|index| self.next.get_mut(index));
                if let Some(next) = next {
                    *next = message.offset() + 1;
                }
                Ok(Some(message.detach()))
            }
            Some(Err(error)) => match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown) => Ok(None),
                _ => Err(anyhow!("cannot read the topic `{}`: {error}", self.topic)),
            },
        }
    }

    fn pass_holes(&mut self) -> Result<()> {
        for element in self.consumer.position()?.elements() {
            let index = usize::try_from(element.partition()).unwrap_or(usize::MAX);
            if let (Offset::Offset(position), Some(next)) = (element.offset(), self.next.get_mut(index)) {
                *next = (*next).max(position);
            }
        }
        Ok(())
    }
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(TIMEOUT))
        .operation_timeout(Some(TIMEOUT))
}

fn single(results: Vec<rdkafka::admin::TopicResult>) -> Result<()> {
    match results.into_iter().next() {
        Some(Err((_, code))) => Err(anyhow!("{code}")),
        _ => Ok(()),
    }
}

/// Runs a blocking call of the client on a thread that may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .context("the Kafka call was interrupted")?
}
