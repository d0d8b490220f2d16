//! Crash drills on the real parts: real Kafka, real S3 API, real SQL, the daemons as processes. Each drill does one deed at one point
//! while data flows, lets everything run to its end, and then judges tables, log and bucket by the oracle and the invariants
//! (protocol section 7).
//!
//! To add a drill: make a [`drill::Drill`] whose `run` takes a [`drill::Context`], and put it into a list that [`all`] collects.
//! [`stage::Stage`] has the tables, the workload and the judge; [`member::Member`] is a daemon that can be struck.
#![cfg(feature = "drills")]
#![allow(
    clippy::missing_panics_doc,
    reason = "what a drill meets and did not expect ends that drill; the runner catches it and reports it"
)]

pub mod corner;
pub mod crash;
pub mod drill;
pub mod environment;
pub mod flow;
pub mod judge;
pub mod member;
pub mod mutants;
pub mod net;
pub mod report;
pub mod runner;
pub mod stage;

/// Every drill there is, in the order of its number.
#[must_use]
pub fn all() -> Vec<drill::Drill> {
    let mut all = crash::drills();
    all.extend(environment::drills());
    all
}
