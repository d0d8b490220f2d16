//! When a process ends: signals, the token that asks every task to stop, and tasks that must not end before.

use std::time::Duration;

use common::failure::Failure;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::report::Exit;

/// Cancels the token at the first SIGTERM or SIGINT; the second ends the process at once, which is safe at any moment.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn stop_on_signal(token: CancellationToken) -> Result<(), Failure> {
    let handler = |kind| signal(kind).map_err(|error| Failure::stop(format!("install a signal handler: {error}")));
    let mut terminate = handler(SignalKind::terminate())?;
    let mut interrupt = handler(SignalKind::interrupt())?;
    tokio::spawn(async move {
        for first in [true, false] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if first {
                info!("asked to stop; a second signal stops at once");
                token.cancel();
            } else {
                warn!("stopping at once");
                std::process::exit(Exit::Deadline as i32);
            }
        }
    });
    Ok(())
}

/// Named tasks that run as long as the process does.
#[derive(Default)]
pub struct Tasks {
    set: JoinSet<(&'static str, Result<(), Failure>)>,
}

impl Tasks {
    /// Starts a task.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = Result<(), Failure>> + Send + 'static) {
        self.set.spawn(async move { (name, task.await) });
    }

    /// Waits until a task ends: with its failure, or with one that says that it ended although nobody asked. Never ends while no
    /// task was started.
    pub async fn first_end(&mut self) -> Failure {
        match self.set.join_next().await {
            None => std::future::pending().await,
            Some(Ok((_, Err(failure)))) => failure,
            Some(Ok((name, Ok(())))) => Failure::stop(format!("task `{name}` ended although nobody asked it to")),
            Some(Err(error)) => Failure::stop(format!("a task ended unexpectedly: {error}")),
        }
    }

    /// Waits until all tasks have ended, at most so long; the first failure, if there is one. Tasks that are late are dropped.
    ///
    /// # Errors
    /// With the first failure. `Ok(false)` when the time was not enough.
    pub async fn all_end(&mut self, limit: Duration) -> Result<bool, Failure> {
        let all = async {
            while let Some(ended) = self.set.join_next().await {
                match ended {
                    Ok((_, result)) => result?,
                    Err(error) => return Err(Failure::stop(format!("a task ended unexpectedly: {error}"))),
                }
            }
            Ok(())
        };
        match tokio::time::timeout(limit, all).await {
            Ok(ended) => ended.map(|()| true),
            Err(_) => {
                self.set.abort_all();
                Ok(false)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_or_panics_is_noticed() {
        let mut tasks = Tasks::default();
        tasks.spawn("quiet", async { Ok(()) });
        assert!(tasks.first_end().await.to_string().contains("`quiet`"));
        tasks.spawn("loud", async { panic!("on purpose") });
        assert!(tasks.first_end().await.to_string().contains("unexpectedly"));
    }

    #[tokio::test]
    async fn tasks_that_are_late_are_left_behind() {
        let mut tasks = Tasks::default();
        tasks.spawn("late", std::future::pending());
        assert_eq!(tasks.all_end(Duration::from_millis(5)).await, Ok(false));
        let mut tasks = Tasks::default();
        tasks.spawn("failing", async { Err(Failure::stop("x")) });
        assert!(tasks.all_end(Duration::from_secs(60)).await.is_err());
    }
}
