//! V6: partitions are added to the upstream topics.

use anyhow::{Result, ensure};

use super::scene::{LOADER, Scene, TABLES};
use super::{drill, quick};
use crate::drill::{Context, Drill};
use crate::stage::{APPEND, PARTITIONS, UPSERT};

pub(super) fn drills() -> Vec<Drill> {
    vec![quick(drill(
        "V6",
        "",
        "both topics get a fourth partition, to which some keys move. The append table takes it as it comes; where rows have a key, the new \
         partition waits and says why, the others go on, and after `redshift-spolt accept-partitions` it is applied behind them.",
        run,
    ))]
}

async fn run(context: Context) -> Result<()> {
    let mut scene = Scene::set(&context).await?;
    let (writer, loader) = (scene.writer("writer"), scene.loader("loader"));
    scene.feed(200);
    scene.equal(&[&writer, &loader]).await?;
    let before = scene.content(UPSERT).await?.len();
    ensure!(before > 0, "nothing was loaded");
    for table in TABLES {
        let topic = scene.topic(table);
        let grown = usize::try_from(PARTITIONS + 1)?;
        scene.kafka().add_partitions(&topic, grown).await?;
        // The keys keep their partitions but for some, which move: as a producer with more partitions than before has it.
        let mut changes = scene.source(table).changes(200);
        for change in &mut changes {
            if change.key.last().is_some_and(|byte| byte % 5 == 0) {
                change.partition = PARTITIONS;
            }
        }
        ensure!(
            changes.iter().any(|change| change.partition == PARTITIONS),
            "no key moved"
        );
        spolt_tests::rig::produce(scene.kafka().bootstrap(), &topic, &changes);
    }
    context.did("both topics have four partitions, and some keys have moved to the new one");
    let partition = format!("partition `{PARTITIONS}`");
    scene
        .halts(
            &loader,
            &["was added after the table began", &scene.topic(UPSERT), &partition],
        )
        .await?;
    let mut upsert = scene.changes(UPSERT);
    upsert.retain(|change| change.partition != PARTITIONS);
    scene
        .equal_to(&upsert, &scene.changes(APPEND), &[&writer, &loader])
        .await?;
    let topic = scene.topic(UPSERT);
    scene.operator(LOADER, &["accept-partitions", &topic])?;
    scene.equal(&[&writer, &loader]).await
}
