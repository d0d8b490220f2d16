//! Collects the partitions that this process owns, again and again (protocol rule 23). Owning only shares the work out: two collectors of one
//! partition do no harm.

use std::collections::BTreeMap;
use std::time::Duration;

use common::failure::{Class, Failure};
use common::ids::Partition;
use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Collector, Report, Source};

/// Collects every so often until `shutdown`. `lineages` is what `/state` shows, `signal_topic` names the signal topic of an upstream topic.
/// Does nothing where no targets are configured.
pub async fn schedule(
    collector: Collector,
    every: Duration,
    signal_topic: impl Fn(&str) -> String + Send,
    lineages: Receiver<serde_json::Value>,
    shutdown: CancellationToken,
) {
    if collector.rules.targets.is_empty() {
        return;
    }
    let mut told = Told::default();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        let sources = running(&lineages.borrow(), &signal_topic);
        tokio::select! {
            () = shutdown.cancelled() => return,
            result = collector.apply(&sources, |_| {}) => told.tell(&result),
        }
    }
}

/// The partitions that are owned and read.
fn running(lineages: &serde_json::Value, signal_topic: impl Fn(&str) -> String) -> Vec<Source> {
    let lineages = lineages["lineages"].as_array().into_iter().flatten();
    lineages
        .filter(|lineage| lineage["phase"] == "running")
        .filter_map(|lineage| {
            let topic = lineage["topic"].as_str()?;
            let partition = i32::try_from(lineage["partition"].as_i64()?).ok()?;
            Some(Source {
                topic: topic.to_owned(),
                signal_topic: signal_topic(topic),
                partition: Partition(partition),
            })
        })
        .collect()
}

/// What the schedule has told already, so that a refusal is logged once and not every hour.
#[derive(Debug, Default)]
struct Told {
    refused: BTreeMap<String, String>,
}

impl Told {
    /// Logs what a scheduled collection came to.
    fn tell(&mut self, result: &Result<Vec<Report>, Failure>) {
        match result {
            Ok(reports) => reports.iter().for_each(|report| self.report(report)),
            Err(failure) if failure.class == Class::Retry => warn!(%failure, "collect objects, will be tried again"),
            Err(failure) => tracing::error!(%failure, "collect objects"),
        }
    }

    fn report(&mut self, report: &Report) {
        match &report.refused {
            Some(reason) if self.refused.get(&report.topic) != Some(reason) => {
                warn!(
                    topic = report.topic,
                    reason,
                    "nothing is collected; make [s3_spolt.gc] targets the targets that load the topic, or end a registration with `redshift-spolt unregister`"
                );
                self.refused.insert(report.topic.clone(), reason.clone());
            }
            Some(_) => {}
            None => {
                self.refused.remove(&report.topic);
            }
        }
        if report.objects > 0 || report.manifests > 0 {
            info!(
                topic = report.topic,
                partition = report.partition,
                horizon = report.horizon,
                objects = report.objects,
                bytes = report.bytes,
                manifests = report.manifests,
                failed = report.failed,
                "objects collected"
            );
        }
    }
}
