//! `accept-partitions TOPIC`: an operator's word that every producer uses all partitions of a topic that has grown (rules 13, 20). The
//! decision is `load::growth`'s; here it is asked for, shown, and written under the lock.

use std::collections::BTreeMap;

use common::chain::Position;
use common::claim::Claim;
use common::failure::Failure;
use common::ids::{Incarnation, Offset, Partition};
use runtime::config::Config;
use runtime::port::{Session, SignalLog, Upstream};
use runtime::report::Error;

use super::{Settings, open, readiness, status};
use crate::driver::load::connecting;
use crate::driver::table::Table;
use crate::load::growth::{Proposal, propose};
use crate::load::state::{State, StateTables};

/// Claims at the end of a signal partition by which the topic's present life is known; void ones of earlier lives may stand among them.
const TAIL: u64 = 64;

pub(super) async fn accept(config: Config, settings: Settings, topic: &str, apply: bool) -> Result<(), Error> {
    let readiness = readiness();
    let world = open::world(&config, &settings, &readiness).await?;
    let name = settings.naming.table(topic)?;
    let table = open::table(&config, &settings, topic, name);
    let mut session = world
        .warehouse
        .connect()
        .await
        .map_err(|failure| connecting(&failure))?;
    let state = status::read(&mut *session, &table.target).await?;
    let found = world.kafka.topic(topic).await?;
    let count = found.map_or(0, |topic| topic.partitions);
    let barriers = barriers(&world, &table, &state).await?;
    let at_table = |failure: Failure| failure.topic(topic).table(table.target.table.to_string());
    let proposal = propose(&state, count, &barriers).map_err(at_table)?;
    show(&table, &proposal, &state);
    if !apply {
        println!(
            "\nNothing was done. When every producer writes to all partitions, and no transaction from before is open:"
        );
        println!("  redshift-spolt accept-partitions {topic} --apply");
        return Ok(());
    }
    record(&mut *session, &table, count, &barriers)
        .await
        .map_err(at_table)?;
    println!(
        "\nAccepted. A running loader applies the new partitions by itself, within half a minute after the old ones have caught up."
    );
    Ok(())
}

/// Where every partition must have got to: its end as of now. Control records at the end are seen by no reader, so a checkpoint with no
/// visible record behind it counts as the end; else an idle partition would never pass.
async fn barriers(world: &open::World, table: &Table, state: &State) -> Result<BTreeMap<Partition, Position>, Failure> {
    let row = state.table.as_ref();
    let old = row.and_then(|row| row.partitions).unwrap_or(0);
    let (upstream, log) = (world.kafka.upstream(), world.kafka.signal_log());
    let mut barriers = BTreeMap::new();
    for partition in (0..i32::try_from(old).unwrap_or(i32::MAX)).map(Partition) {
        let end = upstream.facts(&table.topic, partition).await?.end;
        let tail = log.read_tail(&table.signals, partition, TAIL).await?;
        let checkpoint = state.lineages.get(&partition).map(|checkpoint| checkpoint.position);
        let lives = tail
            .records
            .iter()
            .filter_map(|record| Claim::decode(&record.value).ok());
        let incarnation = lives
            .map(|claim| claim.incarnation)
            .chain(checkpoint.map(|at| at.incarnation))
            .max()
            .unwrap_or(Incarnation(0));
        let from = checkpoint
            .filter(|at| at.incarnation == incarnation)
            .map_or(Offset(0), |at| at.next);
        let idle = upstream.next_visible(&table.topic, partition, from).await?.is_none();
        let next = if idle && from < end { from } else { end };
        barriers.insert(partition, Position { incarnation, next });
    }
    Ok(barriers)
}

fn show(table: &Table, proposal: &Proposal, state: &State) {
    println!(
        "{} into {}: {} partitions are applied, the topic has {}",
        table.topic, table.target.table, proposal.before, proposal.increase.count
    );
    for (partition, barrier) in &proposal.increase.barriers {
        let checkpoint = state.lineages.get(partition).map(|checkpoint| checkpoint.position);
        let at = checkpoint.map_or("not begun".to_owned(), |at| at.to_string());
        let left = match checkpoint {
            Some(at) if at >= *barrier => "passed".to_owned(),
            Some(at) if at.incarnation == barrier.incarnation => {
                format!("{} offsets to go", barrier.next.0 - at.next.0)
            }
            _ => "to go".to_owned(),
        };
        println!("  partition {partition}: applied up to {at}, must reach {barrier}: {left}");
    }
    println!(
        "  partitions {}..{} are applied when all of these are passed",
        proposal.before,
        proposal.increase.count - 1
    );
}

/// Judged again by what the state says under the lock, then written.
async fn record(
    session: &mut dyn Session,
    table: &Table,
    count: u32,
    barriers: &BTreeMap<Partition, Position>,
) -> Result<(), Failure> {
    let tables = StateTables::of(&table.target.table, &table.target.state_schema);
    let asking = |failure| connecting(&failure).context("record the acceptance");
    for sql in ["BEGIN".to_owned(), tables.lock()] {
        session.run(&sql).await.map_err(asking)?;
    }
    let state = State::parse(&session.run(&tables.read()).await.map_err(asking)?)?;
    let proposal = propose(&state, count, barriers)?;
    for sql in proposal.record(&tables)? {
        session.run(&sql).await.map_err(asking)?;
    }
    session.run("COMMIT").await.map_err(asking).map(drop)
}
