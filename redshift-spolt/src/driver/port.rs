//! The traits through which a table task reaches Kafka.

use async_trait::async_trait;
use common::horizon::Survey;
use common::ids::{Offset, Partition};
use runtime::port::Result;
use tokio::sync::mpsc::UnboundedSender;

/// What a reader delivers of one signal partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Reading begins; the log starts at this offset.
    Begun {
        /// First offset that exists.
        low: Offset,
    },
    /// A signal.
    Signal {
        /// Where it lies.
        offset: Offset,
        /// Its bytes.
        value: Vec<u8>,
    },
}

/// A delivery with the partition, and the serial number of the request that it answers: what a table asked for earlier may still be on
/// its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// Signal partition.
    pub partition: Partition,
    /// Serial number that was given with the request.
    pub serial: u64,
    /// What came.
    pub what: Delivery,
}

/// A wish to read a signal partition.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Signal topic.
    pub topic: String,
    /// Signal partition.
    pub partition: Partition,
    /// First signal wanted; `None`, or an offset that the log no longer or not yet has: the beginning of the log (rule 15).
    pub from: Option<Offset>,
    /// Comes back with every delivery.
    pub serial: u64,
    /// Where deliveries go. It is unbounded, but a table pauses its partitions before much can pile up.
    pub sink: UnboundedSender<Delivered>,
}

/// The signal log as redshift-spolt reads it. Requests are carried out in order and without waiting; a reader tries for ever.
#[async_trait]
pub trait Signals: Send + Sync + 'static {
    /// How many partitions a signal topic has; 0 if there is no such topic.
    async fn partitions(&self, topic: &str) -> Result<i32>;
    /// Reads a whole partition as it is now for its origin and its horizon (rule 24).
    async fn survey(&self, topic: &str, partition: Partition) -> Result<Survey>;
    /// Reads a partition; an earlier wish for it is forgotten.
    fn read(&self, wish: Wish);
    /// Stops reading a partition.
    fn stop(&self, topic: &str, partition: Partition);
    /// Holds all partitions of a topic back, also those that are read later, until [`Signals::resume`].
    fn pause(&self, topic: &str);
    /// Goes on with them.
    fn resume(&self, topic: &str);
}

/// The compacted progress topic (rule 21); advisory.
#[async_trait]
pub trait Progress: Send + Sync + 'static {
    /// Publishes one message and waits for the acknowledgement.
    async fn publish(&self, key: String, value: Vec<u8>) -> Result<()>;
}
