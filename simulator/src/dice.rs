//! Random numbers from a seed. Each purpose has a stream of its own, so that a fault taken out of a schedule does not change the records.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// What a stream is for.
#[derive(Debug, Clone, Copy)]
pub enum Stream {
    /// Sizes and limits of a run.
    Shape = 1,
    /// The faults.
    Faults = 2,
    /// The records.
    Records = 3,
    /// How long things take, and in which order processes move.
    Delays = 4,
    /// What the daemons ask for: UUIDs and jitter.
    Daemons = 5,
    /// Second targets, restored warehouses and collections.
    Targets = 6,
    /// Records that cannot become rows, and what operators do about them.
    Bad = 7,
    /// Tables that are refreshed.
    Refreshes = 8,
}

/// A stream of random numbers.
#[derive(Debug)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// The stream of a seed for one purpose.
    #[must_use]
    pub fn new(seed: u64, stream: Stream) -> Dice {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream as u64);
        Dice(rng)
    }

    /// A number in `0..bound`; 0 if the bound is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64().checked_rem(bound).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True `percent` times of a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// An index into something of this length.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    /// Text in the form of a version 4 UUID.
    pub fn uuid(&mut self) -> String {
        let (a, b) = (self.0.next_u64(), self.0.next_u64());
        format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xfff,
            b >> 52,
            b & 0xffff_ffff_ffff
        )
    }
}
