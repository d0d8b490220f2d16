//! Faults that a test asks for through the admin port. Each waits for a statement that fits and then happens, as often as asked.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// At most so many faults wait at once: more is a mistake in a test's loop.
pub const FAULTS_MAX: usize = 1_000;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// COPY fails after all rows have been read, with an internal error of S3.
    FailCopy,
    /// A COPY or a change of rows fails with error 1023.
    #[serde(rename = "serialization_1023")]
    Serialization1023,
    /// A COPY or a change of rows fails with a deadlock.
    Deadlock,
    /// The connection is cut when COMMIT arrives; the transaction is rolled back.
    CutBeforeCommit,
    /// COMMIT succeeds, then the connection is cut without an answer.
    CutAfterCommit,
    /// The connection is cut when COPY has sent some rows.
    CutInCopy,
    /// COPY waits `millis` before it reads.
    SlowCopy,
    /// Any statement waits `millis` before it runs; 0 waits until the client goes.
    Hang,
}

/// One wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What.
    pub kind: Kind,
    /// Only for tables whose name contains this; for `hang`: for statements that contain this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// How often; 1 when left out.
    #[serde(default = "once")]
    pub count: u32,
    /// How long, for those that wait.
    #[serde(default)]
    pub millis: u64,
}

const fn once() -> u32 {
    1
}

impl Fault {
    /// How long to wait.
    #[must_use]
    pub fn delay(&self) -> Duration {
        // "For ever" has to end before a test's own patience would be measured in days.
        if self.millis == 0 {
            Duration::from_secs(24 * 3600)
        } else {
            Duration::from_millis(self.millis)
        }
    }
}

/// The faults that wait.
#[derive(Debug, Default)]
pub struct Faults {
    waiting: Mutex<Vec<Fault>>,
}

impl Faults {
    /// Adds one; false when too many wait already.
    pub fn add(&self, fault: Fault) -> bool {
        let mut waiting = self.lock();
        let fits = waiting.len() < FAULTS_MAX && fault.count > 0;
        if fits {
            waiting.push(fault);
        }
        fits
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Those that still wait.
    pub fn list(&self) -> Vec<Fault> {
        self.lock().clone()
    }

    /// Takes one occurrence of a fault of this kind that fits one of the texts. A fault without a table fits everything.
    pub fn take(&self, kind: Kind, texts: &[String]) -> Option<Fault> {
        let mut waiting = self.lock();
        let fits = |fault: &Fault| {
            fault.kind == kind
                && fault
                    .table
                    .as_ref()
                    .is_none_or(|wanted| texts.iter().any(|text| text.contains(wanted.as_str())))
        };
        let at = waiting.iter().position(fits)?;
        waiting[at].count -= 1;
        let fault = waiting[at].clone();
        if fault.count == 0 {
            waiting.remove(at);
        }
        Some(fault)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Fault>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn happen_as_often_as_asked_to_those_that_fit() {
        let faults = Faults::default();
        let fault: Fault =
            serde_json::from_str(r#"{"kind":"serialization_1023","table":"flights","count":2}"#).unwrap();
        assert!(faults.add(fault));
        assert!(faults.take(Kind::Serialization1023, &["s.planes".to_owned()]).is_none());
        assert!(faults.take(Kind::Deadlock, &["s.flights".to_owned()]).is_none());
        assert!(
            faults
                .take(Kind::Serialization1023, &["s.flights".to_owned()])
                .is_some()
        );
        assert!(
            faults
                .take(Kind::Serialization1023, &["s.flights".to_owned()])
                .is_some()
        );
        assert!(
            faults
                .take(Kind::Serialization1023, &["s.flights".to_owned()])
                .is_none()
        );
        assert!(serde_json::from_str::<Fault>(r#"{"kind":"deadlock","tabel":"x"}"#).is_err());
    }
}
