//! How a process speaks to the person who started it: exit codes, errors with hints, logs.

use std::io::IsTerminal;
use std::process::ExitCode;

use common::failure::Failure;
use tracing_subscriber::EnvFilter;

use crate::config::{ConfigError, LogConfig, LogFormat};

/// What a process ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All is done, or it was asked to stop and did.
    Done = 0,
    /// It stopped with a reason: wrong credentials, a missing bucket, a topic that breaks assumption E1.
    Failed = 1,
    /// The configuration or the command line is wrong.
    Configuration = 2,
    /// `check` found something missing.
    CheckFailed = 3,
    /// The deadline passed while stopping; nothing is lost, what was open is done again.
    Deadline = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Why a process ends before its time.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Mistakes in the configuration, all of them.
    #[error(transparent)]
    Configuration(#[from] ConfigError),
    /// It cannot go on.
    #[error("{0}")]
    Failure(Box<Failure>),
    /// `check` found something missing; what it found was printed already.
    #[error("{0} checks failed")]
    Check(usize),
    /// The deadline passed while stopping.
    #[error("the deadline passed while stopping; what was open will be done again")]
    Deadline,
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        Error::Failure(Box::new(failure))
    }
}

impl Error {
    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Error::Configuration(_) => Exit::Configuration,
            Error::Failure(_) => Exit::Failed,
            Error::Check(_) => Exit::CheckFailed,
            Error::Deadline => Exit::Deadline,
        }
    }
}

/// Prints what went wrong, if anything did, and gives the exit code.
#[must_use]
pub fn finish(result: Result<(), Error>) -> ExitCode {
    match result {
        Ok(()) => Exit::Done.into(),
        Err(error) => {
            eprintln!("error: {error}");
            error.exit().into()
        }
    }
}

/// Starts logging to standard error. `RUST_LOG` wins over the configuration.
///
/// # Errors
/// When the level is none.
pub fn start_logging(config: &LogConfig) -> Result<(), Failure> {
    let configured = EnvFilter::try_from_default_env().or_else(|_| EnvFilter::try_new(&config.level));
    let filter = configured.map_err(|error| {
        Failure::stop(format!("log level `{}` is not understood: {error}", config.level))
            .hint("use error, warn, info, debug or trace, or directives such as info,s3_spolt=debug")
    })?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A second start in one process, as tests do it, keeps the first.
    let _ = match config.format {
        LogFormat::Text => subscriber.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
    Ok(())
}
