//! Ways of getting the protocol wrong on purpose (protocol.md section 8). The model, the simulator and the drills switch them on to
//! show that they would notice. Without the `drills` feature every question is answered `false` at compile time.

/// One known way of losing or doubling rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Mutant {
    /// M1: object key by first offset, overwriting PUT.
    KeyByFirstOffset,
    /// M1b: object key by first offset, with If-None-Match.
    KeyByFirstOffsetIfAbsent,
    /// M2: no continuity check and no trim.
    NoContinuityNoTrim,
    /// M3: signals pipelined without waiting for the acknowledgement.
    PipelinedSignals,
    /// M3b: M3, and no continuity check in the loader.
    PipelinedSignalsNoContinuity,
    /// M4: group by schema, checkpoint = maximum.
    GroupBySchema,
    /// M5: garbage collection of objects that no claim names.
    CollectUnreferenced,
    /// M5b: the horizon is where the fastest target stands.
    HorizonByTheFastest,
    /// M6: no lock and no compare-and-set.
    NoLockNoCompareAndSet,
    /// M7: a claim's start must equal the checkpoint.
    StartMustEqualCheckpoint,
    /// M8: a batch starts at its first visible record.
    StartAtFirstRecord,
    /// M9: no deduplication by (lineage, offset, seq) inside a run.
    NoDeduplication,
    /// G2: no continuity check on a log that was damaged from outside.
    NoContinuity,
    /// R1: a claim says nothing of the records that it sets aside (rule 27).
    AsideUnclaimed,
    /// R2: a replay knows nothing of what came later of its keys, nor does that of the records set aside.
    ReplayIgnoresLater,
    /// R3: what is replayed is marked in a transaction of its own.
    ReplayMarkedApart,
    /// R4: records set aside are kept as often as claims bring them.
    AsideKeptTwice,
    /// F1: a refresh that is given up leaves the checkpoints where they are.
    GiveUpForward,
    /// F2: progress is published while a table is refreshed.
    RefreshTellsProgress,
    /// F3: a refresh is finished in two transactions.
    FinishInTwo,
    /// F4: a refresh that is given up leaves what was set aside since it began.
    GiveUpKeepsAside,
}

impl Mutant {
    /// Every mutant with the name that the drills use.
    pub const ALL: [(Mutant, &'static str); 13] = [
        (Mutant::KeyByFirstOffset, "M1"),
        (Mutant::KeyByFirstOffsetIfAbsent, "M1b"),
        (Mutant::NoContinuityNoTrim, "M2"),
        (Mutant::PipelinedSignals, "M3"),
        (Mutant::PipelinedSignalsNoContinuity, "M3b"),
        (Mutant::GroupBySchema, "M4"),
        (Mutant::CollectUnreferenced, "M5"),
        (Mutant::HorizonByTheFastest, "M5b"),
        (Mutant::NoLockNoCompareAndSet, "M6"),
        (Mutant::StartMustEqualCheckpoint, "M7"),
        (Mutant::StartAtFirstRecord, "M8"),
        (Mutant::NoDeduplication, "M9"),
        (Mutant::NoContinuity, "G2"),
    ];

    /// Mutants of what is not in the protocol's first part: records set aside, and refreshes. The simulator looks for them; the model has slips of its own
    /// there.
    pub const BEYOND: [(Mutant, &'static str); 8] = [
        (Mutant::AsideUnclaimed, "R1"),
        (Mutant::ReplayIgnoresLater, "R2"),
        (Mutant::ReplayMarkedApart, "R3"),
        (Mutant::AsideKeptTwice, "R4"),
        (Mutant::GiveUpForward, "F1"),
        (Mutant::RefreshTellsProgress, "F2"),
        (Mutant::FinishInTwo, "F3"),
        (Mutant::GiveUpKeepsAside, "F4"),
    ];

    /// The mutant of a name such as `M3b`.
    #[must_use]
    pub fn named(name: &str) -> Option<Mutant> {
        Mutant::ALL
            .iter()
            .chain(&Mutant::BEYOND)
            .find(|(_, known)| *known == name)
            .map(|(mutant, _)| *mutant)
    }

    /// Whether this mutant is switched on. Always `false` in a build without the `drills` feature.
    #[must_use]
    #[inline]
    pub fn is_on(self) -> bool {
        switch::is_on(self)
    }
}

#[cfg(not(feature = "drills"))]
mod switch {
    #[inline]
    pub(super) const fn is_on(_: super::Mutant) -> bool {
        false
    }
}

#[cfg(feature = "drills")]
mod switch {
    use std::sync::atomic::{AtomicU32, Ordering};

    static ON: AtomicU32 = AtomicU32::new(0);

    pub(super) fn is_on(mutant: super::Mutant) -> bool {
        ON.load(Ordering::Relaxed) & (1 << mutant as u8) != 0
    }

    /// Switches exactly these mutants on, for the whole process.
    pub(super) fn set(mutants: &[super::Mutant]) {
        ON.store(
            mutants.iter().fold(0, |bits, mutant| bits | 1 << *mutant as u8),
            Ordering::Relaxed,
        );
    }
}

/// Switches exactly these mutants on, for the whole process.
#[cfg(feature = "drills")]
pub fn switch_on(mutants: &[Mutant]) {
    switch::set(mutants);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_has_one_name() {
        for (mutant, name) in Mutant::ALL.into_iter().chain(Mutant::BEYOND) {
            assert_eq!(Mutant::named(name), Some(mutant));
        }
        assert_eq!(Mutant::named("M0"), None);
    }

    #[cfg(not(feature = "drills"))]
    #[test]
    fn a_build_without_drills_has_none() {
        assert!(Mutant::ALL.iter().all(|(mutant, _)| !mutant.is_on()));
    }
}
