//! V7, V8, V9: what lies in the topics: compaction's holes, transactions, schemas that come and go.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use devstack::client::transaction::Transaction;
use devstack::wait;
use spolt_tests::oracle;
use spolt_tests::rig::produce;
use spolt_tests::source::{COLUMNS, Column, envelope_schema};

use super::scene::{Scene, TABLES};
use super::{drill, quick};
use crate::drill::{Context, Drill};
use crate::stage::APPEND;

/// How long a transaction's end may take to reach every partition.
const MARKERS: Duration = Duration::from_secs(30);

/// How long the brokers' cleaner may take: it looks every second.
const CLEANER: Duration = Duration::from_secs(60);

pub(super) fn drills() -> Vec<Drill> {
    vec![
        drill(
            "V7",
            "",
            "both topics are compacted before they are read, so that most offsets are holes. Claims cover the holes: everything goes on, and \
             the tables hold what is left.",
            compacted,
        ),
        quick(drill(
            "V8",
            "",
            "a transaction stays open over both topics while others write behind it, and is aborted. Nothing behind its first record is \
             claimed while it is open; then everything goes on, without what was aborted.",
            open_transaction,
        )),
        quick(drill(
            "V9",
            "",
            "writers with an older and a newer schema take turns, record by record. Every record keeps its place; the tables have the columns \
             of both.",
            interleaved,
        )),
    ]
}

async fn compacted(context: Context) -> Result<()> {
    let mut scene = Scene::set(&context).await?;
    let settings = [
        ("cleanup.policy", "compact"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("segment.ms", "200"),
        ("min.compaction.lag.ms", "0"),
    ];
    for table in TABLES {
        scene.kafka().set_topic(&scene.topic(table), &settings).await?;
    }
    scene.feed(900);
    let whole = TABLES.map(|table| oracle::replay(scene.kafka().bootstrap(), &scene.topic(table)).len());
    let deadline = Instant::now() + CLEANER;
    loop {
        // A segment closes when something comes after it.
        scene.feed(12);
        let left = TABLES.map(|table| oracle::replay(scene.kafka().bootstrap(), &scene.topic(table)).len());
        if left[0] * 2 < whole[0] && left[1] * 2 < whole[1] {
            break;
        }
        ensure!(
            Instant::now() < deadline,
            "the brokers did not compact within {} s: {left:?} of {whole:?} records are left",
            CLEANER.as_secs()
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    // What is compared must not shrink any more.
    for table in TABLES {
        let still = [("cleanup.policy", "delete"), ("retention.ms", "-1")];
        scene.kafka().set_topic(&scene.topic(table), &still).await?;
    }
    let mut left = None;
    wait::until(CLEANER, "the cleaner to have ended", || {
        let now = TABLES.map(|table| oracle::replay(scene.kafka().bootstrap(), &scene.topic(table)).len());
        let ended = left.replace(now) == Some(now);
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(ended.then_some(()))
        }
    })
    .await?;
    context.did("more than half of each topic compacted away, then the daemons start");
    let (writer, loader) = (scene.writer("writer"), scene.loader("loader"));
    scene.feed(100);
    scene.equal(&[&writer, &loader]).await
}

async fn open_transaction(context: Context) -> Result<()> {
    let mut scene = Scene::set(&context).await?;
    let (writer, loader) = (scene.writer("writer"), scene.loader("loader"));
    scene.feed(150);
    scene.equal(&[&writer, &loader]).await?;
    let id = format!("open-{}", scene.stage.rig.name);
    let transaction = Transaction::begin(&scene.kafka(), &id, Duration::from_secs(300)).await?;
    for table in TABLES {
        let topic = scene.topic(table);
        for change in scene.source(table).changes(30) {
            transaction.send(&topic, change.partition, &change.key, change.value.as_deref())?;
        }
    }
    let mut stable = Vec::new();
    for table in TABLES {
        stable.push(scene.kafka().bounds(&scene.topic(table)).await?);
    }
    scene.feed(300);
    context.did("a transaction is open over both topics, 300 changes follow it in each");
    // The log of a partition that has nothing open behind it would show at once what is claimed too far.
    scene.equal(&[&writer, &loader]).await?;
    for (table, stable) in TABLES.iter().zip(&stable) {
        for claim in scene.stage.claims(table) {
            let end = usize::try_from(claim.partition.0).ok().and_then(|at| stable.get(at));
            let end = end.context("a partition that the topic does not have")?.1;
            ensure!(
                claim.next.0 <= end,
                "{table}: `{}..{}` of partition {} was claimed, but the last stable offset is `{end}`",
                claim.start,
                claim.next,
                claim.partition
            );
        }
    }
    context.saw("nothing was claimed beyond the last stable offset");
    transaction.end(false).await?;
    context.did("the transaction is aborted");
    for (table, stable) in TABLES.iter().zip(&stable) {
        // The coordinator answers before its markers have reached every partition.
        let topic = scene.topic(table);
        wait::until(MARKERS, "the end of the transaction to be seen", || async {
            let now = scene.kafka().bounds(&topic).await?;
            Ok(now.iter().zip(stable).all(|(now, held)| now.1 > held.1).then_some(()))
        })
        .await?;
    }
    scene.equal(&[&writer, &loader]).await
}

async fn interleaved(context: Context) -> Result<()> {
    let mut scene = Scene::set(&context).await?;
    let mut newer: Vec<Column> = COLUMNS.to_vec();
    newer.push(("level", r#""long""#));
    let (writer, loader) = (scene.writer("writer"), scene.loader("loader"));
    for table in TABLES {
        let topic = scene.topic(table);
        let subject = format!("{topic}-value");
        let rig = &mut scene.stage.rig;
        // The same text gets the same id again.
        let old = rig.register(&subject, &envelope_schema(&COLUMNS)).await;
        let new = rig.register(&subject, &envelope_schema(&newer)).await;
        let bootstrap = rig.parts.kafka.clone();
        let mut all = Vec::new();
        for turn in 0..200 {
            let (id, columns) = if turn % 2 == 0 {
                (old, &COLUMNS[..])
            } else {
                (new, &newer[..])
            };
            let source = scene.source(table);
            source.evolve(id, columns);
            all.extend(source.changes(2));
        }
        produce(&bootstrap, &topic, &all);
    }
    context.did("two schemas take turns 200 times in each topic");
    scene.equal(&[&writer, &loader]).await?;
    let plans: std::collections::BTreeSet<_> = scene
        .stage
        .claims(APPEND)
        .into_iter()
        .filter_map(|claim| claim.plan)
        .collect();
    ensure!(plans.len() <= 2, "{} plans for two schemas: they flip", plans.len());
    context.saw(format!("{} plans", plans.len()));
    Ok(())
}
