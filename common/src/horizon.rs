//! What may be collected (protocol rules 23, 24): the horizon of a lineage, the objects below it, and who may still begin to load.
//!
//! A collection goes: read the registrations, [`lowest`] of them is the horizon; append it to the signal log and wait for the
//! acknowledgement; read the registrations again and take the lower of both ([`bound`]); delete what [`may_delete`] allows. A new target
//! goes: register, wait for the acknowledgement, read the signal log by [`Survey`], begin only if [`Survey::may_begin`]. Whichever
//! comes first of the second reading of the registrations and the registration itself, one of the two sees the other.

use std::collections::BTreeSet;

use crate::chain::{Link, Position};
use crate::claim::{Claim, Kind};
use crate::ids::Partition;
use crate::mutant::Mutant;
use crate::progress::{Refusal, Registry};

/// Where a target stands, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Slowest<T> {
    /// The target that holds the horizon back.
    pub target: T,
    /// Where it stands; `None` while it has not applied anything of the lineage.
    pub at: Option<Position>,
}

/// The horizon of a lineage: the lowest position of all registered targets. `None` without any target; then nothing may go.
#[must_use]
pub fn lowest<T>(standings: impl IntoIterator<Item = (T, Option<Position>)>) -> Option<Slowest<T>> {
    let standings = standings.into_iter().map(|(target, at)| Slowest { target, at });
    if Mutant::HorizonByTheFastest.is_on() {
        return standings.max_by_key(|slowest| slowest.at);
    }
    // A position that is not there is below all others.
    standings.min_by_key(|slowest| slowest.at)
}

/// The horizon of one lineage by the registrations of its topic.
///
/// # Errors
/// When the registered targets are not the `expected` ones: then nothing of the topic may go.
pub fn of_lineage<'r>(
    registry: &'r Registry,
    cluster: &str,
    topic: &str,
    partition: Partition,
    expected: &BTreeSet<String>,
) -> Result<Slowest<&'r str>, Refusal> {
    registry.judge(topic, expected)?;
    let standings = registry.targets(topic).map(|(target, registration)| {
        // Offsets of another cluster cannot be compared.
        let standing = registration
            .at
            .get(&partition)
            .filter(|standing| standing.cluster == cluster);
        (target, standing.map(|standing| standing.position))
    });
    lowest(standings).ok_or(Refusal::NoTargets)
}

/// What may be deleted below once `announced` is acknowledged in the signal log and the registrations were read `again`: a target that
/// registered in between holds back what it needs.
#[must_use]
pub fn bound(announced: Position, again: Option<Position>) -> Option<Position> {
    again.map(|again| again.min(announced))
}

/// An object as far as a collection looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// What its claim states.
    pub kind: Kind,
    /// Its incarnation and first offset not covered.
    pub end: Position,
    /// Since it was written, milliseconds.
    pub age_ms: i64,
}

/// Whether an object may be deleted: it ends below the horizon, and is older than the retention. Age alone never suffices, and that no
/// claim of the log names it says nothing: a late writer may still name it (failure table 38).
///
/// Origins stay for ever, and so does what ends exactly at the horizon: a signal log rebuilt from the bucket begins at the former and
/// goes on from the latter. `referenced` is asked by a mutant alone.
#[must_use]
pub fn may_delete(
    object: Candidate,
    horizon: Option<Position>,
    retention_ms: i64,
    referenced: impl FnOnce() -> bool,
) -> bool {
    if matches!(object.kind, Kind::Genesis | Kind::Reset) || object.age_ms < retention_ms {
        return false;
    }
    if Mutant::CollectUnreferenced.is_on() && !referenced() {
        return true;
    }
    horizon.is_some_and(|horizon| object.end < horizon)
}

/// What a new target must know of a signal partition before it begins (rule 24).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Survey {
    /// Where a target without checkpoint would begin: the first claim, which is the first genesis unless the log was cut.
    pub origin: Option<Position>,
    /// Objects below this may be gone.
    pub horizon: Option<Position>,
    /// How many partitions the topic had when the partition began, if its first genesis is there and says so (rule 13).
    pub partitions: Option<u32>,
}

/// Why a target may not begin: what it would need may be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("objects below offset `{horizon}` may have been collected, and the table would begin at `{from}`")]
pub struct Collected {
    /// Where the target would begin.
    pub from: Position,
    /// The horizon.
    pub horizon: Position,
}

impl Survey {
    /// Takes the next claim of the partition, and what only a whole claim says.
    pub fn take_claim(&mut self, claim: &Claim) {
        if claim.kind == Kind::Genesis && self.origin.is_none() {
            self.partitions = claim.partitions;
        }
        self.take(&Link::of(claim));
    }

    /// Takes the next claim of the partition.
    pub fn take(&mut self, link: &Link) {
        let at = |next| Position {
            incarnation: link.incarnation,
            next,
        };
        if link.kind == Kind::Horizon {
            // Collectors may overtake each other; what one of them deleted stays deleted.
            self.horizon = self.horizon.max(Some(at(link.next)));
        } else {
            self.origin.get_or_insert(at(link.start));
        }
    }

    /// Whether a target whose checkpoint is `at` (`None`: it begins at the origin) finds all objects that it needs.
    ///
    /// # Errors
    /// When the horizon lies beyond where it would begin.
    pub fn may_begin(&self, at: Option<Position>) -> Result<(), Collected> {
        match (at.or(self.origin), self.horizon) {
            (Some(from), Some(horizon)) if from < horizon => Err(Collected { from, horizon }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Incarnation, Offset};
    use crate::progress::{Pin, Pinned, Statement};

    fn at(incarnation: u32, next: i64) -> Position {
        Position {
            incarnation: Incarnation(incarnation),
            next: Offset(next),
        }
    }

    fn link(kind: Kind, incarnation: u32, next: i64) -> Link {
        Link {
            kind,
            incarnation: Incarnation(incarnation),
            start: Offset(next),
            next: Offset(next),
        }
    }

    fn candidate(kind: Kind, end: Position, age_ms: i64) -> Candidate {
        Candidate { kind, end, age_ms }
    }

    fn goes(kind: Kind, end: Position, age_ms: i64) -> bool {
        may_delete(candidate(kind, end, age_ms), Some(at(1, 10)), 100, || false)
    }

    #[test]
    fn the_slowest_target_holds_the_horizon_and_one_without_progress_holds_everything() {
        let found = lowest([("a", Some(at(0, 9))), ("b", Some(at(0, 4)))]).unwrap();
        assert_eq!((found.target, found.at), ("b", Some(at(0, 4))));
        assert_eq!(lowest([("a", Some(at(0, 9))), ("b", None)]).unwrap().at, None);
        assert_eq!(
            lowest([("a", Some(at(0, 900))), ("b", Some(at(1, 0)))]).unwrap().at,
            Some(at(0, 900))
        );
        assert_eq!(lowest::<&str>([]), None);
    }

    #[test]
    fn another_clusters_offsets_are_no_progress() {
        let mut registry = Registry::default();
        registry.take(Statement::Pin(Pin {
            target: "a".into(),
            table: "t".into(),
            topic: "t".into(),
            positions: vec![Pinned {
                cluster: "old".into(),
                partition: Partition(0),
                incarnation: Incarnation(0),
                next: Offset(9),
            }],
            at_ms: 0,
        }));
        let expected = BTreeSet::from(["a".to_owned()]);
        let found = |cluster| of_lineage(&registry, cluster, "t", Partition(0), &expected).unwrap().at;
        assert_eq!((found("old"), found("new")), (Some(at(0, 9)), None));
    }

    #[test]
    fn only_what_is_old_and_below_the_horizon_goes() {
        assert!(goes(Kind::Data, at(1, 9), 100) && goes(Kind::Skip, at(0, 900), 100));
        assert!(!goes(Kind::Data, at(1, 9), 99), "too young");
        assert!(!goes(Kind::Data, at(1, 10), 100), "the one to go on from");
        assert!(!goes(Kind::Data, at(1, 11), 1_000_000), "old, but needed");
        assert!(!goes(Kind::Genesis, at(0, 0), 100) && !goes(Kind::Reset, at(1, 0), 100));
        assert!(!goes(Kind::Horizon, at(1, 10), 100) && goes(Kind::Horizon, at(1, 8), 100));
        assert!(!may_delete(candidate(Kind::Data, at(0, 1), i64::MAX), None, 0, || {
            false
        }));
    }

    #[test]
    fn a_target_that_registered_in_between_is_heeded() {
        assert_eq!(bound(at(0, 9), Some(at(0, 4))), Some(at(0, 4)));
        assert_eq!(bound(at(0, 9), Some(at(0, 12))), Some(at(0, 9)));
        assert_eq!(bound(at(0, 9), None), None);
    }

    #[test]
    fn a_new_target_begins_only_where_nothing_is_gone() {
        let mut survey = Survey::default();
        survey.take(&link(Kind::Genesis, 0, 5));
        survey.take(&link(Kind::Genesis, 0, 9));
        assert_eq!((survey.origin, survey.may_begin(None)), (Some(at(0, 5)), Ok(())));
        survey.take(&link(Kind::Horizon, 0, 5));
        assert_eq!(survey.may_begin(None), Ok(()));
        survey.take(&link(Kind::Horizon, 0, 40));
        survey.take(&link(Kind::Horizon, 0, 30));
        assert_eq!(survey.horizon, Some(at(0, 40)));
        let refused = survey.may_begin(None).unwrap_err();
        assert_eq!((refused.from, refused.horizon), (at(0, 5), at(0, 40)));
        assert!(survey.may_begin(Some(at(0, 39))).is_err() && survey.may_begin(Some(at(0, 40))).is_ok());
        assert!(survey.may_begin(Some(at(1, 0))).is_ok());
    }
}
