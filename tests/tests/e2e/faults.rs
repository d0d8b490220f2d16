//! What Redshift does on a bad night: 1023, deadlocks, connections cut before and after COMMIT, COPY that fails.

use spolt_tests::rig::Rig;
use spolt_tests::wait::until;

#[tokio::test(flavor = "multi_thread")]
async fn serialization_errors_deadlocks_and_cut_connections_double_and_lose_nothing() {
    let mut rig = Rig::new("faults").await;
    let mut orders = rig.source("orders", 2, 61).await;
    let mut journal = rig.source("journal", 2, 62).await;
    rig.extra_config = format!("[[topic]]\nname = \"{}\"\nmode = \"append\"\n", rig.topic("journal"));
    let _writer = rig.start_s3_spolt();
    let loader = rig.start_redshift_spolt();
    for kind in [
        "serialization_1023",
        "cut_after_commit",
        "cut_before_commit",
        "deadlock",
        "cut_after_commit",
    ] {
        for table in ["orders", "journal"] {
            rig.fault(kind, table).await;
        }
        rig.produce(&rig.topic("orders"), &orders.changes(1_500));
        rig.produce(&rig.topic("journal"), &journal.changes(1_500));
        rig.upserted(&rig.parts.redshift, "orders").await;
        rig.appended(&rig.parts.redshift, "journal").await;
        until(&format!("the fault `{kind}` has struck"), async || {
            let left = rig.faults_left().await;
            if left == 0 {
                Ok(())
            } else {
                Err(format!("{left} faults wait\n{}", loader.log_tail()))
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_altered_by_hand_halts_its_table_with_the_reason() {
    let mut rig = Rig::new("altered").await;
    let mut orders = rig.source("orders", 1, 63).await;
    let mut writer = rig.start_s3_spolt();
    rig.produce(&rig.topic("orders"), &orders.changes(1_000));
    let claimed = async || {
        let signals = spolt_tests::oracle::replay(&rig.parts.kafka, &format!("spolt.signals.{}", rig.topic("orders")));
        let decode =
            |seen: &spolt_tests::oracle::Seen| common::claim::Claim::decode(seen.value.as_deref().unwrap()).unwrap();
        signals
            .iter()
            .map(decode)
            .find(|claim| claim.kind == common::claim::Kind::Data)
    };
    until("an object is claimed", async || {
        claimed().await.map(drop).ok_or_else(|| writer.log_tail())
    })
    .await;
    writer.kill();
    let claim = claimed().await.unwrap();
    let object = claim.object.unwrap();
    let client = spolt_tests::rig::s3_client(&rig.parts.s3);
    let body = client
        .get_object()
        .bucket(&object.bucket)
        .key(&object.key)
        .send()
        .await
        .unwrap();
    let text = zstd::stream::decode_all(&*body.body.collect().await.unwrap().into_bytes()).unwrap();
    // One row less: the first.
    let mut rows = csv::ReaderBuilder::new().has_headers(false).from_reader(&*text);
    rows.records().next().unwrap().unwrap();
    let second = usize::try_from(rows.position().byte()).unwrap();
    let shorter = zstd::stream::encode_all(&text[second..], 1).unwrap();
    client
        .put_object()
        .bucket(&object.bucket)
        .key(&object.key)
        .body(shorter.into())
        .send()
        .await
        .unwrap();

    let loader = rig.start_redshift_spolt();
    until("the loader has halted", async || {
        let log = loader.log();
        if log.contains("ERROR") && log.contains("a claim is untrue") {
            Ok(())
        } else {
            Err(loader.log_tail())
        }
    })
    .await;
    let warehouse = spolt_tests::warehouse::Warehouse::connect(&rig.parts.redshift).await;
    let rows = warehouse
        .rows(&format!("SELECT count(*) FROM \"{}\".\"orders\"", rig.name))
        .await;
    assert!(rows.is_err() || rows == Ok(vec![vec![Some("0".into())]]), "{rows:?}");
}
