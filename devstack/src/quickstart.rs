//! The whole path, once, in front of the user: real parts, real input, both daemons, and the comparison row by row.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::daemon::binary;
use crate::generator::load::{Load, Sent};
use crate::home::Home;
use crate::progress::{Progress, thousands};
use crate::stack::{Options, Stack};

pub mod compare;
pub mod config;
pub mod daemons;
pub mod debezium;
pub mod follow;
pub mod freshness;
pub mod report;

use compare::Comparison;
use config::Settings;
use daemons::{Daemons, Programs, Took, stop_parts};
use follow::Follower;
use freshness::Freshness;
use report::{Report, Stage};

/// The bucket of the quickstart.
pub const BUCKET: &str = "spolt-quickstart";

/// Same input every time.
const SEED: u64 = 1;

/// The steady phase.
const STEADY_RATE: u32 = 1_000;

/// What the user asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Leave all running afterwards.
    pub keep: bool,
    /// Length of the steady phase.
    pub steady: Duration,
    /// Take only so many flights.
    pub limit: usize,
}

/// Runs it all. Returns whether everything was equal.
///
/// # Errors
/// A part, a daemon or the comparison fails; the error says which and where to read more.
pub async fn run(home: Home, progress: &Progress, request: Request) -> Result<bool> {
    let programs = Programs::find()?;
    let mut options = Options::new(home.clone(), progress.clone());
    options.redshift_local = Some(binary("redshift-local")?);
    let mut stack = Stack::start(&options).await?;
    let data = stack.parts().context("a started stack knows its parts")?.data.clone();
    stack.s3().await?.create_bucket(BUCKET).await?;
    let kafka = stack.kafka()?;
    let load = Load::prepare(kafka.clone(), &stack.registry()?, &data, SEED, request.limit).await?;
    load.create_topics()
        .await
        .context("the topics cannot be created\nhint: the quickstart needs a Kafka without its topics `nyc.*`")?;
    let (load, backlog) = load.backlog(progress).await?;
    let settings = Settings::of(&stack, &Load::topics(), config::FLIGHTS_RULES)?;
    let mut follower = Follower::new(kafka, &Load::topics(), &settings.target);
    let ends = follower.ends().await?;
    let mut daemons = Daemons::start(&home, &stack, &settings, &programs, &mut follower).await?;
    let took = daemons.follow(&mut follower, &ends, &settings, progress).await?;
    let stages = stage_rows(&backlog, took, follower.rows_within(&ends));
    let first = compare_all(&stack, &load, progress).await?;

    let (load, delivered) = load.steady(STEADY_RATE, Some(request.steady), progress).await?;
    let ends = follower.ends().await?;
    daemons.follow(&mut follower, &ends, &settings, progress).await?;
    let second = compare_all(&stack, &load, progress).await?;
    let freshness = Freshness::of(&delivered, follower.seen());
    let report = Report {
        stages,
        steady: freshness,
        steady_rate: STEADY_RATE,
        first: &first,
        second: &second,
        seen: follower.seen(),
        ends: &ends,
    };
    progress.suspend(|| println!("{report}"));
    let equal = first
        .iter()
        .chain(&second)
        .all(|comparison| comparison.differences == 0)
        && freshness.missing == 0;
    if request.keep {
        daemons.detach();
        stack.detach();
        let devstack = std::env::current_exe().map_or_else(|_| "devstack".into(), |file| file.display().to_string());
        let home_at = home.root().display();
        let more = format!("More load: {devstack} produce --home {home_at} --no-backlog --rate 1000\n");
        keep(&home, &settings, &more, progress);
        return Ok(equal);
    }
    let stopped = daemons.stop(progress).await;
    stop_parts(stack, progress).await?;
    stopped.map(|()| equal)
}

async fn compare_all(stack: &Stack, load: &Load, progress: &Progress) -> Result<Vec<Comparison>> {
    let step = progress.step("comparing every row with the truth");
    let sql = stack.redshift().await?;
    let mut all = Vec::new();
    for truth in load.truths() {
        let (schema, table) = truth.table();
        step.say(format!("{schema}.{table}, {} rows", thousands(truth.len() as u64)));
        all.push(
            compare::table(&sql, truth)
                .await
                .with_context(|| format!("cannot compare `{schema}.{table}`"))?,
        );
    }
    let differences = all.iter().map(|comparison| comparison.differences).sum();
    let rows = all.iter().map(|comparison| comparison.rows).sum();
    step.done(format!(
        "{} rows, {} differences",
        thousands(rows),
        thousands(differences)
    ));
    for comparison in &all {
        for example in &comparison.examples {
            progress.note(format!("  {}: {example}", comparison.table));
        }
    }
    Ok(all)
}

fn stage_rows(backlog: &Sent, took: Took, rows: u64) -> Vec<Stage> {
    let stage = |name, records, took| Stage { name, records, took };
    vec![
        stage("generator: events to Kafka", backlog.records, backlog.took),
        stage("s3-spolt: Kafka to claimed objects", backlog.records, took.claimed),
        stage("redshift-spolt: objects to merged rows", rows, took.loaded),
    ]
}

/// Says where to look, where all goes on running.
fn keep(home: &Home, settings: &Settings, more: &str, progress: &Progress) {
    let text = format!(
        "Everything goes on running. Where to look:\n  \
         tables         psql {}\n  \
         state          curl http://{}/state   and   curl http://{}/state\n  \
         metrics        the same with /metrics\n  \
         logs           {}\n  \
         configuration  {}\n  \
         addresses      {}\n\
         {more}\
         Stop it all: ./quickstart down",
        settings.redshift,
        settings.s3_http,
        settings.redshift_http,
        home.logs().display(),
        home.run().join("spolt.toml").display(),
        home.run().join(crate::stack::ADDRESSES_FILE).display(),
    );
    progress.suspend(|| println!("{text}"));
}
