//! The protocol's invariants as named predicates (protocol.md section 4). The tests on the real parts judge by them today; the model,
//! the simulator and the drills judge by the same ones. I3 follows from I2 and is checked with it; I9 (possible progress) is a property
//! of a whole graph of states and belongs to the model checker.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::chain::{Coverage, Link, first_break};
use crate::claim::Claim;
use crate::ids::{Incarnation, Lineage, Offset};
use crate::plan::Plan;

/// An invariant that does not hold, with what shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which, such as `I2 chain`.
    pub invariant: &'static str,
    /// What shows it.
    pub evidence: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is broken: {}", self.invariant, self.evidence)
    }
}

fn broken(invariant: &'static str, evidence: impl Into<String>) -> Result<(), Violation> {
    Err(Violation {
        invariant,
        evidence: evidence.into(),
    })
}

/// I1 Truth: the object of a claim holds exactly the visible records of its range. `in_object` are the offsets of the object's rows
/// (a record that makes no row may be missing), `with_rows` the visible offsets of the upstream partition that make rows.
///
/// # Errors
/// With the first offset that is claimed and absent, or present and not claimed.
pub fn truth(claim: &Claim, in_object: &BTreeSet<Offset>, with_rows: &BTreeSet<Offset>) -> Result<(), Violation> {
    let claimed: BTreeSet<Offset> = with_rows.range(claim.start..claim.next).copied().collect();
    match claimed.symmetric_difference(in_object).next() {
        None => Ok(()),
        Some(offset) if claimed.contains(offset) => broken(
            "I1 truth",
            format!("claim `{}..{}` lacks offset `{offset}`", claim.start, claim.next),
        ),
        Some(offset) => broken(
            "I1 truth",
            format!("claim `{}..{}` holds offset `{offset}`", claim.start, claim.next),
        ),
    }
}

/// I2 Chain and I3 Safe resume: at every prefix of a signal partition, the claims of a lineage cover one range from its origin on.
///
/// # Errors
/// With the first claim that leaves a gap behind it.
pub fn chain(log: &[Claim], lineage: &Lineage) -> Result<(), Violation> {
    let of_lineage: Vec<&Claim> = log.iter().filter(|claim| claim.is_of(lineage)).collect();
    let links: Vec<Link> = of_lineage.iter().map(|claim| Link::of(claim)).collect();
    match first_break(&links, lineage.incarnation) {
        None => Ok(()),
        Some(index) => {
            let claim = of_lineage[index];
            broken(
                "I2 chain",
                format!("claim `{}..{}` of {lineage} leaves a gap", claim.start, claim.next),
            )
        }
    }
}

/// I4 Exactly once: each visible offset below the checkpoint was applied exactly once, each at or above it not at all. `applied`
/// counts how often an append table holds rows of an offset.
///
/// # Errors
/// With the first offset that was lost, doubled or applied too early.
pub fn exactly_once(
    applied: &BTreeMap<Offset, usize>,
    with_rows: &BTreeSet<Offset>,
    checkpoint: Offset,
) -> Result<(), Violation> {
    for offset in with_rows.range(..checkpoint) {
        match applied.get(offset) {
            Some(1) => {}
            None => {
                return broken(
                    "I4 exactly once",
                    format!("offset `{offset}` is below checkpoint `{checkpoint}` and lost"),
                );
            }
            Some(times) => {
                return broken(
                    "I4 exactly once",
                    format!("offset `{offset}` was applied {times} times"),
                );
            }
        }
    }
    match applied
        .keys()
        .find(|offset| **offset >= checkpoint || !with_rows.contains(offset))
    {
        Some(offset) => broken(
            "I4 exactly once",
            format!("offset `{offset}` is not below checkpoint `{checkpoint}` or not visible"),
        ),
        None => Ok(()),
    }
}

/// I5 Monotone: a checkpoint never decreases within a life of the topic, and lives only follow each other.
///
/// # Errors
/// When it went back.
pub fn monotone(before: (Incarnation, Offset), after: (Incarnation, Offset)) -> Result<(), Violation> {
    if after.0 > before.0 || (after.0 == before.0 && after.1 >= before.1) {
        return Ok(());
    }
    broken(
        "I5 monotone",
        format!(
            "the checkpoint went from `{}` (i{}) back to `{}` (i{})",
            before.1, before.0, after.1, after.0
        ),
    )
}

/// I6 Order: the surviving row of a key was written by the key's highest (offset, seq) below the checkpoint. `survivors` maps a key to
/// its row's origin; `last` to the highest change below the checkpoint, `None` where that change is a delete.
///
/// # Errors
/// With the first key whose row is another one.
pub fn order<K: Ord + fmt::Debug>(
    survivors: &BTreeMap<K, (Offset, u16)>,
    last: &BTreeMap<K, Option<(Offset, u16)>>,
) -> Result<(), Violation> {
    for (key, change) in last {
        if survivors.get(key) != change.as_ref() {
            return broken(
                "I6 order",
                format!(
                    "key {key:?} has the row of {:?}, the last change is {change:?}",
                    survivors.get(key)
                ),
            );
        }
    }
    match survivors.keys().find(|key| !last.contains_key(key)) {
        Some(key) => broken("I6 order", format!("key {key:?} was never written")),
        None => Ok(()),
    }
}

/// I6 Order, of values that a source leaves out because they did not change (rule 25): the surviving row of a key has the key's last
/// real value. `survivors` maps a key to who wrote its row's value, `None` where the row has none that was ever written; `last` to who
/// wrote the last real value since the key's last delete, `None` where there is none.
///
/// # Errors
/// With the first key whose row has another value.
pub fn values<K: Ord + fmt::Debug>(
    survivors: &BTreeMap<K, Option<(Offset, u16)>>,
    last: &BTreeMap<K, Option<(Offset, u16)>>,
) -> Result<(), Violation> {
    let wrong = survivors
        .iter()
        .find(|(key, value)| value.is_none() || last.get(key) != Some(*value));
    match wrong {
        None => Ok(()),
        Some((key, value)) => broken(
            "I6 order",
            format!(
                "key {key:?} has the value of {value:?}, the last real one is {:?}",
                last.get(key).copied().flatten()
            ),
        ),
    }
}

/// I7 Forward schema: no column of the earlier plan is missing from the later one.
///
/// # Errors
/// With the first column that is gone.
pub fn forward_schema(before: &Plan, after: &Plan) -> Result<(), Violation> {
    let gone = before
        .columns
        .iter()
        .find(|column| after.columns.iter().all(|later| later.name != column.name));
    match gone {
        Some(column) => broken("I7 forward schema", format!("column `{}` is gone", column.name)),
        None => Ok(()),
    }
}

/// I8 Garbage collection: whatever was deleted is below every registered target's checkpoint.
///
/// # Errors
/// With the object's end and the target that still needs it.
pub fn collected(deleted_next: Offset, checkpoints: &BTreeMap<String, Offset>) -> Result<(), Violation> {
    match checkpoints.iter().find(|(_, checkpoint)| deleted_next > **checkpoint) {
        Some((target, checkpoint)) => broken(
            "I8 garbage collection",
            format!("`..{deleted_next}` was deleted, target `{target}` stands at `{checkpoint}`"),
        ),
        None => Ok(()),
    }
}

/// I10 No silent loss: below the end, every visible offset is applied or covered by a claim, unless the lineage is halted or a `gap`
/// says so.
///
/// # Errors
/// With the first offset that nobody accounts for.
pub fn no_silent_loss(
    with_rows: &BTreeSet<Offset>,
    claims: &[Claim],
    checkpoint: Offset,
    halted: bool,
) -> Result<(), Violation> {
    let mut covered = Coverage::default();
    claims.iter().for_each(|claim| covered.add(claim.start, claim.next));
    let unaccounted = with_rows
        .range(checkpoint..)
        .find(|offset| !covered.covers(**offset, offset.next()));
    match unaccounted {
        Some(offset) if !halted => broken(
            "I10 no silent loss",
            format!("offset `{offset}` is neither applied nor claimed"),
        ),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::Kind;
    use crate::ids::Partition;

    fn lineage() -> Lineage {
        Lineage {
            cluster: "c".into(),
            topic: "t".into(),
            incarnation: Incarnation(0),
            partition: Partition(0),
        }
    }

    fn claim(kind: Kind, start: i64, next: i64) -> Claim {
        Claim::new(kind, &lineage(), Offset(start), Offset(next))
    }

    fn offsets(offsets: &[i64]) -> BTreeSet<Offset> {
        offsets.iter().copied().map(Offset).collect()
    }

    #[test]
    fn truth_wants_every_row_and_no_other() {
        let claim = claim(Kind::Data, 0, 5);
        let visible = offsets(&[1, 3, 7]);
        assert!(truth(&claim, &offsets(&[1, 3]), &visible).is_ok());
        assert!(truth(&claim, &offsets(&[1]), &visible).is_err());
        assert!(truth(&claim, &offsets(&[1, 3, 7]), &visible).is_err());
    }

    #[test]
    fn a_chain_may_overlap_but_not_gape() {
        let whole = [
            claim(Kind::Genesis, 0, 0),
            claim(Kind::Data, 0, 5),
            claim(Kind::Data, 3, 9),
            claim(Kind::Data, 0, 2),
        ];
        assert_eq!(chain(&whole, &lineage()), Ok(()));
        let gaping = [
            claim(Kind::Genesis, 0, 0),
            claim(Kind::Data, 0, 5),
            claim(Kind::Data, 6, 9),
            claim(Kind::Data, 5, 6),
        ];
        assert!(chain(&gaping, &lineage()).unwrap_err().evidence.contains("6..9"));
    }

    #[test]
    fn exactly_once_sees_loss_doubles_and_haste() {
        let visible = offsets(&[0, 2, 4]);
        let applied =
            |counts: &[(i64, usize)]| counts.iter().map(|(o, n)| (Offset(*o), *n)).collect::<BTreeMap<_, _>>();
        let judge = |counts: &[(i64, usize)]| exactly_once(&applied(counts), &visible, Offset(3));
        assert!(judge(&[(0, 1), (2, 1)]).is_ok());
        assert!(judge(&[(0, 1)]).is_err());
        assert!(judge(&[(0, 1), (2, 2)]).is_err());
        assert!(judge(&[(0, 1), (2, 1), (4, 1)]).is_err());
    }

    #[test]
    fn order_sees_an_older_row_a_ghost_and_a_missing_row() {
        let last = BTreeMap::from([("a", Some((Offset(5), 0))), ("b", None)]);
        assert!(order(&BTreeMap::from([("a", (Offset(5), 0))]), &last).is_ok());
        assert!(order(&BTreeMap::from([("a", (Offset(3), 0))]), &last).is_err());
        assert!(order(&BTreeMap::from([("a", (Offset(5), 0)), ("b", (Offset(1), 0))]), &last).is_err());
        assert!(order(&BTreeMap::new(), &last).is_err());
    }

    #[test]
    fn the_rest() {
        let at = |n| (Incarnation(0), Offset(n));
        assert!(monotone(at(3), at(3)).is_ok() && monotone(at(3), at(2)).is_err());
        assert!(monotone(at(3), (Incarnation(1), Offset(0))).is_ok());
        let checkpoints = BTreeMap::from([("fast".to_owned(), Offset(9)), ("slow".to_owned(), Offset(4))]);
        assert!(collected(Offset(4), &checkpoints).is_ok() && collected(Offset(5), &checkpoints).is_err());
        let claims = [claim(Kind::Data, 0, 5)];
        assert!(no_silent_loss(&offsets(&[1, 4]), &claims, Offset(0), false).is_ok());
        assert!(no_silent_loss(&offsets(&[1, 5]), &claims, Offset(0), false).is_err());
        assert!(no_silent_loss(&offsets(&[1, 5]), &claims, Offset(0), true).is_ok());
    }
}
