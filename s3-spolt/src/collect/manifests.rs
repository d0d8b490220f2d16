//! The manifests of loads that can no longer run.
//!
//! A manifest is written before its load's transaction and read by it alone; another try writes another one. The transaction first asks
//! whether the table's checkpoints are those that it was planned from. A manifest is therefore of no use to anybody once its target has
//! moved beyond an object that it lists: its load has committed, or was overtaken and stops at that question before it reads anything.

use std::collections::BTreeMap;

use common::claim::{self, lineage_of};
use common::failure::Failure;
use common::ids::Partition;
use common::manifest;
use common::progress::Registry;
use runtime::port::Listed;
use tracing::warn;

use super::{BATCH, Collector, Deed, Report};

impl Collector {
    /// Counts or deletes the manifests that have had their time, under the reports of the partitions that they begin with. Those of
    /// partitions without a report, or with a refusal, stay: somebody else looks at them, or nobody may.
    ///
    /// # Errors
    /// When S3 does not answer.
    pub(super) async fn manifests(
        &self,
        registry: &Registry,
        reports: &mut [Report],
        deed: Deed,
    ) -> Result<(), Failure> {
        let of_ours: BTreeMap<(String, Partition), usize> = reports
            .iter()
            .enumerate()
            .filter(|(_, report)| report.refused.is_none())
            .map(|(index, report)| ((report.topic.clone(), Partition(report.partition)), index))
            .collect();
        for target in &self.rules.targets {
            let folder = claim::manifest_folder(&self.rules.prefix, target);
            let mut after: Option<String> = None;
            loop {
                let page = self.store.list(&folder, after.as_deref()).await?;
                after = page.objects.last().map(|object| object.key.clone());
                let mut going: Vec<(usize, &Listed)> = Vec::new();
                for object in &page.objects {
                    let age_ms = self.world.now_ms().saturating_sub(object.modified_ms);
                    if age_ms < self.rules.retention_ms {
                        continue;
                    }
                    if let Some(index) = self.is_spent(registry, target, &object.key, &of_ours).await? {
                        going.push((index, object));
                    }
                }
                match deed {
                    Deed::Count => count(reports, &going),
                    Deed::Delete => self.drop_manifests(&going, reports).await?,
                }
                if !page.more {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Whether the target has moved beyond an object that the manifest lists, and whose report says so.
    async fn is_spent(
        &self,
        registry: &Registry,
        target: &str,
        key: &str,
        of_ours: &BTreeMap<(String, Partition), usize>,
    ) -> Result<Option<usize>, Failure> {
        let Some(document) = self.store.get(self.store.bucket(), key).await? else {
            return Ok(None);
        };
        let Some(keys) = manifest::keys(&document) else {
            warn!(key, "what lies among the manifests is none, and stays");
            return Ok(None);
        };
        let Some((topic, first)) = keys.first().and_then(|key| lineage_of(&self.rules.prefix, key)) else {
            return Ok(None);
        };
        let Some(index) = of_ours.get(&(topic.to_owned(), first.partition)) else {
            return Ok(None);
        };
        let passed = keys
            .iter()
            .filter_map(|key| lineage_of(&self.rules.prefix, key))
            .any(|(topic, name)| {
                let standing = registry.standing(target, topic, name.partition);
                standing.is_some_and(|standing| standing.cluster == self.cluster && standing.position >= name.end())
            });
        Ok(passed.then_some(*index))
    }

    async fn drop_manifests(&self, going: &[(usize, &Listed)], reports: &mut [Report]) -> Result<(), Failure> {
        for batch in going.chunks(BATCH) {
            let keys: Vec<String> = batch.iter().map(|(_, object)| object.key.clone()).collect();
            let failed = self.store.delete(&keys).await?;
            for object in &failed {
                warn!(
                    key = object.key,
                    reason = object.reason,
                    "the bucket did not delete a manifest"
                );
            }
            let gone: Vec<(usize, &Listed)> = batch
                .iter()
                .copied()
                .filter(|(_, object)| failed.iter().all(|failed| failed.key != object.key))
                .collect();
            count(reports, &gone);
        }
        Ok(())
    }
}

fn count(reports: &mut [Report], manifests: &[(usize, &Listed)]) {
    for (index, _) in manifests {
        if let Some(report) = reports.get_mut(*index) {
            report.manifests += 1;
        }
    }
}
