//! The shell both daemons share.
