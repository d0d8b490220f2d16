//! The place of a proxy at which one request is struck, and at which the network is cut.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// What happens to the request that is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It does not arrive before [`Gate::release`].
    HoldRequest,
    /// It arrives and is carried out; its answer does not come back before [`Gate::release`].
    HoldAnswer,
    /// It arrives and is carried out; instead of the answer the connection ends.
    LoseAnswer,
}

struct Rule {
    needle: String,
    left: u32,
    act: Act,
}

/// See the module.
pub struct Gate {
    rule: Mutex<Option<Rule>>,
    struck: watch::Sender<bool>,
    released: watch::Sender<bool>,
    /// Grows with every cut, so that a connection notices one that was restored at once.
    cuts: watch::Sender<u64>,
    up: watch::Sender<bool>,
}

impl Default for Gate {
    fn default() -> Gate {
        Gate {
            rule: Mutex::new(None),
            struck: watch::Sender::new(false),
            released: watch::Sender::new(false),
            cuts: watch::Sender::new(0),
            up: watch::Sender::new(true),
        }
    }
}

impl Gate {
    /// Strikes the `nth` request from now on whose description contains `needle`.
    pub fn arm(&self, needle: &str, nth: u32, act: Act) {
        self.struck.send_replace(false);
        self.released.send_replace(false);
        *self.lock() = Some(Rule {
            needle: needle.to_owned(),
            left: nth.max(1),
            act,
        });
    }

    /// Waits until the request was struck: held on its way, or carried out and unanswered. False after `limit`.
    pub async fn struck(&self, limit: Duration) -> bool {
        let mut struck = self.struck.subscribe();
        let waited = tokio::time::timeout(limit, struck.wait_for(|struck| *struck)).await;
        matches!(waited, Ok(Ok(_)))
    }

    /// Lets go what is held.
    pub fn release(&self) {
        self.released.send_replace(true);
    }

    /// Ends every connection, and every new one, until [`Gate::restore`].
    pub fn cut(&self) {
        self.up.send_replace(false);
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Undoes [`Gate::cut`].
    pub fn restore(&self) {
        self.up.send_replace(true);
    }

    pub(super) fn is_up(&self) -> bool {
        *self.up.borrow()
    }

    /// Comes back when the network is cut.
    pub(super) async fn until_cut(&self) {
        let mut cuts = self.cuts.subscribe();
        // A gate outlives its connections; should it not, they end.
        let _ = cuts.changed().await;
    }

    /// What is to happen to this request.
    pub(super) fn meets(&self, description: &str) -> Option<Act> {
        let mut rule = self.lock();
        let armed = rule.as_mut()?;
        if !description.contains(&armed.needle) {
            return None;
        }
        armed.left -= 1;
        if armed.left > 0 {
            return None;
        }
        rule.take().map(|rule| rule.act)
    }

    /// Says that the request is held or carried out.
    pub(super) fn strike(&self) {
        self.struck.send_replace(true);
    }

    pub(super) async fn until_released(&self) {
        let mut released = self.released.subscribe();
        let _ = released.wait_for(|released| *released).await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Rule>> {
        self.rule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
