//! `status`: checkpoints and lag of every table, from the state tables and the ends of the signal logs.

use std::collections::BTreeMap;
use std::io::Write;

use common::claim::Claim;
use common::ids::Partition;
use common::progress::Registry;
use runtime::config::Config;
use runtime::port::SignalLog;
use runtime::progress;
use runtime::report::Error;
use serde::Serialize;

use super::{Settings, open, readiness};
use crate::driver::load::{connecting, look};

/// Claims at the end of a signal partition among which the furthest is looked for.
const TAIL: u64 = 32;

#[derive(Serialize)]
struct Line {
    table: String,
    topic: String,
    partition: i32,
    incarnation: Option<u32>,
    next: Option<i64>,
    claimed: Option<i64>,
    lag: Option<i64>,
    /// Targets that are registered for the topic, with how far the garbage collector believes each to be.
    registered: BTreeMap<String, Option<i64>>,
}

pub(super) async fn status(config: Config, settings: Settings, json: bool) -> Result<(), Error> {
    let readiness = readiness();
    let world = open::world(&config, &settings, &readiness).await?;
    let mut session = world
        .warehouse
        .connect()
        .await
        .map_err(|failure| connecting(&failure))?;
    let progress_topic = &config.signals.progress_topic;
    let registry = match world.kafka.topic(progress_topic).await? {
        Some(_) => progress::read(&world.kafka.signal_log(), progress_topic).await?,
        None => Registry::default(),
    };
    let mut lines = Vec::new();
    for (topic, name) in open::topics(&config, &settings, &world.kafka).await? {
        let table = open::table(&config, &settings, &topic, name);
        let state = look(&mut *session, &table.target).await?;
        let partitions = world
            .kafka
            .topic(&table.signals)
            .await?
            .map_or(0, |topic| topic.partitions);
        for partition in (0..partitions)
            .filter_map(|number| i32::try_from(number).ok())
            .map(Partition)
        {
            let tail = world
                .kafka
                .signal_log()
                .read_tail(&table.signals, partition, TAIL)
                .await?;
            let claims = tail
                .records
                .iter()
                .filter_map(|record| Claim::decode(&record.value).ok());
            // The last claim need not be the furthest: zombies may write behind it.
            let last = claims.max_by_key(|claim| (claim.incarnation, claim.next));
            let position = state.lineages.get(&partition).map(|checkpoint| checkpoint.position);
            let claimed = last.as_ref().map(|claim| claim.next.0);
            lines.push(Line {
                table: table.target.table.to_string(),
                topic: topic.clone(),
                partition: partition.0,
                incarnation: position.map(|position| position.incarnation.0),
                next: position.map(|position| position.next.0),
                claimed,
                lag: position
                    .zip(last)
                    .filter(|(position, last)| position.incarnation == last.incarnation)
                    .map(|(position, last)| (last.next.0 - position.next.0).max(0)),
                registered: registered(&registry, &topic, partition),
            });
        }
    }
    show(&lines, json);
    Ok(())
}

fn registered(registry: &Registry, topic: &str, partition: Partition) -> BTreeMap<String, Option<i64>> {
    let pinned = registry.targets(topic).filter(|(_, registration)| registration.pinned);
    pinned
        .map(|(target, registration)| {
            let at = registration.at.get(&partition);
            (target.to_owned(), at.map(|standing| standing.position.next.0))
        })
        .collect()
}

fn show(lines: &[Line], json: bool) {
    let mut out = std::io::stdout().lock();
    // A reader such as `head` may have enough before all is written.
    let _ = if json {
        writeln!(out, "{}", serde_json::to_string_pretty(lines).unwrap_or_default())
    } else {
        table(&mut out, lines)
    };
}

fn table(out: &mut impl Write, lines: &[Line]) -> std::io::Result<()> {
    let width = lines.iter().map(|line| line.table.len()).max().unwrap_or(5).max(5);
    writeln!(
        out,
        "{:width$}  {:>9}  {:>4}  {:>19}  {:>19}  {:>12}  registered targets",
        "table", "partition", "life", "applied up to", "claimed up to", "lag"
    )?;
    let number = |value: Option<i64>| value.map_or("-".to_owned(), |value| value.to_string());
    for line in lines {
        writeln!(
            out,
            "{:width$}  {:>9}  {:>4}  {:>19}  {:>19}  {:>12}  {}",
            line.table,
            line.partition,
            number(line.incarnation.map(i64::from)),
            number(line.next),
            number(line.claimed),
            number(line.lag),
            line.registered
                .iter()
                .map(|(target, at)| format!("{target} {}", number(*at)))
                .collect::<Vec<_>>()
                .join(", ")
        )?;
    }
    Ok(())
}
