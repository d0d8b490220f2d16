//! `accept-partitions` over the ports: an operator's word that every producer uses all partitions of a topic that has grown (protocol rules
//! 13, 20). The decision is `load::growth`'s; here it is asked for, and written under the lock.

use std::collections::BTreeMap;

use common::chain::Position;
use common::claim::Claim;
use common::failure::Failure;
use common::ids::{Incarnation, Offset, Partition};
use runtime::port::{Session, SignalLog, Upstream};

use super::load::connecting;
use super::table::Table;
use crate::load::growth::propose;
use crate::load::state::{State, StateTables};

/// Claims at the end of a signal partition by which the topic's present life is known; void ones of earlier lives may stand among them.
const TAIL: u64 = 64;

/// Where every partition must have got to: its end as of now. Control records at the end are seen by no reader, so a checkpoint with no
/// visible record behind it counts as the end; else an idle partition would never pass.
///
/// # Errors
/// When Kafka does not answer.
pub async fn barriers(
    upstream: &dyn Upstream,
    log: &dyn SignalLog,
    table: &Table,
    state: &State,
) -> Result<BTreeMap<Partition, Position>, Failure> {
    let row = state.table.as_ref();
    let old = row.and_then(|row| row.partitions).unwrap_or(0);
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

/// Judges again by what the state says under the lock, then writes the acceptance.
///
/// # Errors
/// When the warehouse does not answer, or there is nothing to accept any more.
pub async fn record(
    session: &mut dyn Session,
    table: &Table,
    count: u32,
    barriers: &BTreeMap<Partition, Position>,
) -> Result<(), Failure> {
    let tables = StateTables::of(table.target.own(), &table.target.state_schema);
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
