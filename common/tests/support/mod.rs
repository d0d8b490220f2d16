//! What the tests of the encoder share.

#![allow(dead_code, reason = "each test program uses its part")]

pub(crate) mod debezium;
pub(crate) mod declared;
pub(crate) mod lineage;
pub(crate) mod odd;
pub(crate) mod rendering;
pub(crate) mod source;
pub(crate) mod table;
