//! Makes a failing schedule short: takes faults out, halves what is left, and keeps what still fails.

use std::io;

use crate::run::run;
use crate::schedule::{Fate, Fault, Schedule};

/// The shortest failing schedule that was found, and how many runs that took. A schedule that does not fail stays as it is.
///
/// # Errors
/// When the machine cannot make a runtime.
pub fn shrink(schedule: &Schedule) -> io::Result<(Schedule, usize)> {
    let mut best = schedule.clone();
    let mut runs = 0;
    let mut fails = |candidate: &Schedule| -> io::Result<bool> {
        runs += 1;
        Ok(!run(candidate)?.violations.is_empty())
    };
    if !fails(&best)? {
        return Ok((best, runs));
    }
    drop_steps(&mut best, &mut fails)?;
    for index in 0..best.steps.len() {
        while let Some(halved) = halved(&best.steps[index].fault) {
            let mut candidate = best.clone();
            candidate.steps[index].fault = halved;
            if !fails(&candidate)? {
                break;
            }
            best = candidate;
        }
    }
    while best.records > 10 {
        let mut candidate = best.clone();
        candidate.records = best.records * 3 / 4;
        if !fails(&candidate)? {
            break;
        }
        best = candidate;
    }
    drop_steps(&mut best, &mut fails)?;
    Ok((best, runs))
}

/// Delta debugging: chunks of half the length, then of a quarter, down to single faults.
fn drop_steps(best: &mut Schedule, fails: &mut impl FnMut(&Schedule) -> io::Result<bool>) -> io::Result<()> {
    let mut chunk = best.steps.len().max(1);
    loop {
        let mut at = 0;
        while at < best.steps.len() {
            let mut candidate = best.clone();
            candidate.steps.drain(at..(at + chunk).min(best.steps.len()));
            if fails(&candidate)? {
                *best = candidate;
            } else {
                at += chunk;
            }
        }
        if chunk == 1 {
            return Ok(());
        }
        chunk /= 2;
    }
}

/// The same fault for half the time, while that is still noticeable.
fn halved(fault: &Fault) -> Option<Fault> {
    let half = |millis: u64| (millis > 100).then_some(millis / 2);
    Some(match *fault {
        Fault::Crash(role, place, millis) => Fault::Crash(role, place, half(millis)?),
        Fault::Pause(role, place, millis) => Fault::Pause(role, place, half(millis)?),
        Fault::Transaction(millis, commit) => Fault::Transaction(half(millis)?, commit),
        Fault::Request(point, Fate::Slow(millis)) => Fault::Request(point, Fate::Slow(half(millis)?)),
        Fault::Request(point, Fate::Late(millis)) => Fault::Request(point, Fate::Late(half(millis)?)),
        _ => return None,
    })
}
