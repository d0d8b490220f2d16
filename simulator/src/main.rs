//! Runs seeds of the simulator and says what held: `simulator --seed 7 --verbose`, `simulator --count 1000`, `simulator --mutant M3`.

use std::io;
use std::ops::Range;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use common::mutant::{Mutant, switch_on};
use indicatif::{ProgressBar, ProgressStyle};
use simulator::many::{Plan, Sum};
use simulator::run::run;
use simulator::schedule::Schedule;
use simulator::shrink::shrink;

/// Both daemons in one process over fakes of Kafka, S3 and the warehouse, under a seeded schedule of faults.
#[derive(Debug, Parser)]
struct Args {
    /// Run one seed.
    #[arg(long, conflicts_with_all = ["seeds", "count"])]
    seed: Option<u64>,
    /// Run these seeds, such as 100..200.
    #[arg(long, value_parser = range)]
    seeds: Option<Range<u64>>,
    /// Run so many seeds from 0 on.
    #[arg(long, default_value_t = 1_000)]
    count: u64,
    /// Switch a mutant on, such as M3, and stop at the first seed that shows it.
    #[arg(long, value_parser = mutant)]
    mutant: Option<Mutant>,
    /// Print the event log of a single seed.
    #[arg(long)]
    verbose: bool,
    /// Do not shorten a failing schedule.
    #[arg(long)]
    no_shrink: bool,
    /// Seeds that run at once.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

/// Violations that are shown.
const SHOWN: usize = 40;

fn range(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("write FROM..TO")?;
    let number = |text: &str| text.parse::<u64>().map_err(|error| error.to_string());
    Ok(number(from)?..number(to)?)
}

fn mutant(text: &str) -> Result<Mutant, String> {
    Mutant::named(text).ok_or_else(|| format!("mutant `{text}` is not known"))
}

fn schedule(args: &Args, seed: u64) -> Schedule {
    args.mutant
        .map_or_else(|| Schedule::of(seed), |mutant| Schedule::for_mutant(seed, mutant))
}

fn main() -> ExitCode {
    let args = Args::parse();
    switch_on(args.mutant.as_slice());
    let done = match args.seed {
        Some(seed) => single(&args, seed),
        None => many(&args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("simulator: {error}");
            ExitCode::FAILURE
        }
    }
}

fn single(args: &Args, seed: u64) -> io::Result<bool> {
    let schedule = schedule(args, seed);
    let since = Instant::now();
    let outcome = run(&schedule)?;
    if args.verbose {
        outcome.log.iter().for_each(|line| println!("{line}"));
    }
    let mut sum = Sum::default();
    sum.add(seed, &outcome);
    println!("{}", sum.shown(since.elapsed()));
    explain(args, &sum)?;
    Ok(sum.broken.is_empty())
}

fn many(args: &Args) -> io::Result<bool> {
    let seeds = args.seeds.clone().unwrap_or(0..args.count);
    let bar = ProgressBar::new(seeds.end.saturating_sub(seeds.start));
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {per_sec}, {eta} left {msg}") {
        bar.set_style(style);
    }
    let since = Instant::now();
    let plan = Plan {
        seeds,
        threads: args.threads,
        stop_at_first: args.mutant.is_some(),
    };
    let sum = plan.run(
        |seed| schedule(args, seed),
        |sum| {
            bar.inc(1);
            if !sum.broken.is_empty() {
                bar.set_message(format!("{} with a violation", sum.broken.len()));
            }
        },
    )?;
    bar.finish_and_clear();
    println!("{}", sum.shown(since.elapsed()));
    explain(args, &sum)?;
    Ok(sum.broken.is_empty())
}

/// The violations, and the first of them with a short schedule.
fn explain(args: &Args, sum: &Sum) -> io::Result<()> {
    for (seed, violations) in sum.broken.iter().take(SHOWN) {
        println!("seed {seed}: {}", violations.join("; "));
    }
    let Some(seed) = sum.broken.keys().next().filter(|_| !args.no_shrink) else {
        return Ok(());
    };
    let (short, runs) = shrink(&schedule(args, *seed))?;
    println!(
        "\nseed {seed}, shortened by {runs} runs to {} faults and {} records within {} ms:",
        short.steps.len(),
        short.records,
        short.span_ms
    );
    short.steps.iter().for_each(|step| println!("  {step}"));
    run(&short)?
        .violations
        .iter()
        .for_each(|violation| println!("  -> {violation}"));
    let mut named = Mutant::ALL.iter().chain(&Mutant::BEYOND);
    let mutant = named.find(|(mutant, _)| Some(*mutant) == args.mutant);
    let mutant = mutant.map_or(String::new(), |(_, name)| format!(" --mutant {name}"));
    println!("again, with its event log: simulator --seed {seed}{mutant} --verbose");
    Ok(())
}
