//! What every drill plays on: an upsert table and an append table, fed by the same kind of workload, and the judge at the end.

use anyhow::{Context as _, Result};
use common::claim::Claim;
use spolt_tests::oracle;
use spolt_tests::rig::Rig;
use spolt_tests::source::{COLUMNS, envelope_schema};
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
}

impl Stage {
    /// Makes topics, schemas and a bucket of its own.
    ///
    /// # Errors
    /// When the drill's folder cannot be made.
    pub async fn set(context: &Context) -> Result<Stage> {
        std::fs::create_dir_all(context.folder())
            .with_context(|| format!("cannot make `{}`", context.folder().display()))?;
        let name = format!("d_{}", context.identifier());
        let mut rig = Rig::kept(context.parts().clone(), &name, context.folder().to_owned()).await;
        rig.cut_rows = CUT_ROWS;
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
        context.makes(Corner::of(&rig));
        Ok(Stage {
            rig,
            context: context.clone(),
            feeds,
        })
    }

    /// Starts the workload; once.
    pub fn flow(&mut self) -> Flow {
        let feeds = std::mem::take(&mut self.feeds);
        Flow::start(&self.rig.parts.kafka, &self.rig.name, feeds)
    }

    /// Starts a daemon.
    #[must_use]
    pub fn start(&self, role: Role, name: &str, start: Start<'_>) -> Member {
        Member::start(&self.context, &self.rig, role, name, start)
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
