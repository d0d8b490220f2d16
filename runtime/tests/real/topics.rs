//! Topics, signal logs and questions about upstream partitions.

use std::collections::BTreeMap;

use common::claim::fingerprint;
use common::failure::Class;
use common::ids::{Offset, Partition};
use rdkafka::producer::Producer as _;
use runtime::config::KafkaConfig;
use runtime::kafka::{Kafka, TopicRole};
use runtime::port::{SignalLog as _, Upstream as _};
use runtime::readiness::Readiness;

use super::{PATIENCE, fresh, kafka, outside_producer, write};

const P0: Partition = Partition(0);
const P1: Partition = Partition(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_topic_is_created_and_grows_and_is_judged() {
    let (kafka, readiness) = kafka();
    assert!(!kafka.cluster_id().await.unwrap().is_empty());
    let topic = fresh("signals");
    assert_eq!(kafka.topic(&topic).await.unwrap(), None);
    kafka.ensure_signal_topic(&topic, 2, 1).await.unwrap();
    kafka.ensure_signal_topic(&topic, 1, 1).await.unwrap();
    assert_eq!(kafka.topic(&topic).await.unwrap().unwrap().partitions, 2);
    kafka.ensure_signal_topic(&topic, 5, 1).await.unwrap();
    assert_eq!(kafka.topic(&topic).await.unwrap().unwrap().partitions, 5);
    assert!(kafka.topics().await.unwrap().iter().any(|known| known.name == topic));
    let findings = kafka.check_topic(&topic, TopicRole::Signal).await.unwrap();
    let texts: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
    assert!(
        texts.iter().any(|text| text.contains("replication factor is `1`")),
        "{texts:?}"
    );
    assert!(
        !texts
            .iter()
            .any(|text| text.contains("retention") || text.contains("cleanup")),
        "{texts:?}"
    );
    let progress = fresh("progress");
    kafka.ensure_progress_topic(&progress, 1).await.unwrap();
    let findings = kafka.check_topic(&progress, TopicRole::Signal).await.unwrap();
    assert!(
        findings
            .iter()
            .any(|finding| finding.message.contains("`cleanup.policy` is `compact`")),
        "{findings:?}"
    );
    assert!(readiness.not_ready().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn more_replicas_than_brokers_stop_with_a_hint() {
    let (kafka, _) = kafka();
    let failure = kafka.ensure_signal_topic(&fresh("signals"), 1, 30).await.unwrap_err();
    assert_eq!(failure.class, Class::Stop, "{failure}");
    assert!(failure.hint.unwrap().contains("signals.replication_factor"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_signal_partition_is_read_back() {
    let (kafka, _) = kafka();
    let (topic, log) = (fresh("signals"), kafka.signal_log());
    kafka.ensure_signal_topic(&topic, 2, 1).await.unwrap();
    let empty = log.read_tail(&topic, P1, 16).await.unwrap();
    assert_eq!((empty.low, empty.end, empty.records.len()), (Offset(0), Offset(0), 0));
    for number in 0..300 {
        let value = format!("signal {number}").into_bytes();
        assert_eq!(
            log.append(&topic, P1, b"key".to_vec(), value).await.unwrap(),
            Offset(number)
        );
    }
    for (count, first) in [(1, 299), (16, 284), (256, 44), (u64::MAX, 0)] {
        let slice = log.read_tail(&topic, P1, count).await.unwrap();
        assert_eq!((slice.low, slice.end), (Offset(0), Offset(300)));
        let offsets: Vec<i64> = slice.records.iter().map(|record| record.offset.0).collect();
        assert_eq!(offsets, (first..300).collect::<Vec<_>>());
        assert_eq!(slice.records[0].value, format!("signal {first}").into_bytes());
    }
    assert!(log.read_tail(&topic, P0, u64::MAX).await.unwrap().records.is_empty());
    let part = log.read_from(&topic, P1, Offset(290), 3).await.unwrap();
    assert_eq!(
        part.records.iter().map(|record| record.offset.0).collect::<Vec<_>>(),
        [290, 291, 292]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_partitions_are_read_back_at_once() {
    let (kafka, _) = kafka();
    let (topic, log) = (fresh("signals"), kafka.signal_log());
    kafka.ensure_signal_topic(&topic, 20, 1).await.unwrap();
    let appends = (0..20).map(|number| {
        let (log, topic) = (log.clone(), topic.clone());
        async move {
            log.append(&topic, Partition(number), Vec::new(), vec![number.to_le_bytes()[0]])
                .await
                .unwrap()
        }
    });
    futures::future::join_all(appends).await;
    let reads = (0..20).map(|number| {
        let (log, topic) = (log.clone(), topic.clone());
        async move { (number, log.read_tail(&topic, Partition(number), 1).await.unwrap()) }
    });
    for (number, slice) in futures::future::join_all(reads).await {
        assert_eq!(slice.records.len(), 1);
        assert_eq!(
            slice.records[0].value,
            vec![number.to_le_bytes()[0]],
            "no answer of another partition"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_partition_is_known_by_bounds_id_and_fingerprint() {
    let (kafka, _) = kafka();
    let (topic, upstream) = (fresh("orders"), kafka.upstream());
    kafka.ensure_signal_topic(&topic, 2, 1).await.unwrap();
    let producer = outside_producer(None);
    for number in 0..5 {
        write(&producer, &topic, 0, "k", &format!("v{number}"), 1_000 * (number + 1)).await;
    }
    let facts = upstream.facts(&topic, P0).await.unwrap();
    assert_eq!(
        (facts.log_start, facts.end, facts.partitions),
        (Offset(0), Offset(5), 2)
    );
    let id = facts.topic_id.expect("Kafka 4 has topic ids");
    assert_eq!(
        upstream.facts(&topic, P1).await.unwrap().topic_id.as_deref(),
        Some(id.as_str())
    );
    let expected = fingerprint(Some(b"k"), Some(b"v3"));
    assert_eq!(
        upstream.fingerprint(&topic, P0, Offset(3)).await.unwrap(),
        Some(expected)
    );
    assert_eq!(upstream.fingerprint(&topic, P0, Offset(5)).await.unwrap(), None);
    for (time_ms, offset) in [(0, 0), (1_000, 0), (1_001, 1), (5_000, 4), (5_001, 5)] {
        assert_eq!(
            upstream.offset_at(&topic, P0, time_ms).await.unwrap(),
            Offset(offset),
            "{time_ms}"
        );
    }
    assert_eq!(upstream.offset_at(&topic, P1, 0).await.unwrap(), Offset(0));
    let missing = upstream.facts(&fresh("missing"), P0).await.unwrap_err();
    assert_eq!(missing.class, Class::Retry, "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_committed_is_not_seen() {
    let (kafka, _) = kafka();
    let (topic, upstream) = (fresh("orders"), kafka.upstream());
    kafka.ensure_signal_topic(&topic, 1, 1).await.unwrap();
    let producer = outside_producer(Some(&fresh("transaction")));
    let (first, begun) = (producer.clone(), topic.clone());
    tokio::task::spawn_blocking(move || first.init_transactions(PATIENCE).unwrap())
        .await
        .unwrap();
    producer.begin_transaction().unwrap();
    write(&producer, &begun, 0, "k", "aborted", 1).await;
    let open = upstream.facts(&topic, P0).await.unwrap();
    assert_eq!(
        open.end,
        Offset(0),
        "the last stable offset is before an open transaction"
    );
    let aborting = producer.clone();
    tokio::task::spawn_blocking(move || aborting.abort_transaction(PATIENCE).unwrap())
        .await
        .unwrap();
    let end = super::wait_for("the end of the transaction", async || {
        let end = upstream.facts(&topic, P0).await.unwrap().end;
        (end > Offset(0)).then_some(end)
    })
    .await;
    assert_eq!(end, Offset(2), "the aborted record and the mark");
    assert_eq!(
        upstream.fingerprint(&topic, P0, Offset(0)).await.unwrap(),
        None,
        "aborted"
    );
    assert_eq!(
        upstream.fingerprint(&topic, P0, Offset(1)).await.unwrap(),
        None,
        "a mark is no record"
    );
    let log = kafka.signal_log();
    assert!(log.read_tail(&topic, P0, u64::MAX).await.unwrap().records.is_empty());
    let after = outside_producer(None);
    write(&after, &topic, 0, "k", "seen", 2).await;
    let slice = log.read_tail(&topic, P0, u64::MAX).await.unwrap();
    assert_eq!(
        (slice.low, slice.records.len()),
        (Offset(2), 1),
        "the log begins with its first record"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_tried_again_and_shown() {
    let config = KafkaConfig {
        bootstrap_servers: "127.0.0.1:1".to_owned(),
        allow_unsafe_topics: false,
        password: None,
        properties: BTreeMap::new(),
    };
    let readiness = Readiness::new();
    let kafka = Kafka::new(&config, "nobody", &readiness).unwrap();
    let failure = kafka.cluster_id().await.unwrap_err();
    assert_eq!(failure.class, Class::Retry, "{failure}");
    assert!(readiness.is_failing("kafka"));
}
