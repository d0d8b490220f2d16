//! What every drill plays on: an upsert table and an append table, fed by the same kind of workload, and the judge at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use common::claim::Claim;
use spolt_tests::oracle::{self, Change};
use spolt_tests::parts::Parts;
use spolt_tests::rig::Rig;
use spolt_tests::source::{COLUMNS, UNFRAMED, envelope_schema};
use spolt_tests::warehouse::Warehouse;

use crate::corner::Corner;
use crate::drill::Context;
use crate::flow::{Feed, Flow};
use crate::judge;
use crate::member::{Member, Role, Start};

/// The table in which the last change of a key wins.
pub const UPSERT: &str = "orders";

/// The table that keeps every change: it shows what the other one hides.
pub const APPEND: &str = "journal";

/// Partitions of each topic.
pub const PARTITIONS: i32 = 3;

/// Rows of an object: so few that every point is passed many times in a few seconds.
const CUT_ROWS: usize = 40;

/// See the module.
pub struct Stage {
    /// Topics, bucket, schemas, configuration.
    pub rig: Rig,
    context: Context,
    feeds: Vec<Feed>,
    /// Changes that were loaded and are no longer in Kafka, by table.
    earlier: BTreeMap<&'static str, Vec<Change>>,
    /// The same of records that cannot be read: partition and offset.
    earlier_bad: BTreeMap<&'static str, BTreeSet<(i32, i64)>>,
}

impl Stage {
    /// Makes topics, schemas and a bucket of its own.
    ///
    /// # Errors
    /// When the drill's folder cannot be made.
    pub async fn set(context: &Context) -> Result<Stage> {
        Stage::on(context, context.parts().clone(), Vec::new()).await
    }

    /// The same on other parts than the drill was given, with every partition on these brokers (one anywhere if there are none).
    ///
    /// # Errors
    /// When the drill's folder cannot be made.
    pub async fn on(context: &Context, parts: Parts, brokers: Vec<i32>) -> Result<Stage> {
        std::fs::create_dir_all(context.folder())
            .with_context(|| format!("cannot make `{}`", context.folder().display()))?;
        let name = format!("d_{}", context.identifier());
        let mut rig = Rig::kept(parts, &name, context.folder().to_owned()).await;
        rig.cut_rows = CUT_ROWS;
        rig.brokers = brokers;
        // An answer that got lost is asked for again soon.
        "request_timeout = \"2s\"\nretry_for = \"90s\"\n".clone_into(&mut rig.extra_s3);
        let mut feeds = Vec::new();
        let mut later = COLUMNS.to_vec();
        later.push(("level", r#""long""#));
        for (number, table) in (0..).zip([UPSERT, APPEND]) {
            let source = rig.source(table, PARTITIONS, context.seed() * 2 + number).await;
            let topic = rig.topic(table);
            let id = rig.register(&format!("{topic}-value"), &envelope_schema(&later)).await;
            feeds.push(Feed {
                topic,
                source,
                later: (id, later.clone()),
            });
        }
        rig.extra_config = format!("[[topic]]\nname = \"{}\"\nmode = \"append\"\n", rig.topic(APPEND));
        context.makes(Corner::beside(&rig, context.parts()));
        Ok(Stage {
            rig,
            context: context.clone(),
            feeds,
            earlier: BTreeMap::new(),
            earlier_bad: BTreeMap::new(),
        })
    }

    /// The sources of both topics, for a drill that feeds them itself.
    #[must_use]
    pub fn feeds(&mut self) -> Vec<Feed> {
        std::mem::take(&mut self.feeds)
    }

    /// Starts the workload; once.
    pub fn flow(&mut self) -> Flow {
        let feeds = std::mem::take(&mut self.feeds);
        Flow::start(&self.rig.parts.kafka, &self.rig.name, feeds)
    }

    /// From now on objects may be collected as soon as the warehouse has them.
    pub fn collects(&mut self) {
        "[s3_spolt.gc]\ntargets = [\"main\"]\nretention = \"0s\"\n".clone_into(&mut self.rig.extra_s3_spolt);
    }

    /// Waits until every partition of these tables has been loaded twice.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn loads_begin(&self, context: &Context, tables: &[&str]) -> Result<()> {
        let since = Instant::now();
        for table in tables {
            for partition in 0..PARTITIONS {
                let first = self.loaded_beyond(context, since, table, partition, 0).await?;
                self.loaded_beyond(context, since, table, partition, first).await?;
            }
        }
        Ok(())
    }

    /// Waits until a partition's checkpoint lies beyond an offset; returns it.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn loaded_beyond(
        &self,
        context: &Context,
        since: Instant,
        table: &str,
        partition: i32,
        at: i64,
    ) -> Result<i64> {
        loop {
            if let Some(checkpoint) = self.checkpoint(table, partition).await?.filter(|next| *next > at) {
                return Ok(checkpoint);
            }
            ensure!(
                since.elapsed() < context.patience(),
                "{table}: partition {partition} was not loaded beyond offset {at}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Starts a daemon.
    #[must_use]
    pub fn start(&self, role: Role, name: &str, start: Start<'_>) -> Member {
        Member::start(&self.context, &self.rig, role, name, start)
    }

    /// Everything that the table must know of: what Kafka has, and what it had.
    #[must_use]
    pub fn changes(&self, table: &str) -> Vec<Change> {
        let present = self.rig.changes(&self.rig.topic(table));
        let earlier = self.earlier.get(table).into_iter().flatten().cloned();
        let mut changes: BTreeMap<(i32, i64), Change> = BTreeMap::new();
        for change in present.into_iter().chain(earlier) {
            changes.insert((change.partition, change.offset), change);
        }
        changes.into_values().collect()
    }

    /// Partition and offset of every record that must be set aside.
    #[must_use]
    pub fn bad(&self, table: &str) -> BTreeSet<(i32, i64)> {
        let present = oracle::replay(&self.rig.parts.kafka, &self.rig.topic(table));
        let present = present
            .into_iter()
            .filter(|seen| seen.value.as_deref() == Some(UNFRAMED))
            .map(|seen| (seen.partition, seen.offset));
        let earlier = self.earlier_bad.get(table).into_iter().flatten().copied();
        present.chain(earlier).collect()
    }

    /// Retention passes a writer: what is in a partition and not yet claimed is deleted, together with all before it. Tells the range
    /// that is lost.
    ///
    /// # Errors
    /// When the broker does not say how far the partition goes.
    pub async fn lose(&mut self, table: &'static str, partition: i32) -> Result<(i64, i64)> {
        let topic = self.rig.topic(table);
        let claims = self
            .claims(table)
            .into_iter()
            .filter(|claim| claim.partition.0 == partition);
        let claimed = claims
            .map(|claim| claim.next.0)
            .max()
            .context("the partition has claims")?;
        let changes = self.rig.changes(&topic).into_iter();
        let kept = changes
            .filter(|change| change.partition != partition || change.offset < claimed)
            .collect();
        let mut bad = self.bad(table);
        bad.retain(|(of, offset)| *of != partition || *offset < claimed);
        let end = oracle::end(&self.rig.parts.kafka, &topic, partition);
        self.rig.delete_records(&topic, partition, end).await;
        self.earlier.insert(table, kept);
        self.earlier_bad.insert(table, bad);
        Ok((claimed, end))
    }

    /// Name of a table's signal topic.
    #[must_use]
    pub fn signals(&self, table: &str) -> String {
        format!("spolt.signals.{}", self.rig.topic(table))
    }

    /// The signal log of a table as it is now, partition by partition.
    #[must_use]
    pub fn claims(&self, table: &str) -> Vec<Claim> {
        let log = oracle::replay(&self.rig.parts.kafka, &self.signals(table));
        log.iter()
            .map(|seen| Claim::decode(seen.value.as_deref().expect("a signal has a value")).expect("a claim"))
            .collect()
    }

    /// How many claims both logs hold.
    #[must_use]
    pub fn claims_now(&self) -> usize {
        let log = |table| {
            let signals = self.signals(table);
            oracle::exists(&self.rig.parts.kafka, &signals)
                .then(|| oracle::replay(&self.rig.parts.kafka, &signals).len())
        };
        [UPSERT, APPEND].into_iter().filter_map(log).sum()
    }

    /// Where a partition of a table stands in the warehouse; `None` before its first load.
    ///
    /// # Errors
    /// When the warehouse does not answer.
    pub async fn checkpoint(&self, table: &str, partition: i32) -> Result<Option<i64>> {
        let warehouse = Warehouse::connect(&self.rig.parts.redshift).await;
        let sql = format!(
            "SELECT next_offset FROM \"state_{0}\".\"{0}__{table}__state\" WHERE kind = 'lineage' AND \"partition\" = {partition}",
            self.rig.name
        );
        match warehouse.rows(&sql).await {
            Ok(rows) => Ok(rows.first().and_then(|row| row.first()?.as_deref()?.parse().ok())),
            // Undefined table: the loader makes it with its first load.
            Err(reason) if reason.starts_with("42P01") || reason.starts_with("3F000") => Ok(None),
            Err(reason) => anyhow::bail!(reason),
        }
    }

    /// Waits until the tables equal the oracle's, ends the daemons, and judges log and bucket.
    ///
    /// # Errors
    /// With what does not hold.
    pub async fn judge(&self, members: Vec<Member>) -> Result<()> {
        judge::judge(&self.context, self, members).await
    }
}
