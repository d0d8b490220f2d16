//! The clients against real parts. Addresses come from the environment, as `devstack up` prints them; without them the tests fail.

#![expect(clippy::unwrap_used, reason = "a helper of tests may panic")]

mod bucket;
mod group;
mod topics;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use runtime::config::{KafkaConfig, S3Config};
use runtime::kafka::Kafka;
use runtime::readiness::Readiness;
use runtime::world::RealWorld;

/// Longest wait for anything in these tests.
const PATIENCE: Duration = Duration::from_secs(60);

fn address(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("`{variable}` is not set\nhint: these tests need real parts; run ./test, or `devstack up` and source what it prints")
    })
}

/// A name that no other run has.
fn fresh(what: &str) -> String {
    format!("{what}-{}", uuid::Uuid::new_v4().simple())
}

fn kafka_config() -> KafkaConfig {
    KafkaConfig {
        bootstrap_servers: address("SPOLT_KAFKA_BOOTSTRAP"),
        allow_unsafe_topics: true,
        password: None,
        properties: BTreeMap::new(),
    }
}

fn kafka() -> (Kafka, Readiness) {
    let readiness = Readiness::new();
    let kafka = Kafka::new(&kafka_config(), &fresh("group"), &readiness).unwrap();
    (kafka, readiness)
}

fn s3_config(bucket: &str) -> S3Config {
    S3Config {
        bucket: bucket.to_owned(),
        prefix: "spolt".to_owned(),
        region: Some("us-east-1".to_owned()),
        endpoint: Some(address("SPOLT_S3_ENDPOINT")),
        path_style: true,
        request_timeout: Duration::from_secs(10),
        retry_for: Duration::from_secs(20),
    }
}

async fn store(config: &S3Config) -> runtime::s3::S3Store {
    runtime::s3::S3Store::new(config, Arc::new(RealWorld), &Readiness::new()).await
}

/// A writer outside of what is tested; with an id it writes in transactions.
fn outside_producer(transactional_id: Option<&str>) -> FutureProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address("SPOLT_KAFKA_BOOTSTRAP"));
    if let Some(id) = transactional_id {
        config.set("transactional.id", id);
    }
    config.create().unwrap()
}

async fn write(producer: &FutureProducer, topic: &str, partition: i32, key: &str, value: &str, time_ms: i64) -> i64 {
    let record = FutureRecord::to(topic)
        .partition(partition)
        .key(key)
        .payload(value)
        .timestamp(time_ms);
    producer
        .send(record, PATIENCE)
        .await
        .map(|delivery| delivery.offset)
        .unwrap()
}

/// Waits until `condition` gives something, at most [`PATIENCE`].
async fn wait_for<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
