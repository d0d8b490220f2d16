//! The simulator: both daemons in one process over fakes, under a seeded schedule.
#![cfg(feature = "drills")]
