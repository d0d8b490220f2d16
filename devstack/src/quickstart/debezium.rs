//! The whole path from a real source: PostgreSQL, Debezium in Kafka Connect, Kafka, both daemons, redshift-local, under a random workload
//! on tables of every type; in the end every row of every table is compared, value by value.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::config::Settings;
use super::daemons::{Daemons, Programs, stop_parts};
use super::follow::{self, Follower};
use super::{BUCKET, keep};
use crate::client::connect::{Connect, Status};
use crate::client::sql::Sql;
use crate::daemon::binary;
use crate::fetch;
use crate::home::Home;
use crate::part::postgres::Server;
use crate::part::{self, Started};
use crate::process::{Process, free_ports, stop_all, tail};
use crate::progress::{Progress, thousands};
use crate::stack::{Options, Stack};
use crate::wait::until;

pub mod compare;
pub mod connector;
pub mod kind;
pub mod render;
pub mod report;
pub mod tables;
pub mod values;
pub mod workload;

use compare::{Comparison, Ends};
use report::{Report, TableReport};
use tables::{SCHEMA, Table};
use workload::Workload;

/// What the user asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Leave all running afterwards.
    pub keep: bool,
    /// Length of the workload.
    pub operations: usize,
    /// Same seed, same statements.
    pub seed: u64,
}

/// The connector's tasks must run, and its topics exist, within this time; the slowest seen is 20 s on cores that compile meanwhile.
const CONNECTOR_DEADLINE: Duration = Duration::from_secs(120);

/// The capture must move within this time.
const CAPTURE_STALL: Duration = Duration::from_secs(120);

/// How often the capture is looked at; each look writes a row.
const LOOK: Duration = Duration::from_millis(250);

/// Rules for the topics: what NULL takes the place of, and how many records may be set aside.
const RULES: &str = r#"[[topic]]
name = "src.shop.every_type"
bad_values = { c_float4 = "null", c_float8 = "null", c_date = "null", c_ts = "null", c_tstz = "null" }

[[topic]]
name = "src.shop.unfit"
# Many records of this table are bad on purpose.
bad_records_max = 1000000
"#;

/// The source and what captures its changes. Both stop when this is dropped.
struct Source {
    url: String,
    connect: Connect,
    /// The capture before what it reads from.
    processes: [Process; 2],
}

impl Source {
    async fn start(home: &Home, stack: &Stack, progress: &Progress) -> Result<Self> {
        let jars = fetch::connect(home.cache(), progress).await?;
        let ports = free_ports(2)?;
        let step = progress.step("starting the source and Kafka Connect");
        let (postgres, connect) = tokio::try_join!(
            part::postgres::start(home, ports[0], Server::Source),
            part::connect::start(home, &jars, stack.bootstrap()?, ports[1]),
        )?;
        step.done("");
        let Started { process, address } = connect;
        Ok(Self {
            url: postgres.address,
            connect: Connect::new(&address)?,
            processes: [process, postgres.process],
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
    async fn capture(&self, stack: &Stack, workload: &Workload) -> Result<()> {
        let settings = connector::settings(&self.url, stack.registry_url()?, workload.tables())?;
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

    /// Waits until all that was committed before is acknowledged by Kafka: Debezium then moves its slot beyond it. A slot moves only with a
    /// transaction, so each look makes one.
    async fn caught_up(&self, sql: &Sql, progress: &Progress) -> Result<()> {
        let step = progress.step("waiting until all changes are captured");
        let goal = sql.value("SELECT pg_current_wal_lsn()").await?.context("a position")?;
        let behind = format!(
            "SELECT greatest(pg_wal_lsn_diff('{goal}', confirmed_flush_lsn), 0) FROM pg_replication_slots WHERE slot_name = '{}'",
            connector::NAME
        );
        let mut last = (None, Instant::now());
        loop {
            sql.execute(&format!("INSERT INTO {SCHEMA}.marker DEFAULT VALUES"))
                .await?;
            let bytes = sql.value(&behind).await?.context("the connector has no slot")?;
            if bytes == "0" {
                step.done("");
                return Ok(());
            }
            self.runs().await?;
            step.say(format!("{bytes} bytes of log to go"));
            if last.0.as_ref() != Some(&bytes) {
                last = (Some(bytes), Instant::now());
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

    fn detach(&mut self) {
        self.processes.iter_mut().for_each(Process::detach);
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        stop_all(&mut self.processes);
    }
}

/// Runs it all. Returns whether everything was equal.
///
/// # Errors
/// A part, a daemon or the comparison fails; the error says which and where to read more.
pub async fn run(home: Home, progress: &Progress, request: &Request) -> Result<bool> {
    let programs = Programs::find()?;
    let mut options = Options::new(home.clone(), progress.clone());
    options.redshift_local = Some(binary("redshift-local")?);
    let mut stack = Stack::start(&options).await?;
    stack.s3().await?.create_bucket(BUCKET).await?;
    let mut source = Source::start(&home, &stack, progress).await?;
    let sql = Sql::connect(&source.url).await?;
    let mut workload = Workload::new(tables::all(), request.seed);
    let step = progress.step("beginning with a snapshot");
    workload.create(&sql).await?;
    workload.edges(&sql, workload::SNAPSHOT).await?;
    source.capture(&stack, &workload).await?;
    step.done("");

    let topics: Vec<String> = workload.tables().iter().map(Table::topic).collect();
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    let settings = Settings::of(&stack, &topics, RULES)?;
    let mut follower = Follower::new(stack.kafka()?, &topics, &settings.target);
    let mut daemons = Daemons::start(&home, &stack, &settings, &programs, &mut follower).await?;
    let began = Instant::now();
    let changed = change(&mut workload, &sql, request, progress).await?;
    source.caught_up(&sql, progress).await?;
    let captured = began.elapsed();
    let ends = follower.ends().await?;
    daemons.follow(&mut follower, &ends, &settings, progress).await?;
    let report = Report {
        operations: request.operations as u64,
        seed: request.seed,
        changed,
        captured,
        loaded: began.elapsed(),
        counts: workload.told().counts.clone(),
        tables: compare_all(&sql, &stack, &workload, (&follower, &ends), progress).await?,
    };
    progress.suspend(|| println!("{report}"));
    let equal = report.is_equal();
    if request.keep {
        daemons.detach();
        source.detach();
        stack.detach();
        let more = format!("The source: psql {}\n", source.url);
        keep(&home, &settings, &more, progress);
        return Ok(equal);
    }
    let stopped = daemons.stop(progress).await;
    let step = progress.step("stopping the source and Kafka Connect");
    tokio::task::spawn_blocking(move || drop(source)).await?;
    step.done("");
    stop_parts(stack, progress).await?;
    stopped.map(|()| equal)
}

/// Runs the workload.
async fn change(workload: &mut Workload, sql: &Sql, request: &Request, progress: &Progress) -> Result<Duration> {
    let step = progress.step(format!("changing the source (seed {})", request.seed));
    let began = Instant::now();
    let total = request.operations as u64;
    let told = |done: usize| {
        let done = done as u64;
        step.at(
            done,
            total,
            format!("{} of {} operations", thousands(done), thousands(total)),
        );
    };
    workload.run_all(sql, request.operations, told).await?;
    // Last, so that every table ends with all edges in it, whatever was truncated.
    workload.edges(sql, workload::INSERT).await?;
    step.done(format!("{} operations", thousands(total)));
    Ok(began.elapsed())
}

async fn compare_all(
    sql: &Sql,
    stack: &Stack,
    workload: &Workload,
    (follower, bounds): (&Follower, &follow::Ends),
    progress: &Progress,
) -> Result<Vec<TableReport>> {
    let step = progress.step("comparing every value with the source");
    let target = stack.redshift().await?;
    let ends = Ends {
        source: sql,
        target: &target,
    };
    ends.prepare().await?;
    let mut all = Vec::new();
    for table in workload.tables() {
        let name = format!("{SCHEMA}.{}", table.name);
        step.say(&name);
        let compared = ends.compare(table, workload.told()).await;
        let mut comparison: Comparison = compared.with_context(|| format!("cannot compare `{name}`"))?;
        ends.set_aside(table, workload.set_aside(table.name), &mut comparison)
            .await?;
        let topic = table.topic();
        let records = bounds.iter().filter(|((name, _), _)| *name == topic);
        let records = records.map(|(_, (low, end))| u64::try_from(end - low).unwrap_or(0));
        all.push(TableReport {
            name,
            records: records.sum(),
            counts: follower.seen().of(&topic),
            comparison,
        });
    }
    let differences: u64 = all.iter().map(|table| table.comparison.differences).sum();
    let values: u64 = all.iter().map(|table| table.comparison.values).sum();
    step.done(format!(
        "{} values, {} differences",
        thousands(values),
        thousands(differences)
    ));
    for example in all.iter().flat_map(|table| &table.comparison.examples) {
        progress.note(format!("  {example}"));
    }
    Ok(all)
}

/// How often each rule explained a value, of all tables.
fn rules(tables: &[TableReport]) -> BTreeMap<render::Rule, u64> {
    let mut all = BTreeMap::new();
    for (rule, count) in tables.iter().flat_map(|table| &table.comparison.rules) {
        *all.entry(*rule).or_default() += count;
    }
    all
}
