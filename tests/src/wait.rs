//! Waiting for conditions.

use std::time::{Duration, Instant};

/// Far beyond what any condition of these tests takes on two busy cores; reaching it is a failure.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// Waits until `condition` holds, asking every 100 ms.
///
/// # Panics
/// After [`DEADLINE`], with `what` was waited for and what `condition` said last.
pub async fn until<F>(what: &str, mut condition: impl FnMut() -> F)
where
    F: Future<Output = Result<(), String>>,
{
    let since = Instant::now();
    loop {
        match condition().await {
            Ok(()) => return,
            Err(reason) => assert!(since.elapsed() < DEADLINE, "waited too long until {what}: {reason}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
