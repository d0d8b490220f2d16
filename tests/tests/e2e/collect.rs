//! Garbage collection (rules 23, 24): what every target has applied goes, what one of them needs stays, and who comes too late is told.

use std::collections::BTreeSet;

use common::claim::{Claim, Kind, object_name};
use common::ids::{Offset, Partition};
use common::invariants;
use spolt_tests::daemon::{Daemon, command};
use spolt_tests::oracle;
use spolt_tests::rig::{Rig, s3_client};
use spolt_tests::standin::StandIn;
use spolt_tests::wait::until;
use spolt_tests::warehouse::Warehouse;

/// Data objects of a topic: partition, first offset not covered.
async fn objects(rig: &Rig, topic: &str) -> BTreeSet<(i32, i64)> {
    let client = s3_client(&rig.parts.s3);
    let listed = client
        .list_objects_v2()
        .bucket(&rig.bucket)
        .prefix(common::claim::topic_folder(&rig.prefix, topic))
        .send()
        .await
        .unwrap();
    assert_ne!(listed.is_truncated(), Some(true), "this test expects one page");
    listed
        .contents()
        .iter()
        .filter_map(|object| object_name(&rig.prefix, topic, object.key()?))
        .filter(|name| name.kind == Kind::Data)
        .map(|name| (name.partition.0, name.next.0))
        .collect()
}

fn claims(rig: &Rig, topic: &str) -> Vec<Claim> {
    oracle::replay(&rig.parts.kafka, &format!("spolt.signals.{topic}"))
        .iter()
        .map(|seen| Claim::decode(seen.value.as_deref().unwrap()).unwrap())
        .collect()
}

/// Checkpoints of a table by partition.
async fn checkpoints(rig: &Rig, url: &str, table: &str) -> Vec<(i32, i64)> {
    let sql = format!(
        "SELECT \"partition\", next_offset FROM \"state_{0}\".\"{0}__{table}__state\" WHERE kind = 'lineage' ORDER BY 1",
        rig.name
    );
    let rows = Warehouse::connect(url).await.rows(&sql).await.unwrap();
    let number = |cell: &Option<String>| cell.as_deref().unwrap().parse::<i64>().unwrap();
    rows.iter()
        .map(|row| (i32::try_from(number(&row[0])).unwrap(), number(&row[1])))
        .collect()
}

/// `gc` as JSON: partition -> the whole line.
fn gc(config: &std::path::Path, more: &[&str]) -> Vec<serde_json::Value> {
    let (ok, said) = command("s3-spolt", config, &[&["gc", "--json"], more].concat());
    assert!(ok, "{said}");
    let json = &said[said.find('[').unwrap()..];
    // The log follows.
    let mut values = serde_json::Deserializer::from_str(json).into_iter::<Vec<serde_json::Value>>();
    values.next().unwrap().unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// Waits until the collector sees these checkpoints as horizons, held back by this target: progress follows a commit.
async fn held_at(config: &std::path::Path, held: &[(i32, i64)], by: Option<&str>) {
    until("the progress has arrived", async || {
        let preview = gc(config, &[]);
        let as_held = held.iter().zip(&preview).all(|((partition, next), line)| {
            line["partition"].as_i64() == Some(i64::from(*partition))
                && line["horizon"].as_i64() == Some(*next)
                && by.is_none_or(|by| line["held_by"].as_str() == Some(by))
        });
        as_held
            .then_some(())
            .ok_or_else(|| format!("{preview:?}, held at {held:?}"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_every_target_has_goes_and_a_new_one_is_told_that_it_comes_too_late() {
    let mut rig = Rig::new("collect").await;
    rig.extra_s3_spolt = "[s3_spolt.gc]\ntargets = [\"one\", \"two\"]\nretention = \"0s\"\n".into();
    let topic = rig.topic("orders");
    let mut orders = rig.source("orders", 2, 51).await;
    let second = StandIn::start(&rig.parts, &rig.name).await;
    let one = rig.config("one.toml", "one", &rig.parts.redshift);
    let two = rig.config("two.toml", "two", &second.url);
    let _writer = rig.start_s3_spolt();
    let _fast = Daemon::start("redshift-spolt", &one);
    for _ in 0..3 {
        rig.produce(&topic, &orders.changes(1_500));
        rig.upserted(&rig.parts.redshift, "orders").await;
    }

    // The second target is configured but has never registered: nothing may go.
    let refused = gc(&one, &["--apply"]);
    assert!(
        refused.iter().all(
            |line| line["refused"].as_str().is_some_and(|reason| reason.contains("`two`")) && line["objects"] == 0
        ),
        "{refused:?}"
    );
    let mut slow = Daemon::start("redshift-spolt", &two);
    rig.upserted(&second.url, "orders").await;
    let held = checkpoints(&rig, &second.url, "orders").await;
    held_at(&one, &held, None).await;
    assert!(slow.terminate().success(), "{}", slow.log_tail());
    rig.produce(&topic, &orders.changes(4_000));
    rig.upserted(&rig.parts.redshift, "orders").await;
    held_at(&one, &held, Some("two")).await;

    let before = objects(&rig, &topic).await;
    gc(&one, &[]);
    assert_eq!(objects(&rig, &topic).await, before, "a preview deletes nothing");
    let done = gc(&one, &["--apply"]);
    let is_below = |(partition, next): &(i32, i64)| *next < held[usize::try_from(*partition).unwrap()].1;
    let (below, needed): (BTreeSet<_>, BTreeSet<_>) = before.iter().copied().partition(is_below);
    assert!(!below.is_empty() && !needed.is_empty(), "{before:?}, held at {held:?}");
    assert_eq!(objects(&rig, &topic).await, needed);
    let gone: u64 = done.iter().filter_map(|line| line["objects"].as_u64()).sum();
    assert!(gone >= below.len() as u64, "{done:?}");
    let log = claims(&rig, &topic);
    let horizons = log.iter().filter(|claim| claim.kind == Kind::Horizon);
    let mut horizons: Vec<(i32, i64)> = horizons.map(|claim| (claim.partition.0, claim.next.0)).collect();
    horizons.sort_unstable();
    assert_eq!(horizons, held);

    // A writer wakes up and claims an object that is gone; the slow target comes back. Neither notices anything.
    let late = log
        .iter()
        .find(|claim| claim.kind == Kind::Data && is_below(&(claim.partition.0, claim.next.0)))
        .unwrap();
    let signals = format!("spolt.signals.{topic}");
    rig.produce_raw(
        &signals,
        std::iter::once((late.partition.0, None, Some(&late.encode()[..]))),
    );
    let _slow = Daemon::start("redshift-spolt", &two);
    rig.produce(&topic, &orders.changes(1_000));
    rig.upserted(&rig.parts.redshift, "orders").await;
    rig.upserted(&second.url, "orders").await;
    let log = claims(&rig, &topic);
    for partition in 0..2 {
        let of_partition: Vec<Claim> = log
            .iter()
            .filter(|claim| claim.partition == Partition(partition))
            .cloned()
            .collect();
        invariants::chain(&of_partition, &of_partition[0].lineage()).unwrap();
    }

    too_late(&rig, &one).await;
}

/// A third target without a checkpoint halts with the way on, and holds everything back until it is unregistered.
async fn too_late(rig: &Rig, one: &std::path::Path) {
    let third = StandIn::start(&rig.parts, &format!("{}_3", rig.name)).await;
    let three = rig.config("three.toml", "three", &third.url);
    let mut late = Daemon::start("redshift-spolt", &three);
    until("the third target has halted", async || {
        let log = late.log();
        let said = log.contains("ERROR") && log.contains("have been collected") && log.contains("registered");
        said.then_some(()).ok_or_else(|| late.log_tail())
    })
    .await;
    assert!(checkpoints(rig, &third.url, "orders").await.is_empty());
    assert!(late.terminate().success(), "{}", late.log_tail());

    let refused = gc(one, &["--apply"]);
    assert!(
        refused.iter().all(|line| line["refused"]
            .as_str()
            .is_some_and(|reason| reason.contains("`three`"))),
        "{refused:?}"
    );
    let (ok, said) = command("redshift-spolt", &three, &["unregister"]);
    assert!(
        ok && said.contains("Nothing was done") && said.contains("three"),
        "{said}"
    );
    assert!(gc(one, &[])[0]["refused"].is_string(), "a preview changes nothing");
    let (ok, said) = command("redshift-spolt", &three, &["unregister", "--apply"]);
    assert!(ok, "{said}");
    let lines = gc(one, &["--apply"]);
    assert!(lines.iter().all(|line| line["refused"].is_null()), "{lines:?}");
    let (ok, said) = command("redshift-spolt", one, &["status"]);
    assert!(
        ok && said.contains("one ") && said.contains("two ") && !said.contains("three"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_s3_spolt_collects_and_a_restored_warehouse_halts() {
    let mut rig = Rig::new("schedule").await;
    rig.extra_s3_spolt = "[s3_spolt.gc]\ntargets = [\"main\"]\nretention = \"0s\"\nevery = \"300ms\"\n".into();
    let topic = rig.topic("orders");
    let mut orders = rig.source("orders", 1, 52).await;
    let _writer = rig.start_s3_spolt();
    let mut loader = rig.start_redshift_spolt();
    for _ in 0..3 {
        rig.produce(&topic, &orders.changes(3_000));
        rig.upserted(&rig.parts.redshift, "orders").await;
    }
    until("only the newest object is left", async || {
        let held = checkpoints(&rig, &rig.parts.redshift, "orders").await[0].1;
        let left = objects(&rig, &topic).await;
        let newest = left.iter().all(|(_, next)| *next >= held);
        (newest && !left.is_empty())
            .then_some(())
            .ok_or_else(|| format!("{left:?}, checkpoint {held}"))
    })
    .await;

    // The warehouse is restored to a time before the horizon: table and state together, as a snapshot has them.
    assert!(loader.terminate().success(), "{}", loader.log_tail());
    let first = claims(&rig, &topic)
        .into_iter()
        .find(|claim| claim.kind == Kind::Data)
        .unwrap();
    let warehouse = Warehouse::connect(&rig.parts.redshift).await;
    let restored = [
        format!(
            "UPDATE \"state_{0}\".\"{0}__orders__state\" SET next_offset = {1}, signal_offset = 0 WHERE kind = 'lineage'",
            rig.name, first.next
        ),
        format!(
            "DELETE FROM \"{}\".\"orders\" WHERE \"_kafka_offset\" >= {}",
            rig.name, first.next
        ),
    ];
    for statement in &restored {
        warehouse.rows(statement).await.unwrap();
    }
    let loader = rig.start_redshift_spolt();
    until("the loader has halted", async || {
        let log = loader.log();
        let said = log.contains("ERROR") && log.contains("the warehouse was restored");
        said.then_some(()).ok_or_else(|| loader.log_tail())
    })
    .await;
    assert_eq!(
        checkpoints(&rig, &rig.parts.redshift, "orders").await,
        [(0, first.next.0)],
        "nothing was skipped"
    );
    assert!(first.next > Offset(0));
}
