//! Contiguous runs of claims from a checkpoint (protocol rule 16), and the algebra of what claims cover.
//!
//! [`judge`] is the whole rule for one claim: it is given where a source partition stands and the next claim of its signal log, and
//! says what the claim is worth there. Everything that applies claims (the loader, the model, a rebuild of the log from S3) walks a
//! log by it and by nothing else.

use std::fmt;

use crate::claim::{Claim, Kind};
use crate::ids::{Incarnation, Offset};
use crate::mutant::Mutant;

/// Where a source partition stands: everything below `next` of this incarnation is applied, and nothing else of it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The life of the topic that the offset belongs to.
    pub incarnation: Incarnation,
    /// First offset that is not applied.
    pub next: Offset,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of incarnation {}", self.next, self.incarnation)
    }
}

/// What rule 16 needs to know of a claim; small, so that a model can hold thousands of logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    /// What the claim states.
    pub kind: Kind,
    /// Life of the topic.
    pub incarnation: Incarnation,
    /// First offset covered.
    pub start: Offset,
    /// First offset not covered.
    pub next: Offset,
}

impl Link {
    /// What rule 16 needs to know of this claim.
    #[must_use]
    pub fn of(claim: &Claim) -> Link {
        Link {
            kind: claim.kind,
            incarnation: claim.incarnation,
            start: claim.start,
            next: claim.next,
        }
    }
}

/// What the operator said in advance about a log whose beginning is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Policy {
    /// Without a checkpoint, start at the first claim even if it is no origin (`allow_expired_signals`).
    pub start_anywhere: bool,
}

/// Why a claim changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Void {
    /// All of it is applied: a duplicate, a replay, a zombie's re-cut.
    Applied,
    /// It belongs to an earlier life of the topic.
    Bygone,
    /// A later genesis or reset of a life that already has its origin: the first in the log wins.
    LaterOrigin,
    /// A horizon, which is news for new targets only (rule 24).
    Horizon,
}

/// Why a source partition must stop at a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Halt {
    /// Offsets between the checkpoint and the claim were never claimed.
    Gap {
        /// Where the partition stands.
        at: Position,
        /// Where the claim begins.
        start: Offset,
    },
    /// There is no checkpoint, and the log does not begin with an origin.
    NoOrigin {
        /// Where what is left of it begins.
        start: Offset,
    },
    /// The claim is of a later life of the topic that no `reset` announced.
    UnannouncedLife {
        /// Where the partition stands.
        at: Position,
        /// The life that the claim belongs to.
        incarnation: Incarnation,
    },
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Halt::Gap { at, start } => {
                write!(
                    f,
                    "gap in the signal log: applied up to `{}`, but the next claim starts at `{start}`",
                    at.next
                )
            }
            Halt::NoOrigin { start } => {
                write!(
                    f,
                    "the beginning of the signal log has expired: what is left of it starts at `{start}` and without an origin"
                )
            }
            Halt::UnannouncedLife { at, incarnation } => write!(
                f,
                "a claim of incarnation `{incarnation}` follows incarnation `{}` without a `reset`",
                at.incarnation
            ),
        }
    }
}

/// What a claim is worth where a partition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It changes nothing.
    Drop(Void),
    /// The partition begins at this position (genesis, or the first claim of an expired log with the operator's word).
    Origin(Position),
    /// The position moves, no rows (skip, gap).
    Advance(Position),
    /// Its rows from `from` on are applied, and the position moves to `to`.
    Take {
        /// Rows below this offset are trimmed; the claim's own start if nothing is.
        from: Offset,
        /// Where the partition stands afterwards.
        to: Position,
    },
    /// Every row that the partition brought so far goes, and the position moves; applied alone (rule 26).
    Empty(Position),
    /// A new life of the topic begins here; the run before it ends.
    Reset(Position),
    /// The partition stops.
    Halt(Halt),
}

/// Rule 16 for one claim: `at` is where the partition stands, `None` before anything of it was applied.
///
/// An origin found without a checkpoint is answered by [`Verdict::Origin`] for a genesis or reset, whose own range is empty. Where the
/// policy lets a log start anywhere, the first claim is answered as if the partition stood at its start.
#[must_use]
pub fn judge(at: Option<Position>, link: &Link, policy: Policy) -> Verdict {
    if link.kind == Kind::Horizon {
        return Verdict::Drop(Void::Horizon);
    }
    let own = Position {
        incarnation: link.incarnation,
        next: link.start,
    };
    let Some(at) = at else {
        return match link.kind {
            Kind::Genesis => Verdict::Origin(own),
            _ if !policy.start_anywhere => Verdict::Halt(Halt::NoOrigin { start: link.start }),
            Kind::Reset => Verdict::Origin(own),
            _ => within(own, link),
        };
    };
    if link.incarnation < at.incarnation {
        return Verdict::Drop(Void::Bygone);
    }
    if link.incarnation > at.incarnation {
        // Lives are announced one by one; a missing announcement means that claims of the log are missing.
        return if link.kind == Kind::Reset && link.incarnation.0 == at.incarnation.0 + 1 {
            Verdict::Reset(own)
        } else {
            Verdict::Halt(Halt::UnannouncedLife {
                at,
                incarnation: link.incarnation,
            })
        };
    }
    within(at, link)
}

fn within(at: Position, link: &Link) -> Verdict {
    if matches!(link.kind, Kind::Genesis | Kind::Reset) {
        return Verdict::Drop(Void::LaterOrigin);
    }
    if link.next <= at.next {
        return Verdict::Drop(Void::Applied);
    }
    let unchecked = Mutant::NoContinuity.is_on()
        || Mutant::NoContinuityNoTrim.is_on()
        || Mutant::PipelinedSignalsNoContinuity.is_on()
        || Mutant::GroupBySchema.is_on();
    let broken = link.start > at.next && !unchecked;
    if broken || (Mutant::StartMustEqualCheckpoint.is_on() && link.start != at.next) {
        return Verdict::Halt(Halt::Gap { at, start: link.start });
    }
    let to = Position {
        incarnation: at.incarnation,
        next: link.next,
    };
    let trim = !Mutant::NoContinuityNoTrim.is_on();
    match link.kind {
        Kind::Data => Verdict::Take {
            from: if trim { link.start.max(at.next) } else { link.start },
            to,
        },
        Kind::Truncate => Verdict::Empty(to),
        _ => Verdict::Advance(to),
    }
}

impl Verdict {
    /// Where the partition stands after this verdict, if it stood at `at` before.
    #[must_use]
    pub fn after(&self, at: Option<Position>) -> Option<Position> {
        match self {
            Verdict::Origin(to)
            | Verdict::Advance(to)
            | Verdict::Take { to, .. }
            | Verdict::Empty(to)
            | Verdict::Reset(to) => Some(*to),
            Verdict::Drop(_) | Verdict::Halt(_) => at,
        }
    }
}

/// A set of offsets as disjoint ranges in order: what claims cover together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Coverage {
    ranges: Vec<(Offset, Offset)>,
}

impl Coverage {
    /// Adds `start..next`; an empty range adds nothing.
    pub fn add(&mut self, start: Offset, next: Offset) {
        if start >= next {
            return;
        }
        let (mut start, mut next) = (start, next);
        let first = self.ranges.partition_point(|range| range.1 < start);
        let last = self.ranges.partition_point(|range| range.0 <= next);
        if first < last {
            start = start.min(self.ranges[first].0);
            next = next.max(self.ranges[last - 1].1);
        }
        self.ranges.splice(first..last, [(start, next)]);
    }

    /// Whether every offset of `start..next` is in the set.
    #[must_use]
    pub fn covers(&self, start: Offset, next: Offset) -> bool {
        start >= next || self.ranges.iter().any(|range| range.0 <= start && next <= range.1)
    }

    /// Whether an offset of `start..next` is in the set.
    #[must_use]
    pub fn touches(&self, start: Offset, next: Offset) -> bool {
        self.ranges.iter().any(|range| range.0.max(start) < range.1.min(next))
    }

    /// The disjoint ranges in order.
    #[must_use]
    pub fn ranges(&self) -> &[(Offset, Offset)] {
        &self.ranges
    }
}

/// Where the chain of a log breaks (invariant I2): the index of the first claim of `incarnation` after whose append the claims cover
/// anything but one range from the origin on. `None` if every prefix is whole. Claims of other lives are passed over, and horizons too,
/// but for one right behind the origin: there it stands for the claims of what was collected, as in a log rebuilt from S3.
#[must_use]
pub fn first_break(log: &[Link], incarnation: Incarnation) -> Option<usize> {
    let mut origin = None;
    let mut covered = Coverage::default();
    for (index, link) in log.iter().enumerate() {
        if link.incarnation != incarnation {
            continue;
        }
        match (origin, link.kind) {
            (Some(origin), Kind::Horizon) if covered.ranges().is_empty() => covered.add(origin, link.next),
            (_, Kind::Horizon) => {}
            (None, Kind::Genesis | Kind::Reset) => origin = Some(link.start),
            (None, _) => return Some(index),
            (Some(_), Kind::Genesis | Kind::Reset) => {}
            (Some(origin), _) => {
                covered.add(link.start.max(origin), link.next);
                let whole =
                    matches!(covered.ranges(), [] | [_]) && covered.ranges().iter().all(|range| range.0 == origin);
                if !whole {
                    return Some(index);
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn link(kind: Kind, incarnation: u32, start: i64, next: i64) -> Link {
        Link {
            kind,
            incarnation: Incarnation(incarnation),
            start: Offset(start),
            next: Offset(next),
        }
    }

    fn at(incarnation: u32, next: i64) -> Position {
        Position {
            incarnation: Incarnation(incarnation),
            next: Offset(next),
        }
    }

    fn strict(position: Option<Position>, link: Link) -> Verdict {
        judge(position, &link, Policy::default())
    }

    #[test]
    fn the_first_genesis_is_the_origin_and_later_ones_are_void() {
        assert_eq!(strict(None, link(Kind::Genesis, 0, 7, 7)), Verdict::Origin(at(0, 7)));
        assert_eq!(
            strict(Some(at(0, 7)), link(Kind::Genesis, 0, 9, 9)),
            Verdict::Drop(Void::LaterOrigin)
        );
        assert_eq!(strict(None, link(Kind::Horizon, 0, 0, 5)), Verdict::Drop(Void::Horizon));
    }

    #[test]
    fn claims_are_dropped_trimmed_taken_or_a_gap() {
        let here = Some(at(0, 10));
        assert_eq!(strict(here, link(Kind::Data, 0, 5, 10)), Verdict::Drop(Void::Applied));
        assert_eq!(
            strict(here, link(Kind::Data, 0, 5, 12)),
            Verdict::Take {
                from: Offset(10),
                to: at(0, 12)
            }
        );
        assert_eq!(
            strict(here, link(Kind::Data, 0, 10, 12)),
            Verdict::Take {
                from: Offset(10),
                to: at(0, 12)
            }
        );
        assert_eq!(
            strict(here, link(Kind::Data, 0, 11, 12)),
            Verdict::Halt(Halt::Gap {
                at: at(0, 10),
                start: Offset(11)
            })
        );
        assert_eq!(strict(here, link(Kind::Skip, 0, 8, 12)), Verdict::Advance(at(0, 12)));
        assert_eq!(strict(here, link(Kind::Gap, 0, 10, 20)), Verdict::Advance(at(0, 20)));
        assert_eq!(strict(here, link(Kind::Truncate, 0, 10, 11)), Verdict::Empty(at(0, 11)));
    }

    #[test]
    fn a_reset_begins_the_next_life_and_only_the_next() {
        let here = Some(at(1, 10));
        assert_eq!(strict(here, link(Kind::Reset, 2, 3, 3)), Verdict::Reset(at(2, 3)));
        assert_eq!(
            strict(here, link(Kind::Reset, 1, 3, 3)),
            Verdict::Drop(Void::LaterOrigin)
        );
        assert_eq!(strict(here, link(Kind::Data, 0, 10, 12)), Verdict::Drop(Void::Bygone));
        assert!(matches!(
            strict(here, link(Kind::Reset, 3, 0, 0)),
            Verdict::Halt(Halt::UnannouncedLife { .. })
        ));
        assert!(matches!(
            strict(here, link(Kind::Data, 2, 10, 12)),
            Verdict::Halt(Halt::UnannouncedLife { .. })
        ));
    }

    #[test]
    fn an_expired_beginning_needs_the_operators_word() {
        let first = link(Kind::Data, 0, 40, 50);
        assert_eq!(strict(None, first), Verdict::Halt(Halt::NoOrigin { start: Offset(40) }));
        let told = judge(None, &first, Policy { start_anywhere: true });
        assert_eq!(
            told,
            Verdict::Take {
                from: Offset(40),
                to: at(0, 50)
            }
        );
    }

    #[test]
    fn coverage_joins_what_touches() {
        let mut coverage = Coverage::default();
        for (start, next) in [(5, 7), (1, 2), (2, 3), (9, 9), (6, 12)] {
            coverage.add(Offset(start), Offset(next));
        }
        assert_eq!(coverage.ranges(), [(Offset(1), Offset(3)), (Offset(5), Offset(12))]);
        assert!(coverage.covers(Offset(5), Offset(12)) && !coverage.covers(Offset(2), Offset(6)));
        assert!(coverage.touches(Offset(2), Offset(5)) && !coverage.touches(Offset(3), Offset(5)));
    }

    /// A log as several writers, some of them zombies, may leave it: each claim starts at a `next` that the log already has.
    fn chained_log() -> impl Strategy<Value = Vec<Link>> {
        (
            0i64..5,
            proptest::collection::vec((any::<prop::sample::Index>(), 1i64..6, 0u8..10), 0..24),
        )
            .prop_map(|(origin, cuts)| {
                let mut log = vec![link(Kind::Genesis, 0, origin, origin)];
                let mut seen = vec![origin];
                for (chosen, length, what) in cuts {
                    let start = *chosen.get(&seen);
                    log.push(match what {
                        0 => link(Kind::Skip, 0, start, start + length),
                        1 => link(Kind::Genesis, 0, origin + length, origin + length),
                        2 => link(Kind::Horizon, 0, start, start),
                        3 => *chosen.get(&log),
                        _ => link(Kind::Data, 0, start, start + length),
                    });
                    if what == 0 || what > 3 {
                        seen.push(start + length);
                    }
                }
                log
            })
    }

    /// How often each offset was applied when the log is walked by [`judge`], and where the walk ended.
    fn walk(log: &[Link]) -> (std::collections::BTreeMap<i64, u32>, Option<Position>, Option<Halt>) {
        let (mut applied, mut position) = (std::collections::BTreeMap::new(), None);
        for link in log {
            let verdict = judge(position, link, Policy::default());
            if let Verdict::Take { from, .. } = verdict {
                (from.0..link.next.0).for_each(|offset| *applied.entry(offset).or_default() += 1);
            }
            if let Verdict::Halt(halt) = verdict {
                return (applied, position, Some(halt));
            }
            position = verdict.after(position);
        }
        (applied, position, None)
    }

    proptest! {
        #[test]
        fn a_chained_log_applies_each_offset_once_whoever_wrote_it(log in chained_log()) {
            prop_assert_eq!(first_break(&log, Incarnation(0)), None);
            let (applied, position, halt) = walk(&log);
            prop_assert_eq!(halt, None);
            let mut covered = Coverage::default();
            let mut rowless = Coverage::default();
            for link in log.iter().filter(|link| matches!(link.kind, Kind::Data | Kind::Skip)) {
                covered.add(link.start, link.next);
                if link.kind == Kind::Skip {
                    rowless.add(link.start, link.next);
                }
            }
            let end = position.map_or(log[0].start, |position| position.next);
            prop_assert!(covered.covers(log[0].start, end));
            for offset in log[0].start.0..end.0 {
                let times = applied.get(&offset).copied().unwrap_or(0);
                let skipped = rowless.covers(Offset(offset), Offset(offset + 1));
                prop_assert!(times == 1 || (times == 0 && skipped), "offset {} applied {} times", offset, times);
            }
        }

        #[test]
        fn a_log_that_lost_a_claim_halts_or_loses_nothing(log in chained_log(), lost in any::<prop::sample::Index>()) {
            let mut damaged = log.clone();
            damaged.remove(lost.index(log.len()));
            let (applied, position, halt) = walk(&damaged);
            if let Some(index) = first_break(&damaged, Incarnation(0)) {
                prop_assert!(halt.is_some() || index >= damaged.len());
            }
            let end = position.map_or(i64::MIN, |position| position.next.0);
            prop_assert!(applied.keys().all(|offset| *offset < end));
            prop_assert!(applied.values().all(|times| *times == 1));
        }

        #[test]
        fn coverage_is_a_set_of_offsets(ranges in proptest::collection::vec((0i64..30, 0i64..8), 0..12)) {
            let mut coverage = Coverage::default();
            let mut offsets = std::collections::BTreeSet::new();
            for (start, length) in ranges {
                coverage.add(Offset(start), Offset(start + length));
                offsets.extend(start..start + length);
            }
            let held: Vec<i64> = coverage.ranges().iter().flat_map(|(start, next)| start.0..next.0).collect();
            prop_assert_eq!(held, offsets.into_iter().collect::<Vec<i64>>());
            prop_assert!(coverage.ranges().windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }
}
