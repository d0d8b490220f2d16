//! The fetch client of s3-spolt: explicit partitions at explicit offsets, visible records alone, up to the last stable offset.

use std::collections::BTreeMap;
use std::time::Duration;

use common::failure::Failure;
use common::ids::{Offset, Partition};
use common::row;
use s3_spolt::driver::chunk::Heads;
use s3_spolt::driver::fetch::{Fetched, Fetcher};

use crate::world::Port;

#[derive(Debug)]
struct At {
    from: Offset,
    paused: bool,
    topic_id: String,
    /// Truncations of the log that the client knew when it began.
    truncations: usize,
}

/// Fetches from the fake topics.
pub struct FakeFetcher {
    port: Port,
    at: BTreeMap<(String, Partition), At>,
    /// The partition that was read last: each has its turn.
    last: Option<(String, Partition)>,
}

impl FakeFetcher {
    /// Fetches nothing yet.
    #[must_use]
    pub fn new(port: Port) -> FakeFetcher {
        FakeFetcher {
            port,
            at: BTreeMap::new(),
            last: None,
        }
    }

    fn in_turn(&self) -> Vec<(String, Partition)> {
        let (after, before): (Vec<_>, Vec<_>) = self
            .at
            .keys()
            .cloned()
            .partition(|key| self.last.as_ref().is_some_and(|last| key > last));
        after.into_iter().chain(before).collect()
    }
}

impl Fetcher for FakeFetcher {
    fn start(&mut self, topic: &str, partition: Partition, from: Offset) -> Result<(), Failure> {
        let state = self.port.world.state();
        let at = At {
            from,
            paused: false,
            topic_id: state
                .upstream
                .topics
                .get(topic)
                .map_or(String::new(), |topic| topic.id.clone()),
            truncations: state
                .upstream
                .log(topic, partition)
                .map_or(0, |log| log.truncated_at.len()),
        };
        drop(state);
        self.at.insert((topic.to_owned(), partition), at);
        Ok(())
    }

    fn stop(&mut self, topic: &str, partition: Partition) {
        self.at.remove(&(topic.to_owned(), partition));
    }

    fn pause(&mut self, topic: &str, partition: Partition, paused: bool) {
        if let Some(at) = self.at.get_mut(&(topic.to_owned(), partition)) {
            at.paused = paused;
        }
    }

    fn renew(&mut self) -> Result<(), Failure> {
        self.at.clear();
        Ok(())
    }

    fn poll(&mut self, _: Duration, sink: &mut dyn FnMut(Fetched<'_>)) -> bool {
        for key in self.in_turn() {
            let Some(at) = self.at.get_mut(&key).filter(|at| !at.paused) else {
                continue;
            };
            let state = self.port.world.state();
            let Some(log) = state.upstream.log(&key.0, key.1) else {
                continue;
            };
            let known = state.upstream.topics.get(key.0.as_str());
            let same = known.is_some_and(|topic| topic.id == at.topic_id);
            let truncated = log.truncated_at.iter().skip(at.truncations).any(|end| *end < at.from);
            if !same || truncated || at.from < log.start || at.from > log.next {
                drop(state);
                self.at.remove(&key);
                sink(Fetched::Lost {
                    topic: key.0,
                    partition: key.1,
                    failure: Failure::retry("the position is out of the topic's range, or the topic is another one"),
                });
                return true;
            }
            let Some(record) = log.seen_from(at.from).cloned() else {
                continue;
            };
            drop(state);
            at.from = record.offset.next();
            self.last = Some(key.clone());
            sink(Fetched::Record {
                topic: &key.0,
                partition: key.1,
                record: row::Record {
                    offset: record.offset,
                    timestamp_ms: record.timestamp_ms,
                    headers: None,
                    key: record.key.as_deref(),
                    value: record.value.as_deref(),
                },
                heads: Heads::default(),
            });
            return true;
        }
        false
    }
}
