//! Garbage collection against those who have not said yet what they need: a writer whose object is stored and not signalled, and a target
//! that registers while a collection is under way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::FutureExt as _;
use spolt_tests::daemon::Daemon;
use spolt_tests::oracle;
use spolt_tests::rig::difference;
use spolt_tests::standin::StandIn;
use spolt_tests::warehouse::Warehouse;

use crate::drill::{Context, Drill, NotReached};
use crate::member::{Member, Role, Start};
use crate::stage::{APPEND, Stage, UPSERT};

/// How long a collection may take.
const COLLECTING: Duration = Duration::from_mins(1);

/// Name of the target that comes late.
const LATE: &str = "late";

/// All of them.
#[must_use]
pub(super) fn drills() -> Vec<Drill> {
    let stored = Drill {
        point: "C10",
        variant: "collected".to_owned(),
        deed: None,
        what: "objects are collected while one is stored and its signal not yet sent".to_owned(),
        quick: true,
        alone: false,
        run: Arc::new(|context| unsignalled(context).boxed()),
    };
    let pinned = Drill {
        point: "C33",
        variant: "pin".to_owned(),
        deed: None,
        what: "a new target registers between the computing of a horizon and its writing".to_owned(),
        quick: true,
        alone: false,
        run: Arc::new(|context| pin(context).boxed()),
    };
    vec![stored, pinned]
}

async fn unsignalled(context: Context) -> Result<()> {
    let mut stage = Stage::set(&context).await?;
    stage.collects();
    let loader = stage.start(Role::Loader, "loader", Start::default());
    let flow = stage.flow();
    let nth = context.choose("hit", 5, 9);
    let failpoint = format!("C10@{APPEND}");
    let plan = format!("{failpoint}=hold*{nth}");
    let start = Start {
        failpoints: &plan,
        ..Start::default()
    };
    let mut writer = stage.start(Role::Writer, "writer", start);
    if !writer.reaches(&failpoint).await {
        return Err(NotReached(format!("C10 was not hit {nth} times")).into());
    }
    context.did(format!("C10 hit {nth}: an object is stored, its signal held"));
    // The held partition cannot go on, so the other table says when loads go on.
    stage.loads_begin(&context, &[UPSERT]).await?;
    collected(&context, &mut stage.start(Role::Collector, "gc", Start::default())).await?;
    writer.release(&failpoint);
    flow.go_on(15).await?;
    flow.finish().await?;
    stage.judge(vec![writer, loader]).await
}

/// Waits for the end of collections that were struck, however they end, and runs one more, which must come to its end.
///
/// # Errors
/// When it does not.
pub(super) async fn again(context: &Context, stage: &Stage, struck: Vec<Member>) -> Result<Vec<Member>> {
    for mut member in struck {
        ensure!(member.ends(COLLECTING).await, "a collection does not end");
    }
    let mut last = stage.start(Role::Collector, "last", Start::default());
    collected(context, &mut last).await?;
    Ok(vec![last])
}

/// Waits for the end of a collection, and notes what it said.
async fn collected(context: &Context, collector: &mut Member) -> Result<()> {
    ensure!(collector.ends(COLLECTING).await, "the collection does not end");
    let log = collector.log();
    ensure!(collector.is_well(), "the collection failed: {log}");
    context.saw(log.lines().last().unwrap_or_default());
    Ok(())
}

async fn pin(context: Context) -> Result<()> {
    let mut stage = Stage::set(&context).await?;
    stage.collects();
    let writer = stage.start(Role::Writer, "writer", Start::default());
    let loader = stage.start(Role::Loader, "loader", Start::default());
    let flow = stage.flow();
    stage.loads_begin(&context, &[UPSERT, APPEND]).await?;
    let start = Start {
        failpoints: "C33=hold",
        ..Start::default()
    };
    let mut collector = stage.start(Role::Collector, "gc", start);
    if !collector.reaches("C33").await {
        return Err(NotReached("C33 was not hit".to_owned()).into());
    }
    let standin = StandIn::start(&stage.rig.parts, &stage.rig.name).await;
    let config = stage.rig.config("late.toml", LATE, &standin.url);
    let env: Vec<(String, String)> = stage.rig.parts.aws.clone().into_iter().collect();
    let late = Daemon::start_with(Role::Loader.program(), &["run"], &config, &env);
    registered(&context, &stage).await?;
    context.did("C33: the horizon is computed; a new target registers before it is written");
    collector.release("C33");
    collected(&context, &mut collector).await?;
    flow.go_on(15).await?;
    flow.finish().await?;
    whole_or_told(&context, &stage, &standin, &late).await?;
    drop(late);
    stage.judge(vec![writer, loader]).await
}

/// Waits until the progress topic names the late target.
async fn registered(context: &Context, stage: &Stage) -> Result<()> {
    let since = Instant::now();
    let topic = format!("progress.{}", stage.rig.name);
    let named = |seen: &oracle::Seen| String::from_utf8_lossy(seen.key.as_deref().unwrap_or_default()).contains(LATE);
    while !oracle::replay(&stage.rig.parts.kafka, &topic).iter().any(named) {
        ensure!(since.elapsed() < context.patience(), "the new target did not register");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// The late target has everything, or says why it cannot; what it must not do is go on without what is gone.
async fn whole_or_told(context: &Context, stage: &Stage, standin: &StandIn, late: &Daemon) -> Result<()> {
    let since = Instant::now();
    let (sql, expected) = stage.rig.appended_rows(APPEND);
    loop {
        let warehouse = Warehouse::connect(&standin.url).await;
        let rows = warehouse.rows(&sql).await;
        if rows.as_ref().is_ok_and(|rows| difference(rows, &expected).is_ok()) {
            context.saw("the new target has every row");
            return Ok(());
        }
        let log = late.log();
        if let Some(line) = log
            .lines()
            .find(|line| line.contains("ERROR") && line.contains("horizon"))
        {
            context.saw(format!("the new target is told that it comes too late: {line}"));
            return Ok(());
        }
        ensure!(
            since.elapsed() < context.patience(),
            "the new target neither has every row nor says why: {}",
            late.log_tail()
        );
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
