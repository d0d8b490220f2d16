//! The fetch client on a real broker.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::ids::{Offset, Partition};
use runtime::config::{HeaderUse, KafkaConfig};
use runtime::kafka::Kafka;
use runtime::readiness::Readiness;
use s3_spolt::driver::fetch::{Fetched, Fetcher};
use s3_spolt::driver::kafka_fetch::{Ends, KafkaFetcher};
use spolt_tests::rig::Rig;

/// Offsets that come out, until there are so many.
fn fetched(fetcher: &mut KafkaFetcher, count: usize) -> Vec<i64> {
    let since = Instant::now();
    let mut offsets = Vec::new();
    while offsets.len() < count {
        assert!(since.elapsed() < Duration::from_secs(60), "only {offsets:?} came");
        fetcher.poll(Duration::from_millis(100), &mut |fetched| {
            if let Fetched::Record { record, .. } = fetched {
                offsets.push(record.offset.0);
            }
        });
    }
    offsets
}

/// A lineage whose objects wait for their signals pauses; when the group takes it away then, and gives it back, it must be read again.
#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_stops_while_it_is_paused_is_fetched_when_it_starts_again() {
    let mut rig = Rig::new("paused").await;
    let topic = rig.topic("orders");
    let mut orders = rig.source("orders", 1, 71).await;
    let changes = orders.changes(10);
    rig.produce(&topic, &changes);
    let config = KafkaConfig {
        bootstrap_servers: rig.parts.kafka.clone(),
        allow_unsafe_topics: true,
        password: None,
        properties: BTreeMap::new(),
    };
    let kafka = Kafka::new(&config, "paused", &Readiness::new()).unwrap();
    let mut fetcher = KafkaFetcher::new(&kafka, 1 << 20, Ends::default(), Box::new(|_| HeaderUse::default())).unwrap();
    fetcher.start(&topic, Partition(0), Offset(0)).unwrap();
    assert_eq!(fetched(&mut fetcher, changes.len())[0], 0);
    fetcher.pause(&topic, Partition(0), true);
    fetcher.stop(&topic, Partition(0));
    fetcher.start(&topic, Partition(0), Offset(3)).unwrap();
    assert_eq!(fetched(&mut fetcher, changes.len() - 3)[0], 3);
}
