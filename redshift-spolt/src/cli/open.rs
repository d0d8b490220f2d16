//! Opens what a command needs: clients, tables, and the parts that all tables share.

use std::collections::BTreeMap;
use std::sync::Arc;

use common::chain::Policy;
use common::failure::Failure;
use runtime::config::Config;
use runtime::kafka::Kafka;
use runtime::port::{ObjectStore, Result, Warehouse};
use runtime::readiness::Readiness;
use runtime::s3::S3Store;
use runtime::world::RealWorld;
use tokio::sync::Semaphore;

use super::{Settings, authorization};
use crate::driver::kafka::{ProgressTopic, SignalReader};
use crate::driver::table::Table;
use crate::driver::{Shared, plans, watch};
use crate::load::names::TableName;
use crate::warehouse::pool::Pool;
use crate::warehouse::session::Redshift;
use crate::warehouse::takeover::Takeover;

/// Everything that reaches the world.
pub(crate) struct World {
    pub(crate) kafka: Kafka,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) warehouse: Arc<dyn Warehouse>,
}

/// Creates the clients; none of them waits for its other side, except S3's, which looks for credentials.
pub(crate) async fn world(config: &Config, settings: &Settings, readiness: &Readiness) -> Result<World> {
    let kafka = Kafka::new(&config.kafka, &settings.own.group_id, readiness)?;
    let store = S3Store::new(&config.s3, Arc::new(RealWorld), readiness).await;
    let warehouse = Redshift::new(settings.own.connection.clone(), &settings.own.target);
    Ok(World {
        kafka,
        store: Arc::new(store),
        warehouse: Arc::new(warehouse),
    })
}

/// The same for a loader: its sessions carry its serial, and end what an older loader left hanging on a lock (rule 18).
pub(crate) fn as_loader(world: World, settings: &Settings) -> World {
    let own = &settings.own;
    if own.takeover_after.is_zero() {
        return world;
    }
    let takeover = Takeover::new(
        Redshift::new(own.connection.clone(), &own.target),
        &own.target,
        (&own.tables.state_schema, own.tables.create_schemas),
        // Before the server ends the wait by itself.
        own.takeover_after.min(own.connection.statement_timeout / 2),
        Arc::new(RealWorld),
    );
    World {
        warehouse: Arc::new(takeover),
        ..world
    }
}

/// What all tables of the process share.
pub(crate) fn shared(
    config: &Config,
    settings: &Settings,
    world: &World,
    readiness: &Readiness,
) -> Result<Arc<Shared>> {
    let own = &settings.own;
    let copy = own.copy.clone();
    let progress = ProgressTopic::new(world.kafka.producer(), config.signals.progress_topic.clone());
    Ok(Arc::new(Shared {
        target: own.target.clone(),
        prefix: config.s3.prefix.clone(),
        limits: settings.limits(),
        create_schemas: own.tables.create_schemas,
        authorization: Box::new(move || authorization(&copy)),
        store: Arc::clone(&world.store),
        pool: Pool::new(Arc::clone(&world.warehouse), own.parallel_loads, readiness.clone()),
        permits: Arc::new(Semaphore::new(own.parallel_loads.max(1))),
        parallel_loads: own.parallel_loads.max(1),
        plans: plans::Plans::default(),
        signals: Arc::new(SignalReader::start(world.kafka.clone())?),
        progress: Arc::new(progress),
        world: Arc::new(RealWorld),
        watch: watch::Watch::default(),
    }))
}

/// The selected topics that have a signal topic, with their tables.
///
/// # Errors
/// When two of them meet in one table.
pub(crate) async fn topics(config: &Config, settings: &Settings, kafka: &Kafka) -> Result<BTreeMap<String, TableName>> {
    let existing = kafka.topics().await?;
    let found = existing
        .iter()
        .filter_map(|topic| config.signals.upstream_of(&topic.name))
        .map(str::to_owned);
    let mut topics: Vec<String> = found.chain(settings.own.topics.names().map(str::to_owned)).collect();
    topics.retain(|topic| settings.own.topics.contains(topic));
    topics.sort();
    topics.dedup();
    settings.naming.tables(&topics)
}

/// Everything about the table of a topic.
pub(crate) fn table(config: &Config, settings: &Settings, topic: &str, name: TableName) -> Table {
    Table {
        topic: topic.to_owned(),
        signals: config.signals.topic_for(topic),
        target: settings.target(config, topic, name),
        policy: Policy {
            start_anywhere: config.topics.for_topic(topic).allow_expired_signals,
        },
    }
}

/// The upstream topic behind a signal topic that this process was told to load.
pub(crate) fn upstream(config: &Config, signals: &str) -> Result<String> {
    config.signals.upstream_of(signals).map(str::to_owned).ok_or_else(|| {
        Failure::stop(format!(
            "`{signals}` is no signal topic by the pattern `{}`",
            config.signals.topic
        ))
        .topic(signals)
    })
}
