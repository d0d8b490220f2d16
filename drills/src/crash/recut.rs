//! A zombie's re-cut that overlaps what another one has claimed: made to happen, since by chance it is rare, and in the append table, which
//! hides nothing. The first writer is stopped with a large object stored and not signalled; the second cuts the same records into small
//! ones and is stopped after a few of them; then the first wakes up and signals a claim that overlaps them and reaches further.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use common::claim::{Claim, Kind};
use common::ids::{Offset, Partition};
use futures::FutureExt as _;

use crate::drill::{Context, Deed, Drill, NotReached};
use crate::judge::rebuilt;
use crate::member::{Member, REACH, Role, Start};
use crate::stage::{APPEND, PARTITIONS, Stage, UPSERT};

/// How old an object of the first writer grows: three seconds of one partition are about 300 rows.
const OLD: &str = "3s";

/// Rows of an object of the second writer, and how many signals it may send before it is held: together fewer than [`OLD`] comes to, even
/// if all were of one partition.
const SMALL: usize = 8;
/// See [`SMALL`].
const SIGNALS: u32 = 9;
/// Each further time begins where the one before stood, so that every partition has its turn.
const TRIES: u32 = 5;

/// Two drills: with a loader that has applied the small claims, so that the large one is trimmed; and with one that comes later and
/// meets all of them in one run.
#[must_use]
pub(super) fn drills() -> Vec<Drill> {
    let drill = |variant: &str, what: &str, live: bool| Drill {
        point: "C10",
        variant: variant.to_owned(),
        deed: Some(Deed::Pause),
        what: what.to_owned(),
        quick: false,
        alone: false,
        run: Arc::new(move |context| run(context, live).boxed()),
    };
    vec![
        drill(
            "recut-applied",
            "a stopped writer wakes up and signals a claim that overlaps what is applied and reaches beyond",
            true,
        ),
        drill(
            "recut-waiting",
            "a stopped writer wakes up and signals a claim that overlaps what waits to be loaded in one run",
            false,
        ),
    ]
}

async fn run(context: Context, live: bool) -> Result<()> {
    let mut stage = Stage::set(&context).await?;
    let loader = live.then(|| stage.start(Role::Loader, "loader", Start::default()));
    let flow = stage.flow();

    (stage.rig.cut_rows, stage.rig.cut_age) = (10_000, OLD.to_owned());
    let nth = context.choose("hit", 1, 3);
    let mut zombie = stopping(&stage, "zombie", &format!("C10@{APPEND}=stop*{nth}"));
    if !zombie.reaches(&format!("C10@{APPEND}")).await {
        return Err(NotReached(format!("C10 was not hit {nth} times")).into());
    }
    context.did(format!(
        "C10 hit {nth}: the first writer is stopped, an object of {OLD} stored and not signalled"
    ));

    stage.rig.cut_rows = SMALL;
    let (second, times) = begins(&stage, &held(&stage).await?).await?;
    context.did(format!(
        "a second writer cuts the same records into objects of {SMALL} rows, and is stopped after {} signals",
        times * SIGNALS
    ));
    if live {
        applied(&context, &stage).await?;
    }
    zombie.go_on();
    let overlap = overlapping(&stage).await?;
    context.did(format!(
        "the first writer goes on: its claim `{}..{}` of partition {} lands behind those of the second",
        overlap.start, overlap.next, overlap.partition
    ));
    let loader = loader.unwrap_or_else(|| stage.start(Role::Loader, "loader", Start::default()));
    second.go_on();
    flow.go_on(10).await?;
    flow.finish().await?;
    stage.judge(vec![zombie, second, loader]).await
}

/// Claims that lie in the bucket and not in the log: of the objects that the first writer has stored and not signalled.
async fn held(stage: &Stage) -> Result<Vec<Claim>> {
    let log = stage.claims(APPEND);
    let stored = rebuilt(stage, APPEND).await?;
    let is_known = |claim: &Claim| {
        let same =
            |known: &Claim| (known.partition, known.start, known.next) == (claim.partition, claim.start, claim.next);
        log.iter().any(same)
    };
    let held = stored
        .into_iter()
        .filter(|claim| claim.kind == Kind::Data && !is_known(claim));
    Ok(held.collect())
}

/// A second writer that is stopped within the range of an object that is held, and how many times [`SIGNALS`] signals that took: which
/// partition it begins with is not ours to say, and so many never reach beyond the object.
async fn begins(stage: &Stage, held: &[Claim]) -> Result<(Member, u32)> {
    for times in 1..=TRIES {
        let mut second = stopping(
            stage,
            &format!("second-{times}"),
            &format!("C12@{APPEND}=stop*{SIGNALS}"),
        );
        if !second.reaches(&format!("C12@{APPEND}")).await {
            return Err(NotReached(format!("the second writer did not send {SIGNALS} signals")).into());
        }
        let within = |claim: &Claim| {
            let inside =
                |held: &Claim| held.partition == claim.partition && claim.next > held.start && claim.next < held.next;
            claim.kind == Kind::Data && held.iter().any(inside)
        };
        if stage.claims(APPEND).iter().any(within) {
            return Ok((second, times));
        }
        second.kill();
    }
    Err(NotReached("the second writer did not begin the lineage of the first one's object".into()).into())
}

fn stopping(stage: &Stage, name: &str, failpoints: &str) -> Member {
    let start = Start {
        failpoints,
        ..Start::default()
    };
    stage.start(Role::Writer, name, start)
}

/// Waits until the loader has applied every claim of the logs.
async fn applied(context: &Context, stage: &Stage) -> Result<()> {
    let since = Instant::now();
    for table in [UPSERT, APPEND] {
        for partition in 0..PARTITIONS {
            let of_partition = stage
                .claims(table)
                .into_iter()
                .filter(|claim| claim.partition.0 == partition);
            let end = of_partition.map(|claim| claim.next.0).max();
            while stage.checkpoint(table, partition).await? < end {
                ensure!(
                    since.elapsed() < context.patience(),
                    "{table}: partition {partition} was not applied up to {end:?}"
                );
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    Ok(())
}

/// Waits for a claim of the append table that begins below and ends beyond what its predecessors in the log cover.
async fn overlapping(stage: &Stage) -> Result<Claim> {
    let since = Instant::now();
    while since.elapsed() < REACH {
        if let Some(claim) = overlap(&stage.claims(APPEND)) {
            return Ok(claim);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(NotReached("no claim overlapped".into()).into())
}

fn overlap(log: &[Claim]) -> Option<Claim> {
    let mut ends: BTreeMap<Partition, Offset> = BTreeMap::new();
    for claim in log.iter().filter(|claim| claim.kind == Kind::Data) {
        let end = ends.entry(claim.partition).or_insert(claim.start);
        if claim.start < *end && claim.next > *end {
            return Some(claim.clone());
        }
        *end = (*end).max(claim.next);
    }
    None
}
