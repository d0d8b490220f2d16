//! Keys whose changes lie in several partitions, in no order, in a table that is ordered by their place at the source.

use std::time::Duration;

use spolt_tests::oracle::{self, Change};
use spolt_tests::rig::Rig;
use spolt_tests::source::{self, Source};

/// Changes in any partition and any order: what one partition has may be older or newer than what another has, or than itself.
fn strewn(source: &mut Source, count: usize, partitions: u64, dice: &mut u64) -> Vec<source::Change> {
    let mut random = |below: u64| {
        *dice = dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (*dice >> 33) % below
    };
    let mut changes = source.changes(count);
    for change in &mut changes {
        change.partition = i32::try_from(random(partitions)).unwrap();
    }
    for at in (1..changes.len()).rev() {
        changes.swap(at, usize::try_from(random(at as u64 + 1)).unwrap());
    }
    changes
}

/// By the place at the source, which every change has for itself.
fn in_order(mut changes: Vec<Change>) -> Vec<Change> {
    changes.sort_by_key(|change| change.lsn);
    for change in &mut changes {
        let place = Some(change.lsn.to_string());
        change.cells.insert("source_lsn".to_owned(), place);
    }
    changes
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_in_several_partitions_follow_their_place_at_the_source() {
    let mut rig = Rig::new("order").await;
    let topic = rig.topic("orders");
    rig.extra_config = format!("[[topic]]\nname = \"{topic}\"\norder_by = \"source.lsn\"\n");
    let mut orders = rig.source("orders", 2, 91).await;
    let _writer = rig.start_s3_spolt();
    let mut dice = 5;
    for life in 0..6 {
        // Nobody's word is needed for partitions that are added.
        let partitions = if life < 3 { 2 } else { 4 };
        if life == 3 {
            rig.add_partitions(&topic, 4).await;
        }
        let mut loader = rig.start_redshift_spolt();
        let (kafka, to) = (rig.parts.kafka.clone(), topic.clone());
        let rounds: Vec<Vec<source::Change>> = (0..6)
            .map(|_| strewn(&mut orders, 1_000, partitions, &mut dice))
            .collect();
        let producer = std::thread::spawn(move || {
            for changes in rounds {
                spolt_tests::rig::produce(&kafka, &to, &changes);
                std::thread::sleep(Duration::from_millis(120));
            }
        });
        tokio::time::sleep(Duration::from_millis(900 + 310 * life)).await;
        assert!(loader.is_running(), "{}", loader.log_tail());
        loader.kill();
        producer.join().unwrap();
    }
    let loader = rig.start_redshift_spolt();
    let changes = in_order(rig.changes(&topic));
    let (sql, expected) = rig.upserted_by("orders", &changes);
    assert!(expected.len() > 100, "{} rows", expected.len());
    rig.equals(&rig.parts.redshift, "orders", &sql, expected).await;

    let survivors = oracle::survivors(&changes);
    let mut gone: Vec<i64> = changes.iter().map(|change| change.id).collect();
    gone.sort_unstable();
    gone.dedup();
    gone.retain(|id| !survivors.contains_key(id));
    let deleted = format!(
        "SELECT \"id\" FROM \"state_{0}\".\"{0}__orders__deleted\" ORDER BY 1",
        rig.name
    );
    let gone = gone.iter().map(|id| vec![Some(id.to_string())]).collect();
    rig.equals(&rig.parts.redshift, "orders", &deleted, gone).await;
    assert!(!loader.log().contains("ERROR"), "{}", loader.log_tail());
    rig.chains_hold("orders").await;
}
