//! Registers a table before its first signal is read, and asks whether what it would need still exists (protocol rules 23, 24).
//!
//! The order closes the race with a collection: first the registration is acknowledged, then the horizon is read. A collection that did
//! not see the registration has appended its horizon before, and that is seen here.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use common::chain::Position;
use common::failure::Failure;
use common::horizon::Collected;
use common::ids::Partition;
use common::progress::{Pin, Pinned, Progress, Statement};
use runtime::port::Result;

use super::Shared;
use super::table::Table;
use crate::load::run::Run;
use crate::load::state::State;

/// What this process has said of one table on the progress topic.
#[derive(Debug, Default)]
pub struct Registrar {
    said: Mutex<Said>,
}

#[derive(Debug, Default)]
struct Said {
    pinned: bool,
    positions: BTreeMap<Partition, Position>,
    /// Partitions whose log was searched for a horizon and found whole.
    whole: Vec<Partition>,
}

impl Registrar {
    /// Registers the table with these checkpoints, unless exactly that was said last, and answers with the partitions that may not be
    /// loaded.
    ///
    /// # Errors
    /// When the registration is not acknowledged or the signals cannot be read; nothing may be loaded then.
    pub async fn register(&self, shared: &Shared, table: &Table, state: &State) -> Result<Vec<(Partition, Failure)>> {
        let needed = state.needed().into_iter();
        let positions: BTreeMap<Partition, Position> = needed
            .map(|(partition, checkpoint)| (partition, checkpoint.position))
            .collect();
        let known = {
            let said = self.lock();
            said.pinned && said.positions == positions
        };
        if !known {
            let pin = Statement::Pin(pin(shared, table, state));
            shared
                .progress
                .publish(pin.key(), pin.encode())
                .await
                .map_err(|failure| failure.context("register with the progress topic"))?;
            let mut said = self.lock();
            (said.pinned, said.positions) = (true, positions);
        }
        self.refused(shared, table, state).await
    }

    /// Rule 24, for lineages that would begin at their origin. One that has a checkpoint needs no look: it was registered all the time,
    /// or its load halts at the object that is missing.
    async fn refused(&self, shared: &Shared, table: &Table, state: &State) -> Result<Vec<(Partition, Failure)>> {
        let mut refused = Vec::new();
        let partitions = shared.signals.partitions(&table.signals).await?;
        for partition in (0..partitions).map(Partition) {
            if state.lineages.contains_key(&partition) || self.lock().whole.contains(&partition) {
                continue;
            }
            let survey = shared.signals.survey(&table.signals, partition).await?;
            match survey.may_begin(None) {
                Ok(()) => self.lock().whole.push(partition),
                Err(collected) => refused.push((partition, too_late(table, partition, &collected))),
            }
        }
        Ok(refused)
    }

    /// The message that tells how far a run has come, remembered as said.
    pub fn progress(&self, shared: &Shared, table: &Table, run: &Run, load: Option<i64>) -> Statement {
        self.lock().positions.insert(run.partition, run.to);
        Statement::Progress(Progress {
            target: shared.target.clone(),
            table: table.target.table.to_string(),
            cluster: run.cluster.clone(),
            topic: run.topic.clone(),
            incarnation: run.to.incarnation,
            partition: run.partition,
            next: run.to.next,
            committed_at_ms: shared.world.now_ms(),
            load,
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rule 13: how many partitions the topic had when the first of its partitions began. Claims of an added partition lie in the log behind
/// those of the ones that were there, whichever a new table reads first.
///
/// # Errors
/// When the signals cannot be read.
pub async fn born_with(shared: &Shared, table: &Table) -> Result<Option<u32>> {
    let mut least: Option<u32> = None;
    for partition in (0..shared.signals.partitions(&table.signals).await?).map(Partition) {
        let born = shared.signals.survey(&table.signals, partition).await?.partitions;
        least = [least, born].into_iter().flatten().min();
    }
    Ok(least)
}

fn pin(shared: &Shared, table: &Table, state: &State) -> Pin {
    let positions = state.needed().into_iter().map(|(partition, checkpoint)| Pinned {
        cluster: checkpoint.cluster.clone(),
        partition,
        incarnation: checkpoint.position.incarnation,
        next: checkpoint.position.next,
    });
    Pin {
        target: shared.target.clone(),
        table: table.target.table.to_string(),
        topic: table.topic.clone(),
        positions: positions.collect(),
        at_ms: shared.world.now_ms(),
    }
}

fn too_late(table: &Table, partition: Partition, collected: &Collected) -> Failure {
    Failure::halt(format!("the table has no checkpoint, and {collected}"))
        .topic(&table.topic)
        .partition(partition)
        .table(table.target.table.to_string())
        .hint(
            "nothing was loaded. Fill the table from a target that is registered: stop this loader, copy the target table together with its \
             state and ledger tables out of one snapshot of the other cluster, and start again; or take the topic out of `topics` and \
             run `redshift-spolt unregister`, since a registration without progress holds every collection back",
        )
}
