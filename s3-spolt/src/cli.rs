//! What a person types.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use common::failure::Failure;
use common::ids::{Offset, Partition};
use runtime::config::{Config, S3SpoltConfig};
use runtime::report::{self, Error};
use runtime::tasks;
use tokio_util::sync::CancellationToken;

use crate::ingest::operator::At;
use crate::operate::Wish;

mod check;
mod gc;
mod lag;
mod operate;
mod peek;
mod rebuild;

/// Batches Kafka topics into CSV objects on S3 and claims each of them, exactly once.
#[derive(Debug, Parser)]
#[command(name = "s3-spolt", version, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str =
    "Exit codes: 0 done, 1 stopped with a reason, 2 configuration, 3 a check failed, 4 stopped at once";

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the daemon until SIGTERM.
    Run {
        #[command(flatten)]
        file: File,
        /// Prints the configuration as understood, secrets masked, and ends.
        #[arg(long)]
        dump_config: bool,
    },
    /// Tests connections, rights and topics, and says what is missing.
    Check {
        #[command(flatten)]
        file: File,
    },
    /// Shows how far each partition is claimed.
    Lag {
        #[command(flatten)]
        file: File,
    },
    /// Begins a new life of a topic that was recreated or lost records; shows what it would do unless --apply is given.
    Reset {
        #[command(flatten)]
        file: File,
        /// Topic.
        topic: String,
        /// Partition; may be given several times. All partitions unless given.
        #[arg(long)]
        partition: Vec<i32>,
        /// Where the new life begins: `earliest`, `latest` or an offset.
        #[arg(long)]
        at: Option<At>,
        #[command(flatten)]
        insist: Insist,
    },
    /// Gives up a range that can no longer be read; shows what it would do unless --apply is given.
    Gap {
        #[command(flatten)]
        file: File,
        /// Topic.
        topic: String,
        /// Partition.
        #[arg(long)]
        partition: i32,
        /// First offset that is not given up; the first record that exists unless given.
        #[arg(long)]
        to: Option<i64>,
        #[command(flatten)]
        insist: Insist,
    },
    /// Deletes objects that every target has applied; shows what it would do unless --apply is given.
    Gc {
        #[command(flatten)]
        file: File,
        /// Topics; all that are configured unless given.
        topic: Vec<String>,
        /// Does it.
        #[arg(long)]
        apply: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Makes the signal log of a topic anew from the objects on S3; shows what it found unless --apply is given.
    Rebuild {
        #[command(flatten)]
        file: File,
        /// Topic.
        topic: String,
        /// Partition; all unless given.
        #[arg(long)]
        partition: Option<i32>,
        /// Does it.
        #[arg(long)]
        apply: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows records as they become rows, or why they do not.
    Peek {
        #[command(flatten)]
        file: File,
        /// Topic.
        topic: String,
        /// Partition.
        #[arg(long, default_value_t = 0)]
        partition: i32,
        /// First offset.
        #[arg(long, default_value_t = 0)]
        offset: i64,
        /// How many records.
        #[arg(long, default_value_t = 10)]
        count: usize,
    },
}

#[derive(Debug, clap::Args)]
struct File {
    /// The configuration; spolt.example.toml shows all of it.
    #[arg(long, default_value = "spolt.toml", env = "SPOLT_CONFIG")]
    config: PathBuf,
}

#[derive(Debug, Clone, Copy, clap::Args)]
struct Insist {
    /// Does it.
    #[arg(long)]
    apply: bool,
    /// Also where it is not needed.
    #[arg(long)]
    force: bool,
}

impl File {
    fn load(&self) -> Result<(Config, S3SpoltConfig), Error> {
        let config = Config::load(&self.config)?;
        let own = config.require_s3_spolt(&self.config.display().to_string())?.clone();
        report::start_logging(&config.log)?;
        Ok((config, own))
    }
}

/// Does what was asked.
///
/// # Errors
/// With what went wrong, to be printed.
pub fn execute(cli: Cli) -> Result<(), Error> {
    let threads = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::stop(format!("start the async threads: {error}")))?;
    let result = threads.block_on(dispatch(cli.command));
    // Blocking calls into librdkafka may take their time-out to end; nothing waits for them.
    threads.shutdown_background();
    result
}

async fn dispatch(command: Command) -> Result<(), Error> {
    match command {
        Command::Run { file, dump_config } => {
            let (config, own) = file.load()?;
            if dump_config {
                println!("{}", config.dump());
                return Ok(());
            }
            #[cfg(feature = "drills")]
            runtime::failpoint::arm()?;
            let shutdown = CancellationToken::new();
            tasks::stop_on_signal(shutdown.clone())?;
            crate::run::run(config, own, shutdown).await
        }
        Command::Check { file } => {
            let (config, own) = file.load()?;
            check::check(&config, &own).await
        }
        Command::Lag { file } => {
            let (config, own) = file.load()?;
            Ok(lag::lag(&config, &own).await?)
        }
        Command::Reset {
            file,
            topic,
            partition,
            at,
            insist,
        } => {
            let (config, own) = file.load()?;
            let wish = Wish::Reset {
                partitions: partition.into_iter().map(Partition).collect(),
                at,
            };
            Ok(operate::operate(&config, &own, &file.config, &topic, wish, insist).await?)
        }
        Command::Gap {
            file,
            topic,
            partition,
            to,
            insist,
        } => {
            let (config, own) = file.load()?;
            let wish = Wish::Gap {
                partition: Partition(partition),
                to: to.map(Offset),
            };
            Ok(operate::operate(&config, &own, &file.config, &topic, wish, insist).await?)
        }
        Command::Gc {
            file,
            topic,
            apply,
            json,
        } => {
            let (config, own) = file.load()?;
            Ok(gc::gc(&config, &own, &topic, apply, json).await?)
        }
        Command::Rebuild {
            file,
            topic,
            partition,
            apply,
            json,
        } => {
            let (config, own) = file.load()?;
            let wish = rebuild::Wish {
                topic: &topic,
                partition: partition.map(Partition),
                apply,
                json,
            };
            Ok(rebuild::rebuild(&config, &own, &wish).await?)
        }
        Command::Peek {
            file,
            topic,
            partition,
            offset,
            count,
        } => {
            let (config, own) = file.load()?;
            Ok(peek::peek(&config, &own, &topic, Partition(partition), Offset(offset), count).await?)
        }
    }
}
