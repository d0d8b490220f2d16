//! The simulator: both daemons' cores and drivers in one process over fakes of Kafka, S3, the registry and the warehouse. Time is
//! virtual, and a seed decides every delay and every fault, so that a seed gives the same event log again, byte for byte.
//!
//! | module | what it is |
//! |---|---|
//! | [`attendant`] | somebody who runs the command that an alarm asks for |
//! | [`dice`] | streams of random numbers, one per purpose |
//! | [`schedule`] | which faults happen when: drawn from the seed, and shortened by [`shrink`] |
//! | [`world`] | what all processes share: virtual time, what is under way, the event log, the fakes' state |
//! | [`fake`] | Kafka, the signal log, S3, the registry and the warehouse behind the ports of the daemons |
//! | [`workload`] | the records of the two topics, and what they mean |
//! | [`host`] | one process: its runtime, stepped in small ticks; crashed by dropping it, paused by not stepping it |
//! | [`group`] | membership: who owns what, with late and doubled ownership |
//! | [`operator`] | the commands of operators, over the same ports |
//! | [`run`] | one run from a schedule to a verdict |
//! | [`many`] | many runs, and what they came to |
//! | [`judge`] | the protocol's invariants and the reference replay |
//! | [`shrink`] | a failing schedule made short |
#![cfg(feature = "drills")]

pub mod attendant;
pub mod dice;
pub mod fake;
pub mod group;
pub mod host;
pub mod judge;
pub mod many;
pub mod operator;
pub mod run;
pub mod schedule;
pub mod shrink;
pub mod workload;
pub mod world;
