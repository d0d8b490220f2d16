//! What the daemons have done, as their own topics tell: claims on the signal topics, commits on the progress topic.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result};
use rdkafka::message::Message;
use serde::Deserialize;

use crate::client::kafka::{Kafka, Tail};

/// Default name of the progress topic.
const PROGRESS: &str = "spolt.progress";

/// One look at a topic waits this long for something new.
const WAIT: Duration = Duration::from_millis(10);

/// A partition of a topic.
pub type Place = (String, i32);

/// First and next offset of each partition.
pub type Ends = BTreeMap<Place, (i64, i64)>;

/// The parts of a claim that are counted here.
#[derive(Debug, Deserialize)]
struct Claim {
    topic: String,
    partition: i32,
    next: i64,
    rows: u64,
    object: Option<Object>,
}

#[derive(Debug, Deserialize)]
struct Object {
    bytes: u64,
}

/// A message on the progress topic.
#[derive(Debug, Deserialize)]
struct Progress {
    target: String,
    table: String,
    topic: String,
    partition: i32,
    next: i64,
    committed_at_ms: i64,
    #[serde(default)]
    load: Option<i64>,
}

/// A commit: everything below `next` is in the table since `at_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// First offset not in the table.
    pub next: i64,
    /// Milliseconds since 1970.
    pub at_ms: i64,
}

/// Counts of one topic.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Claims, those without rows included.
    pub claims: u64,
    /// Objects with rows.
    pub objects: u64,
    /// Bytes of the objects, compressed.
    pub bytes: u64,
    /// Rows in the objects.
    pub rows: u64,
    /// Loads of the topic's table.
    pub loads: u64,
}

/// All that has been seen.
#[derive(Debug, Default)]
pub struct Seen {
    counts: BTreeMap<String, Counts>,
    claimed: BTreeMap<Place, i64>,
    commits: BTreeMap<Place, Vec<Commit>>,
    rows_at: Vec<(Place, i64, u64)>,
    loads: BTreeSet<(String, i64)>,
}

impl Seen {
    /// Counts of one topic.
    #[must_use]
    pub fn of(&self, topic: &str) -> Counts {
        self.counts.get(topic).copied().unwrap_or_default()
    }

    /// Objects of all topics.
    #[must_use]
    pub fn objects(&self) -> u64 {
        self.counts.values().map(|counts| counts.objects).sum()
    }

    /// Loads of all tables.
    #[must_use]
    pub fn loads(&self) -> u64 {
        self.counts.values().map(|counts| counts.loads).sum()
    }

    /// The commits of a partition, in order.
    #[must_use]
    pub fn commits(&self, place: &Place) -> &[Commit] {
        self.commits.get(place).map_or(&[], Vec::as_slice)
    }

    fn applied(&self, place: &Place) -> i64 {
        self.commits(place).last().map_or(0, |commit| commit.next)
    }

    fn claim(&mut self, claim: Claim) {
        let counts = self.counts.entry(claim.topic.clone()).or_default();
        counts.claims += 1;
        if claim.rows > 0 {
            counts.objects += 1;
            counts.rows += claim.rows;
            counts.bytes += claim.object.map_or(0, |object| object.bytes);
        }
        let place = (claim.topic, claim.partition);
        let known = self.claimed.entry(place.clone()).or_default();
        *known = (*known).max(claim.next);
        self.rows_at.push((place, claim.next, claim.rows));
    }

    fn progress(&mut self, progress: Progress) {
        // A loader that starts tells again what is applied: that is no load, and no news.
        let place = (progress.topic.clone(), progress.partition);
        if progress.next <= self.applied(&place) {
            return;
        }
        let load = (progress.table, progress.load.unwrap_or(progress.committed_at_ms));
        if self.loads.insert(load) {
            self.counts.entry(progress.topic).or_default().loads += 1;
        }
        self.commits.entry(place).or_default().push(Commit {
            next: progress.next,
            at_ms: progress.committed_at_ms,
        });
    }
}

/// Reads the daemons' topics as they grow.
pub struct Follower {
    kafka: Kafka,
    topics: Vec<String>,
    target: String,
    waiting: BTreeSet<String>,
    tails: Vec<Tail>,
    seen: Seen,
}

impl Follower {
    /// Follows the signals of `topics` and the progress of `target`.
    #[must_use]
    pub fn new(kafka: Kafka, topics: &[&str], target: &str) -> Self {
        let waiting = topics
            .iter()
            .map(|topic| format!("spolt.signals.{topic}"))
            .chain([PROGRESS.to_owned()])
            .collect();
        let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
        Self {
            kafka,
            topics,
            target: target.to_owned(),
            waiting,
            tails: Vec::new(),
            seen: Seen::default(),
        }
    }

    /// What has been seen so far.
    #[must_use]
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Bounds of the followed topics now.
    ///
    /// # Errors
    /// Kafka does not answer.
    pub async fn ends(&self) -> Result<Ends> {
        let mut ends = Ends::new();
        for topic in &self.topics {
            for (partition, bounds) in self.kafka.bounds(topic).await?.into_iter().enumerate() {
                ends.insert((topic.clone(), i32::try_from(partition)?), bounds);
            }
        }
        Ok(ends)
    }

    /// Records claimed, loaded, and all, of `ends`.
    #[must_use]
    pub fn covered(&self, ends: &Ends) -> (u64, u64, u64) {
        let count = |low: i64, to: i64| u64::try_from(to - low).unwrap_or(0);
        let sum = |next: &dyn Fn(&Place) -> i64| {
            ends.iter()
                .map(|(place, (low, end))| count(*low, next(place).min(*end)))
                .sum()
        };
        let claimed = sum(&|place| self.seen.claimed.get(place).copied().unwrap_or(0));
        (claimed, sum(&|place| self.seen.applied(place)), sum(&|_| i64::MAX))
    }

    /// Whether s3-spolt has made the signal topics.
    ///
    /// # Errors
    /// Kafka does not answer.
    pub async fn signals_exist(&self) -> Result<bool> {
        let there = self.kafka.topics().await?;
        Ok(self.topics.iter().all(|topic| there.contains(&signals(topic))))
    }

    /// Reads what is new.
    ///
    /// # Errors
    /// Kafka refuses, or a message is not what the daemons should write.
    pub async fn advance(&mut self) -> Result<()> {
        // The daemons create these topics: they come into being after the start.
        if !self.waiting.is_empty() {
            let there = self.kafka.topics().await?;
            for topic in there.iter().filter(|topic| self.waiting.contains(*topic)) {
                self.tails.push(self.kafka.tail(topic).await?);
            }
            self.waiting.retain(|topic| !there.contains(topic));
        }
        let mut tails = std::mem::take(&mut self.tails);
        let (tails, messages) = tokio::task::spawn_blocking(move || {
            let mut messages = Vec::new();
            for tail in &mut tails {
                messages.extend(tail.read_new(WAIT)?);
            }
            Ok::<_, anyhow::Error>((tails, messages))
        })
        .await??;
        self.tails = tails;
        for message in messages {
            let Some(value) = message.payload() else { continue };
            let bad = || {
                format!(
                    "unexpected message in `{}` at offset `{}`",
                    message.topic(),
                    message.offset()
                )
            };
            if message.topic() == PROGRESS {
                let progress = progress_in(value).with_context(bad)?;
                if let Some(progress) = progress.filter(|progress| progress.target == self.target) {
                    self.seen.progress(progress);
                }
            } else {
                self.seen.claim(serde_json::from_slice(value).with_context(bad)?);
            }
        }
        Ok(())
    }

    /// Rows in the claims that lie within `ends`.
    #[must_use]
    pub fn rows_within(&self, ends: &Ends) -> u64 {
        let within = |place: &Place, next: i64| ends.get(place).is_some_and(|(_, end)| next <= *end);
        self.seen
            .rows_at
            .iter()
            .filter(|(place, next, _)| within(place, *next))
            .map(|(_, _, rows)| rows)
            .sum()
    }
}

/// What a message of the progress topic says of progress; registrations of targets say nothing of it.
fn progress_in(message: &[u8]) -> serde_json::Result<Option<Progress>> {
    let value: serde_json::Value = serde_json::from_slice(message)?;
    match value.get("kind").and_then(serde_json::Value::as_str) {
        None | Some("progress") => serde_json::from_value(value).map(Some),
        Some(_) => Ok(None),
    }
}

/// Default name of a topic's signal topic.
fn signals(topic: &str) -> String {
    format!("spolt.signals.{topic}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(partition: i32, next: i64, load: i64) -> Progress {
        Progress {
            target: "t".into(),
            table: "s.t".into(),
            topic: "x".into(),
            partition,
            next,
            committed_at_ms: next * 10,
            load: Some(load),
        }
    }

    #[test]
    fn registrations_on_the_progress_topic_are_passed_over() {
        let pin = br#"{"kind":"pin","target":"t","table":"s.t","topic":"x","positions":[],"at_ms":1}"#;
        assert!(progress_in(pin).unwrap().is_none());
        let moved = br#"{"kind":"progress","target":"t","table":"s.t","topic":"x","incarnation":0,"partition":1,"next":5,"committed_at_ms":50,"load":1}"#;
        assert_eq!(progress_in(moved).unwrap().unwrap().next, 5);
        assert!(progress_in(b"{").is_err());
    }

    #[test]
    fn one_load_of_many_partitions_counts_once_and_repeated_news_not_at_all() {
        let mut seen = Seen::default();
        seen.progress(progress(0, 5, 1));
        seen.progress(progress(1, 7, 1));
        seen.progress(progress(0, 5, 1));
        seen.progress(progress(0, 9, 2));
        assert_eq!(seen.loads(), 2);
        assert_eq!(
            seen.commits(&("x".into(), 0)),
            [Commit { next: 5, at_ms: 50 }, Commit { next: 9, at_ms: 90 }]
        );
    }
}
