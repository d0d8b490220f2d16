//! V3: the upstream topic is deleted and created again under running daemons.

use anyhow::{Result, ensure};

use super::scene::{Scene, TABLES, WRITER};
use super::{drill, quick};
use crate::drill::{Context, Drill};

pub(super) fn drills() -> Vec<Drill> {
    vec![
        quick(drill(
            "V3",
            "shorter",
            "both topics are deleted and created again, and hold less than was claimed of the old ones. Every lineage halts and says that the \
             topic was recreated; nothing of the new topics is loaded before `s3-spolt reset`, everything after it.",
            |context| run(context, 120),
        )),
        drill(
            "V3",
            "longer",
            "both topics are deleted and created again, and at once hold more than was claimed of the old ones, so that no offset is out of \
             range. Every lineage halts all the same; nothing of the new topics is loaded before `s3-spolt reset`, everything after it.",
            |context| run(context, 900),
        ),
    ]
}

async fn run(context: Context, again: usize) -> Result<()> {
    let mut scene = Scene::set(&context).await?;
    let (writer, loader) = (scene.writer("writer"), scene.loader("loader"));
    scene.feed(400);
    scene.equal(&[&writer, &loader]).await?;
    let old = TABLES.map(|table| scene.changes(table));
    let before = [scene.content(TABLES[0]).await?, scene.content(TABLES[1]).await?];

    for table in TABLES {
        scene
            .stage
            .rig
            .recreate_topic(&scene.topic(table), crate::stage::PARTITIONS)
            .await;
    }
    scene.feed(again);
    context.did(format!("both topics recreated, {again} new changes in each"));
    for table in TABLES {
        scene
            .halts(&writer, &["the topic was recreated", &scene.topic(table)])
            .await?;
    }
    for (table, before) in TABLES.iter().zip(&before) {
        ensure!(
            scene.content(table).await? == *before,
            "{table}: something was loaded from the new topic before anybody had decided"
        );
    }
    for table in TABLES {
        scene.operator(WRITER, &["reset", &scene.topic(table)])?;
    }
    let [upsert, append] = [0, 1].map(|at| {
        let mut both = old[at].clone();
        both.extend(scene.changes(TABLES[at]));
        both
    });
    scene.equal_to(&upsert, &append, &[&writer, &loader]).await
}
