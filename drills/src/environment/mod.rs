//! Drills of the environment (V1-V15 of protocol section 7): what happens to the brokers, the topics, the store and the warehouse.

use crate::drill::Drill;

/// All of them.
#[must_use]
pub fn drills() -> Vec<Drill> {
    Vec::new()
}
