//! Settings of every client, and the handle from which the ports on Kafka come.

use std::sync::Arc;

use common::failure::Failure;
use rdkafka::ClientConfig;
use rdkafka::admin::AdminClient;
use rdkafka::consumer::Consumer as _;

use super::ANSWER_TIMEOUT;
use super::context::KafkaContext;
use super::failure::failure;
use super::pool::Pool;
use super::producer::KafkaProducer;
use super::signal_log::KafkaSignalLog;
use super::upstream::KafkaUpstream;
use crate::config::{KafkaConfig, PropertyValue};
use crate::port::Result;
use crate::readiness::Readiness;
use crate::secret::ExposeSecret as _;

/// How long the producer tries to deliver a record before its outcome counts as unknown (rule 10). Below the poll interval of a
/// group member (5 min), above a leader election.
const DELIVERY_TIMEOUT_MS: &str = "60000";

/// The cluster. Clones are cheap and share all clients. Creating it does not wait for the cluster.
#[derive(Clone)]
pub struct Kafka {
    config: KafkaConfig,
    pub(super) group_id: String,
    pub(super) context: KafkaContext,
    pub(super) pool: Arc<Pool>,
    pub(super) admin: Arc<AdminClient<KafkaContext>>,
    producer: KafkaProducer,
}

impl Kafka {
    /// Creates the clients. `group_id` is the daemon's group, so that all clients need only its rights; only the membership joins it.
    /// Registers the part `kafka` in `readiness`.
    ///
    /// # Errors
    /// Of class stop, when a property or a secret cannot be used.
    pub fn new(config: &KafkaConfig, group_id: &str, readiness: &Readiness) -> Result<Kafka> {
        let context = KafkaContext::new(readiness.clone());
        let admin = base(config)?
            .create_with_context(context.clone())
            .map_err(|error| failure("create the admin client", &error))?;
        let pool = Arc::new(Pool::new(question(config, group_id)?, context.clone()));
        let producer = KafkaProducer::new(producer(config)?, context.clone())?;
        Ok(Kafka {
            config: config.clone(),
            group_id: group_id.to_owned(),
            context,
            pool,
            admin: Arc::new(admin),
            producer,
        })
    }

    /// Settings of a consumer that fetches upstream records at explicit offsets (rule 6); the caller adds what bounds its queue.
    ///
    /// # Errors
    /// When a secret cannot be read.
    pub fn fetch_config(&self) -> Result<ClientConfig> {
        consumer(&self.config, &self.group_id)
    }

    /// Settings of the member of the group.
    pub(crate) fn member_config(&self) -> Result<ClientConfig> {
        let mut config = consumer(&self.config, &self.group_id)?;
        // Partitions are assigned paused, so that nothing is fetched; this bounds what a race could fetch.
        config
            .set("queued.max.messages.kbytes", "1024")
            .set("topic.metadata.refresh.interval.ms", "10000");
        let modern = self.config.properties.get("group.protocol");
        if modern.is_none_or(|value| *value != PropertyValue::Plain("consumer".to_owned())) {
            // With KIP-848 the brokers assign, and creating the client fails when a strategy is given.
            config.set("partition.assignment.strategy", "cooperative-sticky");
        }
        Ok(config)
    }

    /// The context that tells the readiness of this cluster, for clients made elsewhere.
    #[must_use]
    pub fn context(&self) -> KafkaContext {
        self.context.clone()
    }

    /// The one producer of the process.
    #[must_use]
    pub fn producer(&self) -> KafkaProducer {
        self.producer.clone()
    }

    /// The signal topics.
    #[must_use]
    pub fn signal_log(&self) -> KafkaSignalLog {
        KafkaSignalLog::new(self.pool.clone(), self.producer.clone())
    }

    /// The upstream topics.
    #[must_use]
    pub fn upstream(&self) -> KafkaUpstream {
        KafkaUpstream::new(self.pool.clone())
    }

    /// Id of the cluster, by which lineages are named.
    ///
    /// # Errors
    /// Of class retry while no broker answers.
    pub async fn cluster_id(&self) -> Result<String> {
        let context = self.context.clone();
        self.pool
            .ask("ask for the cluster id", move |consumer| {
                // The answer is `None` both for an outage and for brokers without an id, so metadata says which it is.
                let unreachable = |error| context.judge("ask for the cluster id", &error);
                consumer
                    .client()
                    .fetch_metadata(Some("spolt.none"), ANSWER_TIMEOUT)
                    .map_err(unreachable)?;
                let id = consumer
                    .client()
                    .fetch_cluster_id(ANSWER_TIMEOUT)
                    .filter(|id| !id.is_empty());
                id.ok_or_else(|| Failure::retry("ask for the cluster id: the brokers have none"))
            })
            .await
    }
}

fn base(config: &KafkaConfig) -> Result<ClientConfig> {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", &config.bootstrap_servers)
        .set("client.id", "spolt");
    client.set("socket.keepalive.enable", "true");
    for (name, value) in &config.properties {
        match value {
            PropertyValue::Plain(text) => client.set(name, text),
            PropertyValue::Secret(secret) => client.set(name, secret.read()?.expose_secret()),
        };
    }
    if let Some(password) = &config.password {
        client.set("sasl.password", password.read()?.expose_secret());
    }
    // Librdkafka is told to log what tracing would show, so that `RUST_LOG=rdkafka=debug` and `debug = "..."` work together.
    client.set_log_level(rdkafka::config::RDKafkaLogLevel::Debug);
    Ok(client)
}

/// Rule 6: positions are explicit, only committed records are seen, and nothing moves by itself.
fn consumer(config: &KafkaConfig, group_id: &str) -> Result<ClientConfig> {
    let mut client = base(config)?;
    client
        .set("group.id", group_id)
        .set("auto.offset.reset", "error")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("isolation.level", "read_committed")
        .set("allow.auto.create.topics", "false")
        .set("check.crcs", "true");
    Ok(client)
}

fn question(config: &KafkaConfig, group_id: &str) -> Result<ClientConfig> {
    let mut client = consumer(config, group_id)?;
    // Answers are short; a queue of 4 MiB per consumer bounds the pool to 16 MiB while a whole signal log is read.
    client
        .set("enable.partition.eof", "true")
        .set("queued.max.messages.kbytes", "4096")
        .set("fetch.wait.max.ms", "50")
        .set("fetch.error.backoff.ms", "100");
    Ok(client)
}

fn producer(config: &KafkaConfig) -> Result<ClientConfig> {
    let mut client = base(config)?;
    client
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "2")
        // A signal topic grows with its upstream topic; the default of five minutes would keep the new partitions waiting.
        .set("topic.metadata.refresh.interval.ms", "5000")
        .set("delivery.timeout.ms", DELIVERY_TIMEOUT_MS);
    // Claims are JSON and repeat themselves; any codec of the user's choice wins.
    if !["compression.type", "compression.codec"]
        .iter()
        .any(|name| config.properties.contains_key(*name))
    {
        client.set("compression.type", "zstd");
    }
    Ok(client)
}

/// Whether librdkafka accepts the settings of all clients together, without connecting: for `check`.
///
/// # Errors
/// Of class stop, with what librdkafka says.
pub fn check_properties(config: &KafkaConfig) -> Result<()> {
    Kafka::new(config, "spolt-check", &Readiness::new()).map(drop)
}
