//! The small traits through which the drivers reach the world: Kafka, S3, the warehouse, time and randomness. The daemons use the
//! real ones of this crate; the simulator puts fakes in their place.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;

use common::avro::SchemaText;
use common::failure::Failure;
use common::ids::{Offset, Partition, SchemaKey};

/// A result whose error is classified: retry, or stop with the reason.
pub type Result<T> = std::result::Result<T, Failure>;

/// Whether a conditional PUT created the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// The object is new.
    Created,
    /// An object of this key was there (412); keys embed a digest, so its content is equal (protocol rule 8).
    Existed,
}

/// An object to be put.
#[derive(Debug, Clone)]
pub struct PutObject {
    /// Full key in the bucket.
    pub key: String,
    /// Content.
    pub body: Bytes,
    /// SHA-256 of the content, computed once by the writer; goes along as checksum so that S3 verifies what it received.
    pub sha256: [u8; 32],
    /// Content-Type header.
    pub content_type: &'static str,
    /// User metadata, at most 2 KB together, ASCII.
    pub metadata: Vec<(String, String)>,
}

/// What is known of an object without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Size in bytes.
    pub bytes: u64,
    /// When it was written, milliseconds since 1970, by the store's clock.
    pub modified_ms: i64,
    /// User metadata.
    pub metadata: BTreeMap<String, String>,
}

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Full key in the bucket.
    pub key: String,
    /// Size in bytes.
    pub bytes: u64,
    /// When it was written, milliseconds since 1970, by the store's clock.
    pub modified_ms: i64,
}

/// One page of a listing, at most 1,000 objects in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// The objects.
    pub objects: Vec<Listed>,
    /// Whether there are more behind the last of them.
    pub more: bool,
}

/// An object that was not deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undeleted {
    /// Its key.
    pub key: String,
    /// What the store said.
    pub reason: String,
}

/// The most keys that one request deletes.
pub const DELETE_KEYS_MAX: usize = 1_000;

/// The bucket.
#[async_trait]
pub trait ObjectStore: Send + Sync + 'static {
    /// PUT with `If-None-Match: *` and a SHA-256 checksum. 409, 5xx and timeouts are the same PUT again, with backoff, until the
    /// configured limit (protocol rule 8).
    async fn put_if_absent(&self, object: PutObject) -> Result<Put>;
    /// The whole object, or `None` if there is none.
    async fn get(&self, bucket: &str, key: &str) -> Result<Option<Bytes>>;
    /// What is known of an object of our own bucket, or `None` if there is none.
    async fn head(&self, key: &str) -> Result<Option<Head>>;
    /// The next page of the objects of our own bucket whose key begins with `prefix`, those after the key `after` alone.
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Listing>;
    /// Deletes objects of our own bucket, at most [`DELETE_KEYS_MAX`]; one that is not there counts as deleted. Answers with those that
    /// the store would not delete.
    async fn delete(&self, keys: &[String]) -> Result<Vec<Undeleted>>;
    /// Name of the bucket that objects are put into.
    fn bucket(&self) -> &str;
    /// Region of that bucket.
    fn region(&self) -> &str;
}

/// A record of the signal log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalRecord {
    /// Where it lies in the signal partition.
    pub offset: Offset,
    /// Its bytes.
    pub value: Vec<u8>,
}

/// Part of a signal partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalSlice {
    /// First offset that still exists.
    pub low: Offset,
    /// One past the last record when the slice was read.
    pub end: Offset,
    /// The records, in order.
    pub records: Vec<SignalRecord>,
}

/// The signal log as s3-spolt sees it: read it, append to it. The progress topic is read in the same way.
#[async_trait]
pub trait SignalLog: Send + Sync + 'static {
    /// Reads the last `count` records of the partition (fewer if it has fewer); `u64::MAX` reads all.
    async fn read_tail(&self, topic: &str, partition: Partition, count: u64) -> Result<SignalSlice>;
    /// Reads from `from` (or the first record that exists) on, at most `count` records; less than that means that the end was met.
    async fn read_from(&self, topic: &str, partition: Partition, from: Offset, count: u64) -> Result<SignalSlice>;
    /// Appends one record and waits until it is acknowledged by all in-sync replicas. An error leaves the outcome unknown
    /// (protocol rule 10).
    async fn append(&self, topic: &str, partition: Partition, key: Vec<u8>, value: Vec<u8>) -> Result<Offset>;
}

/// What a broker says about a partition of an upstream topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionFacts {
    /// First offset that exists.
    pub log_start: Offset,
    /// Last stable offset: the exclusive end of what a read_committed reader sees.
    pub end: Offset,
    /// Id of the topic's present life, if the brokers have ids.
    pub topic_id: Option<String>,
    /// How many partitions the topic has now.
    pub partitions: u32,
}

/// Questions about upstream topics.
#[async_trait]
pub trait Upstream: Send + Sync + 'static {
    /// Bounds and topic id of a partition.
    async fn facts(&self, topic: &str, partition: Partition) -> Result<PartitionFacts>;
    /// The topic's id, by an answer to a question that was asked after this call; `None` if the brokers have no ids.
    async fn topic_id(&self, topic: &str, partition: Partition) -> Result<Option<String>> {
        self.facts(topic, partition).await.map(|facts| facts.topic_id)
    }
    /// First offset whose record time is at least `time_ms`; the end if there is none.
    async fn offset_at(&self, topic: &str, partition: Partition, time_ms: i64) -> Result<Offset>;
    /// First visible record at `from` or behind it; `None` if there is none now.
    async fn next_visible(&self, topic: &str, partition: Partition, from: Offset) -> Result<Option<Offset>>;
    /// Fingerprint of the record at `offset` (see `common::claim::fingerprint`), or `None` if that offset holds no visible record any more.
    async fn fingerprint(&self, topic: &str, partition: Partition, offset: Offset) -> Result<Option<u32>>;
}

/// Schemas by what names them in a registry.
#[async_trait]
pub trait Registry: Send + Sync + 'static {
    /// The schema's text. An unknown one is a failure of class retry: it may be registered yet (failure table 23).
    async fn schema(&self, key: SchemaKey) -> Result<SchemaText>;
}

/// The answer to one statement over the simple-query protocol.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// Rows as text; `None` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
    /// Rows touched, by the command tag; 0 where the tag has no number.
    pub affected: u64,
}

/// One session with the warehouse. Dropping it closes the connection, and with it rolls back what is open.
#[async_trait]
pub trait Session: Send + 'static {
    /// Runs one statement over the simple-query protocol.
    async fn run(&mut self, sql: &str) -> std::result::Result<Answer, SqlFailure>;
}

/// Opens sessions.
#[async_trait]
pub trait Warehouse: Send + Sync + 'static {
    /// A new session, ready for statements.
    async fn connect(&self) -> std::result::Result<Box<dyn Session>, SqlFailure>;
}

/// What the warehouse answered, or that it did not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}{}", code.as_deref().map(|code| format!("{code}: ")).unwrap_or_default(), detail.as_deref().map(|detail| format!(" ({detail})")).unwrap_or_default())]
pub struct SqlFailure {
    /// SQLSTATE; `None` when the connection was lost and the outcome is unknown.
    pub code: Option<String>,
    /// Primary message.
    pub message: String,
    /// Detail, if any.
    pub detail: Option<String>,
}

/// Time and randomness.
#[async_trait]
pub trait World: Send + Sync + 'static {
    /// Milliseconds since 1970, for what is reported; never for correctness (assumption E5), nor for how long something takes: somebody
    /// may set the clock meanwhile.
    fn now_ms(&self) -> i64;
    /// Milliseconds since some moment that stays the same while the process runs, for ages, deadlines and pauses. It never jumps, whoever
    /// sets the clock: with [`World::now_ms`] a clock put back by a day would hold everything that waits for its age back by a day.
    fn steady_ms(&self) -> i64 {
        self.now_ms()
    }
    /// Waits.
    async fn sleep_ms(&self, millis: u64);
    /// A random UUID.
    fn uuid(&self) -> String;
    /// A random number in `0..bound`, for jitter.
    fn random_below(&self, bound: u64) -> u64;
}
