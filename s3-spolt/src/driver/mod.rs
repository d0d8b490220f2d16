//! The shell of s3-spolt: carries out what the state machines decide.
//!
//! ```text
//!  group membership ─┐                                  ┌─> S3: plans, objects
//!                    ├─> coordinator (one task, all ────┤
//!  encoders ─────────┤    state machines)               ├─> signal topics
//!      ^             │        │                         └─> lag tools, metrics, /state
//!      │ chunks      │        v commands
//!  polling thread <──┴──── fetch client (explicit offsets, read_committed)
//! ```
//!
//! Queues and their limits: chunks to one encoder [`queue::ENCODER_QUEUE`]; sealed objects of one partition `sealed_per_partition` (then
//! it pauses); uploads at once `uploads`; everything in bytes by `memory`. The queues of control messages hold a few entries per
//! owned partition, and their number is that of the partitions.

pub mod chunk;
pub mod compress;
pub mod coordinator;
pub mod effects;
pub mod encode;
pub mod fetch;
pub mod kafka_fetch;
pub mod memory;
pub mod queue;
pub mod start;
pub mod topics;

/// Number of a lineage within this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub u32);

impl SlotId {
    /// Which of `count` encoders the lineage belongs to.
    #[must_use]
    pub fn encoder(self, count: usize) -> usize {
        self.0 as usize % count.max(1)
    }
}
