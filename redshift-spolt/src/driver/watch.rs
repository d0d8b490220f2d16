//! Metrics by Prometheus' conventions, and what `/state` shows.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use metrics::{counter, gauge, histogram};

use super::load::Report;
use super::table::TableView;
use crate::load::Machine;
use crate::load::machine::Outcome;
use crate::load::run::LoadPlan;

/// How often the same failure of the same table is logged, milliseconds.
const TELL_EVERY_MS: i64 = 30_000;

#[derive(Debug, Default)]
struct Seen {
    views: BTreeMap<String, TableView>,
    /// Latest record time that is applied, by table, milliseconds since 1970.
    applied_ms: BTreeMap<String, i64>,
    /// What was logged of a table, and when.
    told: BTreeMap<String, (String, i64)>,
}

/// What is shown of all tables.
#[derive(Debug, Default)]
pub struct Watch {
    seen: Mutex<Seen>,
}

#[allow(clippy::cast_precision_loss)]
fn number(value: impl TryInto<i64>) -> f64 {
    value.try_into().unwrap_or(i64::MAX) as f64
}

/// Counts a signal reader that stalled without a word and was made anew.
pub fn stalled() {
    counter!("redshift_spolt_signal_stalls_total").increment(1);
}

impl Watch {
    /// Shows a table as it is now.
    pub fn table(&self, table: &str, topic: &str, machine: &Machine, now_ms: i64) {
        let view = machine.view();
        let halted = usize::from(view.halted.is_some())
            + view
                .lineages
                .values()
                .filter(|lineage| lineage.halted.is_some())
                .count();
        let labels = [("table", table.to_owned())];
        gauge!("redshift_spolt_claims_pending", &labels).set(number(view.waiting.claims));
        gauge!("redshift_spolt_lag_records", &labels).set(number(machine.lag()));
        gauge!("redshift_spolt_halted", &labels).set(number(halted));
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(applied) = seen.applied_ms.get(table) {
            gauge!("redshift_spolt_freshness_seconds", &labels).set(number(now_ms - applied) / 1000.0);
        }
        seen.views.insert(
            table.to_owned(),
            TableView {
                topic: topic.to_owned(),
                machine: view,
            },
        );
    }

    /// Counts a load that ended.
    pub fn loaded(&self, table: &str, load: &LoadPlan, report: &Report, millis: i64) {
        let outcome = match &report.outcome {
            Outcome::Committed { .. } => "committed",
            Outcome::Replan => "replanned",
            Outcome::Retry(_) => "retried",
            Outcome::Halt { .. } => "halted",
        };
        counter!("redshift_spolt_loads_total", "table" => table.to_owned(), "outcome" => outcome).increment(1);
        for (phase, seconds) in &report.phases {
            histogram!("redshift_spolt_load_seconds", "table" => table.to_owned(), "phase" => *phase).record(*seconds);
        }
        histogram!("redshift_spolt_load_seconds", "table" => table.to_owned(), "phase" => "all")
            .record(number(millis) / 1000.0);
        if matches!(report.outcome, Outcome::Committed { .. }) {
            counter!("redshift_spolt_load_rows_total", "table" => table.to_owned()).increment(load.rows());
            counter!("redshift_spolt_load_bytes_total", "table" => table.to_owned()).increment(load.bytes());
            if let Some(time) = load.max_time_ms() {
                let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                let applied = seen.applied_ms.entry(table.to_owned()).or_insert(time);
                *applied = (*applied).max(time);
            }
        }
    }

    /// A table that this process no longer loads.
    pub fn forget(&self, table: &str) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.views.remove(table);
        seen.applied_ms.remove(table);
        seen.told.remove(table);
        let labels = [("table", table.to_owned())];
        for name in [
            "redshift_spolt_claims_pending",
            "redshift_spolt_lag_records",
            "redshift_spolt_halted",
        ] {
            gauge!(name, &labels).set(0.0);
        }
    }

    /// Whether a failure may be logged, or is a repetition of one that was logged just now.
    pub fn may_tell(&self, table: &str, message: &str, now_ms: i64) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let told = seen
            .told
            .get(table)
            .is_some_and(|(known, at)| known == message && now_ms - at < TELL_EVERY_MS);
        if !told {
            seen.told.insert(table.to_owned(), (message.to_owned(), now_ms));
        }
        !told
    }

    /// The document of `/state`.
    #[must_use]
    pub fn state(&self, target: &str) -> serde_json::Value {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        serde_json::json!({ "target": target, "tables": seen.views })
    }
}
