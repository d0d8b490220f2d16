//! What accumulates in an open object, and when it is full (protocol rule 7).

use common::claim::{Claim, Kind, Tail};
use common::ids::{Lineage, Offset};
use common::mutant::Mutant;

/// When to cut. Whichever comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Rows in an object.
    pub rows: u64,
    /// Compressed bytes of an object.
    pub bytes: u64,
    /// Age of the oldest record in an open object since it was read, in milliseconds.
    pub age_ms: i64,
}

/// Why an object was cut: for the log and for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Enough rows.
    Rows,
    /// Enough bytes.
    Bytes,
    /// Old enough.
    Age,
    /// The next record needs a wider plan.
    Plan,
    /// The next record truncates the table.
    Truncate,
    /// Memory is short and this was the largest.
    Memory,
    /// The process ends.
    Drain,
    /// The next record cannot be encoded.
    Poison,
}

impl Reason {
    /// Label value of the metric.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Reason::Rows => "rows",
            Reason::Bytes => "bytes",
            Reason::Age => "age",
            Reason::Plan => "plan",
            Reason::Truncate => "truncate",
            Reason::Memory => "memory",
            Reason::Drain => "drain",
            Reason::Poison => "poison",
        }
    }
}

/// The range and the counts of an open object. It starts where the last one ended, never at its first record: what lies between is
/// compacted, aborted or control (rule 7; mutant M8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Inclusive.
    pub start: Offset,
    /// Exclusive: one past the last record added.
    pub next: Offset,
    /// First record added.
    pub first: Option<Offset>,
    /// Records added.
    pub records: u64,
    /// Rows they made.
    pub rows: u64,
    /// Records that made no row.
    pub skipped: u64,
    /// Records set aside.
    pub rejected: u64,
    /// Values replaced.
    pub amended: u64,
    /// Fingerprint of the last record added.
    pub tail: Option<Tail>,
    /// Earliest and latest record time, milliseconds since 1970; `None` while no record had one.
    pub times_ms: Option<(i64, i64)>,
    /// When the first record was added, in the driver's clock.
    opened_ms: i64,
}

impl Batch {
    /// An empty batch that continues at `start`.
    #[must_use]
    pub fn new(start: Offset) -> Batch {
        Batch {
            start,
            next: start,
            first: None,
            records: 0,
            rows: 0,
            skipped: 0,
            rejected: 0,
            amended: 0,
            tail: None,
            times_ms: None,
            opened_ms: 0,
        }
    }

    /// Whether nothing was added yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Counts a record that made `rows` rows; a negative time is none (very old producers write -1).
    pub fn add(&mut self, offset: Offset, time_ms: i64, rows: u8, now_ms: i64) {
        self.pass(offset, time_ms, now_ms);
        self.rows += u64::from(rows);
        self.skipped += u64::from(rows == 0);
    }

    /// Counts a record that was set aside.
    pub fn reject(&mut self, offset: Offset, time_ms: i64, now_ms: i64) {
        self.pass(offset, time_ms, now_ms);
        self.rejected += 1;
    }

    fn pass(&mut self, offset: Offset, time_ms: i64, now_ms: i64) {
        if self.first.is_none() {
            self.first = Some(offset);
            self.opened_ms = now_ms;
            if Mutant::StartAtFirstRecord.is_on() {
                self.start = offset;
            }
        }
        self.next = offset.next();
        self.records += 1;
        if time_ms >= 0 {
            let (earliest, latest) = self.times_ms.unwrap_or((time_ms, time_ms));
            self.times_ms = Some((earliest.min(time_ms), latest.max(time_ms)));
        }
    }

    /// The kind of its claim: without rows there is nothing to load.
    #[must_use]
    pub fn kind(&self) -> Kind {
        if self.rows > 0 { Kind::Data } else { Kind::Skip }
    }

    /// What its claim says of the range. `last_tail` is the fingerprint of the lineage's last record before this batch.
    #[must_use]
    pub fn claim(&self, kind: Kind, lineage: &Lineage, last_tail: Option<Tail>) -> Claim {
        Claim {
            first: self.first,
            last: self.tail.map(|tail| tail.offset),
            records: self.records,
            rows: self.rows,
            skipped: self.skipped,
            rejected: self.rejected,
            amended: self.amended,
            min_time_ms: self.times_ms.map(|(earliest, _)| earliest),
            max_time_ms: self.times_ms.map(|(_, latest)| latest),
            tail: self.tail.or(last_tail),
            ..Claim::new(kind, lineage, self.start, self.next)
        }
    }

    /// Whether the object is full, given the bytes it would have if it were closed now.
    #[must_use]
    pub fn full(&self, limits: &Limits, bytes: u64) -> Option<Reason> {
        if self.rows >= limits.rows {
            Some(Reason::Rows)
        } else if bytes >= limits.bytes {
            Some(Reason::Bytes)
        } else {
            None
        }
    }

    /// Whether the object is old enough. An empty one never is: holes alone are left to the next claim (rule 7).
    /// `now_ms` is of a clock that never jumps.
    #[must_use]
    pub fn due(&self, limits: &Limits, now_ms: i64) -> bool {
        !self.is_empty() && now_ms - self.opened_ms >= limits.age_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        rows: 3,
        bytes: 1_000,
        age_ms: 60_000,
    };

    #[test]
    fn it_starts_where_the_last_one_ended_whatever_the_first_record_is() {
        let mut batch = Batch::new(Offset(10));
        batch.add(Offset(14), 5, 1, 0);
        batch.add(Offset(16), -1, 0, 0);
        batch.add(Offset(17), 3, 0, 0);
        batch.reject(Offset(18), 4, 0);
        assert_eq!(
            (batch.start, batch.first, batch.next),
            (Offset(10), Some(Offset(14)), Offset(19))
        );
        assert_eq!((batch.records, batch.rows, batch.skipped, batch.rejected), (4, 1, 2, 1));
        assert_eq!(batch.times_ms, Some((3, 5)));
    }

    #[test]
    fn rows_bytes_and_age_cut_and_nothing_else_does() {
        let mut batch = Batch::new(Offset(0));
        assert!(!batch.due(&LIMITS, i64::MAX));
        batch.add(Offset(0), 0, 2, 1_000);
        assert_eq!(batch.full(&LIMITS, 999), None);
        assert_eq!(batch.full(&LIMITS, 1_000), Some(Reason::Bytes));
        assert!(!batch.due(&LIMITS, 60_999));
        assert!(batch.due(&LIMITS, 61_000));
        batch.add(Offset(1), 0, 1, 2_000);
        assert_eq!(batch.full(&LIMITS, 0), Some(Reason::Rows));
    }
}
