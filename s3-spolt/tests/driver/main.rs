//! The whole driver over Kafka, S3 and a registry in memory: real threads, real encoders, real state machines.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod collect;
mod fakes;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::claim::{Compression, Kind};
use common::envelope;
use common::ids::{Incarnation, Lineage, Offset, Partition};
use common::invariants;
use common::row::{KeySource, Settings as RowSettings};
use runtime::readiness::Readiness;
use s3_spolt::driver::coordinator::Input;
use s3_spolt::driver::effects::Ports;
use s3_spolt::driver::encode::Place;
use s3_spolt::driver::start::{Running, Settings, start};
use s3_spolt::ingest::batch::Limits;
use s3_spolt::ingest::budget::Budget;
use s3_spolt::ingest::machine::Start;

use fakes::{MemoryFetcher, OneTopic, Outside, TOPIC};

/// Far beyond what any of these take; a test that reaches it has failed.
const DEADLINE: Duration = Duration::from_secs(30);

fn daemon(outside: &Outside, rows: u64, memory: u64) -> Running {
    daemon_with(outside, rows, memory, Duration::from_secs(300))
}

/// One that asks about partitions of which nothing came for so long.
fn daemon_with(outside: &Outside, rows: u64, memory: u64, silence: Duration) -> Running {
    daemon_by(outside, rows, memory, silence, 0)
}

/// One that sets so many bad records aside.
fn daemon_by(outside: &Outside, rows: u64, memory: u64, silence: Duration, bad_records_max: u32) -> Running {
    let rows_settings = RowSettings {
        envelope: envelope::Kind::Plain,
        key: KeySource::None,
        ..RowSettings::default()
    };
    let ports = Ports {
        store: Arc::new(outside.clone()),
        signals: Arc::new(outside.clone()),
        upstream: Arc::new(outside.clone()),
        registry: Arc::new(outside.clone()),
        topics: Arc::new(OneTopic {
            settings: Arc::new(rows_settings),
            bad_records_max,
        }),
        world: Arc::new(outside.clone()),
    };
    let settings = Settings {
        cluster: "c".into(),
        place: Place {
            bucket: "bucket".into(),
            region: "region".into(),
            prefix: "p".into(),
            writer: "w".into(),
            build: "test".into(),
        },
        limits: Limits {
            rows,
            bytes: 1 << 30,
            age_ms: 60_000,
        },
        compression: (Compression::Zstd, 1),
        budget: Budget::of(memory),
        encode_threads: 2,
        uploads: 2,
        sealed_per_partition: 4,
        start: Start::Earliest,
        silence,
    };
    let fetcher = MemoryFetcher {
        outside: outside.clone(),
        at: HashMap::new(),
    };
    let running = start(settings, ports, fetcher, Readiness::default()).unwrap();
    let both = vec![(TOPIC.to_owned(), Partition(0)), (TOPIC.to_owned(), Partition(1))];
    running.inbox.send(Input::Assigned(both)).ok().unwrap();
    running
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let since = Instant::now();
    while !condition() {
        assert!(since.elapsed() < DEADLINE, "waited too long until {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn drain(running: Running) {
    running.inbox.send(Input::Drain).ok().unwrap();
    tokio::time::timeout(DEADLINE, running.ended)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

fn claimed_before(outside: &Outside, partition: i32) -> i64 {
    outside
        .claims(partition)
        .iter()
        .map(|claim| claim.next.0)
        .max()
        .unwrap_or(0)
}

/// The claims of a partition form a chain, and each object holds exactly the rows of its range.
fn judge(outside: &Outside, partition: i32) {
    let claims = outside.claims(partition);
    let lineage = Lineage {
        cluster: "c".into(),
        topic: TOPIC.into(),
        incarnation: Incarnation(0),
        partition: Partition(partition),
    };
    invariants::chain(&claims, &lineage).unwrap_or_else(|violation| panic!("{violation}"));
    let visible: BTreeSet<Offset> = outside.upstream.lock().unwrap()[&partition]
        .iter()
        .map(|(offset, ..)| Offset(*offset))
        .collect();
    for claim in claims.iter().filter(|claim| claim.kind == Kind::Data) {
        let rows = outside.offsets_in(claim);
        assert_eq!(rows.len() as u64, claim.rows);
        invariants::truth(claim, &rows.into_iter().collect(), &visible)
            .unwrap_or_else(|violation| panic!("{violation}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_with_holes_become_a_chain_of_true_claims() {
    let outside = Outside::new();
    (0..1_000).for_each(|n| outside.produce(0, n * 3, n));
    (0..10).for_each(|n| outside.produce(1, n, n));
    let running = daemon(&outside, 64, 64 << 20);
    until("both are claimed to their ends, the last objects by age", || {
        outside.clock.fetch_add(61_000, Ordering::SeqCst);
        (claimed_before(&outside, 0), claimed_before(&outside, 1)) == (2_998, 10)
    })
    .await;
    drain(running).await;
    judge(&outside, 0);
    judge(&outside, 1);
    let rows: u64 = outside.claims(0).iter().map(|claim| claim.rows).sum();
    assert_eq!(rows, 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_acknowledgements_lead_back_to_the_log_and_never_to_a_gap() {
    let outside = Outside::new();
    (0..2_000).for_each(|n| outside.produce(0, n, n));
    (0..2_000).for_each(|n| outside.produce(1, n, n));
    outside.acks_to_lose.store(20, Ordering::SeqCst);
    let running = daemon(&outside, 100, 64 << 20);
    until("both are claimed", || {
        claimed_before(&outside, 0) >= 2_000 && claimed_before(&outside, 1) >= 2_000
    })
    .await;
    drain(running).await;
    assert_eq!(outside.acks_to_lose.load(Ordering::SeqCst), 0);
    judge(&outside, 0);
    judge(&outside, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_a_topic_that_was_created_anew_meanwhile_are_neither_stored_nor_claimed() {
    let outside = Outside::new();
    (0..100).for_each(|n| outside.produce(0, n, n));
    let running = daemon(&outside, 100, 64 << 20);
    until("the old life is claimed", || claimed_before(&outside, 0) == 100).await;
    let stored = outside.objects.lock().unwrap().len();
    // The new life has more records than the old one: the fetch client goes on as if nothing had happened.
    outside.lives.store(1, Ordering::SeqCst);
    (100..300).for_each(|n| outside.produce(0, n, n));
    until("the lineage halts", || {
        let state = running.state.borrow();
        let halted = state["lineages"].as_array().into_iter().flatten();
        halted
            .filter_map(|lineage| lineage["halted"].as_str())
            .any(|reason| reason.contains("the topic was recreated"))
    })
    .await;
    drain(running).await;
    assert_eq!(claimed_before(&outside, 0), 100);
    assert_eq!(outside.objects.lock().unwrap().len(), stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_record_halts_its_partition_after_what_came_before_it_and_no_other() {
    let outside = Outside::new();
    (0..50).for_each(|n| outside.produce(0, n, n));
    outside.produce_raw(0, 50, Some(b"\x00\x00\x00\x00\x07".to_vec()));
    outside.produce(0, 51, 51);
    let running = daemon(&outside, 10, 64 << 20);
    let state = running.state.clone();
    until("partition 0 has halted", || {
        state.borrow().to_string().contains("\"phase\":\"halted\"")
    })
    .await;
    assert_eq!(claimed_before(&outside, 0), 50);
    let said = state.borrow().to_string();
    assert!(said.contains("offset `50`") && said.contains("partition `0`"), "{said}");
    (0..20).for_each(|n| outside.produce(1, n, n));
    until("partition 1 goes on", || claimed_before(&outside, 1) == 20).await;
    drain(running).await;
    judge(&outside, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_records_are_set_aside_and_counted_until_there_are_too_many() {
    let outside = Outside::new();
    let broken = |at: i64| {
        let long = at == 30;
        let mut value = b"\x00\x00\x00\x00\x07".to_vec();
        value.resize(if long { 600_000 } else { 5 }, 0xff);
        value
    };
    for offset in 0..100 {
        match offset {
            30 | 31 | 90 => outside.produce_raw(0, offset, Some(broken(offset))),
            _ => outside.produce(0, offset, offset),
        }
    }
    (100..110).for_each(|offset| outside.produce_raw(0, offset, Some(broken(offset))));
    let running = daemon_by(&outside, 97, 64 << 20, Duration::from_secs(300), 12);
    let state = running.state.clone();
    until("partition 0 has halted", || {
        state.borrow().to_string().contains("\"phase\":\"halted\"")
    })
    .await;
    assert_eq!(
        claimed_before(&outside, 0),
        109,
        "three and nine are set aside, the thirteenth halts"
    );
    let said = state.borrow().to_string();
    assert!(said.contains("offset `109`") && said.contains("`12` others"), "{said}");
    drain(running).await;
    let claims = outside.claims(0);
    let lines: Vec<Vec<String>> = claims.iter().flat_map(|claim| outside.set_aside_by(claim)).collect();
    let seen: Vec<(i64, &str, &str)> = lines
        .iter()
        .map(|line| (line[2].parse().unwrap(), line[4].as_str(), line[5].as_str()))
        .collect();
    let mut expected = vec![
        (30, "0", "bad_number"),
        (30, "1", "bad_number"),
        (31, "0", "truncated"),
        (90, "0", "truncated"),
    ];
    expected.extend((100..109).map(|offset| (offset, "0", "truncated")));
    assert_eq!(seen, expected);
    let raw: String = lines.iter().take(2).map(|line| line[11].as_str()).collect();
    assert_eq!(raw.len(), 2 * 600_000, "all of a long value is kept");
    assert_eq!(lines[0][10], "600000");
    let (rejected, rows): (u64, u64) = claims.iter().fold((0, 0), |(rejected, rows), claim| {
        assert_eq!(claim.records, claim.rows + claim.skipped + claim.rejected);
        (rejected + claim.rejected, rows + claim.rows)
    });
    assert_eq!((rejected, rows), (12, 97));
    assert!(
        claims
            .iter()
            .any(|claim| claim.kind == Kind::Skip && claim.rejected == 9),
        "nothing but bad ones"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_goes_on_where_the_log_says() {
    let outside = Outside::new();
    (0..100).for_each(|n| outside.produce(0, n, n));
    let first = daemon(&outside, 10, 64 << 20);
    until("the first has claimed all", || claimed_before(&outside, 0) == 100).await;
    first.ended.abort();
    (100..200).for_each(|n| outside.produce(0, n, n));
    let second = daemon(&outside, 10, 64 << 20);
    until("the second has claimed the rest", || claimed_before(&outside, 0) == 200).await;
    drain(second).await;
    judge(&outside, 0);
    let rows: u64 = outside.claims(0).iter().map(|claim| claim.rows).sum();
    assert_eq!(rows, 200, "nothing was claimed twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_is_not_known_yet_delays_and_loses_nothing() {
    let outside = Outside::new();
    outside.schema_known.store(false, Ordering::SeqCst);
    (0..5_000).for_each(|n| outside.produce(0, n, n));
    let running = daemon(&outside, 1_000, 64 << 20);
    let state = running.state.clone();
    until("the lineage waits", || {
        state.borrow().to_string().contains("\"awaiting_schema\":true")
    })
    .await;
    assert_eq!(
        outside
            .claims(0)
            .iter()
            .filter(|claim| claim.kind == Kind::Data)
            .count(),
        0
    );
    outside.schema_known.store(true, Ordering::SeqCst);
    until("all is claimed", || claimed_before(&outside, 0) == 5_000).await;
    drain(running).await;
    judge(&outside, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_within_its_budget_while_s3_does_not_answer() {
    const MEMORY: u64 = 32 << 20;
    let outside = Outside::new();
    let running = daemon(&outside, 1_000_000_000, MEMORY);
    until("both have their genesis", || {
        (0..2).all(|partition| !outside.claims(partition).is_empty())
    })
    .await;
    outside.s3_stalls.store(true, Ordering::SeqCst);
    // Far more than fits, and hardly compressible.
    (0..2_000_000).for_each(|n| outside.produce((n % 2) as i32, n / 2, n.wrapping_mul(0x1E37_79B9_7F4A_7C15)));
    let (memory, mut high) = (running.memory.clone(), 0);
    let mut steady_since = Instant::now();
    until("nothing more is read", || {
        if memory.used() > high {
            (high, steady_since) = (memory.used(), Instant::now());
        }
        high > MEMORY / 16 && steady_since.elapsed() > Duration::from_millis(300)
    })
    .await;
    assert!(high <= MEMORY, "{high} bytes of {MEMORY}");
    outside.s3_stalls.store(false, Ordering::SeqCst);
    outside.clock.fetch_add(120_000, Ordering::SeqCst);
    drain(running).await;
    judge(&outside, 0);
    judge(&outside, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_client_that_stalls_without_a_word_is_made_anew() {
    let outside = Outside::new();
    for offset in 0..10 {
        outside.produce(0, offset, offset);
        outside.produce(1, offset, offset);
    }
    let running = daemon_with(&outside, 5, 64 << 20, Duration::from_millis(80));
    let claimed = |partition, next| claimed_before(&outside, partition) == next;
    until("both are claimed", || claimed(0, 10) && claimed(1, 10)).await;
    // Idle partitions are asked about, and nothing follows from that.
    let asked = outside.asked.load(Ordering::SeqCst);
    until("both are asked about", || {
        outside.asked.load(Ordering::SeqCst) >= asked + 6
    })
    .await;
    assert_eq!(outside.renewed.load(Ordering::SeqCst), 0);

    outside.stalled.store(true, Ordering::SeqCst);
    for offset in 10..20 {
        outside.produce(0, offset, offset);
    }
    until("it goes on", || claimed(0, 20)).await;
    assert!(outside.renewed.load(Ordering::SeqCst) >= 1);
    outside.produce(1, 10, 10);
    drain(running).await;
    judge(&outside, 0);
    judge(&outside, 1);
}
