//! What the tests that cross crates share: addresses of the real parts, the daemons as processes, a source of change events, and the
//! oracle that reads the topics again with other libraries and says what the tables must hold.

pub mod daemon;
pub mod oracle;
pub mod parts;
pub mod rig;
pub mod source;
pub mod standin;
pub mod wait;
pub mod warehouse;
pub mod weather;
