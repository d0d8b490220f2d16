//! Crash drills on the real parts.

fn main() {}
