//! V5: records are deleted from the signal topic. Also how a signal log is mended from what the objects on S3 say.

use anyhow::{Context as _, Result, ensure};
use common::claim::Claim;
use common::ids::Partition;
use devstack::client::kafka::Kafka;
use spolt_tests::rig::produce_raw;

use super::scene::{Scene, TABLES};
use super::{drill, quick};
use crate::drill::{Context, Drill};
use crate::judge;
use crate::stage::PARTITIONS;

pub(super) fn drills() -> Vec<Drill> {
    vec![
        drill(
            "V5",
            "applied",
            "all claims are deleted from both signal topics after they were applied, and both daemons start again. What is applied needs no \
             claim: the log begins anew, everything goes on, nothing is doubled.",
            applied,
        ),
        quick(drill(
            "V5",
            "waiting",
            "claims of partition 0 of both tables are deleted from the signal topics before they were applied. The loader halts that lineage \
             at the gap and skips nothing, the others go on; when the claims that the objects on S3 carry are put back, the tables come out \
             right.",
            waiting,
        )),
    ]
}

async fn applied(context: Context) -> Result<()> {
    let mut scene = Scene::set(&context).await?;
    let (mut writer, mut loader) = (scene.writer("writer"), scene.loader("loader"));
    scene.feed(300);
    scene.equal(&[&writer, &loader]).await?;
    writer.kill();
    loader.kill();
    for table in TABLES {
        for partition in 0..PARTITIONS {
            scene
                .kafka()
                .delete_records(&scene.stage.signals(table), partition, None)
                .await?;
        }
    }
    context.did("all claims deleted from both signal topics");
    let (writer, loader) = (scene.writer("writer-2"), scene.loader("loader-2"));
    scene.feed(300);
    scene.equal(&[&writer, &loader]).await?;
    for member in [&writer, &loader] {
        ensure!(!member.log().contains("ERROR"), "{} has an alarm", member.role().name());
    }
    Ok(())
}

async fn waiting(context: Context) -> Result<()> {
    let mut scene = Scene::set(&context).await?;
    let (writer, mut loader) = (scene.writer("writer"), scene.loader("loader"));
    scene.feed(300);
    scene.equal(&[&writer, &loader]).await?;
    loader.kill();
    let before = TABLES.map(|table| scene.changes(table));
    scene.feed(300);
    scene.claimed(&writer).await?;
    for table in TABLES {
        let signals = scene.stage.signals(table);
        // The last claim stays: the one that lies behind the gap.
        let (_, end) = scene.kafka().bounds(&signals).await?[0];
        scene.kafka().delete_records(&signals, 0, Some(end - 1)).await?;
    }
    context.did("all claims of partition 0 but the last deleted from both signal topics");

    let loader = scene.loader("loader-2");
    for table in TABLES {
        scene
            .halts(&loader, &["gap", &scene.topic(table), "partition `0`"])
            .await?;
    }
    let others = [0, 1].map(|at| {
        let mut others = scene.changes(TABLES[at]);
        let end = end_of(&before[at], 0);
        others.retain(|change| change.partition != 0 || change.offset < end);
        others
    });
    scene.equal_to(&others[0], &others[1], &[&writer, &loader]).await?;
    context.saw("the other partitions went on meanwhile");
    for table in TABLES {
        let count = mend(&scene, table).await?;
        context.did(format!(
            "{count} claims that objects carry put back into the signal log of {table}"
        ));
    }
    scene.equal(&[&writer, &loader]).await
}

fn end_of(changes: &[spolt_tests::oracle::Change], partition: i32) -> i64 {
    let of = changes.iter().filter(|change| change.partition == partition);
    of.map(|change| change.offset + 1).max().unwrap_or(0)
}

/// Appends to a signal log every claim that an object of the table carries and the log does not hold, in the order of their offsets.
pub(super) async fn mend(scene: &Scene, table: &str) -> Result<usize> {
    let held: Vec<(Partition, i64, i64)> = scene.stage.claims(table).iter().map(range).collect();
    let mut missing = judge::rebuilt(&scene.stage, table).await?;
    missing.retain(|claim| !held.contains(&range(claim)));
    missing.sort_by_key(range);
    let records: Vec<(i32, Vec<u8>, Vec<u8>)> = missing
        .iter()
        .map(|claim| {
            let key = format!("{}/{}/{}", claim.topic, claim.incarnation, claim.partition);
            (claim.partition.0, key.into_bytes(), claim.encode())
        })
        .collect();
    let kafka: Kafka = scene.kafka();
    let signals = scene.stage.signals(table);
    let borrowed = records
        .iter()
        .map(|(partition, key, value)| (*partition, Some(&key[..]), Some(&value[..])));
    produce_raw(kafka.bootstrap(), &signals, borrowed);
    ensure!(
        !records.is_empty(),
        "no object carries a claim that is missing from `{signals}`"
    );
    kafka.bounds(&signals).await.context("the mended log answers")?;
    Ok(records.len())
}

fn range(claim: &Claim) -> (Partition, i64, i64) {
    (claim.partition, claim.start.0, claim.next.0)
}
