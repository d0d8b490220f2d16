//! The end of a drill: whether tables, signal log and bucket are what they must be. The oracle reads Kafka with other libraries; the
//! predicates are those of `common::invariants`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use aws_sdk_s3::Client;
use common::chain::Coverage;
use common::claim::{Claim, Kind, METADATA_NAME, lineage_prefix, object_name};
use common::ids::{Lineage, Offset};
use common::invariants;
use common::plan::META_COLUMNS;
use futures::StreamExt as _;
use spolt_tests::rig::{difference, s3_client};
use spolt_tests::warehouse::{Row, Warehouse};

use crate::drill::Context;
use crate::member::Member;
use crate::stage::{APPEND, PARTITIONS, Stage, UPSERT};

/// How often the tables are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Objects read at once.
const AT_ONCE: usize = 8;

/// Offsets that make rows, by partition.
type Visible = BTreeMap<i32, BTreeSet<Offset>>;

/// See [`Stage::judge`].
///
/// # Errors
/// With the first thing that does not hold.
pub async fn judge(context: &Context, stage: &Stage, mut members: Vec<Member>) -> Result<()> {
    let visible: BTreeMap<&str, Visible> = [UPSERT, APPEND]
        .map(|table| (table, visible(stage, table)))
        .into_iter()
        .collect();
    equal(context, stage, &mut members, &visible[APPEND]).await?;
    for member in &mut members {
        member.kill();
    }
    drop(members);
    let mut totals = (0, 0);
    for table in [UPSERT, APPEND] {
        let claims = stage.claims(table);
        let objects = of_table(stage, table, &claims, &visible[table]).await?;
        totals = (totals.0 + claims.len(), totals.1 + objects);
    }
    context.saw(format!(
        "both tables equal the replay; I1 and I2 hold over {} claims; the log rebuilt from {} objects covers the same offsets",
        totals.0, totals.1
    ));
    Ok(())
}

fn visible(stage: &Stage, table: &str) -> Visible {
    let mut visible = Visible::new();
    for change in stage.changes(table) {
        visible
            .entry(change.partition)
            .or_default()
            .insert(Offset(change.offset));
    }
    visible
}

/// Waits until both tables equal the oracle's. Fails at once where no waiting helps: a row is doubled, or a daemon has halted.
async fn equal(context: &Context, stage: &Stage, members: &mut [Member], appended: &Visible) -> Result<()> {
    let since = Instant::now();
    let url = &stage.rig.parts.redshift;
    let (upserted_sql, upserted) = stage.rig.upserted_by(UPSERT, &stage.changes(UPSERT));
    let (appended_sql, whole) = stage.rig.appended_by(APPEND, &stage.changes(APPEND));
    context.saw(format!(
        "{} changes kept by the append table, {} keys alive in the upsert table",
        whole.len(),
        upserted.len()
    ));
    let mut aside = Vec::new();
    for table in [UPSERT, APPEND] {
        aside.push((table, set_aside_sql(stage, table), bad_rows(stage, table)));
    }
    let bad: usize = aside.iter().map(|(.., rows)| rows.len()).sum();
    context.saw(format!("{bad} records that cannot be read, to be set aside once each"));
    loop {
        let warehouse = Warehouse::connect(url).await;
        let state = async {
            for (table, sql, expected) in &aside {
                let found = match warehouse.rows(sql).await {
                    // Undefined table: nothing was set aside yet.
                    Err(reason) if reason.starts_with("42P01") || reason.starts_with("3F000") => Vec::new(),
                    found => found?,
                };
                difference(&found, expected).map_err(|reason| format!("set aside of {table}: {reason}"))?;
            }
            difference(&warehouse.rows(&upserted_sql).await?, &upserted)
                .map_err(|reason| format!("{UPSERT}: {reason}"))?;
            difference(&warehouse.rows(&appended_sql).await?, &whole).map_err(|reason| format!("{APPEND}: {reason}"))
        };
        let Err(reason) = state.await else {
            return Ok(());
        };
        doubled(stage, &warehouse, appended).await?;
        for member in members.iter_mut() {
            if let Some(line) = halted(&member.log()) {
                bail!("{} has halted: {line}", member.role().name());
            }
            ensure!(
                member.is_well(),
                "{} is not where it should be: {}",
                member.role().name(),
                last_line(&member.log())
            );
        }
        ensure!(
            since.elapsed() < context.patience(),
            "not equal after {} s: {reason}",
            since.elapsed().as_secs()
        );
        tokio::time::sleep(LOOK).await;
    }
}

fn set_aside_sql(stage: &Stage, table: &str) -> String {
    format!(
        "SELECT \"_kafka_partition\", \"_kafka_offset\", \"_kafka_status\" FROM \"state_{0}\".\"{0}__{table}__set_aside\" ORDER BY 1, 2",
        stage.rig.name
    )
}

fn bad_rows(stage: &Stage, table: &str) -> Vec<Row> {
    let row = |(partition, offset): (i32, i64)| {
        vec![
            Some(partition.to_string()),
            Some(offset.to_string()),
            Some("open".to_owned()),
        ]
    };
    stage.bad(table).into_iter().map(row).collect()
}

/// I4 for the append table, of which no later load can take a row away.
async fn doubled(stage: &Stage, warehouse: &Warehouse, visible: &Visible) -> Result<()> {
    for partition in 0..PARTITIONS {
        let checkpoint = stage.checkpoint(APPEND, partition).await?.unwrap_or(0);
        let sql = format!(
            "SELECT \"_kafka_offset\", count(*) FROM \"{}\".\"{APPEND}\" WHERE \"_kafka_partition\" = {partition} \
             GROUP BY 1 HAVING count(*) > 1 ORDER BY 1 LIMIT 1",
            stage.rig.name
        );
        // Before the first load there is no table.
        let Ok(rows) = warehouse.rows(&sql).await else {
            return Ok(());
        };
        let Some([Some(offset), Some(times)]) = rows.first().map(Vec::as_slice) else {
            continue;
        };
        let applied = BTreeMap::from([(Offset(offset.parse()?), times.parse()?)]);
        let of_partition = visible.get(&partition).cloned().unwrap_or_default();
        let only: BTreeSet<Offset> = of_partition.into_iter().filter(|at| applied.contains_key(at)).collect();
        invariants::exactly_once(&applied, &only, Offset(checkpoint)).map_err(|violation| anyhow!("{violation}"))?;
    }
    Ok(())
}

fn halted(log: &str) -> Option<&str> {
    log.lines().find(|line| line.contains("ERROR") && line.contains("halt"))
}

fn last_line(log: &str) -> &str {
    log.lines().last().unwrap_or("no log")
}

/// Judges log and bucket of one table; how many objects carried a claim.
async fn of_table(stage: &Stage, table: &str, claims: &[Claim], visible: &Visible) -> Result<usize> {
    let found = rebuilt(stage, table).await?;
    let lineages: BTreeSet<Lineage> = claims.iter().map(Claim::lineage).collect();
    ensure!(
        lineages.len() == usize::try_from(PARTITIONS).unwrap_or(0),
        "{table}: {} lineages have claims",
        lineages.len()
    );
    let mut needed = Vec::new();
    for lineage in &lineages {
        let of_lineage: Vec<Claim> = claims.iter().filter(|claim| claim.is_of(lineage)).cloned().collect();
        invariants::chain(&of_lineage, lineage).map_err(|violation| anyhow!("{table}: {violation}"))?;
        let of_bucket: Vec<Claim> = found.iter().filter(|claim| claim.is_of(lineage)).cloned().collect();
        same_coverage(table, lineage, &of_lineage, &of_bucket)?;
        let checkpoint = stage.checkpoint(table, lineage.partition.0).await?.unwrap_or(0);
        let checkpoints = BTreeMap::from([("main".to_owned(), Offset(checkpoint))]);
        invariants::collected(horizon(&of_lineage), &checkpoints)
            .map_err(|violation| anyhow!("{table}: {violation}"))?;
        needed.extend(
            of_lineage
                .iter()
                .filter(|claim| is_needed(claim, horizon(&of_lineage)))
                .cloned(),
        );
        let none = BTreeSet::new();
        let offsets = visible.get(&lineage.partition.0).unwrap_or(&none);
        invariants::no_silent_loss(offsets, &of_lineage, Offset(0), false)
            .map_err(|violation| anyhow!("{table}: {violation}"))?;
    }
    let client = s3_client(&stage.rig.parts.s3);
    let mut read = futures::stream::iter(needed)
        .map(move |claim| offsets_of(client.clone(), claim))
        .buffer_unordered(AT_ONCE);
    while let Some(read) = read.next().await {
        let (claim, offsets) = read?;
        let none = BTreeSet::new();
        let visible = visible.get(&claim.partition.0).unwrap_or(&none);
        invariants::truth(&claim, &offsets, visible).map_err(|violation| anyhow!("{table}: {violation}"))?;
    }
    Ok(found.len())
}

/// Whether the claim's object must be there.
fn is_needed(claim: &Claim, horizon: Offset) -> bool {
    claim.kind == Kind::Data && claim.next > horizon
}

/// Every offset that the log covers is covered by objects alone, so the log could be made again from them.
fn same_coverage(table: &str, lineage: &Lineage, log: &[Claim], bucket: &[Claim]) -> Result<()> {
    let mut covered = Coverage::default();
    bucket.iter().for_each(|claim| covered.add(claim.start, claim.next));
    // What was collected needs no object any more.
    covered.add(Offset(0), horizon(log));
    let origin = log.iter().find(|claim| claim.kind == Kind::Genesis);
    let origin = origin
        .with_context(|| format!("{table}: {lineage} has no genesis in the log"))?
        .start;
    ensure!(
        bucket
            .iter()
            .any(|claim| claim.kind == Kind::Genesis && claim.start == origin),
        "{table}: no object carries the genesis of {lineage}"
    );
    let end = log.iter().map(|claim| claim.next).max().unwrap_or(origin);
    ensure!(
        covered.covers(origin, end),
        "{table}: the log of {lineage} covers `{origin}..{end}`, the objects on S3 do not"
    );
    Ok(())
}

/// Below this offset objects may be gone (rule 23); 0 where nothing was collected.
fn horizon(log: &[Claim]) -> Offset {
    let horizons = log.iter().filter(|claim| claim.kind == Kind::Horizon);
    horizons.map(|claim| claim.next).max().unwrap_or(Offset(0))
}

/// The claims that objects of a table carry as metadata.
pub(crate) async fn rebuilt(stage: &Stage, table: &str) -> Result<Vec<Claim>> {
    let client = s3_client(&stage.rig.parts.s3);
    let prefix = topic_prefix(stage, table);
    let mut keys = Vec::new();
    let mut pages = client
        .list_objects_v2()
        .bucket(&stage.rig.bucket)
        .prefix(&prefix)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page = page.context("list the bucket")?;
        let found = page.contents().iter().filter_map(|object| object.key());
        let carries = |key: &&str| {
            let name = object_name(&stage.rig.prefix, &stage.rig.topic(table), key);
            name.is_none_or(|name| !name.aside)
        };
        keys.extend(found.filter(carries).map(str::to_owned));
    }
    let bucket = stage.rig.bucket.clone();
    let heads = futures::stream::iter(keys)
        .map(move |key| carried(client.clone(), bucket.clone(), key))
        .buffer_unordered(AT_ONCE);
    let claims: Vec<Result<Claim>> = heads.collect().await;
    claims.into_iter().collect()
}

async fn carried(client: Client, bucket: String, key: String) -> Result<Claim> {
    let head = client.head_object().bucket(bucket).key(&key).send().await;
    let head = head.with_context(|| format!("look at `{key}`"))?;
    let text = head.metadata().and_then(|metadata| metadata.get(METADATA_NAME));
    let text = text.with_context(|| format!("`{key}` carries no claim"))?;
    Claim::decode(text.as_bytes()).with_context(|| format!("the claim of `{key}`"))
}

/// Folder of a topic's objects.
fn topic_prefix(stage: &Stage, table: &str) -> String {
    let lineage = Lineage {
        cluster: String::new(),
        topic: stage.rig.topic(table),
        incarnation: common::ids::Incarnation(0),
        partition: common::ids::Partition(0),
    };
    let folder = lineage_prefix(&stage.rig.prefix, &lineage);
    folder.trim_end_matches("i0/p0").to_owned()
}

/// A claim and the offsets of its object's rows.
async fn offsets_of(client: Client, claim: Claim) -> Result<(Claim, BTreeSet<Offset>)> {
    let object = claim.object.clone().context("a data claim has an object")?;
    let got = client.get_object().bucket(&object.bucket).key(&object.key).send().await;
    let got = got.with_context(|| format!("I1 truth is broken: `{}` is claimed and missing", object.key))?;
    let body = got.body.collect().await.context("read an object")?.into_bytes();
    let text = zstd::stream::decode_all(&*body).with_context(|| format!("`{}` is no zstd", object.key))?;
    let column = META_COLUMNS
        .iter()
        .position(|column| column.name == "_kafka_offset")
        .context("rows have an offset")?;
    let mut rows = csv::ReaderBuilder::new().has_headers(false).from_reader(&*text);
    let offsets: Result<BTreeSet<Offset>> = rows
        .records()
        .map(|row| {
            let row = row.with_context(|| format!("`{}` is no CSV", object.key))?;
            let offset = row.get(column).context("a row without an offset")?;
            Ok(Offset(offset.parse().context("an offset")?))
        })
        .collect();
    Ok((claim, offsets?))
}
