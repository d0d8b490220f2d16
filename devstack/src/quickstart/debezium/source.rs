//! The source and what captures its changes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::client::Client;
use super::connector;
use super::database::Database;
use super::tables::Table;
use super::workload::Workload;
use crate::client::connect::{Connect, Status};
use crate::fetch;
use crate::home::Home;
use crate::part::postgres::Server;
use crate::part::{self, Started};
use crate::process::{Process, free_ports, stop_all, tail};
use crate::progress::Progress;
use crate::stack::Stack;
use crate::wait::until;

/// The connector's tasks must run, and its topics exist, within this time; the slowest seen is 20 s on cores that compile meanwhile.
const CONNECTOR_DEADLINE: Duration = Duration::from_secs(120);

/// The capture must move within this time.
const CAPTURE_STALL: Duration = Duration::from_secs(120);

/// How often the capture is looked at; each look writes a row.
const LOOK: Duration = Duration::from_millis(250);

/// The source and what captures its changes. Both stop when this is dropped.
pub(super) struct Source {
    database: Database,
    /// Where the database answers.
    pub(super) url: String,
    connect: Connect,
    /// The capture before what it reads from.
    processes: [Process; 2],
}

impl Source {
    pub(super) async fn start(database: Database, home: &Home, stack: &Stack, progress: &Progress) -> Result<Self> {
        let mariadb = database == Database::MariaDb;
        let worker = fetch::connect(home.cache(), mariadb, progress).await?;
        let ports = free_ports(2)?;
        let step = progress.step("starting the source and Kafka Connect");
        let server = async {
            match database {
                Database::Postgres => part::postgres::start(home, ports[0], Server::Source).await,
                Database::MariaDb => part::mariadb::start(home, ports[0]).await,
            }
        };
        let connect = part::connect::start(home, &worker, stack.bootstrap()?, ports[1]);
        let (server, connect) = tokio::try_join!(server, connect)?;
        step.done("");
        let Started { process, address } = connect;
        Ok(Self {
            database,
            url: server.address,
            connect: Connect::new(&address)?,
            processes: [process, server.process],
        })
    }

    /// Whether the connector and its task run.
    ///
    /// # Errors
    /// One has failed, with what Connect says about it.
    async fn runs(&self) -> Result<bool> {
        match self.connect.status(connector::NAME).await? {
            Status::Running => Ok(true),
            Status::Starting => Ok(false),
            Status::Failed(trace) => bail!("the connector has failed:\n{trace}"),
        }
    }

    /// Creates the connector and waits until all topics are there.
    pub(super) async fn capture(&self, stack: &Stack, workload: &Workload) -> Result<()> {
        let kafka = (stack.bootstrap()?, stack.registry_url()?);
        let settings = connector::settings(self.database, &self.url, kafka, workload.tables())?;
        self.connect.put(connector::NAME, &settings).await?;
        let kafka = stack.kafka()?;
        let topics: Vec<String> = workload.tables().iter().map(Table::topic).collect();
        until(CONNECTOR_DEADLINE, "the connector's topics", || async {
            let runs = self.runs().await?;
            let there = kafka.topics().await?;
            Ok((runs && topics.iter().all(|topic| there.contains(topic))).then_some(()))
        })
        .await
    }

    /// Waits until all that was committed before is acknowledged by Kafka: then Debezium says that it is beyond it. It does so only with a
    /// change, so each look makes one.
    pub(super) async fn caught_up(&self, client: &Client, progress: &Progress) -> Result<()> {
        let step = progress.step("waiting until all changes are captured");
        let goal = self.position(client).await?;
        let mut last = (None, Instant::now());
        loop {
            client.query(&self.database.mark()).await?;
            let behind = self.behind(client, &goal).await?;
            if behind == Some(0) {
                step.done("");
                return Ok(());
            }
            self.runs().await?;
            step.say(behind.map_or("nothing is captured yet".to_owned(), |bytes| {
                format!("{bytes} bytes of log to go")
            }));
            if last.0 != Some(behind) {
                last = (Some(behind), Instant::now());
            } else if last.1.elapsed() > CAPTURE_STALL {
                bail!(
                    "nothing was captured for `{}` s; the log of Kafka Connect ends:\n{}",
                    CAPTURE_STALL.as_secs(),
                    tail(self.processes[0].log())
                );
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Where the source's log ends.
    async fn position(&self, client: &Client) -> Result<Position> {
        match self.database {
            Database::Postgres => {
                let text = client.value("SELECT pg_current_wal_lsn()").await?;
                Ok(Position::Lsn(text.context("a position")?))
            }
            Database::MariaDb => {
                let rows = client.query("SHOW MASTER STATUS").await?;
                let row = rows.first().context("the source writes no log")?;
                let [Some(file), Some(at), ..] = &row[..] else {
                    bail!("the source has no position in its log: `{row:?}`");
                };
                Ok(Position::File(file.clone(), at.parse()?))
            }
        }
    }

    /// Bytes of the log that are to be captured yet; none can be told before the first change of all.
    async fn behind(&self, client: &Client, goal: &Position) -> Result<Option<u64>> {
        match goal {
            Position::Lsn(goal) => {
                let query = format!(
                    "SELECT greatest(pg_wal_lsn_diff('{goal}', confirmed_flush_lsn), 0) FROM pg_replication_slots \
                     WHERE slot_name = '{}'",
                    connector::NAME
                );
                let bytes = client.value(&query).await?.context("the connector has no slot")?;
                Ok(Some(bytes.parse()?))
            }
            Position::File(file, at) => {
                let offsets = self.connect.offsets(connector::NAME).await?;
                Ok(bytes_behind(&offsets, file, *at))
            }
        }
    }

    pub(super) fn detach(&mut self) {
        self.processes.iter_mut().for_each(Process::detach);
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        stop_all(&mut self.processes);
    }
}

/// A place in the log of a source.
enum Position {
    /// Of PostgreSQL.
    Lsn(String),
    /// Of MariaDB: file, and bytes in it.
    File(String, u64),
}

/// Bytes between what Kafka Connect has stored as captured and a place in a file of the log; 0 in a later file.
fn bytes_behind(offsets: &Value, file: &str, at: u64) -> Option<u64> {
    let offset = &offsets["offsets"][0]["offset"];
    let captured = offset["file"].as_str()?;
    let position = offset["pos"].as_u64()?;
    Some(match captured.cmp(file) {
        std::cmp::Ordering::Less => at,
        std::cmp::Ordering::Equal => at.saturating_sub(position),
        std::cmp::Ordering::Greater => 0,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bytes_are_counted_within_a_file_of_the_log() {
        let offsets = |file: &str, at: u64| json!({"offsets": [{"partition": {"server": "src"}, "offset": {"file": file, "pos": at, "event": 2}}]});
        assert_eq!(bytes_behind(&json!({"offsets": []}), "b.000001", 500), None);
        assert_eq!(bytes_behind(&offsets("b.000001", 400), "b.000001", 500), Some(100));
        assert_eq!(bytes_behind(&offsets("b.000001", 500), "b.000001", 500), Some(0));
        assert_eq!(bytes_behind(&offsets("b.000001", 900), "b.000002", 500), Some(500));
        assert_eq!(bytes_behind(&offsets("b.000002", 4), "b.000001", 500), Some(0));
    }
}
