//! V5: records are deleted from the signal topic. Also how a signal log is made anew from what lies on S3.

use anyhow::{Result, ensure};

use super::scene::{Scene, TABLES, WRITER};
use super::{drill, quick};
use crate::drill::{Context, Drill};
use crate::member::Member;
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
             at the gap and skips nothing, the others go on; after `s3-spolt rebuild` the tables come out right.",
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
    let (writer, loader) = rebuild(&scene, writer, loader).await?;
    scene.equal(&[&writer, &loader]).await
}

fn end_of(changes: &[spolt_tests::oracle::Change], partition: i32) -> i64 {
    let of = changes.iter().filter(|change| change.partition == partition);
    of.map(|change| change.offset + 1).max().unwrap_or(0)
}

/// The operator's way out of a damaged signal log: both daemons are stopped, both signal topics deleted and made again from the objects on
/// S3, both daemons started.
pub(super) async fn rebuild(scene: &Scene, mut writer: Member, mut loader: Member) -> Result<(Member, Member)> {
    for member in [&mut writer, &mut loader] {
        member.terminate().await?;
    }
    for table in TABLES {
        scene.stage.rig.delete_topic(&scene.stage.signals(table)).await;
        scene.operator(WRITER, &["rebuild", &scene.topic(table)])?;
    }
    Ok((scene.writer("writer-rebuilt"), scene.loader("loader-rebuilt")))
}
