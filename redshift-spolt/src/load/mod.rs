//! The pure half of the loader: which claims one transaction takes, which statements it consists of, and what follows from each
//! outcome. Nothing here waits, reads a clock or reaches the world; the driver carries out what [`Machine::step`] asks for.
//!
//! | module | what it decides |
//! |---|---|
//! | [`machine`] | per table: when to read, to load, to retry, to halt (rules 14-18) |
//! | [`run`] | which claims go into one transaction, and in which COPY statements (rule 16) |
//! | [`state`] | the table's state rows: their layout, their reading, their first creation (rule 14) |
//! | [`names`] | topic -> table -> state tables |
//! | [`growth`] | when partitions that were added to a keyed topic are applied (rules 13, 20) |
//! | [`conflict`] | a key whose changes lie in two partitions (rule 20) |
//! | [`order`] | tables whose rows are ordered by a column, over several partitions (rule 20) |
//! | [`mode`] | how changes become rows, and which mode a table is in |
//! | [`soft_delete`] | deletes that mark rows instead of removing them (rule 28) |
//! | [`history`] | every change as a row that holds from and to (rule 28) |
//! | [`truncate`] | what a truncate does to the rows that are there (rule 26) |
//! | [`evolve`] | what the target lacks (forward only) |
//! | [`ddl`] | the statements that bring it, what is written down of them, and whether they may be run |
//! | [`attached`] | what hangs on columns and must not be lost with them |
//! | [`metadata`] | what rows say of their records on request |
//! | [`statements`] | the transaction as an ordered list of statements with what each must answer (rule 17) |
//! | `merge` | how the stage becomes rows of the target, by mode (rule 17) |
//! | [`aside`] | records set aside: their table, and which came too late to be mended (rule 27) |
//! | [`replay`] | records set aside that are tried again (rule 27) |
//! | [`refresh`] | rows that take the place of all that a table holds |
//! | [`unchanged`] | values that the source left out (rule 25) |
//! | [`check`] | whether the load goes on after an answer (rule 17) |
//! | [`outcome`] | what an answer of the warehouse means (rule 18, redshift.md 8.5) |
//! | [`sql`] | identifiers and literals |

pub mod aside;
pub mod attached;
pub mod check;
pub mod conflict;
pub mod ddl;
pub mod evolve;
pub mod growth;
pub mod history;
pub mod machine;
mod merge;
pub mod metadata;
pub mod mode;
pub mod names;
pub mod order;
pub mod outcome;
pub mod refresh;
pub mod replay;
pub mod run;
pub mod soft_delete;
pub mod sql;
pub mod state;
pub mod statements;
pub mod truncate;
pub mod unchanged;

pub use machine::{Action, Event, Machine};
pub use run::LoadPlan;
