//! Starts and ends table tasks as the loader group says: whoever owns partition 0 of a table's signal topic loads the table, and reads
//! all its partitions (rule 14).

use std::collections::BTreeMap;
use std::sync::Arc;

use common::failure::Failure;
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;

use super::Shared;
use super::table::{self, Table};

/// The tables that this process owns.
pub struct Owner {
    shared: Arc<Shared>,
    running: BTreeMap<String, CancellationToken>,
    tasks: TaskTracker,
    fatal: UnboundedSender<Failure>,
}

impl Owner {
    /// Owns nothing yet. A failure that concerns the whole process goes to `fatal`.
    #[must_use]
    pub fn new(shared: Arc<Shared>, fatal: UnboundedSender<Failure>) -> Owner {
        Owner {
            shared,
            running: BTreeMap::new(),
            tasks: TaskTracker::new(),
            fatal,
        }
    }

    /// The table is ours: begin, knowing nothing but what its state says.
    pub fn own(&mut self, table: Table) {
        if self.running.contains_key(&table.signals) {
            return;
        }
        let cancel = CancellationToken::new();
        self.running.insert(table.signals.clone(), cancel.clone());
        let task = table::run(Arc::clone(&self.shared), Arc::new(table), cancel, self.fatal.clone());
        self.tasks.spawn(task);
    }

    /// The table of this signal topic is no longer ours: no new load starts. One in flight may finish or die, both are harmless.
    pub fn disown(&mut self, signals: &str) {
        if let Some(cancel) = self.running.remove(signals) {
            info!(signals, "table is left to another loader");
            cancel.cancel();
        }
    }

    /// Signal topics whose tables are ours.
    pub fn owned(&self) -> impl Iterator<Item = &str> {
        self.running.keys().map(String::as_str)
    }

    /// Ends all tables and waits until their tasks and the loads in flight have ended.
    pub async fn end(mut self) {
        for (_, cancel) in std::mem::take(&mut self.running) {
            cancel.cancel();
        }
        self.tasks.close();
        self.tasks.wait().await;
        // A load holds a permit while it runs; when all of them can be had, none runs.
        let all = u32::try_from(self.shared.parallel_loads).unwrap_or(u32::MAX);
        let _ = self.shared.permits.acquire_many(all).await;
    }
}
