//! Kafka, S3 and a registry in memory, with the faults that the tests ask for.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use common::avro::SchemaText;
use common::claim::{Claim, fingerprint};
use common::failure::Failure;
use common::ids::{Offset, Partition, SchemaKey};
use common::row::{Record, Settings};
use runtime::port::{
    Head, Listed, Listing, ObjectStore, PartitionFacts, Put, PutObject, Registry, Result, SignalLog, SignalRecord,
    SignalSlice, Undeleted, Upstream, World,
};
use s3_spolt::driver::chunk::Heads;
use s3_spolt::driver::fetch::{Fetched, Fetcher};
use s3_spolt::driver::topics::{Topic, Topics};

pub const TOPIC: &str = "t";
pub const SCHEMA: &str = r#"{"type":"record","name":"r","fields":[{"name":"id","type":"long"}]}"#;

/// A wait that no test lives to see the end of, in milliseconds; those before something is tried again are shorter.
const LONG_MS: u64 = 60_000;

/// Objects of one page of a listing: few, so that tests turn pages.
const PAGE: usize = 3;

/// A record: offset, key, value.
pub type Stored = (i64, Option<Vec<u8>>, Option<Vec<u8>>);

/// A message for a partition.
pub type Message = (i32, Vec<u8>);

/// An object's content and metadata.
pub type Object = (Bytes, Vec<(String, String)>);

/// Everything outside the driver. Clones are the same world.
#[derive(Clone, Default)]
pub struct Outside {
    pub upstream: Arc<Mutex<BTreeMap<i32, Vec<Stored>>>>,
    pub signals: Arc<Mutex<BTreeMap<i32, Vec<Vec<u8>>>>>,
    pub objects: Arc<Mutex<BTreeMap<String, Object>>>,
    /// So many appends are appended although the answer is an error.
    pub acks_to_lose: Arc<AtomicUsize>,
    /// S3 does not answer while this is set.
    pub s3_stalls: Arc<AtomicBool>,
    /// How often the topic was created anew.
    pub lives: Arc<AtomicUsize>,
    /// The registry knows the schema only when this is set.
    pub schema_known: Arc<AtomicBool>,
    pub clock: Arc<AtomicI64>,
    /// The fetch client delivers nothing, without a word, until it is made anew.
    pub stalled: Arc<AtomicBool>,
    /// How often it was made anew.
    pub renewed: Arc<AtomicUsize>,
    /// How often somebody asked whether there is anything to fetch.
    pub asked: Arc<AtomicUsize>,
    /// So many requests to delete are carried out before one is not answered and the others are refused; `None`: all are.
    pub deletes_left: Arc<Mutex<Option<usize>>>,
    /// Messages that others append to a partition just before the next horizon is put.
    pub before_horizon: Arc<Mutex<Vec<Message>>>,
}

impl Outside {
    pub fn new() -> Outside {
        let outside = Outside::default();
        outside.schema_known.store(true, Ordering::SeqCst);
        outside
    }

    /// Appends a record of the schema with this id value; offsets may leave holes.
    pub fn produce(&self, partition: i32, offset: i64, id: i64) {
        self.produce_raw(partition, offset, Some(framed(id)));
    }

    pub fn produce_raw(&self, partition: i32, offset: i64, value: Option<Vec<u8>>) {
        self.upstream
            .lock()
            .unwrap()
            .entry(partition)
            .or_default()
            .push((offset, None, value));
    }

    pub fn claims(&self, partition: i32) -> Vec<Claim> {
        let signals = self.signals.lock().unwrap();
        signals
            .get(&partition)
            .into_iter()
            .flatten()
            .map(|bytes| Claim::decode(bytes).unwrap())
            .collect()
    }

    /// The records set aside by a claim, line by line, read by another CSV reader.
    pub fn set_aside_by(&self, claim: &Claim) -> Vec<Vec<String>> {
        let Some(object) = claim.aside_object() else {
            return Vec::new();
        };
        let (body, metadata) = self.objects.lock().unwrap()[&object.key].clone();
        assert!(metadata.is_empty(), "only a claim's own object carries it");
        assert_eq!(body.len() as u64, object.bytes);
        let text = zstd::stream::decode_all(&*body).unwrap();
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&*text);
        let lines = reader
            .records()
            .map(|line| line.unwrap().iter().map(str::to_owned).collect());
        let lines: Vec<Vec<String>> = lines.collect();
        assert_eq!(lines.len() as u64, claim.aside.as_ref().unwrap().lines);
        lines
    }

    /// Offsets of the rows in a claim's object, read by another CSV reader.
    pub fn offsets_in(&self, claim: &Claim) -> Vec<Offset> {
        let object = claim.object.as_ref().unwrap();
        let (body, metadata) = self.objects.lock().unwrap()[&object.key].clone();
        assert_eq!(body.len() as u64, object.bytes);
        let carried = Claim::decode(metadata[0].1.as_bytes()).unwrap();
        assert_eq!(
            (carried.start, carried.next, carried.rows),
            (claim.start, claim.next, claim.rows)
        );
        let text = zstd::stream::decode_all(&*body).unwrap();
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&*text);
        reader
            .records()
            .map(|row| Offset(row.unwrap()[3].parse().unwrap()))
            .collect()
    }
}

/// The Confluent frame of schema 7 around `{id}`.
pub fn framed(id: i64) -> Vec<u8> {
    let mut value = vec![0, 0, 0, 0, 7];
    let mut zigzag = ((id << 1) ^ (id >> 63)) as u64;
    while zigzag >= 0x80 {
        value.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    value.push(zigzag as u8);
    value
}

#[async_trait]
impl ObjectStore for Outside {
    async fn put_if_absent(&self, object: PutObject) -> Result<Put> {
        while self.s3_stalls.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if object.key.ends_with("-horizon.claim") {
            for (partition, value) in self.before_horizon.lock().unwrap().drain(..) {
                self.signals.lock().unwrap().entry(partition).or_default().push(value);
            }
        }
        let mut objects = self.objects.lock().unwrap();
        if objects.contains_key(&object.key) {
            return Ok(Put::Existed);
        }
        objects.insert(object.key, (object.body, object.metadata));
        Ok(Put::Created)
    }

    async fn get(&self, _: &str, key: &str) -> Result<Option<Bytes>> {
        Ok(self.objects.lock().unwrap().get(key).map(|(body, _)| body.clone()))
    }

    async fn head(&self, key: &str) -> Result<Option<Head>> {
        let objects = self.objects.lock().unwrap();
        Ok(objects.get(key).map(|(body, metadata)| Head {
            bytes: body.len() as u64,
            modified_ms: 0,
            metadata: metadata.iter().cloned().collect(),
        }))
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Listing> {
        let objects = self.objects.lock().unwrap();
        let behind = objects.range(after.unwrap_or_default().to_owned()..);
        let wanted = behind.filter(|(key, _)| key.starts_with(prefix) && Some(key.as_str()) != after);
        let mut objects: Vec<Listed> = wanted
            .take(PAGE + 1)
            .map(|(key, (body, _))| Listed {
                key: key.clone(),
                bytes: body.len() as u64,
                modified_ms: 0,
            })
            .collect();
        let more = objects.len() > PAGE;
        objects.truncate(PAGE);
        Ok(Listing { objects, more })
    }

    async fn delete(&self, keys: &[String]) -> Result<Vec<Undeleted>> {
        if let Some(left) = &mut *self.deletes_left.lock().unwrap() {
            *left = left.checked_sub(1).ok_or_else(|| Failure::retry("the process died"))?;
        }
        let mut objects = self.objects.lock().unwrap();
        for key in keys {
            objects.remove(key);
        }
        Ok(Vec::new())
    }

    fn bucket(&self) -> &str {
        "bucket"
    }

    fn region(&self) -> &str {
        "region"
    }
}

#[async_trait]
impl SignalLog for Outside {
    async fn read_tail(&self, _: &str, partition: Partition, count: u64) -> Result<SignalSlice> {
        let signals = self.signals.lock().unwrap();
        let log = signals.get(&partition.0).cloned().unwrap_or_default();
        let from = log.len().saturating_sub(usize::try_from(count).unwrap_or(usize::MAX));
        let record = |(offset, value): (usize, &Vec<u8>)| SignalRecord {
            offset: Offset(offset as i64),
            value: value.clone(),
        };
        let records = log.iter().enumerate().skip(from).map(record).collect();
        Ok(SignalSlice {
            low: Offset(0),
            end: Offset(log.len() as i64),
            records,
        })
    }

    async fn read_from(&self, topic: &str, partition: Partition, from: Offset, count: u64) -> Result<SignalSlice> {
        let mut slice = self.read_tail(topic, partition, u64::MAX).await?;
        slice.records.retain(|record| record.offset >= from);
        slice.records.truncate(usize::try_from(count).unwrap_or(usize::MAX));
        Ok(slice)
    }

    async fn append(&self, _: &str, partition: Partition, _: Vec<u8>, value: Vec<u8>) -> Result<Offset> {
        let mut signals = self.signals.lock().unwrap();
        let log = signals.entry(partition.0).or_default();
        log.push(value);
        let lost = self
            .acks_to_lose
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match lost {
            Ok(_) => Err(Failure::retry("timed out")),
            Err(_) => Ok(Offset(log.len() as i64 - 1)),
        }
    }
}

#[async_trait]
impl Upstream for Outside {
    async fn facts(&self, _: &str, partition: Partition) -> Result<PartitionFacts> {
        let upstream = self.upstream.lock().unwrap();
        let end = upstream
            .get(&partition.0)
            .and_then(|log| log.last())
            .map_or(0, |(offset, ..)| offset + 1);
        Ok(PartitionFacts {
            log_start: Offset(0),
            end: Offset(end),
            topic_id: Some(format!("life {}", self.lives.load(Ordering::SeqCst))),
            partitions: 2,
        })
    }

    async fn offset_at(&self, _: &str, _: Partition, _: i64) -> Result<Offset> {
        Ok(Offset(0))
    }

    async fn next_visible(&self, _: &str, partition: Partition, from: Offset) -> Result<Option<Offset>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let upstream = self.upstream.lock().unwrap();
        let mut log = upstream.get(&partition.0).into_iter().flatten();
        Ok(log
            .find(|(offset, ..)| *offset >= from.0)
            .map(|(offset, ..)| Offset(*offset)))
    }

    async fn fingerprint(&self, _: &str, partition: Partition, offset: Offset) -> Result<Option<u32>> {
        let upstream = self.upstream.lock().unwrap();
        let record = upstream[&partition.0].iter().find(|(at, ..)| *at == offset.0);
        Ok(record.map(|(_, key, value)| fingerprint(key.as_deref(), value.as_deref())))
    }
}

#[async_trait]
impl Registry for Outside {
    async fn schema(&self, key: SchemaKey) -> Result<SchemaText> {
        assert_eq!(key, SchemaKey::Confluent(7));
        if self.schema_known.load(Ordering::SeqCst) {
            Ok(SchemaText::avro(SCHEMA))
        } else {
            Err(Failure::retry("schema id `7` is unknown to the registry"))
        }
    }
}

#[async_trait]
impl World for Outside {
    fn now_ms(&self) -> i64 {
        self.clock.load(Ordering::SeqCst)
    }

    async fn sleep_ms(&self, millis: u64) {
        // What is looked at every few minutes would otherwise be looked at all the time, and hide what has to be noticed at once.
        if millis >= LONG_MS {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }

    fn uuid(&self) -> String {
        "uuid".into()
    }

    fn random_below(&self, _: u64) -> u64 {
        0
    }
}

/// Prepares the one topic of the tests.
pub struct OneTopic {
    pub settings: Arc<Settings>,
    pub bad_records_max: u32,
}

#[async_trait]
impl Topics for OneTopic {
    async fn prepare(&self, topic: &str) -> Result<Topic> {
        Ok(Topic {
            name: topic.into(),
            signal_topic: "s".into(),
            partitions: 2,
            settings: self.settings.clone(),
            bad_records_max: self.bad_records_max,
        })
    }

    fn claimed(&self, _: &str, _: Partition, _: Offset) {}
}

/// Fetches from the records in memory.
pub struct MemoryFetcher {
    pub outside: Outside,
    pub at: HashMap<i32, (Offset, bool)>,
}

impl Fetcher for MemoryFetcher {
    fn start(&mut self, _: &str, partition: Partition, from: Offset) -> Result<()> {
        self.at.insert(partition.0, (from, false));
        Ok(())
    }

    fn stop(&mut self, _: &str, partition: Partition) {
        self.at.remove(&partition.0);
    }

    fn pause(&mut self, _: &str, partition: Partition, paused: bool) {
        if let Some((_, is_paused)) = self.at.get_mut(&partition.0) {
            *is_paused = paused;
        }
    }

    fn renew(&mut self) -> Result<()> {
        self.at.clear();
        self.outside.stalled.store(false, Ordering::SeqCst);
        self.outside.renewed.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn poll(&mut self, wait: Duration, sink: &mut dyn FnMut(Fetched<'_>)) -> bool {
        let stalled = self.outside.stalled.load(Ordering::SeqCst);
        for (partition, (at, paused)) in self.at.iter_mut().filter(|_| !stalled) {
            let next = self.outside.upstream.lock().unwrap().get(partition).and_then(|log| {
                let index = log.partition_point(|(offset, ..)| *offset < at.0);
                log.get(index).cloned()
            });
            if let Some((offset, key, value)) = next.filter(|_| !*paused) {
                *at = Offset(offset + 1);
                let record = Record {
                    offset: Offset(offset),
                    timestamp_ms: offset,
                    headers: None,
                    key: key.as_deref(),
                    value: value.as_deref(),
                };
                sink(Fetched::Record {
                    topic: TOPIC,
                    partition: Partition(*partition),
                    record,
                    heads: Heads::default(),
                });
                return true;
            }
        }
        std::thread::sleep(wait.min(Duration::from_millis(1)));
        false
    }
}
