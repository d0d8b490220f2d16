//! What has to be known of a topic before its partitions can be owned.

use std::sync::Arc;

use async_trait::async_trait;
use common::failure::Failure;
use common::ids::{Offset, Partition};
use common::row::Settings;

/// A topic that is ready to be read.
#[derive(Debug, Clone)]
pub struct Topic {
    /// Its name.
    pub name: Arc<str>,
    /// Its signal topic.
    pub signal_topic: Arc<str>,
    /// Partitions for which the signal topic has room.
    pub partitions: u32,
    /// How its records become rows.
    pub settings: Arc<Settings>,
    /// How many records of a partition may be set aside within an hour.
    pub bad_records_max: u32,
}

/// Prepares topics and tells lag tools about progress.
#[async_trait]
pub trait Topics: Send + Sync + 'static {
    /// Checks the topic against assumption E1 and makes sure that its signal topic exists with enough partitions (rule 4).
    async fn prepare(&self, topic: &str) -> Result<Topic, Failure>;
    /// Everything before `next` is claimed (rule 11). Best effort.
    fn claimed(&self, topic: &str, partition: Partition, next: Offset);
}
