//! The model: the state machines that the daemons run, explored exhaustively.

fn main() {}
