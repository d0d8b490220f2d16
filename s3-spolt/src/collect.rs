//! The garbage collector (protocol rules 23, 24): horizon first, then deletion. What may go is decided by `common::horizon`; this carries it
//! out, in bounded pages, for the partitions that it is given. [`schedule`] does it again and again.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use common::chain::Position;
use common::claim::{self, Claim, Kind, ObjectName};
use common::failure::Failure;
use common::horizon::{self, Candidate, bound, may_delete};
use common::ids::{Lineage, Offset, Partition};
use common::mutant::Mutant;
use common::progress::Registry;
use runtime::port::{DELETE_KEYS_MAX, Listed, ObjectStore, SignalLog, World};
use runtime::{failpoint, progress};
use serde::Serialize;
use tracing::warn;

use crate::driver::effects::{append_claim, put_bare_claim};
use crate::metrics;

mod manifests;
pub mod schedule;

/// Objects that one request deletes. Few in a build for drills, so that a crash between two of them leaves half behind (C32).
const BATCH: usize = if cfg!(feature = "drills") { 4 } else { DELETE_KEYS_MAX };

/// What the operator said.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Prefix of all objects.
    pub prefix: String,
    /// Progress topic.
    pub progress_topic: String,
    /// Targets that must be registered, and no others; empty: nothing is ever collected.
    pub targets: BTreeSet<String>,
    /// Younger objects stay, milliseconds.
    pub retention_ms: i64,
}

/// A partition to be collected.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// Upstream topic.
    pub topic: String,
    /// Its signal topic.
    pub signal_topic: String,
    /// Partition.
    pub partition: Partition,
}

/// What became, or would become, of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Upstream topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Incarnation of the horizon.
    pub incarnation: Option<u32>,
    /// The horizon.
    pub horizon: Option<i64>,
    /// The target that holds it back.
    pub held_by: Option<String>,
    /// Why nothing of the topic may go.
    pub refused: Option<String>,
    /// Objects that went, or would go.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that the bucket would not delete.
    pub failed: u64,
    /// Manifests of loads that can no longer run, which went, or would go.
    pub manifests: u64,
}

/// Collects.
pub struct Collector {
    /// The bucket.
    pub store: Arc<dyn ObjectStore>,
    /// Signal topics and the progress topic.
    pub log: Arc<dyn SignalLog>,
    /// Time.
    pub world: Arc<dyn World>,
    /// Source cluster.
    pub cluster: String,
    /// Names that horizon claims carry: writer and build.
    pub signature: (String, String),
    /// What the operator said.
    pub rules: Rules,
}

/// A partition on its way through a collection.
struct Work<'s> {
    source: &'s Source,
    horizon: Option<Position>,
    /// Objects that claims name; only where a mutant asks.
    named: HashSet<String>,
    report: Report,
}

impl Collector {
    /// What a collection would do.
    ///
    /// # Errors
    /// When Kafka or S3 does not answer.
    pub async fn preview(&self, sources: &[Source]) -> Result<Vec<Report>, Failure> {
        let registry = progress::read(&*self.log, &self.rules.progress_topic).await?;
        let mut reports = Vec::with_capacity(sources.len());
        for source in sources {
            let mut work = self.work(&registry, source).await?;
            self.sweep(&mut work, usize::MAX, Deed::Count).await?;
            reports.push(work.report);
        }
        self.manifests(&registry, &mut reports, Deed::Count).await?;
        Ok(reports)
    }

    /// Collects: computes all horizons, appends them, reads the registrations again, deletes.
    ///
    /// # Errors
    /// When Kafka or S3 does not answer. What was not deleted then is deleted next time; an appended horizon stays true.
    pub async fn apply(&self, sources: &[Source], mut told: impl FnMut(&Report)) -> Result<Vec<Report>, Failure> {
        let registry = progress::read(&*self.log, &self.rules.progress_topic).await?;
        let mut works = Vec::with_capacity(sources.len());
        for source in sources {
            let mut work = self.work(&registry, source).await?;
            // A horizon is worth a claim only where something goes.
            self.sweep(&mut work, 1, Deed::Count).await?;
            let any = std::mem::take(&mut work.report.objects) > 0;
            work.report.bytes = 0;
            if !any {
                work.horizon = None;
            }
            works.push(work);
        }
        failpoint::hit("C33").await?;
        for work in &works {
            if let Some(horizon) = work.horizon {
                self.announce(work.source, horizon).await?;
            }
        }
        failpoint::hit("C31").await?;
        // Rule 24: a target that registered after the first reading either sees the horizon or is seen here.
        let again = progress::read(&*self.log, &self.rules.progress_topic).await?;
        let mut reports = Vec::with_capacity(works.len());
        for mut work in works {
            if let Some(announced) = work.horizon {
                work.horizon = self
                    .horizon(&again, work.source, &mut work.report)
                    .and_then(|again| bound(announced, Some(again)));
            }
            self.sweep(&mut work, usize::MAX, Deed::Delete).await?;
            metrics::collected(&work.report);
            told(&work.report);
            reports.push(work.report);
        }
        self.manifests(&again, &mut reports, Deed::Delete).await?;
        Ok(reports)
    }

    async fn work<'s>(&self, registry: &Registry, source: &'s Source) -> Result<Work<'s>, Failure> {
        let mut report = Report {
            topic: source.topic.clone(),
            partition: source.partition.0,
            incarnation: None,
            horizon: None,
            held_by: None,
            refused: None,
            objects: 0,
            bytes: 0,
            failed: 0,
            manifests: 0,
        };
        let horizon = self.horizon(registry, source, &mut report);
        let named = if Mutant::CollectUnreferenced.is_on() {
            self.named(source).await?
        } else {
            HashSet::new()
        };
        Ok(Work {
            source,
            horizon,
            named,
            report,
        })
    }

    fn horizon(&self, registry: &Registry, source: &Source, report: &mut Report) -> Option<Position> {
        let found = horizon::of_lineage(
            registry,
            &self.cluster,
            &source.topic,
            source.partition,
            &self.rules.targets,
        );
        match found {
            Err(refusal) => {
                report.refused = Some(refusal.to_string());
                None
            }
            Ok(slowest) => {
                report.held_by = Some(slowest.target.to_owned());
                report.incarnation = slowest.at.map(|at| at.incarnation.0);
                report.horizon = slowest.at.map(|at| at.next.0);
                slowest.at
            }
        }
    }

    async fn named(&self, source: &Source) -> Result<HashSet<String>, Failure> {
        let slice = self
            .log
            .read_tail(&source.signal_topic, source.partition, u64::MAX)
            .await?;
        let claims = slice
            .records
            .iter()
            .filter_map(|record| Claim::decode(&record.value).ok());
        Ok(claims
            .filter_map(|claim| claim.object)
            .map(|object| object.key)
            .collect())
    }

    /// Puts the horizon as an empty object, as every claim without rows, then appends it and waits for the acknowledgement.
    async fn announce(&self, source: &Source, horizon: Position) -> Result<(), Failure> {
        let lineage = Lineage {
            cluster: self.cluster.clone(),
            topic: source.topic.clone(),
            incarnation: horizon.incarnation,
            partition: source.partition,
        };
        let claim = Claim {
            writer: self.signature.0.clone(),
            build: self.signature.1.clone(),
            ..Claim::new(Kind::Horizon, &lineage, horizon.next, horizon.next)
        };
        put_bare_claim(&*self.store, &self.rules.prefix, &claim).await?;
        let appended = append_claim(&*self.log, &source.signal_topic, source.partition, &claim).await;
        appended.map_err(|failure| failure.context("nothing was deleted"))
    }

    /// Goes through the objects of a partition that may be below its horizon, at most `most` of them that may go.
    async fn sweep(&self, work: &mut Work<'_>, most: usize, deed: Deed) -> Result<(), Failure> {
        let everything = Mutant::CollectUnreferenced.is_on();
        let lives = match work.horizon {
            Some(horizon) => horizon.incarnation.0,
            None if everything => 0,
            None => return Ok(()),
        };
        for incarnation in 0..=lives {
            let lineage = Lineage {
                cluster: String::new(),
                topic: work.source.topic.clone(),
                incarnation: common::ids::Incarnation(incarnation),
                partition: work.source.partition,
            };
            let folder = format!("{}/", claim::lineage_prefix(&self.rules.prefix, &lineage));
            let mut after: Option<String> = None;
            loop {
                let page = self.store.list(&folder, after.as_deref()).await?;
                let (going, beyond) = self.choose(work, &page.objects, most);
                after = page.objects.last().map(|object| object.key.clone());
                match deed {
                    Deed::Count => work.report.count(&going),
                    Deed::Delete => self.delete(&going, &mut work.report).await?,
                }
                let enough = work.report.objects >= u64::try_from(most).unwrap_or(u64::MAX);
                if !page.more || enough || (beyond && !everything) {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The objects of a page that may go, and whether the page reaches beyond the horizon: keys sort by the first offset, so nothing
    /// behind it may go either.
    fn choose<'o>(&self, work: &Work<'_>, page: &'o [Listed], most: usize) -> (Vec<&'o Listed>, bool) {
        let now_ms = self.world.now_ms();
        let mut going = Vec::new();
        let mut beyond = false;
        for object in page {
            let Some(name) = claim::object_name(&self.rules.prefix, &work.source.topic, &object.key) else {
                continue;
            };
            let ObjectName { incarnation, start, .. } = name;
            let at = |next: Offset| Position { incarnation, next };
            beyond = work.horizon.is_some_and(|horizon| at(start) >= horizon);
            let candidate = Candidate {
                kind: name.kind,
                end: at(name.next),
                age_ms: now_ms.saturating_sub(object.modified_ms),
            };
            let named = || work.named.contains(&object.key);
            if going.len() < most && may_delete(candidate, work.horizon, self.rules.retention_ms, named) {
                going.push(object);
            }
        }
        (going, beyond)
    }

    async fn delete(&self, going: &[&Listed], report: &mut Report) -> Result<(), Failure> {
        for batch in going.chunks(BATCH) {
            let keys: Vec<String> = batch.iter().map(|object| object.key.clone()).collect();
            let failed = self.store.delete(&keys).await?;
            for object in &failed {
                warn!(
                    key = object.key,
                    reason = object.reason,
                    "the bucket did not delete an object"
                );
            }
            let failed: BTreeSet<&str> = failed.iter().map(|object| object.key.as_str()).collect();
            let gone: Vec<&Listed> = batch
                .iter()
                .copied()
                .filter(|object| !failed.contains(object.key.as_str()))
                .collect();
            report.failed += failed.len() as u64;
            report.count(&gone);
            failpoint::hit("C32").await?;
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Count,
    Delete,
}

impl Report {
    fn count(&mut self, objects: &[&Listed]) {
        self.objects += objects.len() as u64;
        self.bytes += objects.iter().map(|object| object.bytes).sum::<u64>();
    }
}
