//! What /readyz tells: every part the process depends on, and since when and why it does not work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tracing::{info, warn};

/// How a part is.
#[derive(Debug, Clone)]
enum State {
    /// Registered, but nothing was heard from it.
    Starting,
    Ok,
    Failing {
        since: Instant,
        since_ms: u128,
        reason: String,
    },
}

/// A part that is not ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotReady {
    /// Name of the part.
    pub part: String,
    /// Why.
    pub reason: String,
    /// Since when, in milliseconds since 1970; absent while it starts.
    pub since_ms: Option<u128>,
    /// For how many seconds.
    pub for_seconds: u64,
}

/// The parts of the process. Clones share the parts.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    parts: Arc<Mutex<BTreeMap<String, State>>>,
}

impl Readiness {
    /// No parts: ready.
    #[must_use]
    pub fn new() -> Readiness {
        Readiness::default()
    }

    /// Adds a part that is not ready until it says so. What is known of it already stays.
    pub fn register(&self, part: &str) {
        self.lock().entry(part.to_owned()).or_insert(State::Starting);
    }

    /// The part works.
    pub fn ok(&self, part: &str) {
        let mut parts = self.lock();
        match parts.get_mut(part) {
            Some(State::Ok) => {}
            Some(state) => {
                if let State::Failing { since, .. } = state {
                    info!(part, seconds = since.elapsed().as_secs(), "part works again");
                }
                *state = State::Ok;
            }
            None => drop(parts.insert(part.to_owned(), State::Ok)),
        }
    }

    /// The part does not work; the first call says since when.
    pub fn failing(&self, part: &str, reason: &str) {
        let mut parts = self.lock();
        if let Some(State::Failing { reason: known, .. }) = parts.get_mut(part) {
            if known != reason {
                reason.clone_into(known);
            }
            return;
        }
        warn!(part, reason, "part does not work");
        let since_ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |time| time.as_millis());
        let state = State::Failing {
            since: Instant::now(),
            since_ms,
            reason: reason.to_owned(),
        };
        parts.insert(part.to_owned(), state);
    }

    /// Whether this part was last heard to fail.
    #[must_use]
    pub fn is_failing(&self, part: &str) -> bool {
        matches!(self.lock().get(part), Some(State::Failing { .. }))
    }

    /// The parts that are not ready, by name; none when the process is ready.
    #[must_use]
    pub fn not_ready(&self) -> Vec<NotReady> {
        let not_ready = |(part, state): (&String, &State)| match state {
            State::Ok => None,
            State::Starting => Some(NotReady {
                part: part.clone(),
                reason: "is starting".to_owned(),
                since_ms: None,
                for_seconds: 0,
            }),
            State::Failing {
                since,
                since_ms,
                reason,
            } => Some(NotReady {
                part: part.clone(),
                reason: reason.clone(),
                since_ms: Some(*since_ms),
                for_seconds: since.elapsed().as_secs(),
            }),
        };
        self.lock().iter().filter_map(not_ready).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, State>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_ready_once_it_said_so() {
        let readiness = Readiness::new();
        assert!(readiness.not_ready().is_empty());
        readiness.register("kafka");
        assert_eq!(readiness.not_ready()[0].reason, "is starting");
        readiness.ok("kafka");
        readiness.register("kafka");
        assert!(readiness.not_ready().is_empty());
        readiness.failing("kafka", "connection refused");
        let first = readiness.not_ready().remove(0);
        readiness.failing("kafka", "timed out");
        let second = readiness.not_ready().remove(0);
        assert_eq!((first.since_ms, second.reason.as_str()), (second.since_ms, "timed out"));
        readiness.clone().ok("kafka");
        assert!(!readiness.is_failing("kafka") && readiness.not_ready().is_empty());
    }
}
