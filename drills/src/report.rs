//! What came of the drills, for people and for programs.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use crate::drill::Deed;

/// How a drill ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing lost, nothing doubled, every invariant holds.
    Held,
    /// Something does not hold.
    Failed,
    /// The point was not reached, so nothing is shown: counts as failed.
    NotReached,
    /// It cannot be done on these parts.
    Skipped,
    /// The mutant was noticed, as it must be.
    Caught,
    /// The mutant was not noticed: the drill does not bite.
    Missed,
}

impl Verdict {
    /// Whether the whole run has failed by it.
    #[must_use]
    pub fn is_bad(self) -> bool {
        matches!(self, Verdict::Failed | Verdict::NotReached | Verdict::Missed)
    }

    fn word(self) -> &'static str {
        match self {
            Verdict::Held => "held",
            Verdict::Failed => "FAILED",
            Verdict::NotReached => "NOT REACHED",
            Verdict::Skipped => "skipped",
            Verdict::Caught => "caught",
            Verdict::Missed => "MISSED",
        }
    }
}

/// One drill that was run.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Point and variant, such as `C8-kill`.
    pub drill: String,
    /// The point alone.
    pub point: String,
    /// The deed, where it is one of the four.
    pub deed: Option<Deed>,
    /// What the drill is.
    pub what: String,
    /// What was switched on in the daemons.
    pub mutant: Option<String>,
    /// The seed that repeats it.
    pub seed: u64,
    /// What was done.
    pub did: Vec<String>,
    /// What was seen.
    pub saw: Vec<String>,
    /// How it ended.
    pub verdict: Verdict,
    /// Why, unless it held.
    pub reason: Option<String>,
    /// How long it took.
    pub seconds: f64,
    /// Where logs, configuration and data lie, if it failed.
    pub kept: Option<PathBuf>,
}

impl Outcome {
    /// Name of the drill and, in a mutant's case, of the mutant.
    #[must_use]
    pub fn title(&self) -> String {
        match &self.mutant {
            Some(mutant) => format!("{} under {mutant}", self.drill),
            None => self.drill.clone(),
        }
    }

    /// One line.
    #[must_use]
    pub fn line(&self) -> String {
        let reason = self
            .reason
            .as_deref()
            .map(|reason| format!(": {}", reason.lines().next().unwrap_or_default()));
        format!(
            "{} {} in {:.1} s{}",
            self.title(),
            self.verdict.word(),
            self.seconds,
            reason.unwrap_or_default()
        )
    }
}

/// All of one run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Drills, in the order of their list.
    pub outcomes: Vec<Outcome>,
    /// Wall time of all of them.
    pub seconds: f64,
    /// How many ran at once.
    pub jobs: usize,
}

impl Report {
    /// Whether nothing went wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        !self.outcomes.is_empty() && !self.outcomes.iter().any(|outcome| outcome.verdict.is_bad())
    }

    /// One line with all counts.
    #[must_use]
    pub fn summary(&self) -> String {
        let count = |verdict| {
            self.outcomes
                .iter()
                .filter(|outcome| outcome.verdict == verdict)
                .count()
        };
        let mut text = format!(
            "{} drills in {:.0} s, {} at once",
            self.outcomes.len(),
            self.seconds,
            self.jobs
        );
        for verdict in [
            Verdict::Held,
            Verdict::Caught,
            Verdict::Failed,
            Verdict::NotReached,
            Verdict::Missed,
            Verdict::Skipped,
        ] {
            if count(verdict) > 0 {
                let _ = write!(text, "; {} {}", count(verdict), verdict.word());
            }
        }
        text
    }

    /// For a person.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.summary());
        for outcome in &self.outcomes {
            let _ = write!(
                text,
                "\n{} (seed {}): {} in {:.1} s\n  what: {}\n",
                outcome.title(),
                outcome.seed,
                outcome.verdict.word(),
                outcome.seconds,
                outcome.what
            );
            for (word, lines) in [("done", &outcome.did), ("seen", &outcome.saw)] {
                for line in lines {
                    let _ = writeln!(text, "  {word}: {line}");
                }
            }
            if let Some(reason) = &outcome.reason {
                let _ = writeln!(text, "  because: {}", reason.replace('\n', "\n    "));
            }
            if let Some(kept) = &outcome.kept {
                let _ = writeln!(text, "  logs, configuration and data: {}", kept.display());
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(verdict: Verdict) -> Outcome {
        Outcome {
            drill: "C8-kill".into(),
            point: "C8".into(),
            deed: Some(Deed::Kill),
            what: "what".into(),
            mutant: None,
            seed: 1,
            did: vec!["did".into()],
            saw: vec!["saw".into()],
            verdict,
            reason: None,
            seconds: 1.0,
            kept: None,
        }
    }

    #[test]
    fn a_drill_that_was_not_reached_or_a_mutant_that_was_missed_fails_the_run() {
        let report = |verdict| Report {
            outcomes: vec![outcome(Verdict::Held), outcome(verdict)],
            seconds: 2.0,
            jobs: 1,
        };
        assert!(report(Verdict::Caught).is_good() && report(Verdict::Skipped).is_good());
        for bad in [Verdict::Failed, Verdict::NotReached, Verdict::Missed] {
            assert!(!report(bad).is_good());
        }
        let none = Report {
            outcomes: Vec::new(),
            seconds: 0.0,
            jobs: 1,
        };
        assert!(!none.is_good());
        assert_eq!(
            report(Verdict::Missed).summary(),
            "2 drills in 2 s, 1 at once; 1 held; 1 MISSED"
        );
    }
}
