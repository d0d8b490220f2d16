//! A signal log made anew from the claims that lie beside the data on S3 (protocol rule 2, failure table 43).
//!
//! Every object is true, whether it was ever signalled or not, so any chain of them from the origin may be replayed. [`chain`] takes the
//! shortest one, lives in order, so that every prefix of the new log is whole (I2). Where objects were collected the chain goes on from
//! the horizon, which stands in the new log behind the origin: a target that has passed it finds what it needs, a new one is told that it
//! cannot begin (rule 24).

use std::collections::BTreeMap;

use crate::chain::{Link, Position};
use crate::claim::{Claim, Kind};
use crate::ids::{Incarnation, Offset};

/// The log of one partition as it may be written anew.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain {
    /// The claims in the order in which they are appended.
    pub claims: Vec<Claim>,
    /// Where the log ends: a writer goes on here.
    pub end: Option<Position>,
    /// The first hole, if there is one; the log ends before it.
    pub hole: Option<Hole>,
    /// Claims that were found and are not needed.
    pub unused: usize,
}

/// Offsets that no object covers although later ones are covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    /// Life of the topic.
    pub incarnation: Incarnation,
    /// First offset that is missing.
    pub start: Offset,
    /// Where the next object begins.
    pub next: Offset,
    /// Whether a later life follows. A log that went on with it would let targets pass over the hole unseen.
    pub buried: bool,
}

/// Why no log can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// There are claims, but none says where the first life begins.
    #[error("no object says where incarnation `{0}` begins")]
    NoOrigin(Incarnation),
    /// A life is missing between two others.
    #[error("incarnation `{after}` follows incarnation `{before}`, and those between are missing")]
    MissingLife {
        /// The life before.
        before: Incarnation,
        /// The life after.
        after: Incarnation,
    },
}

/// Chooses the claims of one partition of one topic of one cluster. What is given in any order, and twice, may be.
///
/// # Errors
/// When a life or the beginning of one is missing.
pub fn chain(claims: Vec<Claim>) -> Result<Chain, Unfit> {
    let found = claims.len();
    let horizon = claims
        .iter()
        .filter(|claim| claim.kind == Kind::Horizon)
        .max_by_key(|claim| (claim.incarnation, claim.next))
        .cloned();
    let mut lives: BTreeMap<Incarnation, Vec<Claim>> = BTreeMap::new();
    for claim in claims {
        lives.entry(claim.incarnation).or_default().push(claim);
    }
    let numbers: Vec<Incarnation> = lives.keys().copied().collect();
    let last = numbers.last().copied();
    let mut chain = Chain::default();
    let mut before: Option<Incarnation> = None;
    for (number, claims) in lives {
        if let Some(before) = before.filter(|before| before.0 + 1 != number.0) {
            return Err(Unfit::MissingLife { before, after: number });
        }
        let life = Life::new(number, claims, before.is_none(), horizon.as_ref());
        let hole = life.append(&mut chain, Some(number) != last)?;
        before = Some(number);
        if hole.is_some() {
            chain.hole = hole;
            break;
        }
    }
    chain.unused = found - chain.claims.len();
    Ok(chain)
}

struct Life<'h> {
    number: Incarnation,
    /// By start, then by key.
    origins: Vec<Claim>,
    /// What covers a range, by start.
    covering: Vec<Claim>,
    horizon: Option<&'h Claim>,
}

impl<'h> Life<'h> {
    fn new(number: Incarnation, claims: Vec<Claim>, first: bool, horizon: Option<&'h Claim>) -> Life<'h> {
        let origin = if first { Kind::Genesis } else { Kind::Reset };
        let (mut origins, mut covering) = (Vec::new(), Vec::new());
        for claim in claims {
            match claim.kind {
                // A topic may have been reset before it was ever begun.
                Kind::Genesis | Kind::Reset if claim.kind == origin || first => origins.push(claim),
                Kind::Genesis | Kind::Reset | Kind::Horizon => {}
                _ => covering.push(claim),
            }
        }
        covering.sort_by(|a, b| (a.start, a.next, a.kind, key(a)).cmp(&(b.start, b.next, b.kind, key(b))));
        // Of two that begin at one offset, the one of the topic that the records are of: the other was never signalled.
        let topic = covering.iter().find_map(|claim| claim.topic_id.clone());
        origins.sort_by_key(|claim| (claim.start, claim.topic_id != topic));
        Life {
            number,
            origins,
            covering,
            horizon,
        }
    }

    fn append(self, chain: &mut Chain, buried: bool) -> Result<Option<Hole>, Unfit> {
        let at = |next: Offset| Position {
            incarnation: self.number,
            next,
        };
        let horizon = self.horizon.map(|claim| Position {
            incarnation: claim.incarnation,
            next: claim.next,
        });
        // Several writers may have begun at once; the first of them in the lost log held. The one from which the claims reach furthest
        // explains them all, and of several such ones the lowest leaves nothing out.
        let mut best: Option<(&Claim, Vec<&Claim>, Offset)> = None;
        for origin in &self.origins {
            let from = horizon
                .filter(|horizon| horizon.incarnation == self.number)
                .map_or(origin.start, |horizon| horizon.next.max(origin.start));
            let (taken, reach) = self.cover(from);
            // An origin behind which nothing lies explains nothing, however high it is.
            let explains = |taken: &[&Claim], reach: Offset| (!taken.is_empty()).then_some(reach);
            let further = best
                .as_ref()
                .is_none_or(|(_, other, furthest)| explains(&taken, reach) > explains(other, *furthest));
            if further {
                best = Some((origin, taken, reach));
            }
        }
        let Some((origin, taken, reach)) = best else {
            return Err(Unfit::NoOrigin(self.number));
        };
        chain.claims.push(origin.clone());
        chain.end = Some(at(reach));
        match horizon {
            // All of this life may be gone, and nobody needs it.
            Some(horizon) if horizon.incarnation > self.number => {
                let end = self.covering.iter().map(|claim| claim.next).max();
                chain.end = Some(at(end.unwrap_or(origin.start)));
                return Ok(None);
            }
            Some(horizon) if horizon.incarnation == self.number => {
                chain.claims.extend(self.horizon.cloned());
                // The last claim says with which plan, topic and record a writer goes on.
                if taken.is_empty() {
                    let last = self.covering.iter().rfind(|claim| claim.next == horizon.next);
                    chain.claims.extend(last.cloned());
                }
            }
            _ => {}
        }
        chain.claims.extend(taken.into_iter().cloned());
        let beyond = self.covering.iter().filter(|claim| claim.start > reach);
        Ok(beyond.map(|claim| claim.start).min().map(|next| Hole {
            incarnation: self.number,
            start: reach,
            next,
            buried,
        }))
    }

    /// The fewest claims that cover from `from` on as far as it goes, in order.
    fn cover(&self, from: Offset) -> (Vec<&Claim>, Offset) {
        let (mut taken, mut reach, mut index) = (Vec::new(), from, 0);
        let mut best: Option<&Claim> = None;
        loop {
            while let Some(claim) = self.covering.get(index).filter(|claim| claim.start <= reach) {
                let further = best.is_none_or(|best| claim.next > best.next);
                if claim.kind != Kind::Gap && further {
                    best = Some(claim);
                }
                index += 1;
            }
            let next = best.filter(|claim| claim.next > reach).or_else(|| self.gap(reach));
            let Some(claim) = next else {
                return (taken, reach);
            };
            taken.push(claim);
            reach = claim.next;
        }
    }

    /// What an operator gave up is taken only where nothing else covers, and the least of it.
    fn gap(&self, reach: Offset) -> Option<&Claim> {
        self.covering
            .iter()
            .filter(|claim| claim.kind == Kind::Gap && claim.start <= reach && claim.next > reach)
            .min_by_key(|claim| claim.next)
    }
}

fn key(claim: &Claim) -> &str {
    claim.object.as_ref().map_or("", |object| object.key.as_str())
}

/// The links of a chain, to be judged by the invariants.
#[must_use]
pub fn links(chain: &Chain) -> Vec<Link> {
    chain.claims.iter().map(Link::of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::{Policy, Verdict, first_break, judge};
    use crate::ids::{Lineage, Partition};
    use proptest::prelude::*;

    fn claim(kind: Kind, incarnation: u32, start: i64, next: i64) -> Claim {
        let lineage = Lineage {
            cluster: "c".into(),
            topic: "t".into(),
            incarnation: Incarnation(incarnation),
            partition: Partition(0),
        };
        Claim::new(kind, &lineage, Offset(start), Offset(next))
    }

    fn data(start: i64, next: i64) -> Claim {
        claim(Kind::Data, 0, start, next)
    }

    fn shape(chain: &Chain) -> Vec<(Kind, i64, i64)> {
        chain
            .claims
            .iter()
            .map(|claim| (claim.kind, claim.start.0, claim.next.0))
            .collect()
    }

    #[test]
    fn the_fewest_claims_that_cover_all_are_taken_in_order() {
        let found = vec![
            data(8, 12),
            data(0, 5),
            data(0, 3),
            data(3, 8),
            claim(Kind::Genesis, 0, 0, 0),
            data(5, 8),
            data(4, 9),
        ];
        let chain = chain(found).unwrap();
        assert_eq!(
            shape(&chain),
            [
                (Kind::Genesis, 0, 0),
                (Kind::Data, 0, 5),
                (Kind::Data, 4, 9),
                (Kind::Data, 8, 12)
            ]
        );
        assert_eq!(
            (chain.unused, chain.hole, chain.end.unwrap().next),
            (3, None, Offset(12))
        );
    }

    #[test]
    fn the_log_ends_before_a_hole() {
        let genesis = claim(Kind::Genesis, 0, 0, 0);
        let hole = chain(vec![genesis.clone(), data(0, 5), data(7, 9)]).unwrap();
        assert_eq!(
            hole.hole.map(|hole| (hole.start, hole.next, hole.buried)),
            Some((Offset(5), Offset(7), false))
        );
        assert_eq!(hole.end.unwrap().next, Offset(5));
        let buried = chain(vec![genesis, data(0, 5), data(7, 9), claim(Kind::Reset, 1, 0, 0)]).unwrap();
        assert!(buried.hole.unwrap().buried && buried.claims.iter().all(|claim| claim.kind != Kind::Reset));
    }

    #[test]
    fn the_genesis_that_explains_the_claims_is_the_first() {
        let raced = |claims: Vec<Claim>| {
            let origins = [claim(Kind::Genesis, 0, 9, 9), claim(Kind::Genesis, 0, 5, 5)];
            chain([origins.to_vec(), claims].concat()).unwrap().claims[0].start.0
        };
        assert_eq!(raced(vec![data(9, 12)]), 9);
        assert_eq!(raced(vec![data(5, 12)]), 5);
        assert_eq!(raced(vec![data(5, 9), data(9, 12)]), 5);
        assert_eq!(raced(vec![data(5, 8)]), 5);
        assert_eq!(raced(vec![]), 5);
        assert_eq!(chain(vec![data(0, 5)]), Err(Unfit::NoOrigin(Incarnation(0))));
    }

    #[test]
    fn of_two_resets_at_one_offset_the_one_of_the_records_topic_holds() {
        let of = |topic: &str, claim: Claim| Claim {
            topic_id: Some(topic.into()),
            ..claim
        };
        let resets = ["first", "second"].map(|topic| of(topic, claim(Kind::Reset, 1, 0, 0)));
        let records = of("second", claim(Kind::Data, 1, 0, 4));
        let begun = [claim(Kind::Genesis, 0, 0, 0), data(0, 5)];
        for order in [[0, 1], [1, 0]] {
            let resets = order.map(|index: usize| resets[index].clone());
            let found = [begun.to_vec(), resets.to_vec(), vec![records.clone()]].concat();
            let chain = chain(found).unwrap();
            let origin = chain.claims.iter().find(|claim| claim.kind == Kind::Reset).unwrap();
            assert_eq!((origin.topic_id.as_deref(), chain.unused), (Some("second"), 1));
        }
    }

    #[test]
    fn what_was_collected_is_stood_for_by_its_horizon() {
        let genesis = claim(Kind::Genesis, 0, 0, 0);
        let horizon = claim(Kind::Horizon, 0, 40, 40);
        let older = claim(Kind::Horizon, 0, 20, 20);
        let found = vec![
            horizon.clone(),
            older,
            genesis.clone(),
            data(30, 40),
            data(38, 50),
            data(50, 60),
        ];
        let on = chain(found).unwrap();
        assert_eq!(
            shape(&on),
            [
                (Kind::Genesis, 0, 0),
                (Kind::Horizon, 40, 40),
                (Kind::Data, 38, 50),
                (Kind::Data, 50, 60)
            ]
        );
        assert_eq!(first_break(&links(&on), Incarnation(0)), None);
        let idle = chain(vec![horizon, genesis, data(30, 40)]).unwrap();
        assert_eq!(
            shape(&idle)[2],
            (Kind::Data, 30, 40),
            "a writer learns its plan from it"
        );
        assert_eq!(idle.end.unwrap().next, Offset(40));
    }

    #[test]
    fn lives_follow_each_other_and_a_gap_is_the_last_resort() {
        let found = vec![
            claim(Kind::Reset, 1, 2, 2),
            claim(Kind::Data, 1, 2, 4),
            claim(Kind::Genesis, 0, 0, 0),
            data(0, 5),
            claim(Kind::Gap, 0, 5, 9),
            data(5, 7),
            data(9, 11),
        ];
        assert_eq!(
            shape(&chain(found).unwrap()),
            [
                (Kind::Genesis, 0, 0),
                (Kind::Data, 0, 5),
                (Kind::Data, 5, 7),
                (Kind::Gap, 5, 9),
                (Kind::Data, 9, 11),
                (Kind::Reset, 2, 2),
                (Kind::Data, 2, 4)
            ]
        );
        let missing = vec![claim(Kind::Genesis, 0, 0, 0), claim(Kind::Reset, 2, 0, 0)];
        assert!(matches!(chain(missing), Err(Unfit::MissingLife { .. })));
    }

    /// Claims as several writers leave them on S3, some never signalled: each starts at the end of another.
    fn bucket() -> impl Strategy<Value = (Vec<Claim>, i64)> {
        proptest::collection::vec((any::<prop::sample::Index>(), 1i64..6, 0u8..8), 0..24).prop_map(|cuts| {
            let (mut found, mut ends) = (vec![claim(Kind::Genesis, 0, 3, 3)], vec![3]);
            for (chosen, length, what) in cuts {
                let start = *chosen.get(&ends);
                let kind = if what == 0 { Kind::Skip } else { Kind::Data };
                found.push(claim(kind, 0, start, start + length));
                ends.push(start + length);
            }
            (found, ends.into_iter().max().unwrap_or(3))
        })
    }

    proptest! {
        #[test]
        fn a_rebuilt_log_is_whole_at_every_prefix_and_reaches_as_far((found, end) in bucket(), seed in any::<u64>()) {
            let mut shuffled = found.clone();
            let turn = usize::try_from(seed % 97).unwrap() % shuffled.len();
            shuffled.rotate_left(turn);
            let chain = chain(shuffled).unwrap();
            prop_assert_eq!(first_break(&links(&chain), Incarnation(0)), None);
            prop_assert_eq!(chain.end.map(|end| end.next.0), Some(end));
            prop_assert_eq!(chain.hole, None);
            prop_assert_eq!(chain.unused + chain.claims.len(), found.len());
            // Whatever a target has applied already, it goes on to the end without a halt.
            for from in found.iter().map(|claim| claim.next) {
                let mut at = Some(Position { incarnation: Incarnation(0), next: from });
                for link in links(&chain) {
                    let verdict = judge(at, &link, Policy::default());
                    prop_assert!(!matches!(verdict, Verdict::Halt(_)));
                    at = verdict.after(at);
                }
                prop_assert_eq!(at.map(|at| at.next.0), Some(end));
            }
        }
    }
}
