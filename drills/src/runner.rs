//! Runs drills, several at once, each in a task of its own: whatever one meets ends that one alone.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use devstack::progress::Progress;
use futures::StreamExt as _;
use spolt_tests::parts::Parts;

use crate::drill::{Context, Drill, Given, NotReached, Skipped};
use crate::report::{Outcome, Report, Verdict};

/// How long the right result may take to come: far beyond what it takes on two busy cores.
const PATIENCE: Duration = Duration::from_secs(90);

/// With a mutant a wrong result is what is waited for, so the patience is shorter.
const PATIENCE_WITH_MUTANT: Duration = Duration::from_mins(1);

/// No drill takes longer, all waits included.
const LIMIT: Duration = Duration::from_mins(6);

/// One drill to be run.
#[derive(Clone)]
pub struct Job {
    /// Which.
    pub drill: Drill,
    /// With which seed.
    pub seed: u64,
    /// With which mutant in the daemons, if any.
    pub mutant: Option<&'static str>,
}

impl Job {
    fn title(&self) -> String {
        match self.mutant {
            Some(mutant) => format!("{}-{mutant}-{}", self.drill.name(), self.seed),
            None => format!("{}-{}", self.drill.name(), self.seed),
        }
    }
}

/// On what drills are run, and where their files lie.
pub struct Place {
    /// Where the parts answer.
    pub parts: Parts,
    /// Downloads, for a drill that starts parts of its own.
    pub cache: PathBuf,
    /// Each drill has a folder below it.
    pub folder: PathBuf,
}

/// Runs all jobs, `at_once` of them side by side; those that need the parts for themselves come last, one by one. The
/// files of drills that held are removed.
pub async fn run(jobs: Vec<Job>, place: &Place, at_once: usize, progress: &Progress) -> Report {
    let began = Instant::now();
    let step = Arc::new(progress.step("drills"));
    let total = jobs.len() as u64;
    let (alone, together): (Vec<_>, Vec<_>) = jobs.into_iter().enumerate().partition(|(_, job)| job.drill.alone);
    let mut outcomes = Vec::new();
    for (batch, width) in [(together, at_once.max(1)), (alone, 1)] {
        let mut running = futures::stream::iter(batch)
            .map(|(number, job)| async move { (number, one(job, place).await) })
            .buffer_unordered(width);
        while let Some((number, outcome)) = running.next().await {
            if outcome.verdict.is_bad() {
                progress.note(outcome.line());
            }
            step.at(outcomes.len() as u64 + 1, total, outcome.line());
            outcomes.push((number, outcome));
        }
    }
    outcomes.sort_by_key(|(number, _)| *number);
    let report = Report {
        outcomes: outcomes.into_iter().map(|(_, outcome)| outcome).collect(),
        seconds: began.elapsed().as_secs_f64(),
        jobs: at_once,
    };
    if let Ok(step) = Arc::try_unwrap(step).map_err(drop) {
        if report.is_good() {
            step.done(report.summary());
        } else {
            step.failed(report.summary());
        }
    }
    report
}

async fn one(job: Job, place: &Place) -> Outcome {
    let began = Instant::now();
    let own = place.folder.join(job.title());
    let patience = if job.mutant.is_some() {
        PATIENCE_WITH_MUTANT
    } else {
        PATIENCE
    };
    let name = job.drill.name();
    let context = Context::new(Given {
        parts: place.parts.clone(),
        cache: place.cache.clone(),
        name,
        seed: job.seed,
        folder: own.clone(),
        mutant: job.mutant,
        patience,
    });
    let task = tokio::spawn(tokio::time::timeout(LIMIT, (job.drill.run)(context.clone())));
    let ended = match task.await {
        Ok(Ok(ended)) => ended,
        Ok(Err(_)) => Err(anyhow::anyhow!("not over after {} s", LIMIT.as_secs())),
        Err(error) => Err(anyhow::anyhow!(said(error.into_panic()))),
    };
    let (verdict, reason) = judged(&ended, job.mutant.is_some());
    let kept = clear_away(&context, &own, verdict).await;
    let (did, saw) = context.notes();
    Outcome {
        drill: job.drill.name(),
        point: job.drill.point.to_owned(),
        deed: job.drill.deed,
        what: job.drill.what.clone(),
        mutant: job.mutant.map(str::to_owned),
        seed: job.seed,
        did,
        saw,
        verdict,
        reason,
        seconds: began.elapsed().as_secs_f64(),
        kept,
    }
}

fn judged(ended: &Result<()>, mutant: bool) -> (Verdict, Option<String>) {
    let Err(error) = ended else {
        return (if mutant { Verdict::Missed } else { Verdict::Held }, None);
    };
    let reason = Some(format!("{error:#}"));
    if error.is::<NotReached>() {
        (Verdict::NotReached, reason)
    } else if error.is::<Skipped>() {
        (Verdict::Skipped, reason)
    } else if mutant {
        (Verdict::Caught, reason)
    } else {
        (Verdict::Failed, reason)
    }
}

/// What a panic said.
fn said(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic
            .downcast::<&str>()
            .map_or_else(|_| "panicked".to_owned(), |text| (*text).to_owned()),
    }
}

/// Removes what a drill has made; before that, what a bad one leaves is written down beside its logs, and that folder stays.
async fn clear_away(context: &Context, own: &Path, verdict: Verdict) -> Option<PathBuf> {
    for corner in context.corners() {
        let task = tokio::spawn({
            let (corner, own) = (corner.clone(), own.to_owned());
            async move {
                if verdict.is_bad() {
                    corner.write_down(&own).await?;
                }
                corner.remove().await
            }
        });
        if let Ok(Err(error)) = task.await {
            context.saw(format!("could not clear everything away: {error:#}"));
        }
    }
    if verdict.is_bad() {
        return Some(own.to_owned());
    }
    // Left behind it would only take room.
    let _ = std::fs::remove_dir_all(own);
    None
}
