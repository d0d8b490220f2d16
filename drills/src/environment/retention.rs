//! V4: records are deleted from the upstream topic before s3-spolt has read them.

use anyhow::{Result, ensure};

use super::scene::{Scene, TABLES, WRITER};
use super::{drill, quick};
use crate::drill::{Context, Drill};

pub(super) fn drills() -> Vec<Drill> {
    vec![quick(drill(
        "V4",
        "",
        "while s3-spolt is away, records of partition 0 of both topics are deleted that it has not read. That lineage halts and says which \
         offset it wanted and where the topic begins now; the others go on; `s3-spolt gap` gives exactly the lost offsets up.",
        run,
    ))]
}

async fn run(context: Context) -> Result<()> {
    /// How many unread offsets go.
    const LOST: i64 = 25;
    let mut scene = Scene::set(&context).await?;
    let (mut writer, loader) = (scene.writer("writer"), scene.loader("loader"));
    scene.feed(300);
    scene.equal(&[&writer, &loader]).await?;
    writer.kill();
    let mut claimed = Vec::new();
    for table in TABLES {
        let position = scene
            .stage
            .claims(table)
            .into_iter()
            .filter(|claim| claim.partition.0 == 0);
        claimed.push(position.map(|claim| claim.next.0).max().unwrap_or(0));
    }
    scene.feed(300);
    let all = TABLES.map(|table| scene.changes(table));
    for (table, claimed) in TABLES.iter().zip(&claimed) {
        let topic = scene.topic(table);
        scene.kafka().delete_records(&topic, 0, Some(claimed + LOST)).await?;
    }
    context.did(format!("{LOST} unread offsets of partition 0 of both topics deleted"));

    let writer = scene.writer("writer-2");
    for (table, claimed) in TABLES.iter().zip(&claimed) {
        let words = [
            "records were deleted before they were read",
            &scene.topic(table),
            "partition `0`",
            &format!("offset `{claimed}`"),
            &format!("`{}`", claimed + LOST),
        ];
        scene.halts(&writer, &words).await?;
    }
    let kept = [0, 1].map(|at| {
        let lost = claimed[at]..claimed[at] + LOST;
        let mut kept = all[at].clone();
        kept.retain(|change| change.partition != 0 || !lost.contains(&change.offset));
        kept
    });
    let others = [0, 1].map(|at| {
        let mut others = kept[at].clone();
        others.retain(|change| change.partition != 0 || change.offset < claimed[at]);
        others
    });
    scene.equal_to(&others[0], &others[1], &[&writer, &loader]).await?;
    context.saw("the other partitions went on meanwhile");
    ensure!(!loader.log().contains("ERROR"), "the loader has an alarm of its own");
    for table in TABLES {
        scene.operator(WRITER, &["gap", &scene.topic(table), "--partition", "0"])?;
    }
    scene.equal_to(&kept[0], &kept[1], &[&writer, &loader]).await
}
