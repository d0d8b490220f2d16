//! The decisions of s3-spolt, as pure functions: one state machine per lineage (protocol rules 5-13), what makes an object full, and
//! what to do when memory runs short. No clock, no network, no randomness: the driver, the model and the simulator run the same code.

pub mod batch;
pub mod budget;
pub mod identity;
pub mod machine;
pub mod operator;
pub mod resume;
pub mod tolerance;
