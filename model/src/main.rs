//! The model: the state machines that the daemons run, explored exhaustively.

use std::process::ExitCode;

use clap::Parser;
use model::explore::{Findings, Manner};
use model::runs::{Depth, HUNTS, RUNS};
use model::slips::SLIPS;

/// Explores the protocol as the daemons implement it, and every known way of getting it wrong.
#[derive(Parser)]
struct Arguments {
    /// Larger bounds: over fifty million states.
    #[arg(long)]
    deep: bool,
    /// Only runs and mutants whose name begins so.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Only this mutant.
    #[arg(long, value_name = "M3")]
    mutant: Option<String>,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let chosen = |name: &str| {
        arguments
            .only
            .as_ref()
            .is_none_or(|only| name.starts_with(only.as_str()))
    };
    let mut sound = true;
    if arguments.mutant.is_none() {
        let manner = Manner {
            threads: arguments.threads,
            until: None,
            progress: true,
        };
        let depth = if arguments.deep { Depth::Deep } else { Depth::Quick };
        println!(
            "| run | unique states | depth | seconds | states/s | finished | after every fault | verdict | bounds (deep) |"
        );
        println!("|---|---|---|---|---|---|---|---|---|");
        let mut sum = Findings::default();
        for run in RUNS.iter().filter(|run| chosen(run.name)) {
            let found = (run.explore)(depth, manner);
            println!("{} {} |", line(run.name, &found), run.bounds);
            for example in &found.counterexamples {
                println!("{example}");
            }
            sound &= found.counterexamples.is_empty() && found.idle == 0;
            sum.add(found);
        }
        println!("{} |", line("all", &sum));
        println!("memory at its peak: {} MiB", peak_mib());
    }
    for hunt in &HUNTS {
        let name = hunt.name();
        if !chosen(name) || arguments.mutant.as_ref().is_some_and(|wanted| wanted != name) {
            continue;
        }
        let (findings, found) = hunt.run();
        let (states, seconds) = (findings.states, findings.seconds);
        println!(
            "\n{name} {:?}: {} ({states} states, {seconds:.1} s)",
            hunt.mutant, hunt.bounds
        );
        match found {
            Some(example) => println!("{example}"),
            None => println!("  =>  NOT FOUND, though it must break {}", hunt.law),
        }
        sound &= found_any(&findings, hunt.law);
    }
    for slip in SLIPS.iter().filter(|_| arguments.mutant.is_none() && chosen("slips")) {
        let (findings, found) = slip.run();
        let (states, seconds) = (findings.states, findings.seconds);
        println!("\n{}: {} ({states} states, {seconds:.1} s)", slip.words, slip.bounds());
        match &found {
            Some(example) => println!("{example}"),
            None => println!("  =>  NOT FOUND, though it must break {}", slip.law),
        }
        sound &= found.is_some();
    }
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Memory of this process at its peak, as Linux counts it; 0 elsewhere.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

fn found_any(findings: &Findings, law: &str) -> bool {
    findings.counterexamples.iter().any(|example| example.law == law)
}

fn line(name: &str, found: &Findings) -> String {
    let verdict = match found.counterexamples.first() {
        None if found.idle > 0 => format!("{} parts never end after every fault", found.idle),
        None => "holds".to_owned(),
        Some(example) => format!("{} broken", example.law),
    };
    format!(
        "| {name} | {} | {} | {:.1} | {:.0} | {} | {} | {verdict} |",
        found.states,
        found.depth,
        found.seconds,
        found.states as f64 / found.seconds.max(0.001),
        found.finished,
        found.recovered
    )
}
