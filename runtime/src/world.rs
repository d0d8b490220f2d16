//! The real clock and the real dice.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use uuid::Uuid;

use crate::port::World;

/// Time and randomness of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealWorld;

#[async_trait]
impl World for RealWorld {
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis())
            .unwrap_or(i64::MAX)
            .saturating_add(skew_ms())
    }

    fn steady_ms(&self) -> i64 {
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        i64::try_from(BEGAN.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    async fn sleep_ms(&self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    fn uuid(&self) -> String {
        Uuid::new_v4().to_string()
    }

    fn random_below(&self, bound: u64) -> u64 {
        let (random, _) = Uuid::new_v4().as_u64_pair();
        // The bits of a version 4 UUID's first half are random but for four in the middle: enough for jitter.
        (random >> 16).checked_rem(bound).unwrap_or(0)
    }
}

/// How far this process's clock is off: never, outside of drills.
#[cfg(not(feature = "drills"))]
fn skew_ms() -> i64 {
    0
}

#[cfg(feature = "drills")]
use drills::skew_ms;

/// A clock that a drill can set while the process runs (protocol.md section 7, V12).
#[cfg(feature = "drills")]
mod drills {
    use std::path::PathBuf;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Duration;

    /// Environment variable with the path of a file that holds milliseconds, to be added to what the machine's clock says.
    const VARIABLE: &str = "SPOLT_CLOCK_FILE";
    /// A drill waits for what follows from a jump, so it may take a moment to be seen.
    const LOOK: Duration = Duration::from_millis(20);

    static SKEW: AtomicI64 = AtomicI64::new(0);
    static WATCH: LazyLock<()> = LazyLock::new(|| {
        if let Some(file) = std::env::var_os(VARIABLE).map(PathBuf::from) {
            look(&file);
            std::thread::spawn(move || {
                loop {
                    std::thread::sleep(LOOK);
                    look(&file);
                }
            });
        }
    });

    fn look(file: &std::path::Path) {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if let Ok(millis) = text.trim().parse() {
            SKEW.store(millis, Ordering::Relaxed);
        }
    }

    pub(super) fn skew_ms() -> i64 {
        LazyLock::force(&WATCH);
        SKEW.load(Ordering::Relaxed)
    }
}
