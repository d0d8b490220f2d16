//! Crash drills on the real parts.
#![cfg(feature = "drills")]
