//! The model: the state machines that the daemons run, explored exhaustively (protocol.md section 8).
//!
//! Nothing of the protocol is told again here. The machines, the judging of claims, the planning, the script of a load, the naming of
//! objects are the daemons' own functions; the model is the world around them, in which everything that may happen does happen, in every
//! order: messages that land late, twice or never, crashes, pauses, damage. Each state is judged by the named invariants.
//!
//! | module | what it is |
//! |---|---|
//! | [`ingest`] | part A: two s3-spolts, S3, the signal log, and loaders that only count |
//! | [`load`] | part B: every small signal log, two loaders, one or two warehouses |
//! | [`cases`] | all small signal logs |
//! | [`records`] | upstream records, their rows, claims about them |
//! | [`warehouse`] | a small warehouse that runs the loader's script |
//! | [`stage`] | the loader's statements about left-out values, word for word |
//! | [`sheet`] | all its statements about rows, word for word: where records are set aside, or deletes kept |
//! | [`reference`] | what such a table must hold |
//! | [`explore`] | one exploration by stateright |
//! | [`graph`] | the walk backwards that judges I9 |
//! | [`intern`] | small states out of large parts |
//! | [`runs`] | the runs and their bounds, and which mutant each must find |
//! | [`slips`] | rules 25, 27 and 28 got wrong on purpose |
#![cfg(feature = "drills")]

pub mod cases;
pub mod explore;
pub mod graph;
pub mod ingest;
pub mod intern;
pub mod load;
pub mod records;
pub mod reference;
pub mod runs;
pub mod sheet;
pub mod slips;
pub mod stage;
pub mod warehouse;
