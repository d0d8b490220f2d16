//! Signals that come twice, or all over again.

use spolt_tests::oracle;
use spolt_tests::rig::Rig;
use spolt_tests::wait::until;

#[tokio::test(flavor = "multi_thread")]
async fn claims_duplicated_and_replayed_from_the_beginning() {
    let mut rig = Rig::new("replay").await;
    let mut orders = rig.source("orders", 2, 31).await;
    let mut journal = rig.source("journal", 2, 32).await;
    rig.extra_config = format!("[[topic]]\nname = \"{}\"\nmode = \"append\"\n", rig.topic("journal"));
    let _writer = rig.start_s3_spolt();
    let mut loader = rig.start_redshift_spolt();
    rig.produce(&rig.topic("orders"), &orders.changes(5_000));
    rig.produce(&rig.topic("journal"), &journal.changes(5_000));
    rig.upserted(&rig.parts.redshift, "orders").await;
    rig.appended(&rig.parts.redshift, "journal").await;

    // Every signal again, in order, twice; then new data behind them.
    for table in ["orders", "journal"] {
        let signals = format!("spolt.signals.{}", rig.topic(table));
        let log = oracle::replay(&rig.parts.kafka, &signals);
        for _ in 0..2 {
            rig.produce_raw(
                &signals,
                log.iter()
                    .map(|seen| (seen.partition, seen.key.as_deref(), seen.value.as_deref())),
            );
        }
    }
    rig.produce(&rig.topic("orders"), &orders.changes(1_000));
    rig.produce(&rig.topic("journal"), &journal.changes(1_000));
    rig.upserted(&rig.parts.redshift, "orders").await;
    rig.appended(&rig.parts.redshift, "journal").await;

    // The loader forgets where it was in the signal log: it reads everything again, and the checkpoint drops it.
    loader.kill();
    let warehouse = spolt_tests::warehouse::Warehouse::connect(&rig.parts.redshift).await;
    for table in ["orders", "journal"] {
        let state = format!("\"state_{0}\".\"{0}__{table}__state\"", rig.name);
        warehouse
            .rows(&format!("UPDATE {state} SET signal_offset = 0 WHERE kind = 'lineage'"))
            .await
            .unwrap();
    }
    let loader = rig.start_redshift_spolt();
    rig.produce(&rig.topic("orders"), &orders.changes(1_000));
    rig.produce(&rig.topic("journal"), &journal.changes(1_000));
    rig.upserted(&rig.parts.redshift, "orders").await;
    rig.appended(&rig.parts.redshift, "journal").await;
    drop(loader);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_in_the_signal_log_halts_and_is_never_skipped() {
    let mut rig = Rig::new("gap").await;
    let mut orders = rig.source("orders", 1, 33).await;
    let mut writer = rig.start_s3_spolt();
    let mut loader = rig.start_redshift_spolt();
    rig.produce(&rig.topic("orders"), &orders.changes(2_000));
    rig.upserted(&rig.parts.redshift, "orders").await;
    loader.kill();
    writer.kill();

    // Somebody writes a claim that begins beyond what is claimed.
    let signals = format!("spolt.signals.{}", rig.topic("orders"));
    let log = oracle::replay(&rig.parts.kafka, &signals);
    let last = common::claim::Claim::decode(log.last().unwrap().value.as_deref().unwrap()).unwrap();
    let beyond = common::claim::Claim {
        start: common::ids::Offset(last.next.0 + 10),
        next: common::ids::Offset(last.next.0 + 20),
        end: common::ids::Offset(last.next.0 + 19),
        ..last
    };
    rig.produce_raw(&signals, std::iter::once((0, None, Some(&beyond.encode()[..]))));
    let loader = rig.start_redshift_spolt();
    until("the loader has halted", async || {
        let log = loader.log();
        if log.contains("ERROR") && log.contains("gap") {
            Ok(())
        } else {
            Err(loader.log_tail())
        }
    })
    .await;
    let warehouse = spolt_tests::warehouse::Warehouse::connect(&rig.parts.redshift).await;
    let state = format!(
        "SELECT next_offset FROM \"state_{0}\".\"{0}__orders__state\" WHERE kind = 'lineage'",
        rig.name
    );
    assert_eq!(
        warehouse.rows(&state).await.unwrap(),
        vec![vec![Some(last.next.0.to_string())]]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_added_to_a_keyed_topic_halts_with_the_reason_and_the_others_go_on() {
    let mut rig = Rig::new("added").await;
    let topic = rig.topic("orders");
    let mut orders = rig.source("orders", 2, 34).await;
    let _writer = rig.start_s3_spolt();
    let mut loader = rig.start_redshift_spolt();
    rig.produce(&topic, &orders.changes(1_000));
    rig.upserted(&rig.parts.redshift, "orders").await;

    rig.add_partitions(&topic, 3).await;
    let moved: Vec<_> = orders
        .changes(50)
        .into_iter()
        .map(|change| spolt_tests::source::Change { partition: 2, ..change })
        .collect();
    rig.produce(&topic, &moved);
    until("the added partition is claimed", async || {
        let signals = oracle::replay(&rig.parts.kafka, &format!("spolt.signals.{topic}"));
        if signals.iter().any(|seen| seen.partition == 2) {
            Ok(())
        } else {
            Err("no signal yet".to_owned())
        }
    })
    .await;
    // A loader looks for new signal partitions every half a minute; a new one sees them at once.
    assert!(loader.terminate().success(), "{}", loader.log_tail());
    let loader = rig.start_redshift_spolt();
    until("the added partition has halted", async || {
        let log = loader.log();
        if log.contains("ERROR") && log.contains("was added after") {
            Ok(())
        } else {
            Err(loader.log_tail())
        }
    })
    .await;
    let before = oracle::replay(&rig.parts.kafka, &topic)
        .iter()
        .filter(|seen| seen.partition == 0)
        .count();
    let more: Vec<_> = orders
        .changes(500)
        .into_iter()
        .filter(|change| change.partition == 0)
        .collect();
    rig.produce(&topic, &more);
    let sql = format!(
        "SELECT next_offset FROM \"state_{0}\".\"{0}__orders__state\" WHERE kind = 'lineage' AND \"partition\" = 0",
        rig.name
    );
    rig.equals(
        &rig.parts.redshift,
        "orders",
        &sql,
        vec![vec![Some((before + more.len()).to_string())]],
    )
    .await;

    // The operator's word, and the new partition is applied behind all that could be older.
    let (done, preview) = rig.command("redshift-spolt", &["accept-partitions", &topic]);
    assert!(
        done && preview.contains("2 partitions are applied, the topic has 3")
            && preview.contains("partition 1: applied up to"),
        "{preview}"
    );
    let (done, said) = rig.command("redshift-spolt", &["accept-partitions", &topic, "--apply"]);
    assert!(done && said.contains("Accepted."), "{said}");
    rig.upserted(&rig.parts.redshift, "orders").await;
    let (done, said) = rig.command("redshift-spolt", &["accept-partitions", &topic]);
    assert!(!done && said.contains("all `3` partitions are applied"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_two_partitions_halts_with_the_key_and_both() {
    let mut rig = Rig::new("conflict").await;
    let topic = rig.topic("orders");
    let mut orders = rig.source("orders", 2, 35).await;
    let _writer = rig.start_s3_spolt();
    let loader = rig.start_redshift_spolt();
    let changes = orders.changes(1_000);
    rig.produce(&topic, &changes);
    rig.upserted(&rig.parts.redshift, "orders").await;
    // The last change of a key that lives, once more and in the other partition.
    let of_first: Vec<_> = changes.into_iter().filter(|change| change.partition == 0).collect();
    let last = |key: &[u8]| of_first.iter().rev().find(|change| change.key == key).unwrap();
    let lives = of_first.iter().find(|change| last(&change.key).value.is_some());
    let astray = last(&lives.unwrap().key).clone();
    rig.produce(&topic, &[spolt_tests::source::Change { partition: 1, ..astray }]);
    until("partition 1 has halted", async || {
        let log = loader.log();
        if log.contains("ERROR") && log.contains("has changes in partitions `0` and `1`") {
            Ok(())
        } else {
            Err(loader.log_tail())
        }
    })
    .await;
    let more: Vec<_> = orders
        .changes(500)
        .into_iter()
        .filter(|change| change.partition == 0)
        .collect();
    rig.produce(&topic, &more);
    let end = oracle::replay(&rig.parts.kafka, &topic)
        .iter()
        .filter(|seen| seen.partition == 0)
        .count();
    let sql = format!(
        "SELECT next_offset FROM \"state_{0}\".\"{0}__orders__state\" WHERE kind = 'lineage' AND \"partition\" = 0",
        rig.name
    );
    rig.equals(&rig.parts.redshift, "orders", &sql, vec![vec![Some(end.to_string())]])
        .await;
}
