//! A record that cannot become a row halts its own partition, with its coordinates, and nothing else.

use spolt_tests::oracle;
use spolt_tests::rig::Rig;
use spolt_tests::wait::until;

#[tokio::test(flavor = "multi_thread")]
async fn an_undecodable_record_halts_its_partition_alone() {
    let mut rig = Rig::new("poison").await;
    let topic = rig.topic("orders");
    let mut orders = rig.source("orders", 2, 51).await;
    let writer = rig.start_s3_spolt();
    let _loader = rig.start_redshift_spolt();
    rig.produce(&topic, &orders.changes(500));
    rig.upserted(&rig.parts.redshift, "orders").await;
    let at = oracle::replay(&rig.parts.kafka, &topic)
        .iter()
        .filter(|seen| seen.partition == 0)
        .count();

    rig.produce_raw(&topic, std::iter::once((0, Some(&b"?"[..]), Some(&b"no frame"[..]))));
    until("partition 0 halts", async || {
        let log = writer.log();
        let told =
            log.contains("lineage halts") && log.contains(&format!("offset `{at}`")) && log.contains("partition `0`");
        if told { Ok(()) } else { Err(writer.log_tail()) }
    })
    .await;
    // Partition 1 goes on.
    let changes: Vec<_> = orders
        .changes(2_000)
        .into_iter()
        .filter(|change| change.partition == 1)
        .collect();
    rig.produce(&topic, &changes);
    let next = oracle::replay(&rig.parts.kafka, &topic)
        .iter()
        .filter(|seen| seen.partition == 1)
        .count();
    let sql = format!(
        "SELECT next_offset FROM \"state_{0}\".\"{0}__orders__state\" WHERE kind = 'lineage' ORDER BY \"partition\"",
        rig.name
    );
    let cell = |number: usize| vec![Some(number.to_string())];
    rig.equals(&rig.parts.redshift, "orders", &sql, vec![cell(at), cell(next)])
        .await;
}
