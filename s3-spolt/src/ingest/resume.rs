//! Where a lineage goes on, read off the claims at the end of its signal partition (protocol rule 6).

use common::claim::{Claim, Kind, Tail};
use common::ids::{Incarnation, Offset, Partition};
use common::plan::PlanId;

/// The records of a signal partition that were read back, decoded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReadBack {
    /// Whether the slice begins where the signal partition begins.
    pub from_beginning: bool,
    /// The claims in log order, whatever lineage they are of.
    pub claims: Vec<Claim>,
}

/// A position that is safe to go on from, because it was seen durably in the signal log (invariant I3).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resume {
    /// Which life of the topic it belongs to.
    pub incarnation: Incarnation,
    /// First offset that no seen claim covers.
    pub pos: Offset,
    /// Kafka's topic id as the claim states it.
    pub topic_id: Option<String>,
    /// Plan of the lineage's last claim: its successor starts with it (rule 7).
    pub plan: Option<PlanId>,
    /// Fingerprint to verify the topic by (rule 12).
    pub tail: Option<Tail>,
}

/// What reading back showed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Found {
    /// Go on here.
    Resume(Resume),
    /// Only origins were seen and the beginning was not: the first origin decides, so read everything.
    ReadAll,
    /// No claim of the lineage was seen, but there is more to read.
    ReadMore,
    /// The log holds no claim of the lineage: it needs a genesis.
    Nothing,
}

/// Looks for the position to go on from. Any data, skip or gap claim is safe; the maximum of those read saves work. Of origins the
/// first in the log holds for everybody.
#[must_use]
pub fn find(read: &ReadBack, cluster: &str, topic: &str, partition: Partition) -> Found {
    let of_us = |claim: &&Claim| {
        claim.partition == partition && claim.topic == topic && claim.cluster == cluster && claim.kind != Kind::Horizon
    };
    let claims: Vec<&Claim> = read.claims.iter().filter(of_us).collect();
    let Some(incarnation) = claims.iter().map(|claim| claim.incarnation).max() else {
        return if read.from_beginning {
            Found::Nothing
        } else {
            Found::ReadMore
        };
    };
    let mut live = claims.iter().filter(|claim| claim.incarnation == incarnation);
    let is_origin = |kind: Kind| matches!(kind, Kind::Genesis | Kind::Reset);
    let covering = live
        .clone()
        .filter(|claim| !is_origin(claim.kind))
        .max_by_key(|claim| claim.next);
    if let Some(last) = covering {
        let plan = live
            .rfind(|claim| claim.plan.is_some())
            .and_then(|claim| claim.plan.clone());
        return Found::Resume(Resume {
            incarnation,
            pos: last.next,
            topic_id: last.topic_id.clone(),
            plan: last.plan.clone().or(plan),
            tail: last.tail,
        });
    }
    if !read.from_beginning {
        return Found::ReadAll;
    }
    match live.next() {
        Some(first) => Found::Resume(Resume {
            incarnation,
            pos: first.next,
            topic_id: first.topic_id.clone(),
            plan: None,
            tail: None,
        }),
        None => Found::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::ids::Lineage;

    fn lineage(incarnation: u32) -> Lineage {
        Lineage {
            cluster: "c".into(),
            topic: "t".into(),
            incarnation: Incarnation(incarnation),
            partition: Partition(0),
        }
    }

    fn claim(kind: Kind, start: i64, next: i64) -> Claim {
        Claim::new(kind, &lineage(0), Offset(start), Offset(next))
    }

    fn found(from_beginning: bool, claims: Vec<Claim>) -> Found {
        find(&ReadBack { from_beginning, claims }, "c", "t", Partition(0))
    }

    fn pos(found: Found) -> i64 {
        match found {
            Found::Resume(resume) => resume.pos.0,
            other => panic!("no position in {other:?}"),
        }
    }

    #[test]
    fn the_highest_claim_read_is_resumed_even_if_a_zombie_wrote_last() {
        let claims = vec![
            claim(Kind::Data, 0, 40),
            claim(Kind::Skip, 40, 50),
            claim(Kind::Data, 0, 10),
        ];
        assert_eq!(pos(found(false, claims)), 50);
    }

    #[test]
    fn the_first_genesis_is_the_origin_and_later_ones_are_void() {
        let claims = vec![claim(Kind::Genesis, 5, 5), claim(Kind::Genesis, 9, 9)];
        assert_eq!(pos(found(true, claims.clone())), 5);
        assert_eq!(found(false, claims), Found::ReadAll);
    }

    #[test]
    fn a_later_life_of_the_topic_hides_an_earlier_one() {
        let reset = Claim::new(Kind::Reset, &lineage(1), Offset(0), Offset(0));
        assert_eq!(pos(found(true, vec![claim(Kind::Data, 0, 40), reset.clone()])), 0);
        let later = Claim::new(Kind::Data, &lineage(1), Offset(0), Offset(7));
        assert_eq!(pos(found(false, vec![reset, later, claim(Kind::Data, 40, 80)])), 7);
    }

    #[test]
    fn claims_of_others_do_not_count() {
        let other = Claim {
            topic: "u".into(),
            ..claim(Kind::Data, 0, 40)
        };
        assert_eq!(found(false, vec![other.clone()]), Found::ReadMore);
        assert_eq!(found(true, vec![other]), Found::Nothing);
    }

    #[test]
    fn the_plan_survives_claims_that_have_none() {
        let planned = Claim {
            plan: Some(PlanId("p".into())),
            ..claim(Kind::Data, 0, 40)
        };
        match found(false, vec![planned, claim(Kind::Gap, 40, 50)]) {
            Found::Resume(resume) => assert_eq!(resume.plan, Some(PlanId("p".into()))),
            other => panic!("no position in {other:?}"),
        }
    }
}
