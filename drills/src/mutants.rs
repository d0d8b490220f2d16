//! Which drill catches which mutant: the proof that drills bite.

use crate::drill::Drill;

/// A mutant and the drill that must catch it.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// As in `common::mutant`.
    pub mutant: &'static str,
    /// What it gets wrong.
    pub what: &'static str,
    /// Point and variant of the drill.
    pub drill: &'static str,
    /// Part of `--quick`.
    pub quick: bool,
}

/// One case for each mutant.
pub const CASES: &[Case] = &[
    case("M1", "key by first offset, overwriting PUT", "C5-pause", false),
    case("M2", "no continuity check and no trim", "C10-recut-applied", false),
    case(
        "M3",
        "signals sent without waiting for the acknowledgement",
        "C10-cut",
        true,
    ),
    case("M4", "grouped by schema, checkpoint at the maximum", "C17-kill", true),
    case("M5", "collection of objects that no claim names", "C10-collected", true),
    case("M6", "no lock and no compare-and-set", "C19-pause", true),
    case(
        "M7",
        "a claim's start must equal the checkpoint",
        "C10-recut-applied",
        false,
    ),
    case("M8", "a batch starts at its first visible record", "V7", true),
    case("M9", "no deduplication inside a run", "C10-recut-waiting", false),
];

const fn case(mutant: &'static str, what: &'static str, drill: &'static str, quick: bool) -> Case {
    Case {
        mutant,
        what,
        drill,
        quick,
    }
}

impl Case {
    /// Its drill.
    #[must_use]
    pub fn find(&self, drills: &[Drill]) -> Option<Drill> {
        drills.iter().find(|drill| drill.name() == self.drill).cloned()
    }
}

/// The cases as a Markdown table.
#[must_use]
pub fn markdown() -> String {
    let rows = CASES
        .iter()
        .map(|case| format!("| {} | {} | {} |\n", case.mutant, case.what, case.drill));
    std::iter::once("| mutant | what it gets wrong | caught by |\n|---|---|---|\n".to_owned())
        .chain(rows)
        .collect()
}
