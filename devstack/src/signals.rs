//! How the programs of the stack end when they are told to.

use std::process::ExitCode;

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};

/// Exit code after Ctrl-C or SIGTERM, as shells have it.
pub const INTERRUPTED: u8 = 130;

/// Does the work until it is done or SIGINT or SIGTERM comes. Dropping the work on a signal stops every process that it has started.
/// An error is printed.
pub async fn until_signal(work: impl Future<Output = Result<ExitCode>>) -> ExitCode {
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = signals else {
        eprintln!("error: cannot listen for signals");
        return ExitCode::FAILURE;
    };
    tokio::select! {
        result = work => match result {
            Ok(code) => code,
            Err(error) => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
        },
        _ = interrupt.recv() => ExitCode::from(INTERRUPTED),
        _ = terminate.recv() => ExitCode::from(INTERRUPTED),
    }
}
