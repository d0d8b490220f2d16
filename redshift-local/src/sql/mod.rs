//! The pure half of the stand-in: SQL text in, a [`classify::Plan`] out. Nothing here touches the network.

pub mod alter_table;
pub mod classify;
pub mod copy_statement;
pub mod create_table;
pub mod cursor;
pub mod name;
pub mod refusal;
pub mod rewrite;
pub mod token;
pub mod types;
