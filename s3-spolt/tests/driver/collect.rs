//! The collector over fakes: horizon first, then deletion; killed in between, run again, and overtaken by a new target.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use common::claim::{Claim, Kind, bare_claim_key, manifest_key, object_name};
use common::ids::{Incarnation, Lineage, Offset, Partition};
use common::manifest::{Entry, document};
use common::progress::{Pin, Pinned, Statement};
use s3_spolt::collect::{Collector, Report, Rules, Source};

use super::fakes::{Outside, TOPIC};

/// The fakes have one log per partition whatever the topic, so the lineage lies in another partition than the progress messages.
const PARTITION: Partition = Partition(1);
const PROGRESS: i32 = 0;

fn lineage() -> Lineage {
    Lineage {
        cluster: "c".into(),
        topic: TOPIC.into(),
        incarnation: Incarnation(0),
        partition: PARTITION,
    }
}

fn pin(target: &str, next: Option<i64>) -> Vec<u8> {
    let pinned = |next: i64| Pinned {
        cluster: "c".into(),
        partition: PARTITION,
        incarnation: Incarnation(0),
        next: Offset(next),
    };
    Statement::Pin(Pin {
        target: target.into(),
        table: "public.t".into(),
        topic: TOPIC.into(),
        positions: next.into_iter().map(pinned).collect(),
        at_ms: 0,
    })
    .encode()
}

/// Ten objects of one offset each, written at time 0; two targets at 8 and 6; it is 100 ms later.
fn outside() -> Outside {
    let outside = Outside::new();
    let mut objects = outside.objects.lock().unwrap();
    let genesis = Claim::new(Kind::Genesis, &lineage(), Offset(0), Offset(0));
    objects.insert(bare_claim_key("p", &genesis), (Bytes::new(), Vec::new()));
    for offset in 0..10 {
        let key = format!("p/{TOPIC}/i0/p1/{offset:019}-{:019}-abcdef.csv.zst", offset + 1);
        objects.insert(key, (Bytes::from_static(b"rows"), Vec::new()));
    }
    drop(objects);
    outside
        .signals
        .lock()
        .unwrap()
        .insert(PROGRESS, vec![pin("fast", Some(8)), pin("slow", Some(6))]);
    outside.clock.store(100, Ordering::SeqCst);
    outside
}

fn collector(outside: &Outside, targets: &[&str], retention_ms: i64) -> Collector {
    Collector {
        store: Arc::new(outside.clone()),
        log: Arc::new(outside.clone()),
        world: Arc::new(outside.clone()),
        cluster: "c".into(),
        signature: ("w".into(), "b".into()),
        rules: Rules {
            prefix: "p".into(),
            progress_topic: "progress".into(),
            targets: targets.iter().map(|target| (*target).to_owned()).collect(),
            retention_ms,
        },
    }
}

fn source() -> [Source; 1] {
    [Source {
        topic: TOPIC.into(),
        signal_topic: "s".into(),
        partition: PARTITION,
    }]
}

/// Ends of the objects that are left.
fn left(outside: &Outside) -> Vec<i64> {
    let objects = outside.objects.lock().unwrap();
    let names = objects.keys().filter_map(|key| object_name("p", TOPIC, key));
    names
        .filter(|name| name.kind == Kind::Data)
        .map(|name| name.next.0)
        .collect()
}

fn horizons(outside: &Outside) -> Vec<i64> {
    outside.claims(PARTITION.0).iter().map(|claim| claim.next.0).collect()
}

async fn apply(outside: &Outside) -> Result<Report, common::failure::Failure> {
    let collector = collector(outside, &["fast", "slow"], 100);
    collector
        .apply(&source(), |_| {})
        .await
        .map(|mut reports| reports.remove(0))
}

#[tokio::test]
async fn objects_below_the_slowest_target_go_after_the_horizon_is_appended() {
    let outside = outside();
    let preview = collector(&outside, &["fast", "slow"], 100)
        .preview(&source())
        .await
        .unwrap();
    assert_eq!((preview[0].objects, preview[0].bytes), (5, 20));
    assert_eq!((left(&outside).len(), horizons(&outside)), (10, vec![]));
    let report = apply(&outside).await.unwrap();
    assert_eq!(report, preview[0]);
    assert_eq!((report.horizon, report.held_by.as_deref()), (Some(6), Some("slow")));
    assert_eq!((left(&outside), horizons(&outside)), (vec![6, 7, 8, 9, 10], vec![6]));
    let keys: BTreeSet<String> = outside.objects.lock().unwrap().keys().cloned().collect();
    assert!(keys.iter().any(|key| key.contains("-genesis-")) && keys.iter().any(|key| key.ends_with("-horizon.claim")));
    // Nothing is left to do, so nothing is said.
    assert_eq!(apply(&outside).await.unwrap().objects, 0);
    assert_eq!(horizons(&outside), [6]);
}

/// Puts a manifest of `target` that lists the objects that begin at these offsets of a partition.
fn manifest(outside: &Outside, target: &str, load: &str, partition: i32, starts: &[i64]) {
    let entries: Vec<Entry> = starts
        .iter()
        .map(|start| Entry {
            bucket: "lake".into(),
            key: format!("p/{TOPIC}/i0/p{partition}/{start:019}-{:019}-abcdef.csv.zst", start + 1),
            bytes: 4,
        })
        .collect();
    let key = manifest_key("p", target, load, 0);
    let body = Bytes::from(document(&entries));
    outside.objects.lock().unwrap().insert(key, (body, Vec::new()));
}

fn manifests(outside: &Outside) -> Vec<String> {
    let objects = outside.objects.lock().unwrap();
    let names = objects.keys().filter_map(|key| key.strip_prefix("p/_manifests/"));
    names.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_manifest_goes_when_its_target_has_moved_beyond_what_it_lists() {
    let outside = outside();
    // `fast` stands at 8, `slow` at 6.
    manifest(&outside, "fast", "committed", 1, &[5, 6, 7]);
    manifest(&outside, "fast", "overtaken", 1, &[7, 8, 9]);
    manifest(&outside, "fast", "waits", 1, &[8, 9]);
    manifest(&outside, "slow", "waits", 1, &[6, 7]);
    manifest(&outside, "fast", "of_another_partition", 2, &[0]);
    manifest(&outside, "third", "of_nobody", 1, &[0]);
    let stranger = (
        "p/_manifests/fast/readme".to_owned(),
        (Bytes::from_static(b"?"), Vec::new()),
    );
    outside.objects.lock().unwrap().extend([stranger]);
    let all = manifests(&outside);
    let collector = |retention_ms| collector(&outside, &["fast", "slow"], retention_ms);
    let preview = collector(100).preview(&source()).await.unwrap();
    assert_eq!((preview[0].manifests, manifests(&outside)), (2, all.clone()));
    let young = collector(101).apply(&source(), |_| {}).await.unwrap();
    assert_eq!((young[0].manifests, manifests(&outside)), (0, all));
    assert_eq!(apply(&outside).await.unwrap().manifests, 2);
    assert_eq!(
        manifests(&outside),
        [
            "fast/of_another_partition-0.json",
            "fast/readme",
            "fast/waits-0.json",
            "slow/waits-0.json",
            "third/of_nobody-0.json"
        ]
    );
    assert_eq!(apply(&outside).await.unwrap().manifests, 0);
}

#[tokio::test]
async fn a_manifest_stays_while_the_targets_are_in_doubt() {
    let outside = outside();
    manifest(&outside, "fast", "committed", 1, &[5]);
    let collector = collector(&outside, &["fast"], 0);
    let reports = collector.apply(&source(), |_| {}).await.unwrap();
    assert!(reports[0].refused.is_some());
    assert_eq!((reports[0].manifests, manifests(&outside).len()), (0, 1));
}

#[tokio::test]
async fn nothing_goes_by_age_alone_or_while_the_targets_are_in_doubt() {
    let outside = outside();
    for (targets, retention) in [
        (&["fast", "slow"][..], 101),
        (&[][..], 0),
        (&["fast"][..], 0),
        (&["fast", "slow", "new"][..], 0),
    ] {
        let reports = collector(&outside, targets, retention)
            .apply(&source(), |_| {})
            .await
            .unwrap();
        assert_eq!(reports[0].objects, 0, "{targets:?}");
        assert_eq!(reports[0].refused.is_none(), retention > 0);
    }
    assert_eq!((left(&outside).len(), horizons(&outside)), (10, vec![]));
}

#[tokio::test]
async fn killed_before_and_between_deletions_it_is_finished_by_the_next_one() {
    // C31: the horizon is appended, but its acknowledgement is lost: nothing may be deleted.
    let outside = outside();
    outside.acks_to_lose.store(1, Ordering::SeqCst);
    assert!(apply(&outside).await.is_err());
    assert_eq!((left(&outside).len(), horizons(&outside)), (10, vec![6]));
    // C32: one page is deleted, then the process dies.
    *outside.deletes_left.lock().unwrap() = Some(1);
    assert!(apply(&outside).await.is_err());
    let half = left(&outside);
    assert!(half.len() > 5 && half.len() < 10, "{half:?}");
    *outside.deletes_left.lock().unwrap() = None;
    apply(&outside).await.unwrap();
    assert_eq!(left(&outside), [6, 7, 8, 9, 10]);
}

#[tokio::test]
async fn a_target_that_registers_before_the_horizon_is_appended_is_heeded() {
    // C33: it registered after the horizon was computed, and read the log before the horizon was in it.
    for (position, expected) in [(None, 10), (Some(3), 8)] {
        let outside = outside();
        *outside.before_horizon.lock().unwrap() = vec![(PROGRESS, pin("slow", position))];
        apply(&outside).await.unwrap();
        assert_eq!((left(&outside).len(), horizons(&outside)), (expected, vec![6]));
    }
    let outside = outside();
    *outside.before_horizon.lock().unwrap() = vec![(PROGRESS, pin("new", None))];
    let report = apply(&outside).await.unwrap();
    assert!(report.refused.is_some_and(|reason| reason.contains("`new`")));
    assert_eq!(left(&outside).len(), 10);
}
