//! What the drills of the environment share: both tables with sources that the drill feeds itself, and what it waits for.

use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use devstack::client::kafka::Kafka;
use devstack::wait;
use spolt_tests::oracle::{self, Change};
use spolt_tests::rig::{difference, produce};
use spolt_tests::source::Source;
use spolt_tests::warehouse::Warehouse;

use crate::drill::Context;
use crate::flow::Feed;
use crate::member::{Member, Role, Start};
use crate::stage::{APPEND, Stage, UPSERT};

/// How long a lineage may take to halt, and to look again after it was mended: it looks every 30 s.
pub(super) const HALT: Duration = Duration::from_secs(75);

/// The program with the operator's commands on claims.
pub(super) const WRITER: &str = "s3-spolt-drills";

/// The program with the operator's commands on tables.
pub(super) const LOADER: &str = "redshift-spolt-drills";

/// Both tables.
pub(super) const TABLES: [&str; 2] = [UPSERT, APPEND];

/// See the module.
pub(super) struct Scene {
    pub(super) stage: Stage,
    context: Context,
    feeds: Vec<Feed>,
}

/// All changes of a table, those that the topic has lost included: what it held, in the order in which it held it.
pub(super) type History = Vec<Change>;

impl Scene {
    pub(super) async fn set(context: &Context) -> Result<Scene> {
        Ok(Scene::of(context, Stage::set(context).await?))
    }

    pub(super) fn of(context: &Context, mut stage: Stage) -> Scene {
        let feeds = stage.feeds();
        Scene {
            stage,
            context: context.clone(),
            feeds,
        }
    }

    pub(super) fn writer(&self, name: &str) -> Member {
        self.stage.start(Role::Writer, name, Start::default())
    }

    pub(super) fn loader(&self, name: &str) -> Member {
        self.stage.start(Role::Loader, name, Start::default())
    }

    pub(super) fn kafka(&self) -> Kafka {
        Kafka::new(&self.stage.rig.parts.kafka)
    }

    pub(super) fn topic(&self, table: &str) -> String {
        self.stage.rig.topic(table)
    }

    /// The source of a table's changes.
    pub(super) fn source(&mut self, table: &str) -> &mut Source {
        let topic = self.topic(table);
        let feed = self.feeds.iter_mut().find(|feed| feed.topic == topic);
        &mut feed.expect("every table has a source").source
    }

    /// Feeds both topics with so many changes each, acknowledged by the brokers.
    pub(super) fn feed(&mut self, changes: usize) {
        for feed in &mut self.feeds {
            produce(&self.stage.rig.parts.kafka, &feed.topic, &feed.source.changes(changes));
        }
    }

    /// What a topic holds now.
    pub(super) fn changes(&self, table: &str) -> History {
        self.stage.rig.changes(&self.topic(table))
    }

    /// Waits until both tables hold what the topics hold.
    pub(super) async fn equal(&self, members: &[&Member]) -> Result<()> {
        let [upsert, append] = TABLES.map(|table| self.changes(table));
        self.equal_to(&upsert, &append, members).await
    }

    /// Waits until both tables hold what comes of these changes.
    pub(super) async fn equal_to(&self, upsert: &[Change], append: &[Change], members: &[&Member]) -> Result<()> {
        let rig = &self.stage.rig;
        let queries = [rig.upserted_by(UPSERT, upsert), rig.appended_by(APPEND, append)];
        let told = wait::until(
            self.context.patience(),
            "both tables to hold what they must",
            || async {
                let warehouse = self.warehouse().await?;
                for ((sql, expected), table) in queries.iter().zip(TABLES) {
                    let rows = warehouse
                        .rows(sql)
                        .await
                        .map_err(|reason| anyhow!("{table}: {reason}"))?;
                    difference(&rows, expected).map_err(|reason| anyhow!("{table}: {reason}"))?;
                }
                Ok(Some(()))
            },
        )
        .await;
        told.map_err(|error| {
            let logs: Vec<String> = members.iter().map(|member| last_lines(member)).collect();
            anyhow!("{error:#}\n{}", logs.join("\n"))
        })?;
        self.context.saw(format!(
            "the append table holds each of {} changes once, the upsert table the {} keys that are alive",
            append.len(),
            oracle::survivors(upsert).len()
        ));
        Ok(())
    }

    /// A connection to the warehouse; an error while it is away.
    pub(super) async fn warehouse(&self) -> Result<Warehouse> {
        let url = self.stage.rig.parts.redshift.clone();
        let connected = tokio::spawn(async move { Warehouse::connect(&url).await });
        connected.await.map_err(|_| anyhow!("the warehouse does not answer"))
    }

    /// One number from the warehouse.
    pub(super) async fn number(&self, sql: &str) -> Result<i64> {
        let rows = self
            .warehouse()
            .await?
            .rows(sql)
            .await
            .map_err(|reason| anyhow!(reason))?;
        let text = rows.first().and_then(|row| row.first()?.clone());
        text.unwrap_or_default()
            .parse()
            .map_err(|_| anyhow!("no number from `{sql}`"))
    }

    /// Rows of a table, and a digest of them: whether anything has changed.
    pub(super) async fn content(&self, table: &str) -> Result<Vec<spolt_tests::warehouse::Row>> {
        let sql = format!(
            "SELECT * FROM \"{}\".\"{table}\" ORDER BY \"_kafka_incarnation\", \"_kafka_partition\", \"_kafka_offset\"",
            self.stage.rig.name
        );
        self.warehouse()
            .await?
            .rows(&sql)
            .await
            .map_err(|reason| anyhow!(reason))
    }

    /// Waits for the alarm of a halted lineage: a line of the log that has all these words.
    pub(super) async fn halts(&self, member: &Member, words: &[&str]) -> Result<String> {
        let what = format!("an alarm of {} with `{}`", member.role().name(), words.join("`, `"));
        let found = wait::until(HALT, &what, || async {
            let log = member.log();
            let alarm = log
                .lines()
                .find(|line| line.contains("ERROR") && words.iter().all(|word| line.contains(word)));
            Ok(alarm.map(str::to_owned))
        })
        .await;
        let alarm = found.map_err(|error| anyhow!("{error:#}\n{}", last_lines(member)))?;
        let from = alarm.find("ERROR").unwrap_or(0);
        self.context.saw(alarm[from..].to_owned());
        Ok(alarm)
    }

    /// An operator's command with its preview, and then for good.
    pub(super) fn operator(&self, name: &str, arguments: &[&str]) -> Result<()> {
        let (fine, preview) = self.stage.rig.command(name, arguments);
        if !fine || !preview.contains("--apply") {
            bail!("`{}` shows no way on: {preview}", arguments.join(" "));
        }
        let mut applied = arguments.to_vec();
        applied.push("--apply");
        let (fine, said) = self.stage.rig.command(name, &applied);
        if !fine {
            bail!("`{}` is refused: {said}", applied.join(" "));
        }
        self.context.did(format!(
            "the operator runs `{} {}`",
            name.trim_end_matches("-drills"),
            applied.join(" ")
        ));
        Ok(())
    }

    /// Waits until everything that the topics hold is claimed.
    pub(super) async fn claimed(&self, writer: &Member) -> Result<()> {
        let waited = wait::until(self.context.patience(), "everything to be claimed", || async {
            for table in TABLES {
                let claims = self.stage.claims(table);
                let last = self.changes(table).into_iter().fold([-1; 3], |mut last, change| {
                    if let Some(slot) = usize::try_from(change.partition).ok().and_then(|at| last.get_mut(at)) {
                        *slot = change.offset;
                    }
                    last
                });
                for (partition, last) in (0..).zip(last) {
                    let of = claims.iter().filter(|claim| claim.partition.0 == partition);
                    if of.map(|claim| claim.next.0).max().unwrap_or(0) <= last {
                        return Ok(None);
                    }
                }
            }
            Ok(Some(()))
        })
        .await;
        waited.map_err(|error| anyhow!("{error:#}\n{}", last_lines(writer)))
    }
}

fn last_lines(member: &Member) -> String {
    let log = member.log();
    let lines: Vec<&str> = log.lines().collect();
    format!(
        "--- {}\n{}",
        member.role().name(),
        lines[lines.len().saturating_sub(6)..].join("\n")
    )
}
