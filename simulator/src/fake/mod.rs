//! The world's parts behind the ports of the daemons.

pub mod bucket;
pub mod dialect;
pub mod fetcher;
pub mod registry;
pub mod signals;
pub mod upstream;
pub mod warehouse;

use common::failure::Failure;

use crate::world::Reply;

/// A reply as the daemons' clients report it.
pub(crate) fn answered<T>(reply: Reply<T>, doing: &str) -> Result<T, Failure> {
    match reply {
        Reply::Answer(answer) => Ok(answer),
        Reply::Refused => Err(Failure::retry(format!("{doing}: refused for now"))),
        Reply::Silence => Err(Failure::retry(format!("{doing}: timed out"))),
    }
}
