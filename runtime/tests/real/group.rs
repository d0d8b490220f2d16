//! Members of one group share partitions and come and go.

use std::collections::BTreeSet;
use std::time::Duration;

use common::ids::{Offset, Partition};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset as At, TopicPartitionList};
use runtime::config::{TopicPattern, TopicSelection};
use runtime::kafka::Kafka;
use runtime::membership::{Change, Membership, TopicPartition};
use runtime::readiness::Readiness;
use tokio::sync::mpsc::UnboundedReceiver;

use super::{PATIENCE, address, fresh, kafka_config, wait_for};

struct Member {
    membership: Membership,
    changes: UnboundedReceiver<Change>,
    owned: BTreeSet<TopicPartition>,
}

impl Member {
    fn join(group: &str, include: &str, exclude: &str) -> Member {
        let kafka = Kafka::new(&kafka_config(), group, &Readiness::new()).unwrap();
        let selection = TopicSelection {
            include: vec![TopicPattern::parse(include).unwrap()],
            exclude: vec![TopicPattern::parse(exclude).unwrap()],
        };
        let (membership, changes) = Membership::join(&kafka, &selection).unwrap();
        Member {
            membership,
            changes,
            owned: BTreeSet::new(),
        }
    }

    /// Takes what was told until now.
    fn listen(&mut self) -> usize {
        while let Ok(change) = self.changes.try_recv() {
            match change {
                Change::Assigned(partitions) => self.owned.extend(partitions),
                Change::Revoked(partitions) => {
                    for partition in partitions {
                        assert!(self.owned.remove(&partition), "{partition:?} was not ours");
                    }
                }
                Change::Failing(failure) => panic!("{failure}"),
            }
        }
        self.owned.len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_share_what_a_pattern_matches_and_commit_for_lag_tools() {
    let (kafka, _) = super::kafka();
    let (name, group) = (fresh("shared"), fresh("group"));
    let (orders, audit) = (format!("{name}.orders"), format!("{name}.audit"));
    kafka.ensure_signal_topic(&orders, 4, 1).await.unwrap();
    kafka.ensure_signal_topic(&audit, 2, 1).await.unwrap();
    let join = || Member::join(&group, &format!("^{name}.*"), &audit);

    let mut first = join();
    wait_for("the first member to own all", async || {
        (first.listen() == 4).then_some(())
    })
    .await;
    assert!(
        first.owned.iter().all(|(topic, _)| *topic == orders),
        "{:?}",
        first.owned
    );

    let mut second = join();
    wait_for("both to own half", async || {
        (first.listen() == 2 && second.listen() == 2).then_some(())
    })
    .await;
    assert!(first.owned.is_disjoint(&second.owned));

    // A topic that appears later is noticed.
    let late = format!("{name}.late");
    kafka.ensure_signal_topic(&late, 2, 1).await.unwrap();
    let count = |member: &Member| member.owned.iter().filter(|(topic, _)| *topic == late).count();
    wait_for("the late topic", async || {
        first.listen();
        second.listen();
        (count(&first) + count(&second) == 2).then_some(())
    })
    .await;

    let (topic, partition) = first.owned.first().cloned().unwrap();
    first.membership.commit(&topic, Partition(partition), Offset(42));
    assert!(first.membership.leave(PATIENCE).await);
    wait_for("the second to own all", async || (second.listen() == 6).then_some(())).await;
    let committed = wait_for("the committed offset", async || {
        let (group, topic) = (group.clone(), topic.clone());
        tokio::task::spawn_blocking(move || committed(&group, &topic, partition))
            .await
            .unwrap()
    })
    .await;
    assert_eq!(committed, 42);
    assert!(second.membership.leave(PATIENCE).await);
}

fn committed(group: &str, topic: &str, partition: i32) -> Option<i64> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", address("SPOLT_KAFKA_BOOTSTRAP"))
        .set("group.id", group);
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, partition);
    let answer = consumer.committed_offsets(list, Duration::from_secs(10)).ok()?;
    match answer.find_partition(topic, partition)?.offset() {
        At::Offset(offset) => Some(offset),
        _ => None,
    }
}
