//! Wires the daemon: clients, driver, group membership, HTTP; and takes it down in order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use common::failure::{Class, Failure};
use common::ids::{Offset, Partition};
use runtime::config::{self, Config, S3SpoltConfig};
use runtime::http;
use runtime::kafka::{Kafka, TopicRole};
use runtime::membership::{Change, Membership};
use runtime::port::{ObjectStore, World};
use runtime::readiness::Readiness;
use runtime::registry;
use runtime::report::Error;
use runtime::s3::S3Store;
use runtime::world::RealWorld;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::collect::schedule::schedule;
use crate::collect::{Collector, Rules};
use crate::driver::coordinator::Input;
use crate::driver::effects::Ports;
use crate::driver::encode::Place;
use crate::driver::kafka_fetch::{Ends, KafkaFetcher};
use crate::driver::start::{Running, Settings, start};
use crate::driver::topics::{Topic, Topics};
use crate::ingest::batch::Limits;
use crate::ingest::budget::Budget;
use crate::ingest::machine::Start;
use crate::metrics;

/// How often lag and memory are published.
const GAUGES: Duration = Duration::from_secs(2);

/// A stalled fetch client is found after this, and an idle partition asked about once in it.
const SILENCE: Duration = Duration::from_secs(300);

/// The build that claims name.
pub const BUILD: &str = concat!("s3-spolt ", env!("CARGO_PKG_VERSION"));

impl KafkaTopics {
    /// Assumption E1: a topic whose settings can lose acknowledged records is refused, unless the operator takes the risk.
    async fn judge(&self, topic: &str, role: TopicRole) -> Result<(), Failure> {
        let findings = self.kafka.check_topic(topic, role).await?;
        if self.config.kafka.allow_unsafe_topics {
            for finding in findings {
                warn!(
                    topic,
                    finding = finding.message,
                    "topic is unsafe, which kafka.allow_unsafe_topics allows"
                );
            }
            return Ok(());
        }
        match findings.as_slice() {
            [] => Ok(()),
            all => {
                let messages: Vec<&str> = all.iter().map(|finding| finding.message.as_str()).collect();
                let hints: Vec<&str> = all.iter().map(|finding| finding.hint.as_str()).collect();
                Err(Failure::stop(format!(
                    "the topic can lose acknowledged records: {}",
                    messages.join("; ")
                ))
                .topic(topic)
                .hint(hints.join("\n      ")))
            }
        }
    }
}

/// Prepares topics on a real cluster and commits group offsets for lag tools.
struct KafkaTopics {
    config: Config,
    kafka: Arc<Kafka>,
    membership: Arc<Membership>,
}

#[async_trait]
impl Topics for KafkaTopics {
    async fn prepare(&self, topic: &str) -> Result<Topic, Failure> {
        let signal_topic = self.config.signals.topic_for(topic);
        let upstream = self
            .kafka
            .topic(topic)
            .await?
            .ok_or_else(|| Failure::retry("the topic does not exist").topic(topic))?;
        self.judge(topic, TopicRole::Upstream).await?;
        let replication = self.config.signals.replication_factor;
        self.kafka
            .ensure_signal_topic(&signal_topic, upstream.partitions, replication)
            .await?;
        self.judge(&signal_topic, TopicRole::Signal).await?;
        let settings = self.config.topics.for_topic(topic);
        Ok(Topic {
            name: topic.into(),
            signal_topic: signal_topic.into(),
            partitions: upstream.partitions,
            settings: Arc::new(settings.rows()),
            bad_records_max: settings.bad_records_max,
        })
    }

    fn claimed(&self, topic: &str, partition: Partition, next: Offset) {
        self.membership.commit(topic, partition, next);
    }
}

/// Runs the daemon until `shutdown`, then publishes what is open and leaves the group.
///
/// # Errors
/// With the reason that stopped it, or [`Error::Deadline`].
pub async fn run(config: Config, own: S3SpoltConfig, shutdown: CancellationToken) -> Result<(), Error> {
    metrics::describe();
    let world: Arc<dyn World> = Arc::new(RealWorld);
    let readiness = Readiness::default();
    let (state, seen) = tokio::sync::watch::channel(serde_json::Value::Null);
    let server = http::serve(own.http, readiness.clone(), Arc::new(move || seen.borrow().clone())).await?;

    let store = Arc::new(S3Store::new(&config.s3, world.clone(), &readiness).await);
    let registry = registry::configured(config.registry.as_ref())?;
    let kafka = Arc::new(Kafka::new(&config.kafka, &own.group_id, &readiness)?);
    let Some(cluster) = cluster_id(&kafka, &*world, &shutdown).await? else {
        return Ok(());
    };
    let (membership, mut changes) = Membership::join(&kafka, &own.topics)?;
    let membership = Arc::new(membership);

    let ends = Ends::default();
    let settings = settings(&config, &own, cluster, store.region(), world.uuid());
    let fetcher = KafkaFetcher::new(
        &kafka,
        settings.budget.fetch_queue,
        ends.clone(),
        config.topics.header_uses(),
    )?;
    let topics = KafkaTopics {
        config: config.clone(),
        kafka: kafka.clone(),
        membership: membership.clone(),
    };
    let (signals, upstream) = (Arc::new(kafka.signal_log()), Arc::new(kafka.upstream()));
    let collector = Collector {
        store: store.clone(),
        log: signals.clone(),
        world: world.clone(),
        cluster: settings.cluster.clone(),
        signature: (settings.place.writer.clone(), BUILD.to_owned()),
        rules: rules(&config, &own),
    };
    let ports = Ports {
        store,
        signals,
        upstream,
        registry,
        topics: Arc::new(topics),
        world,
    };
    let running = start(settings, ports, fetcher, readiness)
        .map_err(|error| Failure::stop(format!("start a thread: {error}")))?;
    info!(group = own.group_id, address = %server.address(), build = BUILD, "s3-spolt runs");

    let Running {
        inbox,
        mut ended,
        memory,
        state: lineages,
        threads,
    } = running;
    let signals = config.signals.clone();
    tokio::spawn(schedule(
        collector,
        own.gc.every,
        move |topic| signals.topic_for(topic),
        lineages.clone(),
        shutdown.clone(),
    ));
    let mut gauges = tokio::time::interval(GAUGES);
    let result = loop {
        tokio::select! {
            biased;
            result = &mut ended => break flatten(result),
            () = shutdown.cancelled() => {
                let _ = inbox.send(Input::Drain);
                break match tokio::time::timeout(own.shutdown, &mut ended).await {
                    Ok(result) => flatten(result),
                    Err(_) => Err(Error::Deadline),
                };
            }
            Some(change) = changes.recv() => drop(inbox.send(ownership(change))),
            _ = gauges.tick() => {
                state.send_replace(lineages.borrow().clone());
                publish(&lineages.borrow(), &ends);
                metrics::memory(memory.used());
            }
        }
    };
    drop(inbox);
    membership.leave(Duration::from_secs(3)).await;
    drop(threads);
    server.stop().await;
    result
}

/// What the operator said about collecting.
#[must_use]
pub fn rules(config: &Config, own: &S3SpoltConfig) -> Rules {
    Rules {
        prefix: config.s3.prefix.clone(),
        progress_topic: config.signals.progress_topic.clone(),
        targets: own.gc.targets.clone(),
        retention_ms: i64::try_from(own.gc.retention.as_millis()).unwrap_or(i64::MAX),
    }
}

fn ownership(change: Change) -> Input {
    let partitions = |list: Vec<(String, i32)>| {
        list.into_iter()
            .map(|(topic, partition)| (topic, Partition(partition)))
            .collect()
    };
    match change {
        Change::Assigned(list) => Input::Assigned(partitions(list)),
        Change::Revoked(list) => Input::Revoked(partitions(list)),
        Change::Failing(failure) => Input::GroupTrouble(failure),
    }
}

fn flatten(result: Result<Result<(), Failure>, tokio::task::JoinError>) -> Result<(), Error> {
    let result =
        result.unwrap_or_else(|error| Err(Failure::stop(format!("the coordinator ended unexpectedly: {error}"))));
    result.map_err(Error::from)
}

/// Asks for the cluster id until the cluster answers; `None` when asked to stop meanwhile.
async fn cluster_id(kafka: &Kafka, world: &dyn World, shutdown: &CancellationToken) -> Result<Option<String>, Failure> {
    loop {
        match kafka.cluster_id().await {
            Ok(id) => return Ok(Some(id)),
            Err(failure) if failure.class == Class::Retry => {
                warn!(%failure, "waiting for Kafka");
                tokio::select! {
                    () = shutdown.cancelled() => return Ok(None),
                    () = world.sleep_ms(2_000) => {}
                }
            }
            Err(failure) => return Err(failure),
        }
    }
}

fn settings(config: &Config, own: &S3SpoltConfig, cluster: String, region: &str, writer: String) -> Settings {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Settings {
        cluster,
        place: Place {
            bucket: config.s3.bucket.clone(),
            region: region.to_owned(),
            prefix: config.s3.prefix.clone(),
            writer,
            build: BUILD.to_owned(),
        },
        limits: Limits {
            rows: own.cut_rows,
            bytes: own.cut_bytes.bytes(),
            age_ms: i64::try_from(own.cut_age.as_millis()).unwrap_or(i64::MAX),
        },
        compression: (own.compression, own.compression_level),
        budget: Budget::of(own.memory.bytes()),
        encode_threads: if own.encode_threads == 0 {
            cores
        } else {
            own.encode_threads
        },
        uploads: own.uploads,
        sealed_per_partition: own.sealed_per_partition,
        silence: SILENCE,
        start: match own.start {
            config::Start::Earliest => Start::Earliest,
            config::Start::Latest => Start::Latest,
            config::Start::At(time_ms) => Start::At(time_ms),
        },
    }
}

/// Sets the lag of every lineage: what the fetch client knows of the ends against what is claimed.
fn publish(lineages: &serde_json::Value, ends: &Mutex<HashMap<(String, Partition), Offset>>) {
    let ends = ends.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for lineage in lineages["lineages"].as_array().into_iter().flatten() {
        let (Some(topic), Some(partition)) = (lineage["topic"].as_str(), lineage["partition"].as_i64()) else {
            continue;
        };
        let partition = Partition(i32::try_from(partition).unwrap_or(-1));
        if let (Some(claimed), Some(end)) = (
            lineage["claimed_before"].as_i64(),
            ends.get(&(topic.to_owned(), partition)),
        ) {
            metrics::lag(topic, partition, end.0 - claimed);
        }
    }
}
