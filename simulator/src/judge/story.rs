//! What the signal log says of a partition, walked as a reader walks it, and what a target should therefore have of it. A reference of its
//! own: it shares no code with the daemons' chain.

use common::chain::Position;
use common::claim::{Claim, Kind};
use common::csv::DEFAULT_NULL_MARKER;
use common::ids::{Incarnation, Offset};

use crate::fake::upstream::Record;
use crate::group::Unit;
use crate::schedule::Damage;
use crate::world::State;

/// A range of one life of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// The life.
    pub incarnation: Incarnation,
    /// First offset.
    pub from: Offset,
    /// First offset behind it.
    pub to: Offset,
    /// An operator gave it up: its records are nowhere.
    pub given_up: bool,
    /// By the settings of its writer a row with the default NULL marker is none, and is set aside. `None`: nobody can say, since signals
    /// were lost and the range claimed anew.
    pub refuses: Option<bool>,
}

/// The stretches of a partition in the order in which every target comes by them; an empty one where a life begins.
#[must_use]
pub fn story(claims: &[Claim]) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    for claim in claims {
        let at = stretches.last().copied();
        let begins = match claim.kind {
            Kind::Genesis => at.is_none(),
            Kind::Reset => at.is_none_or(|at| claim.incarnation > at.incarnation),
            _ => false,
        };
        let from = match at {
            _ if begins => claim.start,
            Some(at) if claim.incarnation == at.incarnation && claim.start <= at.to && claim.next > at.to => at.to,
            _ => continue,
        };
        stretches.push(Stretch {
            incarnation: claim.incarnation,
            from,
            to: claim.next,
            given_up: claim.kind == Kind::Gap,
            refuses: Some(refuses(claim)),
        });
    }
    stretches
}

/// The story of a partition as everybody who ever appended told it.
pub(super) fn of(state: &State, unit: Unit) -> Vec<Stretch> {
    let mut told = story(state.watch.claims.get(&unit).map_or(&[][..], Vec::as_slice));
    if matches!(state.watch.damaged.get(&unit), Some(Damage::SignalsLost(_))) {
        told.iter_mut().for_each(|stretch| stretch.refuses = None);
    }
    told
}

/// Whether the writer of a claim sets rows aside that hold the default NULL marker: it is its own.
pub(super) fn refuses(claim: &Claim) -> bool {
    let marker = claim.dialect.as_ref().map(|dialect| dialect.null.as_str());
    marker.is_none_or(|marker| marker == DEFAULT_NULL_MARKER)
}

/// The present life of a partition and where it begins, by its story.
pub(super) fn present_life(story: &[Stretch]) -> Option<(Incarnation, Offset)> {
    let last = story.last()?.incarnation;
    let begins = story.iter().find(|stretch| stretch.incarnation == last)?;
    Some((last, begins.from))
}

/// The records of a partition are no longer those that were claimed, and no operator has begun its next life, or it was too late to tell
/// the lives apart: nothing can be compared.
pub(super) fn is_rewritten(state: &State, unit: Unit) -> bool {
    let damage = state.watch.damaged.get(&unit);
    matches!(damage, Some(Damage::UpstreamTruncated(_) | Damage::Recreated))
        && (state.watch.murky.contains(&unit)
            || present_life(&of(state, unit)).is_none_or(|(incarnation, _)| incarnation == Incarnation(0)))
}

/// The visible records of a stretch.
pub(super) fn records<'a>(
    state: &'a State,
    unit: Unit,
    stretch: &Stretch,
) -> impl Iterator<Item = &'a Record> + use<'a> {
    let range = stretch.from..stretch.to;
    let log = state.upstream.life(unit, stretch.incarnation);
    log.into_iter()
        .flat_map(|log| log.visible())
        .filter(move |record| range.contains(&record.offset))
}

/// The part of a story below a checkpoint that a target should have rows of.
pub(super) fn below(story: &[Stretch], at: Position) -> Vec<Stretch> {
    let cut = |stretch: &Stretch| {
        let end = if stretch.incarnation == at.incarnation {
            stretch.to.min(at.next)
        } else {
            stretch.to
        };
        Stretch { to: end, ..*stretch }
    };
    story
        .iter()
        .filter(|stretch| stretch.incarnation <= at.incarnation && !stretch.given_up)
        .map(cut)
        .filter(|stretch| stretch.from < stretch.to)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::ids::{Lineage, Partition};

    fn claim(kind: Kind, incarnation: u32, start: i64, next: i64) -> Claim {
        let lineage = Lineage {
            cluster: "c".into(),
            topic: "t".into(),
            incarnation: Incarnation(incarnation),
            partition: Partition(0),
        };
        Claim::new(kind, &lineage, Offset(start), Offset(next))
    }

    #[test]
    fn a_story_passes_over_what_is_void_and_tells_what_was_given_up() {
        let told = story(&[
            claim(Kind::Genesis, 0, 3, 3),
            claim(Kind::Genesis, 0, 5, 5),
            claim(Kind::Data, 0, 3, 9),
            claim(Kind::Data, 0, 3, 7),
            claim(Kind::Gap, 0, 7, 12),
            claim(Kind::Reset, 1, 0, 0),
            claim(Kind::Reset, 1, 2, 2),
            claim(Kind::Data, 0, 12, 20),
            claim(Kind::Data, 1, 0, 4),
        ]);
        let shown: Vec<_> = told
            .iter()
            .map(|stretch| (stretch.incarnation.0, stretch.from.0, stretch.to.0, stretch.given_up))
            .collect();
        assert_eq!(
            shown,
            [
                (0, 3, 3, false),
                (0, 3, 9, false),
                (0, 9, 12, true),
                (1, 0, 0, false),
                (1, 0, 4, false)
            ]
        );
        let at = |incarnation, next| Position {
            incarnation: Incarnation(incarnation),
            next: Offset(next),
        };
        assert_eq!(below(&told, at(0, 5)).len(), 1);
        assert_eq!(below(&told, at(0, 5))[0].to, Offset(5));
        assert_eq!(below(&told, at(1, 2)).last().map(|stretch| stretch.to), Some(Offset(2)));
    }
}
