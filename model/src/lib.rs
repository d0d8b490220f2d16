//! The model: the state machines that the daemons run, explored exhaustively.
#![cfg(feature = "drills")]
