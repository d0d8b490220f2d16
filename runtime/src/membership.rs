//! Membership in a consumer group: who works on which partition. The member fetches nothing; records come by other clients, at offsets
//! that the signal log says (protocol.md section 10, "Client layout"). What it learns may be late or wrong without harm (rule 5).

use std::collections::HashMap;
use std::sync::mpsc as std_mpsc;
use std::time::{Duration, Instant};

use common::failure::{Class, Failure};
use common::ids::{Offset, Partition};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::metadata::MetadataTopic;
use rdkafka::types::{RDKafkaErrorCode as Code, RDKafkaRespErr};
use rdkafka::{Offset as At, TopicPartitionList};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::config::TopicSelection;
use crate::kafka::{Kafka, KafkaContext, failure};

/// One wait for events of the group. Bounds how late a commit or the wish to leave is noticed.
const POLL: Duration = Duration::from_millis(100);

/// How often committed offsets go to the brokers; lag tools look about once a minute.
const COMMIT_EVERY: Duration = Duration::from_secs(5);

/// How often new topics are looked for; a cluster that does not answer is noticed by it, and that it is back.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The same while there is none yet, which is when a person looks on.
const FIRST_LOOK_EVERY: Duration = Duration::from_secs(1);

/// Longest wait for the list of topics; commits and the heartbeat's poll wait meanwhile.
const LIST_WITHIN: Duration = Duration::from_secs(5);

/// Topic and partition number.
pub type TopicPartition = (String, i32);

/// What happened in the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// These partitions are ours now, besides those before.
    Assigned(Vec<TopicPartition>),
    /// These are no longer ours; work in flight may finish or die (rule 5).
    Revoked(Vec<TopicPartition>),
    /// The group does not work. Of class stop, the member has ended; else it goes on trying.
    Failing(Failure),
}

/// A membership. Dropping it leaves the group without waiting.
pub struct Membership {
    orders: std_mpsc::Sender<Order>,
    left: CancellationToken,
}

enum Order {
    Commit(String, i32, i64),
    Leave,
}

impl Membership {
    /// Joins the group named when `kafka` was made, for the topics of the selection; topics that appear later are noticed within about
    /// ten seconds. Changes arrive in order.
    ///
    /// # Errors
    /// Of class stop, when a property or a pattern is refused.
    pub fn join(kafka: &Kafka, topics: &TopicSelection) -> Result<(Membership, UnboundedReceiver<Change>), Failure> {
        // Unbounded, because librdkafka's callbacks must not wait; a rebalance adds two messages.
        let (changes, changed) = unbounded_channel();
        let context = Context {
            shared: kafka.context(),
            selection: topics.clone(),
            changes,
        };
        let consumer: BaseConsumer<Context> = kafka
            .member_config()?
            .create_with_context(context)
            .map_err(|error| failure("create the member of the group", &error))?;
        info!(%topics, "joining the group");
        let (orders, received) = std_mpsc::channel();
        let left = CancellationToken::new();
        let leaves = left.clone().drop_guard();
        std::thread::Builder::new()
            .name("membership".to_owned())
            .spawn(move || {
                Member {
                    consumer,
                    orders: received,
                    waiting: HashMap::new(),
                    subscribed: None,
                }
                .run();
                drop(leaves);
            })
            .map_err(|error| Failure::stop(format!("start the thread of the membership: {error}")))?;
        Ok((Membership { orders, left }, changed))
    }

    /// Everything before `next` is done, for lag tools (rule 11). Never waits; the last word per partition goes to the brokers within
    /// seconds, best effort.
    pub fn commit(&self, topic: &str, partition: Partition, next: Offset) {
        let _ = self.orders.send(Order::Commit(topic.to_owned(), partition.0, next.0));
    }

    /// Commits what waits and leaves the group. `false` if that took longer than `limit`: then the member's thread is left behind, and the
    /// group notices by its session timeout (librdkafka 4674: closing may hang).
    pub async fn leave(&self, limit: Duration) -> bool {
        let _ = self.orders.send(Order::Leave);
        let in_time = tokio::time::timeout(limit, self.left.cancelled()).await.is_ok();
        if !in_time {
            warn!("the group did not let go in time and will notice by its session timeout");
        }
        in_time
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let _ = self.orders.send(Order::Leave);
    }
}

/// Callbacks of the member, which librdkafka makes while it is polled.
struct Context {
    shared: KafkaContext,
    selection: TopicSelection,
    changes: UnboundedSender<Change>,
}

impl Context {
    fn tell(&self, change: Change) {
        // Nobody listens any more when the process ends.
        let _ = self.changes.send(change);
    }

    /// Partitions of topics that are meant; a pattern of the group may match a topic that is excluded.
    fn meant(&self, list: &TopicPartitionList) -> Vec<TopicPartition> {
        let elements = list.elements();
        let all = elements
            .iter()
            .map(|element| (element.topic().to_owned(), element.partition()));
        all.filter(|(topic, _)| self.selection.contains(topic)).collect()
    }

    fn assign(&self, consumer: &BaseConsumer<Context>, list: &mut TopicPartitionList) {
        // At the end and paused: nothing is fetched, and no committed offset is looked up.
        let done = list
            .set_all_offsets(At::End)
            .and_then(|()| consumer.incremental_assign(list))
            .and_then(|()| consumer.pause(list));
        if let Err(error) = done {
            warn!(%error, "could not take part in the assignment");
            self.tell(Change::Failing(failure("take the assigned partitions", &error)));
        }
        let partitions = self.meant(list);
        if !partitions.is_empty() {
            self.tell(Change::Assigned(partitions));
        }
    }

    fn revoke(&self, consumer: &BaseConsumer<Context>, list: &TopicPartitionList) {
        let partitions = self.meant(list);
        if !partitions.is_empty() {
            self.tell(Change::Revoked(partitions));
        }
        if let Err(error) = consumer.incremental_unassign(list) {
            warn!(%error, "could not give up partitions");
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.shared.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.shared.error(error, reason);
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, error: RDKafkaRespErr, list: &mut TopicPartitionList) {
        match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            _ => self.revoke(consumer, list),
        }
    }

    fn commit_callback(&self, result: Result<(), KafkaError>, _: &TopicPartitionList) {
        if let Err(error) = result {
            debug!(%error, "could not commit offsets for lag tools");
        }
    }
}

/// The thread of the member.
struct Member {
    consumer: BaseConsumer<Context>,
    orders: std_mpsc::Receiver<Order>,
    waiting: HashMap<TopicPartition, i64>,
    /// Topics that the group knows us to follow; nothing before the first look.
    subscribed: Option<Vec<String>>,
}

impl Member {
    fn run(mut self) {
        let mut committed = Instant::now();
        let mut looked: Option<Instant> = None;
        loop {
            let every = if self.subscribed.as_ref().is_some_and(|names| !names.is_empty()) {
                LOOK_EVERY
            } else {
                FIRST_LOOK_EVERY
            };
            if looked.is_none_or(|looked| looked.elapsed() > every) {
                self.follow();
                looked = Some(Instant::now());
            }
            match self.consumer.poll(POLL) {
                None => {}
                Some(Ok(message)) => {
                    // Fetched before the pause took effect; nobody reads it.
                    drop(message);
                }
                Some(Err(error)) if self.trouble(&error) => break,
                Some(Err(_)) => {}
            }
            if !self.take_orders() {
                break;
            }
            if committed.elapsed() > COMMIT_EVERY {
                self.commit(CommitMode::Async);
                committed = Instant::now();
            }
        }
        self.commit(CommitMode::Async);
        // Dropping the consumer leaves the group.
    }

    /// Subscribes by name to the topics that are meant and exist. Patterns are never given to librdkafka: its expressions are POSIX's,
    /// ours are Rust's, and a pattern must mean the same everywhere.
    fn follow(&mut self) {
        let metadata = match self.consumer.fetch_metadata(None, LIST_WITHIN) {
            Ok(metadata) => metadata,
            Err(error) => return self.tell(self.consumer.context().shared.judge("list topics", &error)),
        };
        self.consumer.context().shared.served();
        let selection = &self.consumer.context().selection;
        let exists = metadata
            .topics()
            .iter()
            .filter(|topic| !topic.partitions().is_empty())
            .map(MetadataTopic::name);
        let mut names: Vec<String> = exists
            .filter(|topic| selection.contains(topic))
            .map(str::to_owned)
            .collect();
        names.sort_unstable();
        if self.subscribed.as_ref() == Some(&names) {
            return;
        }
        info!(topics = names.len(), "following topics");
        for missing in selection
            .names()
            .filter(|name| !names.iter().any(|known| known == name))
        {
            warn!(
                topic = missing,
                "topic does not exist; it is followed as soon as it does"
            );
        }
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        let done = if all.is_empty() {
            self.consumer.unsubscribe();
            Ok(())
        } else {
            self.consumer.subscribe(&all)
        };
        match done {
            Ok(()) => self.subscribed = Some(names),
            Err(error) => self.tell(failure("subscribe to topics", &error)),
        }
    }

    /// Whether the member must end.
    fn trouble(&self, error: &KafkaError) -> bool {
        let fatal = matches!(error, KafkaError::MessageConsumptionFatal(_));
        match error.rdkafka_error_code() {
            // Seen for partitions that are paused at their end; nothing is fetched, so nothing is missed.
            Some(Code::PartitionEOF | Code::AutoOffsetReset | Code::OffsetOutOfRange) => return false,
            // Outages come here too; librdkafka reconnects by itself and /readyz knows.
            Some(Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve | Code::OperationTimedOut)
                if !fatal =>
            {
                debug!(%error, "the member of the group has trouble");
                return false;
            }
            // A topic that is named but not there yet.
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => {
                self.tell(
                    Failure::retry(format!("subscribe to topics: {error}"))
                        .hint("create the topic, or correct `topics`"),
                );
                return false;
            }
            _ => {}
        }
        let mut failure = self.consumer.context().shared.judge("work in the group", error);
        if fatal {
            failure.class = Class::Stop;
        }
        let ends = failure.class == Class::Stop;
        self.tell(failure);
        ends
    }

    fn tell(&self, failure: Failure) {
        self.consumer.context().tell(Change::Failing(failure));
    }

    /// `false` when it is time to leave.
    fn take_orders(&mut self) -> bool {
        loop {
            match self.orders.try_recv() {
                Ok(Order::Commit(topic, partition, next)) => drop(self.waiting.insert((topic, partition), next)),
                Ok(Order::Leave) | Err(std_mpsc::TryRecvError::Disconnected) => return false,
                Err(std_mpsc::TryRecvError::Empty) => return true,
            }
        }
    }

    /// Commits the offsets of partitions that are still ours; for the others that is another's affair now.
    fn commit(&mut self, mode: CommitMode) {
        if self.waiting.is_empty() {
            return;
        }
        let owned = self.consumer.assignment().unwrap_or_default();
        let mut list = TopicPartitionList::new();
        for ((topic, partition), next) in self.waiting.drain() {
            if owned.find_partition(&topic, partition).is_some() {
                let _ = list.add_partition_offset(&topic, partition, At::Offset(next));
            }
        }
        if list.count() > 0
            && let Err(error) = self.consumer.commit(&list, mode)
        {
            debug!(%error, "could not commit offsets for lag tools");
        }
    }
}
