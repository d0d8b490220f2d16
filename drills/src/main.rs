//! `devstack-drill`: what `devstack drill` runs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use devstack::addresses::Addresses;
use devstack::daemon::binary;
use devstack::home::Home;
use devstack::progress::Progress;
use devstack::signals::until_signal;
use devstack::{Options, Stack};
use drills::crash::matrix;
use drills::drill::{Deed, Drill};
use drills::mutants::{self, CASES, Case};
use drills::runner::{Job, Place, run};
use spolt_tests::parts::Parts;

/// Threads: drills block some of them while they read topics, and proxies must answer meanwhile.
const THREADS: usize = 24;

#[derive(Parser)]
#[command(
    name = "devstack drill",
    about = "Crash drills on the real parts. With the addresses of all parts in the environment (SPOLT_KAFKA_BOOTSTRAP and so on) they \
             are used and nothing is started; else a stack of its own is started and thrown away.",
    version
)]
struct Cli {
    /// The first seed: it decides the workload and at which hit a point strikes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run everything chosen with so many seeds.
    #[arg(long, default_value_t = 1)]
    count: u64,
    /// Only these points (C27) or drills (C27-kill).
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only these deeds.
    #[arg(long, value_delimiter = ',')]
    deed: Vec<Deed>,
    /// Only this mutant, by the drill that must catch it, or by those of --only.
    #[arg(long)]
    mutant: Option<String>,
    /// Only the mutants, each by the drill that must catch it.
    #[arg(long, conflicts_with = "mutant")]
    mutants: bool,
    /// Every point once by its most telling deed, and some mutants.
    #[arg(long)]
    quick: bool,
    /// Print what applies where, and run nothing.
    #[arg(long)]
    matrix: bool,
    /// Print the names of what would run, and run nothing.
    #[arg(long)]
    list: bool,
    /// How many drills run side by side.
    #[arg(long, default_value_t = 3)]
    jobs: usize,
    /// Where the stack and the files of failed drills lie.
    #[arg(long, default_value = ".spolt/drills")]
    home: PathBuf,
    /// Write the report as JSON.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Write the report as text.
    #[arg(long)]
    text: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // What a drill meets is in its report; the default hook would print it between the bars.
    std::panic::set_hook(Box::new(|_| {}));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the async runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(until_signal(drill(cli)));
    // Tasks that are dropped kill their daemons.
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    code
}

async fn drill(cli: Cli) -> Result<ExitCode> {
    if cli.matrix {
        print!(
            "{}\n{}\n{}",
            matrix::markdown(),
            drills::environment::markdown(),
            mutants::markdown()
        );
        return Ok(ExitCode::SUCCESS);
    }
    let jobs = jobs(&cli)?;
    if cli.list {
        for job in &jobs {
            let mutant = job.mutant.map(|mutant| format!(" under {mutant}")).unwrap_or_default();
            println!("{}{mutant}: {}", job.drill.name(), job.drill.what);
        }
        return Ok(ExitCode::SUCCESS);
    }
    for program in ["s3-spolt-drills", "redshift-spolt-drills"] {
        binary(program).context("cargo build --release --workspace --features drills --bins")?;
    }
    let progress = Progress::detect();
    let home = Home::open(&cli.home)?;
    let stack = stack(&home, &progress).await?;
    let parts = Parts::of(stack.addresses())?;
    let place = Place {
        parts,
        cache: home.cache().to_owned(),
        folder: home.root().join("drills"),
    };
    let report = run(jobs, &place, cli.jobs, &progress).await;
    if let Some(file) = &cli.report {
        write(file, &(serde_json::to_string_pretty(&report)? + "\n"))?;
    }
    if let Some(file) = &cli.text {
        write(file, &report.text())?;
    }
    print!("{}", report.text());
    stack.stop();
    Ok(if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The parts of the environment if it names all of them, else a stack of our own.
async fn stack(home: &Home, progress: &Progress) -> Result<Stack> {
    if Parts::of(&Addresses::from_env()).is_ok() {
        return Ok(Stack::from_env());
    }
    let mut options = Options::new(home.clone(), progress.clone());
    options.redshift_local = Some(binary("redshift-local")?);
    Stack::start(&options).await
}

fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write `{}`", file.display()))
}

fn jobs(cli: &Cli) -> Result<Vec<Job>> {
    let all = drills::all();
    for name in &cli.only {
        ensure!(
            all.iter().any(|drill| is_named(drill, name)),
            "there is no drill `{name}`\nhint: devstack drill --list"
        );
    }
    let chosen: Vec<Drill> = all
        .iter()
        .filter(|drill| cli.only.is_empty() || cli.only.iter().any(|name| is_named(drill, name)))
        .filter(|drill| cli.deed.is_empty() || drill.deed.is_some_and(|deed| cli.deed.contains(&deed)))
        .filter(|drill| !cli.quick || drill.quick)
        .cloned()
        .collect();
    let mut jobs = Vec::new();
    for seed in cli.seed..cli.seed + cli.count {
        let plain = |drill: &Drill| Job {
            drill: drill.clone(),
            seed,
            mutant: None,
        };
        if let Some(name) = &cli.mutant {
            jobs.extend(under_mutant(cli, name, &all, &chosen, seed)?);
            continue;
        }
        if !cli.mutants {
            jobs.extend(chosen.iter().map(plain));
        }
        if cli.mutants || (cli.only.is_empty() && cli.deed.is_empty()) {
            for case in CASES.iter().filter(|case| !cli.quick || case.quick) {
                jobs.push(of_case(case, &all, seed)?);
            }
        }
    }
    ensure!(!jobs.is_empty(), "nothing is chosen\nhint: devstack drill --list");
    Ok(jobs)
}

fn is_named(drill: &Drill, name: &str) -> bool {
    drill.point.eq_ignore_ascii_case(name) || drill.name().eq_ignore_ascii_case(name)
}

fn of_case(case: &Case, all: &[Drill], seed: u64) -> Result<Job> {
    let drill = case
        .find(all)
        .with_context(|| format!("`{}` is no drill", case.drill))?;
    Ok(Job {
        drill,
        seed,
        mutant: Some(case.mutant),
    })
}

fn under_mutant(cli: &Cli, name: &str, all: &[Drill], chosen: &[Drill], seed: u64) -> Result<Vec<Job>> {
    let cases: Vec<&Case> = CASES
        .iter()
        .filter(|case| case.mutant.eq_ignore_ascii_case(name))
        .collect();
    let Some(first) = cases.first() else {
        let known: Vec<&str> = CASES.iter().map(|case| case.mutant).collect();
        bail!("there is no mutant `{name}`\nhint: {}", known.join(", "));
    };
    if cli.only.is_empty() {
        return cases.into_iter().map(|case| of_case(case, all, seed)).collect();
    }
    let job = |drill: &Drill| Job {
        drill: drill.clone(),
        seed,
        mutant: Some(first.mutant),
    };
    Ok(chosen.iter().map(job).collect())
}
