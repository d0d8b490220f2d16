//! Sessions that wait for the next load: a load a second should not pay for a log-in a second.

use std::sync::{Arc, Mutex, PoisonError};

use runtime::port::{Session, SqlFailure, Warehouse};
use runtime::readiness::Readiness;

/// Name of the part in /readyz.
pub const PART: &str = "redshift";

/// Idle sessions with one warehouse. A session comes back only after it ended a transaction cleanly; else it is dropped, which closes
/// the connection and rolls back what was open.
pub struct Pool {
    warehouse: Arc<dyn Warehouse>,
    idle: Mutex<Vec<Box<dyn Session>>>,
    keep: usize,
    readiness: Readiness,
}

impl Pool {
    /// Keeps at most `keep` idle sessions, and tells `readiness` whether new ones can be opened.
    #[must_use]
    pub fn new(warehouse: Arc<dyn Warehouse>, keep: usize, readiness: Readiness) -> Pool {
        readiness.register(PART);
        Pool {
            warehouse,
            idle: Mutex::new(Vec::new()),
            keep,
            readiness,
        }
    }

    /// An idle session that still answers, or a new one.
    ///
    /// # Errors
    /// When no session can be opened.
    pub async fn take(&self) -> Result<Box<dyn Session>, SqlFailure> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut session) = idle else {
                return self.connect().await;
            };
            if session.run("SELECT 1").await.is_ok() {
                return Ok(session);
            }
        }
    }

    async fn connect(&self) -> Result<Box<dyn Session>, SqlFailure> {
        let opened = self.warehouse.connect().await;
        match &opened {
            Ok(_) => self.readiness.ok(PART),
            Err(failure) => self.readiness.failing(PART, &failure.to_string()),
        }
        opened
    }

    /// Takes a session back that is outside a transaction.
    pub fn give(&self, session: Box<dyn Session>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.keep {
            idle.push(session);
        }
    }
}
