//! The real parts: how each is started and when it is ready.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::home::Home;
use crate::process::Process;
use crate::wait::INTERVAL;

mod account;
pub mod connect;
pub mod kafka;
pub mod localstack;
pub mod mariadb;
pub mod postgres;
pub mod redshift_local;
pub mod registry;

/// A part that does not answer this long after its start has failed. The slowest needs 5 s on two idle cores; the rest is for cores
/// that compile meanwhile.
pub const START_DEADLINE: Duration = Duration::from_secs(120);

/// One try of a readiness probe.
const PROBE: Duration = Duration::from_secs(5);

/// A started part and where it answers.
#[derive(Debug)]
pub struct Started {
    /// The running process.
    pub process: Process,
    /// Host:port or URL.
    pub address: String,
}

/// Removes what the parts of a stack in this home left outside of it, if anything.
///
/// # Errors
/// It cannot be removed.
pub fn clean(home: &Home) -> Result<()> {
    postgres::clean(home)?;
    mariadb::clean(home)
}

/// Waits until `probe` succeeds; fails early when the process ends, and with the end of its log in any case.
pub(crate) async fn ready<F, Fut>(process: &mut Process, probe: F) -> Result<()>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<()>>,
{
    let began = Instant::now();
    loop {
        let why = match tokio::time::timeout(PROBE, probe()).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(_) => anyhow!("no answer"),
        };
        if process.ended()?.is_some() || began.elapsed() > START_DEADLINE {
            return Err(process.did_not_start(&why));
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
