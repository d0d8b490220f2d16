//! The whole path from a real source: PostgreSQL or MariaDB, Debezium in Kafka Connect, Kafka, both daemons, redshift-local, under a random
//! workload on tables of every type; in the end every row of every table is compared, value by value.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::config::Settings;
use super::daemons::{Daemons, Programs, stop_parts};
use super::follow::{self, Follower};
use super::{BUCKET, keep};
use crate::daemon::binary;
use crate::home::Home;
use crate::progress::{Progress, thousands};
use crate::stack::{Options, Stack};

pub mod client;
pub mod compare;
pub mod connector;
pub mod database;
pub mod expected;
pub mod kind;
pub mod mariadb;
pub mod postgres;
pub mod report;
pub mod rule;
mod source;
pub mod tables;
pub mod values;
pub mod workload;

use client::Client;
use compare::{Comparison, Ends};
use database::Database;
use report::{Report, TableReport};
use rule::Rule;
use source::Source;
use tables::{SCHEMA, Table};
use workload::Workload;

/// What the user asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// What the source is.
    pub database: Database,
    /// Leave all running afterwards.
    pub keep: bool,
    /// Length of the workload.
    pub operations: usize,
    /// Same seed, same statements.
    pub seed: u64,
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
    let mut source = Source::start(request.database, &home, &stack, progress).await?;
    let client = Client::connect(request.database, &source.url).await?;
    let mut workload = Workload::new(request.database, request.seed);
    let step = progress.step("beginning with a snapshot");
    workload.create(&client).await?;
    workload.edges(&client, workload::SNAPSHOT).await?;
    source.capture(&stack, &workload).await?;
    step.done("");

    let topics: Vec<String> = workload.tables().iter().map(Table::topic).collect();
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    let settings = Settings::of(&stack, &topics, &request.database.topic_rules())?;
    let mut follower = Follower::new(stack.kafka()?, &topics, &settings.target);
    let mut daemons = Daemons::start(&home, &stack, &settings, &programs, &mut follower).await?;
    let began = Instant::now();
    let changed = change(&mut workload, &client, request, progress).await?;
    source.caught_up(&client, progress).await?;
    let captured = began.elapsed();
    let ends = follower.ends().await?;
    daemons.follow(&mut follower, &ends, &settings, progress).await?;
    let report = Report {
        database: request.database,
        operations: request.operations as u64,
        seed: request.seed,
        changed,
        captured,
        loaded: began.elapsed(),
        counts: workload.told().counts.clone(),
        tables: compare_all(&client, &stack, &workload, (&follower, &ends), progress).await?,
    };
    progress.suspend(|| println!("{report}"));
    let equal = report.is_equal();
    if request.keep {
        daemons.detach();
        source.detach();
        stack.detach();
        let more = format!("The source: {}\n", source.url);
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
async fn change(workload: &mut Workload, client: &Client, request: &Request, progress: &Progress) -> Result<Duration> {
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
    workload.run_all(client, request.operations, told).await?;
    // Last, so that every table ends with all edges in it, whatever was truncated.
    workload.edges(client, workload::INSERT).await?;
    step.done(format!("{} operations", thousands(total)));
    Ok(began.elapsed())
}

async fn compare_all(
    client: &Client,
    stack: &Stack,
    workload: &Workload,
    (follower, bounds): (&Follower, &follow::Ends),
    progress: &Progress,
) -> Result<Vec<TableReport>> {
    let step = progress.step("comparing every value with the source");
    let target = stack.redshift().await?;
    let ends = Ends {
        source: client,
        target: &target,
    };
    ends.prepare().await?;
    let mut all = Vec::new();
    for table in workload.tables() {
        let name = format!("{SCHEMA}.{}", table.name);
        step.say(&name);
        let compared = ends.compare(table, workload.told()).await;
        let mut comparison: Comparison = compared.with_context(|| format!("cannot compare `{name}`"))?;
        ends.set_aside(table, &workload.set_aside(table), &mut comparison)
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
fn rules(tables: &[TableReport]) -> BTreeMap<Rule, u64> {
    let mut all = BTreeMap::new();
    for (rule, count) in tables.iter().flat_map(|table| &table.comparison.rules) {
        *all.entry(*rule).or_default() += count;
    }
    all
}
