//! The real clock and the real dice.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
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
