//! One backoff policy for everything that is tried again: exponential, with full jitter, up to a limit.

use crate::port::World;

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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_limit() {
        let bounds: Vec<u64> = [1, 2, 3, 7, 8, 60, u32::MAX]
            .map(|tries| REQUESTS.bound_ms(tries))
            .to_vec();
        assert_eq!(bounds, [100, 200, 400, 6_400, 10_000, 10_000, 10_000]);
    }
}
