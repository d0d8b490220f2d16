//! A drill, what it is given, and what comes of it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use futures::future::BoxFuture;
use serde::Serialize;
use spolt_tests::parts::Parts;

use crate::corner::Corner;

/// What is done at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// kill -9.
    Kill,
    /// The whole process stops for longer than the group's session, while another one takes over; then it goes on.
    Pause,
    /// The network to all parts is cut, and comes back.
    Cut,
    /// The effect happens, its acknowledgement does not arrive.
    LostAck,
}

impl Deed {
    /// All of them, in the order of the matrix.
    pub const ALL: [Deed; 4] = [Deed::Kill, Deed::Pause, Deed::Cut, Deed::LostAck];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Deed::Kill => "kill",
            Deed::Pause => "pause",
            Deed::Cut => "cut",
            Deed::LostAck => "lost-ack",
        }
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a drill does when it is run.
pub type Run = Arc<dyn Fn(Context) -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// One drill.
#[derive(Clone)]
pub struct Drill {
    /// The point, such as `C8` or `V3`; `--only` chooses by it.
    pub point: &'static str,
    /// What tells it from other drills of its point, such as `kill`; none if empty.
    pub variant: String,
    /// The deed, where it is one of the four.
    pub deed: Option<Deed>,
    /// One sentence: what is done to whom.
    pub what: String,
    /// Part of `--quick`.
    pub quick: bool,
    /// It strikes a part that others share, so nothing else runs meanwhile.
    pub alone: bool,
    /// The drill itself. An error or a panic means that it failed; see also [`NotReached`] and [`Skipped`].
    pub run: Run,
}

impl Drill {
    /// Point and variant.
    #[must_use]
    pub fn name(&self) -> String {
        if self.variant.is_empty() {
            self.point.to_owned()
        } else {
            format!("{}-{}", self.point, self.variant)
        }
    }
}

/// The error of a drill whose point was never reached: it has shown nothing, which counts as failed.
#[derive(Debug, thiserror::Error)]
#[error("not reached: {0}")]
pub struct NotReached(pub String);

/// The error of a drill that cannot be done on these parts, such as one that needs the local stack on somebody's staging set-up.
#[derive(Debug, thiserror::Error)]
#[error("not done here: {0}")]
pub struct Skipped(pub String);

/// What a drill is given.
#[derive(Clone)]
pub struct Context {
    inner: Arc<Inner>,
}

/// What a drill is given from outside.
pub struct Given {
    /// Where the parts answer.
    pub parts: Parts,
    /// Downloads, for a drill that starts parts of its own.
    pub cache: PathBuf,
    /// Its name, such as `C10-kill`.
    pub name: String,
    /// Same seed, same workload, same hit.
    pub seed: u64,
    /// Its own folder, which stays when it fails.
    pub folder: PathBuf,
    /// What is switched on in the daemons, such as `M3`.
    pub mutant: Option<&'static str>,
    /// After so long without the right result the result counts as wrong.
    pub patience: Duration,
}

struct Inner {
    given: Given,
    did: Mutex<Vec<String>>,
    saw: Mutex<Vec<String>>,
    corners: Mutex<Vec<Corner>>,
}

impl Context {
    /// For one run of a drill.
    #[must_use]
    pub fn new(given: Given) -> Context {
        Context {
            inner: Arc::new(Inner {
                given,
                did: Mutex::default(),
                saw: Mutex::default(),
                corners: Mutex::default(),
            }),
        }
    }

    /// Where the parts answer.
    #[must_use]
    pub fn parts(&self) -> &Parts {
        &self.inner.given.parts
    }

    /// Its name, in lower case and with underscores: for topics and schemas.
    #[must_use]
    pub fn identifier(&self) -> String {
        self.inner.given.name.to_lowercase().replace(['-', '.'], "_")
    }

    /// Same seed, same workload, same hit.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.inner.given.seed
    }

    /// A number within these bounds that the seed decides; `of` tells several of one drill apart.
    #[must_use]
    pub fn choose(&self, of: &str, low: u32, high: u32) -> u32 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        (&self.inner.given.name, self.inner.given.seed, of).hash(&mut hasher);
        low + u32::try_from(hasher.finish() % u64::from(high - low + 1)).unwrap_or(0)
    }

    /// Downloads, for a drill that starts parts of its own.
    #[must_use]
    pub fn cache(&self) -> &Path {
        &self.inner.given.cache
    }

    /// The drill's own folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.inner.given.folder
    }

    /// What is switched on in the daemons, such as `M3`.
    #[must_use]
    pub fn mutant(&self) -> Option<&'static str> {
        self.inner.given.mutant
    }

    /// How long the right result may take to come.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.inner.given.patience
    }

    /// Remembers what the drill makes on the parts, so that it is removed, or kept as evidence.
    pub fn makes(&self, corner: Corner) {
        let mut corners = self.inner.corners.lock().unwrap_or_else(PoisonError::into_inner);
        corners.push(corner);
    }

    /// What the drill made.
    #[must_use]
    pub fn corners(&self) -> Vec<Corner> {
        let mut corners = self.inner.corners.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *corners)
    }

    /// Notes for the report what was done.
    pub fn did(&self, what: impl Into<String>) {
        push(&self.inner.did, what.into());
    }

    /// Notes for the report what was seen.
    pub fn saw(&self, what: impl Into<String>) {
        push(&self.inner.saw, what.into());
    }

    /// What was done and what was seen, so far.
    #[must_use]
    pub fn notes(&self) -> (Vec<String>, Vec<String>) {
        let take = |notes: &Mutex<Vec<String>>| notes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (take(&self.inner.did), take(&self.inner.saw))
    }
}

fn push(notes: &Mutex<Vec<String>>, what: String) {
    notes.lock().unwrap_or_else(PoisonError::into_inner).push(what);
}
