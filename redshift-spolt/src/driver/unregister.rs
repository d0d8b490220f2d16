//! Ends the registration of a target (protocol rule 23): what `redshift-spolt unregister` does, over the ports.

use common::progress::{Registry, Statement, Unpin};
use runtime::port::{Result, World};
use serde::Serialize;

use super::port::Progress;

/// A registration that would end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Registered {
    /// Target cluster.
    pub target: String,
    /// Upstream topic.
    pub topic: String,
    /// Table, for people.
    pub table: String,
    /// Partition and first offset that is not applied.
    pub positions: Vec<(i32, i64)>,
}

/// What a target is registered for: all of it, or these topics alone if any are given.
#[must_use]
pub fn registered(registry: &Registry, target: &str, topics: &[String]) -> Vec<Registered> {
    registry
        .topics()
        .filter(|topic| topics.is_empty() || topics.iter().any(|wanted| wanted == topic))
        .flat_map(|topic| {
            registry
                .targets(topic)
                .map(move |(name, registration)| (topic, name, registration))
        })
        .filter(|(_, name, _)| *name == target)
        .map(|(topic, name, registration)| Registered {
            target: name.to_owned(),
            topic: topic.to_owned(),
            table: registration.table.clone(),
            positions: registration
                .at
                .iter()
                .map(|(partition, standing)| (partition.0, standing.position.next.0))
                .collect(),
        })
        .collect()
}

/// Says that these registrations have ended, one after the other, each acknowledged.
///
/// # Errors
/// When one is not acknowledged: those before it have ended, it may have, and those after it have not.
pub async fn end(progress: &dyn Progress, world: &dyn World, registrations: &[Registered]) -> Result<()> {
    for registration in registrations {
        let unpin = Statement::Unpin(Unpin {
            target: registration.target.clone(),
            topic: registration.topic.clone(),
            at_ms: world.now_ms(),
        });
        progress.publish(unpin.key(), unpin.encode()).await?;
    }
    Ok(())
}
