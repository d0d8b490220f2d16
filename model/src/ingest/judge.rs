//! What must hold in every state of part A.

use std::collections::BTreeMap;
use std::sync::Arc;

use common::chain::Position;
use common::claim::{Claim, Kind};
use common::ids::Offset;
use common::invariants;

use super::{Spolting, State, Target, life_of};
use crate::records::lineage;

impl Spolting {
    /// I1 for every claim that some loader has not applied yet.
    pub(super) fn untrue(&self, state: &State) -> Option<String> {
        let lowest = self.standings(state).map(|(_, at)| at).min().flatten();
        self.truths.get(&(state.pattern, state.log, state.store, lowest), || {
            let store = self.stores.get(state.store);
            self.logs.get(state.log).iter().find_map(|claim| {
                let claim = self.claims.get(*claim);
                let end = Position {
                    incarnation: claim.incarnation,
                    next: claim.next,
                };
                if claim.kind != Kind::Data || Some(end) <= lowest {
                    return None;
                }
                let key = &claim.object.as_ref()?.key;
                // The incarnation is the life that its origin named, and no claim of it speaks of another.
                let life = self
                    .origin(state, claim.incarnation.0)
                    .map_or(life_of(&claim), |origin| life_of(&origin));
                let with_rows = self.records(state, life).offsets(0, Offset(0), Offset(i64::MAX));
                if life != life_of(&claim) {
                    return Some(format!(
                        "claim `{}..{}` is of another life of the topic",
                        claim.start, claim.next
                    ));
                }
                match store.get(key) {
                    None => Some(format!(
                        "claim `{}..{}` names an object that is not there",
                        claim.start, claim.next
                    )),
                    Some((_, rows)) => invariants::truth(&claim, rows, &with_rows)
                        .err()
                        .map(|broken| broken.evidence),
                }
            })
        })
    }

    pub(super) fn gaping(&self, state: &State) -> Option<String> {
        if state.damaged {
            return None;
        }
        self.chains.get(&state.log, || {
            let claims = self.claims_of(&self.logs.get(state.log));
            (0..2).find_map(|life| {
                invariants::chain(&claims, &lineage(life, 0))
                    .err()
                    .map(|broken| broken.evidence)
            })
        })
    }

    pub(super) fn miscounted(&self, state: &State) -> Option<String> {
        let mut targets = state.targets.iter().take(self.bounds.targets);
        targets.find_map(|target| {
            let key = (state.pattern, state.log, *target);
            self.counts.get(&key, || self.miscounted_by(state, target))
        })
    }

    fn miscounted_by(&self, state: &State, target: &Target) -> Option<String> {
        let log = self.logs.get(state.log);
        let gaps: Vec<Arc<Claim>> = log
            .iter()
            .map(|claim| self.claims.get(*claim))
            .filter(|claim| claim.kind == Kind::Gap)
            .collect();
        let at = target.at?;
        let life = at.incarnation.0;
        let applied: BTreeMap<Offset, usize> = (0i64..8)
            .map(|offset| {
                (
                    Offset(offset),
                    usize::from((target.applied[life as usize] >> (offset * 2)) & 3),
                )
            })
            .filter(|(_, times)| *times > 0)
            .collect();
        let origin = self.origin(state, life)?;
        let mut with_rows = self
            .records(state, life_of(&origin))
            .offsets(0, origin.start, Offset(i64::MAX));
        // What an operator gave up is lost with his word; what was claimed all the same is welcome.
        with_rows.retain(|offset| {
            let given_up = gaps
                .iter()
                .any(|gap| gap.incarnation.0 == life && gap.start <= *offset && *offset < gap.next);
            !given_up || applied.contains_key(offset)
        });
        invariants::exactly_once(&applied, &with_rows, at.next)
            .err()
            .map(|broken| broken.evidence)
    }

    pub(super) fn origin(&self, state: &State, incarnation: u32) -> Option<Arc<Claim>> {
        let log = self.logs.get(state.log);
        let mut claims = log.iter().map(|claim| self.claims.get(*claim));
        claims.find(|claim| claim.incarnation.0 == incarnation && matches!(claim.kind, Kind::Genesis | Kind::Reset))
    }

    /// Where the log ends, if it speaks of the present life of the topic.
    pub(super) fn reach(&self, state: &State) -> Option<Position> {
        let reach = self.reaches.get(&state.log, || {
            let log = self.logs.get(state.log);
            let claims = log.iter().map(|claim| self.claims.get(*claim));
            let end = claims
                .filter(|claim| claim.kind != Kind::Horizon)
                .map(|claim| Position {
                    incarnation: claim.incarnation,
                    next: claim.next,
                });
            let end = end.max()?;
            let origin = self.origin(state, end.incarnation.0);
            Some((end, origin.map_or(0, |origin| life_of(&origin))))
        });
        reach.filter(|(_, life)| *life == state.life).map(|(end, _)| end)
    }
}
