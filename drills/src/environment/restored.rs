//! V15: the warehouse is restored to an earlier moment.

use anyhow::{Context as _, Result, anyhow, ensure};
use common::claim::Kind;
use spolt_tests::rig::s3_client;

use super::scene::{Scene, TABLES};
use super::{drill, quick};
use crate::drill::{Context, Drill};

pub(super) fn drills() -> Vec<Drill> {
    vec![
        quick(drill(
            "V15",
            "whole",
            "both tables and their state are restored to an earlier moment under a running loader. It goes on from the earlier checkpoints, \
             and the tables come out right.",
            whole,
        )),
        drill(
            "V15",
            "collected",
            "both tables and their state are restored to a moment whose following objects are gone from S3. The loader halts and names what is \
             missing; nothing is skipped.",
            collected,
        ),
        drill(
            "V15",
            "dropped",
            "only the target tables are lost, their state is not. The loader halts and says that the state knows of rows; when the state is \
             dropped as well, everything is loaded again from the beginning.",
            dropped,
        ),
    ]
}

/// Names of a table and its state tables, and where their copies lie.
fn relations(scene: &Scene) -> Vec<(String, String)> {
    let name = &scene.stage.rig.name;
    TABLES
        .iter()
        .flat_map(|table| {
            [
                (
                    format!("\"{name}\".\"{table}\""),
                    format!("\"{name}\".\"copy_{table}\""),
                ),
                (
                    format!("\"state_{name}\".\"{name}__{table}__state\""),
                    format!("\"{name}\".\"copy_{table}_state\""),
                ),
                (
                    format!("\"state_{name}\".\"{name}__{table}__ledger\""),
                    format!("\"{name}\".\"copy_{table}_ledger\""),
                ),
            ]
        })
        .collect()
}

async fn sql(scene: &Scene, statements: &[String]) -> Result<()> {
    let warehouse = scene.warehouse().await?;
    for statement in statements {
        let done = warehouse.rows(statement).await;
        done.map_err(|reason| anyhow!("{reason}, in `{statement}`"))?;
    }
    Ok(())
}

/// Copies everything as it is at one moment: under the locks that loads take.
async fn copy(scene: &Scene) -> Result<()> {
    let mut statements = vec!["BEGIN".to_owned()];
    statements.extend(locks(scene));
    statements.extend(
        relations(scene)
            .iter()
            .map(|(own, copy)| format!("CREATE TABLE {copy} AS SELECT * FROM {own}")),
    );
    statements.push("COMMIT".to_owned());
    sql(scene, &statements).await
}

/// Puts the copies back, as one moment.
async fn restore(scene: &Scene) -> Result<()> {
    let mut statements = vec!["BEGIN".to_owned()];
    statements.extend(locks(scene));
    for (own, copy) in relations(scene) {
        statements.push(format!("DELETE FROM {own}"));
        statements.push(format!("INSERT INTO {own} SELECT * FROM {copy}"));
    }
    statements.push("COMMIT".to_owned());
    sql(scene, &statements).await
}

fn locks(scene: &Scene) -> Vec<String> {
    let state = |own: &String| own.ends_with("__state\"");
    relations(scene)
        .into_iter()
        .map(|(own, _)| own)
        .filter(state)
        .map(|own| format!("LOCK {own}"))
        .collect()
}

async fn whole(context: Context) -> Result<()> {
    let mut scene = Scene::set(&context).await?;
    let (writer, loader) = (scene.writer("writer"), scene.loader("loader"));
    scene.feed(200);
    scene.equal(&[&writer, &loader]).await?;
    copy(&scene).await?;
    scene.feed(200);
    scene.equal(&[&writer, &loader]).await?;
    restore(&scene).await?;
    context.did("both tables, their state and ledger are as they were 200 changes ago; the loader runs on");
    scene.feed(100);
    scene.equal(&[&writer, &loader]).await
}

async fn collected(context: Context) -> Result<()> {
    let mut scene = Scene::set(&context).await?;
    let (writer, mut loader) = (scene.writer("writer"), scene.loader("loader"));
    scene.feed(200);
    scene.equal(&[&writer, &loader]).await?;
    copy(&scene).await?;
    let old = TABLES.map(|table| scene.changes(table));
    scene.feed(200);
    scene.equal(&[&writer, &loader]).await?;
    loader.kill();
    restore(&scene).await?;
    let mut gone = 0;
    for table in TABLES {
        for partition in 0..crate::stage::PARTITIONS {
            let checkpoint = scene
                .stage
                .checkpoint(table, partition)
                .await?
                .context("a checkpoint")?;
            let claims = scene.stage.claims(table);
            let needed = claims.iter().filter(|claim| {
                claim.kind == Kind::Data && claim.partition.0 == partition && claim.next.0 > checkpoint
            });
            for object in needed.filter_map(|claim| claim.object.as_ref()) {
                let client = s3_client(&scene.stage.rig.parts.s3);
                client
                    .delete_object()
                    .bucket(&object.bucket)
                    .key(&object.key)
                    .send()
                    .await?;
                gone += 1;
            }
        }
    }
    context.did(format!("restored, and {gone} objects that are needed again are gone"));
    let loader = scene.loader("loader-2");
    for table in TABLES {
        scene.halts(&loader, &["andatory url", &scene.topic(table)]).await?;
    }
    scene.equal_to(&old[0], &old[1], &[&writer, &loader]).await?;
    context.saw("the tables are as they were restored, nothing was skipped");
    Ok(())
}

async fn dropped(context: Context) -> Result<()> {
    let mut scene = Scene::set(&context).await?;
    let (writer, loader) = (scene.writer("writer"), scene.loader("loader"));
    scene.feed(200);
    scene.equal(&[&writer, &loader]).await?;
    let drops: Vec<String> = TABLES
        .iter()
        .map(|table| format!("DROP TABLE \"{}\".\"{table}\"", scene.stage.rig.name))
        .collect();
    sql(&scene, &drops).await?;
    context.did("both target tables dropped, their state is left");
    scene.feed(100);
    for table in TABLES {
        scene
            .halts(&loader, &["the target table is gone", &scene.topic(table)])
            .await?;
    }
    ensure!(
        scene.content(TABLES[0]).await.is_err(),
        "a table was made without what it had"
    );
    let mut loader = loader;
    loader.kill();
    let states: Vec<String> = relations(&scene)
        .iter()
        .filter(|(own, _)| own.contains("state_"))
        .map(|(own, _)| format!("DROP TABLE {own}"))
        .collect();
    sql(&scene, &states).await?;
    context.did("their state is dropped as well, the loader starts again");
    let loader = scene.loader("loader-2");
    scene.equal(&[&writer, &loader]).await
}
