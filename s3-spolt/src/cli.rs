//! What a person types.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use common::failure::Failure;
use common::ids::{Offset, Partition};
use runtime::config::{Config, S3SpoltConfig};
use runtime::report::{self, Error};
use runtime::tasks;
use tokio_util::sync::CancellationToken;

mod check;
mod lag;
mod peek;

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
