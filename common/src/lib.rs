//! The pure core of spolt: what is said (claims, plans, manifests, CSV rows) and what follows from it (coverage, order, table
//! shape). Nothing here is async, reads a clock, a file or the network, or draws a random number, so that the daemons, the model
//! checker and the simulator all run the same functions.
//!
//! | module | what it holds |
//! |---|---|
//! | [`ids`] | newtypes: offsets, partitions, incarnations, lineages |
//! | [`claim`] | what a signal says, its encoding, and where its object lies (protocol rules 1-4) |
//! | [`chain`] | contiguous runs of claims from a checkpoint (rule 16) |
//! | [`plan`] | the ordered columns of an object and their identity |
//! | [`avro`] | frame, schemas, and the compiled walk from a datum to CSV bytes |
//! | [`json`] | records in JSON, with a schema in each or a table that is declared, as datums |
//! | [`protobuf`] | records in Protobuf as datums |
//! | [`envelope`] | plain and Debezium messages: what a record does to a row |
//! | [`csv`] | the dialect that COPY reads |
//! | [`row`] | one record in, zero to two CSV rows out |
//! | [`table`] | Redshift's column types and the forward-only evolution of a table |
//! | [`manifest`] | COPY manifests |
//! | [`progress`] | what targets say of themselves: registrations and positions (rules 21, 23) |
//! | [`horizon`] | what may be collected, and who may still begin (rules 23, 24) |
//! | [`rebuild`] | a signal log made anew from S3 (rule 2) |
//! | [`invariants`] | the protocol's invariants as named predicates |
//! | [`failure`] | one classification of every failure |
//! | [`mutant`] | ways of getting the protocol wrong on purpose, for the drills |

pub mod avro;
pub mod chain;
pub mod claim;
pub mod csv;
pub mod envelope;
pub mod failure;
pub mod horizon;
pub mod ids;
pub mod invariants;
pub mod json;
pub mod manifest;
pub mod mutant;
pub mod plan;
pub mod progress;
pub mod protobuf;
pub mod rebuild;
pub mod row;
pub mod table;
