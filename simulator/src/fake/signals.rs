//! The signal log: appended to by s3-spolt, read by both. An acknowledgement may be late or lost, and a record may land long after its
//! writer died.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use common::claim::Claim;
use common::failure::Failure;
use common::horizon::Survey;
use common::ids::{Offset, Partition};
use common::progress::Statement;
use redshift_spolt::driver::port::{self as loader, Delivered, Delivery, Progress, Wish};
use runtime::port::{Result, SignalLog, SignalRecord, SignalSlice};

use super::answered;
use crate::schedule::Point;
use crate::world::{Port, State};

/// One signal partition.
#[derive(Debug, Default)]
pub struct SignalPartition {
    /// Records with their offsets.
    pub records: Vec<SignalRecord>,
    /// First offset that still exists.
    pub low: i64,
    /// One past the last record.
    pub end: i64,
}

struct Reading {
    by: String,
    wish: Wish,
    begins_at: u64,
    /// First offset that was not delivered; `None` before it began.
    next: Option<i64>,
}

/// All signal topics.
#[derive(Default)]
pub struct Signals {
    /// Partitions by topic.
    pub topics: BTreeMap<String, Vec<SignalPartition>>,
    readings: Vec<Reading>,
    held: BTreeSet<(String, String)>,
}

/// The progress topic.
pub const PROGRESS: &str = "spolt.progress";

impl Signals {
    /// Makes a topic with at least so many partitions.
    pub fn grow(&mut self, topic: &str, partitions: usize) {
        let known = self.topics.entry(topic.to_owned()).or_default();
        while known.len() < partitions {
            known.push(SignalPartition::default());
        }
    }

    /// A partition, if there is one.
    #[must_use]
    pub fn partition(&self, topic: &str, partition: Partition) -> Option<&SignalPartition> {
        self.topics.get(topic)?.get(usize::try_from(partition.0).ok()?)
    }

    fn partition_mut(&mut self, topic: &str, partition: Partition) -> Option<&mut SignalPartition> {
        self.topics.get_mut(topic)?.get_mut(usize::try_from(partition.0).ok()?)
    }

    /// The last `count` records are lost; their offsets are given out anew.
    pub fn lose(&mut self, topic: &str, partition: Partition, count: usize) {
        let Some(log) = self.partition_mut(topic, partition) else {
            return;
        };
        log.records.truncate(log.records.len().saturating_sub(count));
        log.end = log.records.last().map_or(log.low, |record| record.offset.0 + 1);
        let end = log.end;
        // A reader that was further begins anew, as its client reports it.
        for reading in &mut self.readings {
            let same = reading.wish.topic == topic && reading.wish.partition == partition;
            if same && reading.next.is_some_and(|next| next > end) {
                reading.next = None;
                reading.wish.from = None;
            }
        }
    }

    /// Records below `low` expire.
    pub fn expire(&mut self, topic: &str, partition: Partition, low: i64) {
        if let Some(log) = self.partition_mut(topic, partition) {
            log.low = log.low.max(low.min(log.end));
            let low = log.low;
            log.records.retain(|record| record.offset.0 >= low);
        }
    }

    /// Compacts the progress topic but for its last `kept` messages: of each key the last message stays.
    pub fn compact_progress(&mut self, kept: usize) {
        let Some(log) = self.partition_mut(PROGRESS, Partition(0)) else {
            return;
        };
        let closed = log.records.len().saturating_sub(kept);
        let key = |record: &SignalRecord| Statement::decode(&record.value).ok()?.map(|said| said.key());
        let mut seen = BTreeSet::new();
        let mut index = log.records.len();
        let mut keep = vec![true; index];
        for record in log.records.iter().rev() {
            index -= 1;
            keep[index] = index >= closed || key(record).is_none_or(|key| seen.insert(key));
        }
        let mut keep = keep.into_iter();
        log.records.retain(|_| keep.next().unwrap_or(true));
    }

    /// The claims of a partition, in order; those that expired are missing.
    #[must_use]
    pub fn claims(&self, topic: &str, partition: Partition) -> Vec<Claim> {
        let records = self.partition(topic, partition).map_or(&[][..], |log| &log.records[..]);
        let claim = |record: &SignalRecord| Claim::decode(&record.value).ok();
        records.iter().filter_map(claim).collect()
    }

    fn forget(&mut self, by: &str, topic: &str, partition: Partition) {
        self.readings.retain(|reading| {
            !(reading.by == by && reading.wish.topic == topic && reading.wish.partition == partition)
        });
    }

    fn deliver(&mut self, now: u64) {
        let Signals {
            topics, readings, held, ..
        } = self;
        readings.retain_mut(|reading| {
            if reading.wish.sink.is_closed() {
                return false;
            }
            if reading.begins_at > now || held.contains(&(reading.by.clone(), reading.wish.topic.clone())) {
                return true;
            }
            let partition = usize::try_from(reading.wish.partition.0).unwrap_or(usize::MAX);
            if let Some(log) = topics.get(&reading.wish.topic).and_then(|topic| topic.get(partition)) {
                reading.deliver(log);
            }
            true
        });
    }
}

impl Reading {
    fn deliver(&mut self, log: &SignalPartition) {
        let tell = |what| {
            let delivered = Delivered {
                partition: self.wish.partition,
                serial: self.wish.serial,
                what,
            };
            // Whoever is gone is forgotten at the next turn.
            let _ = self.wish.sink.send(delivered);
        };
        let next = match self.next {
            Some(next) if (log.low..=log.end).contains(&next) => next,
            known => {
                let wanted = if known.is_some() { None } else { self.wish.from };
                tell(Delivery::Begun { low: Offset(log.low) });
                let wanted = wanted.map_or(log.low, |offset| offset.0);
                if (log.low..=log.end).contains(&wanted) {
                    wanted
                } else {
                    log.low
                }
            }
        };
        for record in log.records.iter().filter(|record| record.offset.0 >= next) {
            tell(Delivery::Signal {
                offset: record.offset,
                value: record.value.clone(),
            });
        }
        self.next = Some(log.end);
    }
}

impl State {
    /// What lies in the signal log goes to those who read it.
    pub fn deliver_signals(&mut self) {
        let now = self.now;
        self.signals.deliver(now);
    }
}

fn append(state: &mut State, topic: &str, partition: Partition, value: Vec<u8>, by: &str) -> Option<Offset> {
    let log = state.signals.partition_mut(topic, partition)?;
    let offset = Offset(log.end);
    log.end += 1;
    let claim = Claim::decode(&value);
    let said = (topic == PROGRESS).then(|| Statement::decode(&value));
    log.records.push(SignalRecord { offset, value });
    if let Some(said) = said {
        if let Ok(Some(said)) = said {
            state.note(format_args!("progress @{offset} {} by {by}", said.key()));
            crate::judge::said(state, &said);
        }
    } else if let Ok(claim) = claim {
        state.note(format_args!(
            "signal {topic}[{partition}] @{offset} {} {}..{} by {by}",
            claim.kind.name(),
            claim.start,
            claim.next
        ));
        crate::judge::appended(state, &claim);
    }
    Some(offset)
}

fn no_such(topic: &str, partition: Partition) -> Failure {
    Failure::retry("there is no such signal partition")
        .topic(topic)
        .partition(partition)
}

#[async_trait]
impl SignalLog for Port {
    async fn read_tail(&self, topic: &str, partition: Partition, count: u64) -> Result<SignalSlice> {
        let name = topic.to_owned();
        let ask = self.send(Point::ReadTail, move |state| {
            let log = state.signals.partition(&name, partition)?;
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            let from = log.records.len().saturating_sub(count);
            Some(SignalSlice {
                low: Offset(log.low),
                end: Offset(log.end),
                records: log.records[from..].to_vec(),
            })
        });
        answered(ask.await, "read signals back")?.ok_or_else(|| no_such(topic, partition))
    }

    async fn read_from(&self, topic: &str, partition: Partition, from: Offset, count: u64) -> Result<SignalSlice> {
        let name = topic.to_owned();
        let ask = self.send(Point::ReadTail, move |state| {
            let log = state.signals.partition(&name, partition)?;
            let wanted = log.records.iter().filter(|record| record.offset >= from);
            Some(SignalSlice {
                low: Offset(log.low),
                end: Offset(log.end),
                records: wanted
                    .take(usize::try_from(count).unwrap_or(usize::MAX))
                    .cloned()
                    .collect(),
            })
        });
        answered(ask.await, "read signals")?.ok_or_else(|| no_such(topic, partition))
    }

    async fn append(&self, topic: &str, partition: Partition, _: Vec<u8>, value: Vec<u8>) -> Result<Offset> {
        let (name, by) = (topic.to_owned(), self.name.clone());
        let ask = self.send(Point::Append, move |state| append(state, &name, partition, value, &by));
        answered(ask.await, "append a signal")?.ok_or_else(|| no_such(topic, partition))
    }
}

#[async_trait]
impl loader::Signals for Port {
    async fn partitions(&self, topic: &str) -> Result<i32> {
        let name = topic.to_owned();
        let ask = self.send(Point::Ask, move |state| {
            state.signals.topics.get(&name).map_or(0, Vec::len)
        });
        answered(ask.await, "ask for the signal topic").map(|count| i32::try_from(count).unwrap_or(i32::MAX))
    }

    async fn survey(&self, topic: &str, partition: Partition) -> Result<Survey> {
        let slice = SignalLog::read_from(self, topic, partition, Offset(0), u64::MAX).await?;
        let mut survey = Survey::default();
        let claims = slice
            .records
            .iter()
            .filter_map(|record| Claim::decode(&record.value).ok());
        claims.for_each(|claim| survey.take_claim(&claim));
        Ok(survey)
    }

    fn read(&self, wish: Wish) {
        let mut state = self.world.state();
        let way = state.way();
        let begins_at = state.now + way;
        let signals = &mut state.signals;
        signals.forget(&self.name, &wish.topic, wish.partition);
        signals.readings.push(Reading {
            by: self.name.to_string(),
            wish,
            begins_at,
            next: None,
        });
    }

    fn stop(&self, topic: &str, partition: Partition) {
        self.world.state().signals.forget(&self.name, topic, partition);
    }

    fn pause(&self, topic: &str) {
        let held = (self.name.to_string(), topic.to_owned());
        self.world.state().signals.held.insert(held);
    }

    fn resume(&self, topic: &str) {
        let held = (self.name.to_string(), topic.to_owned());
        self.world.state().signals.held.remove(&held);
    }
}

#[async_trait]
impl Progress for Port {
    async fn publish(&self, _: String, value: Vec<u8>) -> Result<()> {
        let by = self.name.clone();
        let told = self.send(Point::Progress, move |state| {
            append(state, PROGRESS, Partition(0), value, &by);
        });
        answered(told.await, "publish progress")
    }
}
