//! From a record's timestamp to the COMMIT that made it visible.

use super::follow::Seen;
use crate::generator::FLIGHTS;
use crate::generator::producer::Delivered;

/// How long the records of a phase took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// Half of the records took at most so many milliseconds.
    pub p50_ms: i64,
    /// 99 of 100.
    pub p99_ms: i64,
    /// The slowest.
    pub max_ms: i64,
    /// How many were measured.
    pub records: usize,
    /// Records that no commit covers.
    pub missing: usize,
}

impl Freshness {
    /// Of every delivered record.
    #[must_use]
    pub fn of(delivered: &[Delivered], seen: &Seen) -> Self {
        let took = |record: &Delivered| {
            let commits = seen.commits(&(FLIGHTS.to_owned(), record.partition));
            let first = commits.partition_point(|commit| commit.next <= record.offset);
            commits.get(first).map(|commit| commit.at_ms - record.time_ms)
        };
        let mut all: Vec<i64> = delivered.iter().filter_map(took).collect();
        all.sort_unstable();
        let rank = |percent: usize| {
            // The nearest-rank definition: the smallest value that so many percent do not exceed.
            let place = (all.len() * percent).div_ceil(100).max(1) - 1;
            all.get(place).copied().unwrap_or(0)
        };
        Self {
            p50_ms: rank(50),
            p99_ms: rank(99),
            max_ms: rank(100),
            records: all.len(),
            missing: delivered.len() - all.len(),
        }
    }
}
