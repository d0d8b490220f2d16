//! What the tests of the encoder share.

pub(crate) mod debezium;
