//! The upstream topics: records with holes between them, control and aborted ones that nobody sees, open transactions that hold the last
//! stable offset back, retention, truncation, and a second life under a new id.

use std::collections::BTreeMap;

use async_trait::async_trait;
use common::claim::fingerprint;
use common::failure::Failure;
use common::ids::{Incarnation, Offset, Partition};
use runtime::port::{self, PartitionFacts, Result};
use s3_spolt::driver::topics::{Topic as Ready, Topics};

use super::answered;
use crate::group::Unit;
use crate::schedule::Point;
use crate::workload::{self, Change};
use crate::world::Port;

/// Whether a reader sees a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Visible,
    /// A control record, or one of an aborted transaction.
    Hidden,
    /// Its transaction is open: the last stable offset stays before it.
    Open,
}

/// A record.
#[derive(Debug, Clone)]
pub struct Record {
    /// Where it lies.
    pub offset: Offset,
    /// Its time, milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Whether it is seen.
    pub standing: Standing,
    /// What it does to the table.
    pub change: Change,
    /// Counts changes in the order in which they were made, whatever partition they went to; 0 for what is no change.
    pub serial: u64,
}

/// One partition. Records below `start` are gone for readers, but stay for the reference replay.
#[derive(Debug, Clone)]
pub struct Log {
    /// In the order of offsets.
    pub records: Vec<Record>,
    /// First offset that a reader can have.
    pub start: Offset,
    /// One past the last record, seen or not.
    pub next: Offset,
    /// Where the log was cut off, each time that it was: a client learns of it by the leader's epoch.
    pub truncated_at: Vec<Offset>,
}

impl Default for Log {
    fn default() -> Log {
        Log {
            records: Vec::new(),
            start: Offset(0),
            next: Offset(0),
            truncated_at: Vec::new(),
        }
    }
}

impl Log {
    /// The last `count` records are lost; their offsets are given out anew.
    pub fn truncate(&mut self, count: u64) {
        for _ in 0..count {
            if let Some(record) = self.records.pop() {
                self.next = record.offset;
            }
        }
        self.start = self.start.min(self.next);
        self.truncated_at.push(self.next);
    }

    /// Appends a record behind a hole of `hole` offsets, as compaction leaves them.
    pub fn append(&mut self, hole: i64, make: impl FnOnce(Offset) -> Record) {
        let offset = Offset(self.next.0 + hole);
        self.records.push(make(offset));
        self.next = offset.next();
    }

    /// Last stable offset: exclusive end of what a reader sees.
    #[must_use]
    pub fn stable(&self) -> Offset {
        let open = self.records.iter().find(|record| record.standing == Standing::Open);
        open.map_or(self.next, |record| record.offset)
    }

    /// The first visible record at or after an offset.
    #[must_use]
    pub fn seen_from(&self, from: Offset) -> Option<&Record> {
        let at = self.records.partition_point(|record| record.offset < from);
        self.records[at..]
            .iter()
            .take_while(|record| record.standing != Standing::Open)
            .find(|record| record.standing == Standing::Visible)
    }

    /// All visible records, those that retention took included.
    pub fn visible(&self) -> impl Iterator<Item = &Record> {
        self.records
            .iter()
            .filter(|record| record.standing == Standing::Visible)
    }
}

/// One topic.
#[derive(Debug, Clone)]
pub struct Topic {
    /// Id of its present life.
    pub id: String,
    /// Its partitions.
    pub partitions: Vec<Log>,
}

/// All topics by name.
#[derive(Debug, Default)]
pub struct Upstream {
    /// By name.
    pub topics: BTreeMap<&'static str, Topic>,
    /// What partitions held in lives that ended, in order; readers cannot have it.
    pub ended: BTreeMap<Unit, Vec<Log>>,
}

impl Upstream {
    /// A partition, if there is one.
    #[must_use]
    pub fn log(&self, topic: &str, partition: Partition) -> Option<&Log> {
        self.topics
            .get(topic)?
            .partitions
            .get(usize::try_from(partition.0).ok()?)
    }

    /// The partitions of a topic.
    #[must_use]
    pub fn partitions(&self, topic: &str) -> Vec<Partition> {
        let count = self.topics.get(topic).map_or(0, |topic| topic.partitions.len());
        (0..count).map(|p| Partition(i32::try_from(p).unwrap_or(0))).collect()
    }

    /// What a partition holds, or held, in this life of it.
    #[must_use]
    pub fn life(&self, unit: Unit, incarnation: Incarnation) -> Option<&Log> {
        let ended = self.ended.get(&unit).map_or(&[][..], Vec::as_slice);
        let index = usize::try_from(incarnation.0).ok()?;
        ended.get(index).or_else(|| self.log(unit.0, unit.1))
    }

    /// Keeps what a partition holds for the replay: its next life begins.
    pub fn end_life(&mut self, unit: Unit) {
        if let Some(log) = self.log(unit.0, unit.1).cloned() {
            self.ended.entry(unit).or_default().push(log);
        }
    }

    /// A partition to be changed.
    pub fn log_mut(&mut self, topic: &str, partition: Partition) -> Option<&mut Log> {
        let index = usize::try_from(partition.0).ok()?;
        self.topics.get_mut(topic)?.partitions.get_mut(index)
    }
}

fn no_such(topic: &str, partition: Partition) -> Failure {
    Failure::retry("there is no such partition")
        .topic(topic)
        .partition(partition)
}

#[async_trait]
impl port::Upstream for Port {
    async fn facts(&self, topic: &str, partition: Partition) -> Result<PartitionFacts> {
        let name = topic.to_owned();
        let ask = self.send(Point::Ask, move |state| {
            let topic = state.upstream.topics.get(name.as_str())?;
            let log = state.upstream.log(&name, partition)?;
            Some(PartitionFacts {
                log_start: log.start,
                end: log.stable(),
                topic_id: Some(topic.id.clone()),
                partitions: u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX),
            })
        });
        answered(ask.await, "ask for bounds")?.ok_or_else(|| no_such(topic, partition))
    }

    async fn offset_at(&self, topic: &str, partition: Partition, time_ms: i64) -> Result<Offset> {
        let name = topic.to_owned();
        let ask = self.send(Point::Ask, move |state| {
            let log = state.upstream.log(&name, partition)?;
            let found = log.visible().find(|record| record.timestamp_ms >= time_ms);
            Some(found.map_or(log.stable(), |record| record.offset))
        });
        answered(ask.await, "ask for an offset")?.ok_or_else(|| no_such(topic, partition))
    }

    async fn next_visible(&self, topic: &str, partition: Partition, from: Offset) -> Result<Option<Offset>> {
        let name = topic.to_owned();
        let ask = self.send(Point::Ask, move |state| {
            let log = state.upstream.log(&name, partition)?;
            Some(log.seen_from(from.max(log.start)).map(|record| record.offset))
        });
        answered(ask.await, "ask for the next record")?.ok_or_else(|| no_such(topic, partition))
    }

    async fn fingerprint(&self, topic: &str, partition: Partition, offset: Offset) -> Result<Option<u32>> {
        let name = topic.to_owned();
        let ask = self.send(Point::Ask, move |state| {
            let log = state.upstream.log(&name, partition)?;
            let found = log.seen_from(offset);
            let record = found.filter(|record| record.offset == offset && offset >= log.start);
            Some(record.map(|record| fingerprint(record.key.as_deref(), record.value.as_deref())))
        });
        answered(ask.await, "ask for a fingerprint")?.ok_or_else(|| no_such(topic, partition))
    }
}

#[async_trait]
impl Topics for Port {
    async fn prepare(&self, topic: &str) -> Result<Ready> {
        let name = topic.to_owned();
        let ask = self.send(Point::Ask, move |state| {
            let partitions = state.upstream.topics.get(name.as_str())?.partitions.len();
            state.signals.grow(&workload::signals_of(&name), partitions);
            Some(u32::try_from(partitions).unwrap_or(u32::MAX))
        });
        let partitions = answered(ask.await, "prepare a topic")?.ok_or_else(|| no_such(topic, Partition(0)))?;
        Ok(Ready {
            name: topic.into(),
            signal_topic: workload::signals_of(topic).into(),
            partitions,
            settings: self.settings(),
            bad_records_max: self.rules.bad_records_max,
        })
    }

    fn claimed(&self, _: &str, _: Partition, _: Offset) {}
}
