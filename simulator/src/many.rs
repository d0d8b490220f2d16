//! Many runs, several at once, and what they came to.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::run::{Outcome, run};
use crate::schedule::Schedule;

/// What many runs came to.
#[derive(Debug, Default)]
pub struct Sum {
    /// Runs.
    pub seeds: u64,
    /// Steps of all processes.
    pub steps: u64,
    /// Loads committed.
    pub commits: u64,
    /// Objects that collectors deleted.
    pub collected: u64,
    /// Virtual milliseconds.
    pub millis: u64,
    /// Lineages and tables that ended with an alarm.
    pub halted: usize,
    /// Records set aside by status, in all targets.
    pub set_aside: BTreeMap<String, u64>,
    /// Refreshes that were begun, finished and given up.
    pub refreshed: BTreeMap<&'static str, u64>,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Violations by seed.
    pub broken: BTreeMap<u64, Vec<String>>,
}

impl Sum {
    /// Adds a run.
    pub fn add(&mut self, seed: u64, outcome: &Outcome) {
        self.seeds += 1;
        self.steps += outcome.steps;
        self.commits += outcome.commits;
        self.collected += outcome.collected;
        self.millis += outcome.millis;
        self.halted += outcome.halted;
        for (status, count) in &outcome.set_aside {
            *self.set_aside.entry(status.clone()).or_default() += count;
        }
        for (what, count) in &outcome.refreshed {
            *self.refreshed.entry(what).or_default() += count;
        }
        for (kind, count) in &outcome.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        if !outcome.violations.is_empty() {
            self.broken.insert(seed, outcome.violations.clone());
        }
    }

    /// All of it, for people.
    #[must_use]
    pub fn shown(&self, took: Duration) -> String {
        let seconds = took.as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "for people")]
        let rate = self.seeds as f64 / seconds;
        let mut text = format!(
            "{} seeds in {seconds:.1} s ({rate:.1} a second), {} virtual seconds, {} process steps, {} loads committed, {} objects collected, {} alarms\n",
            self.seeds,
            self.millis / 1_000,
            self.steps,
            self.commits,
            self.collected,
            self.halted
        );
        let aside = self
            .set_aside
            .iter()
            .map(|(status, count)| format!(", {count} {status}"));
        let _ = writeln!(
            text,
            "{} records set aside{}",
            self.set_aside.values().sum::<u64>(),
            aside.collect::<String>()
        );
        let refreshed = self.refreshed.iter().map(|(what, count)| format!(" {count} {what}"));
        let _ = writeln!(text, "refreshes:{}", refreshed.collect::<Vec<_>>().join(","));
        let _ = writeln!(text, "{} faults:", self.faults.values().sum::<u64>());
        for (kind, count) in &self.faults {
            let _ = writeln!(text, "  {count:>7}  {kind}");
        }
        let _ = write!(text, "seeds with a violation: {}", self.broken.len());
        text
    }
}

/// Which seeds, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seeds, which are begun in their order.
    pub seeds: Range<u64>,
    /// Runs at once; each has a thread and a world of its own.
    pub threads: usize,
    /// No further seed is begun after the first violation.
    pub stop_at_first: bool,
}

impl Plan {
    /// Runs all seeds by their schedules and says after each what they came to so far.
    ///
    /// # Errors
    /// When the machine cannot make a runtime, or a run panicked.
    pub fn run(&self, schedule: impl Fn(u64) -> Schedule + Sync, told: impl Fn(&Sum) + Sync) -> io::Result<Sum> {
        let next = AtomicU64::new(self.seeds.start);
        let sum = Mutex::new(Sum::default());
        let work = || -> io::Result<()> {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= self.seeds.end {
                    return Ok(());
                }
                let outcome = run(&schedule(seed))?;
                let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                sum.add(seed, &outcome);
                told(&sum);
                if self.stop_at_first && !sum.broken.is_empty() {
                    next.store(self.seeds.end, Ordering::Relaxed);
                }
            }
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.threads.max(1)).map(|_| scope.spawn(work)).collect();
            threads.into_iter().try_for_each(|thread| {
                let panicked = |_| io::Error::other("a run panicked, see above");
                thread.join().map_err(panicked)?
            })
        })?;
        Ok(sum.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}
