//! Sessions that wait for the next load: a load a second should not pay for a log-in a second.

use std::sync::{Arc, Mutex, PoisonError};

use runtime::port::{Session, SqlFailure, Warehouse};

/// Idle sessions with one warehouse. A session comes back only after it ended a transaction cleanly; else it is dropped, which closes
/// the connection and rolls back what was open.
pub struct Pool {
    warehouse: Arc<dyn Warehouse>,
    idle: Mutex<Vec<Box<dyn Session>>>,
    keep: usize,
}

impl Pool {
    /// Keeps at most `keep` idle sessions.
    #[must_use]
    pub fn new(warehouse: Arc<dyn Warehouse>, keep: usize) -> Pool {
        Pool { warehouse, idle: Mutex::new(Vec::new()), keep }
    }

    /// An idle session, or a new one. Whether it was idle is told, since it may have died while it waited.
    ///
    /// # Errors
    /// When no session can be opened.
    pub async fn take(&self) -> Result<Box<dyn Session>, SqlFailure> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut session) = idle else { return self.warehouse.connect().await };
            if session.run("SELECT 1").await.is_ok() {
                return Ok(session);
            }
        }
    }

    /// Takes a session back that is outside a transaction.
    pub fn give(&self, session: Box<dyn Session>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.keep {
            idle.push(session);
        }
    }
}
