//! V14: somebody deletes or alters an object that is still needed.

use anyhow::{Context as _, Result, ensure};
use aws_sdk_s3::primitives::ByteStream;
use common::claim::{Claim, Kind};
use spolt_tests::rig::s3_client;

use super::scene::{Scene, TABLES};
use super::{drill, quick};
use crate::drill::{Context, Drill};

pub(super) fn drills() -> Vec<Drill> {
    vec![
        quick(drill(
            "V14",
            "deleted",
            "an object of each table that is claimed and not yet loaded is deleted. Its lineage halts and names the object, nothing of it is \
             skipped, the others go on; when the object is back and the loader starts again, the tables come out right.",
            |context| run(context, false),
        )),
        drill(
            "V14",
            "altered",
            "an object of each table that is claimed and not yet loaded loses its last row. Its lineage halts and says that the claim is \
             untrue, nothing of it is loaded, the others go on; when the object is as it was and the loader starts again, the tables come out \
             right.",
            |context| run(context, true),
        ),
    ]
}

async fn run(context: Context, altered: bool) -> Result<()> {
    let mut scene = Scene::set(&context).await?;
    let (writer, mut loader) = (scene.writer("writer"), scene.loader("loader"));
    scene.feed(200);
    scene.equal(&[&writer, &loader]).await?;
    loader.kill();
    scene.feed(300);
    scene.claimed(&writer).await?;
    let mut struck = Vec::new();
    for table in TABLES {
        struck.push(strike(&scene, table, altered).await?);
    }
    context.did(format!(
        "objects {}: `{}`, `{}`",
        if altered { "altered" } else { "deleted" },
        struck[0].key,
        struck[1].key
    ));

    let mut loader = scene.loader("loader-2");
    for object in &struck {
        // COPY names the object only if it is missing; a count that does not fit is told with it when the load had no other.
        let words = if altered {
            vec!["a claim is untrue"]
        } else {
            vec!["andatory url"]
        };
        let mut words = words;
        words.push(&object.topic);
        scene.halts(&loader, &words).await?;
    }
    let others = [0, 1].map(|at| {
        let mut others = scene.changes(TABLES[at]);
        let start = struck[at].start;
        others.retain(|change| change.partition != 0 || change.offset < start);
        others
    });
    ensure!(
        struck.iter().all(|object| object.start > 0),
        "nothing of partition 0 was loaded before"
    );
    scene.equal_to(&others[0], &others[1], &[&writer, &loader]).await?;
    context.saw("everything before the object and everything of the other partitions is loaded, nothing behind it");
    for object in struck {
        put(&scene, &object.bucket, &object.key, object.body).await?;
    }
    loader.kill();
    let loader = scene.loader("loader-3");
    context.did("the objects are as they were, the loader starts again");
    scene.equal(&[&writer, &loader]).await
}

struct Struck {
    topic: String,
    bucket: String,
    key: String,
    start: i64,
    body: Vec<u8>,
}

/// Deletes or alters the first object that waits of partition 0: what one run would load with it waits as well.
async fn strike(scene: &Scene, table: &str, altered: bool) -> Result<Struck> {
    let checkpoint = scene.stage.checkpoint(table, 0).await?.context("a checkpoint")?;
    let claims = scene.stage.claims(table);
    let mut waiting: Vec<&Claim> = claims
        .iter()
        .filter(|claim| claim.kind == Kind::Data && claim.partition.0 == 0 && claim.start.0 >= checkpoint)
        .collect();
    waiting.sort_by_key(|claim| claim.start);
    let claim = waiting.first().context("a claim that waits")?;
    let object = claim.object.as_ref().context("a data claim has an object")?;
    let client = s3_client(&scene.stage.rig.parts.s3);
    let got = client
        .get_object()
        .bucket(&object.bucket)
        .key(&object.key)
        .send()
        .await?;
    let body = got.body.collect().await?.into_bytes().to_vec();
    if altered {
        let text = zstd::stream::decode_all(&body[..])?;
        let mut rows = csv::ReaderBuilder::new().has_headers(false).from_reader(&text[..]);
        let mut last = 0;
        let mut record = csv::StringRecord::new();
        loop {
            let at = rows.position().byte();
            if !rows.read_record(&mut record)? {
                break;
            }
            last = usize::try_from(at)?;
        }
        let shorter = zstd::stream::encode_all(&text[..last], 1)?;
        put(scene, &object.bucket, &object.key, shorter).await?;
    } else {
        client
            .delete_object()
            .bucket(&object.bucket)
            .key(&object.key)
            .send()
            .await?;
    }
    Ok(Struck {
        topic: claim.topic.clone(),
        bucket: object.bucket.clone(),
        key: object.key.clone(),
        start: claim.start.0,
        body,
    })
}

async fn put(scene: &Scene, bucket: &str, key: &str, body: Vec<u8>) -> Result<()> {
    let client = s3_client(&scene.stage.rig.parts.s3);
    let sent = client
        .put_object()
        .bucket(bucket)
        .key(key)
        .body(ByteStream::from(body))
        .send()
        .await;
    sent.with_context(|| format!("put `{key}` back")).map(drop)
}
