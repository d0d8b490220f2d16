//! One backoff policy for everything that is tried again: exponential, with full jitter, up to a limit.

use std::time::Duration;

use common::failure::{Class, Failure};
use tracing::debug;

use crate::port::{Result, World};

/// How long to wait between tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Bound of the first wait, milliseconds.
    pub first_ms: u64,
    /// Bound of every later wait, milliseconds.
    pub max_ms: u64,
}

/// For requests to S3, the registry and Kafka: quick at first, then slow enough not to be part of the trouble.
pub const REQUESTS: Backoff = Backoff {
    first_ms: 100,
    max_ms: 10_000,
};

impl Backoff {
    /// Bound of the wait before try number `tries + 1`, when `tries` have failed.
    #[must_use]
    pub fn bound_ms(&self, tries: u32) -> u64 {
        let doubled = self.first_ms.saturating_mul(1_u64 << tries.saturating_sub(1).min(32));
        doubled.min(self.max_ms)
    }

    /// Waits before try number `tries + 1`: anything from nothing to the bound, so that many clients do not come back at once.
    pub async fn wait(&self, world: &dyn World, tries: u32) {
        let bound = self.bound_ms(tries);
        world.sleep_ms(world.random_below(bound + 1)).await;
    }

    /// Repeats `attempt` while it fails with class retry and the next try would begin before `limit` has passed since the first.
    ///
    /// # Errors
    /// The first failure of another class, or the last one of class retry.
    pub async fn repeat<T, F>(&self, world: &dyn World, limit: Duration, mut attempt: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let limit_ms = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
        let begun = world.steady_ms();
        let mut tries = 0;
        loop {
            let failure = match attempt().await {
                Err(failure) if failure.class == Class::Retry => failure,
                outcome => return outcome,
            };
            tries += 1;
            let passed_ms = world.steady_ms().saturating_sub(begun);
            if passed_ms.saturating_add_unsigned(self.bound_ms(tries)) > limit_ms {
                return Err(Failure {
                    message: format!("{} (tried {tries} times)", failure.message),
                    ..failure
                });
            }
            debug!(tries, %failure, "trying again");
            self.wait(world, tries).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use async_trait::async_trait;

    use super::*;

    /// Time passes only by waiting; jitter is always the longest.
    #[derive(Default)]
    struct Still(AtomicU64);

    #[async_trait]
    impl World for Still {
        fn now_ms(&self) -> i64 {
            i64::try_from(self.0.load(Ordering::Relaxed)).unwrap()
        }
        async fn sleep_ms(&self, millis: u64) {
            self.0.fetch_add(millis, Ordering::Relaxed);
        }
        fn uuid(&self) -> String {
            String::new()
        }
        fn random_below(&self, bound: u64) -> u64 {
            bound - 1
        }
    }

    #[tokio::test]
    async fn it_repeats_until_it_works() {
        let (world, tries) = (Still::default(), AtomicU64::new(0));
        let attempt = || async {
            let tried = tries.fetch_add(1, Ordering::Relaxed);
            if tried == 4 {
                Ok(7)
            } else {
                Err(Failure::retry("not yet"))
            }
        };
        let done = REQUESTS.repeat(&world, Duration::from_secs(60), attempt).await;
        assert_eq!((done, world.now_ms()), (Ok(7), 100 + 200 + 400 + 800));
    }

    #[tokio::test]
    async fn it_gives_up_in_time_and_at_once_on_what_cannot_pass() {
        let world = Still::default();
        let always = || async { Err::<(), _>(Failure::retry("no")) };
        let failed = REQUESTS
            .repeat(&world, Duration::from_secs(5), always)
            .await
            .unwrap_err();
        assert!(
            failed.message.contains("tried 6 times") && world.now_ms() <= 5_000,
            "{failed} {}",
            world.now_ms()
        );
        let (world, stop) = (Still::default(), || async { Err::<(), _>(Failure::stop("forbidden")) });
        let failed = REQUESTS.repeat(&world, Duration::from_secs(5), stop).await;
        assert_eq!((failed, world.now_ms()), (Err(Failure::stop("forbidden")), 0));
    }

    #[test]
    fn waits_double_up_to_their_limit() {
        let bounds: Vec<u64> = [1, 2, 3, 7, 8, 60, u32::MAX]
            .map(|tries| REQUESTS.bound_ms(tries))
            .to_vec();
        assert_eq!(bounds, [100, 200, 400, 6_400, 10_000, 10_000, 10_000]);
    }
}
