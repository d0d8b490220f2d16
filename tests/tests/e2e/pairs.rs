//! Two clusters load the same signals, each at its own pace.

use spolt_tests::daemon::Daemon;
use spolt_tests::rig::Rig;
use spolt_tests::standin::StandIn;

#[tokio::test(flavor = "multi_thread")]
async fn two_clusters_each_keep_their_own_progress() {
    let mut rig = Rig::new("clusters").await;
    let mut orders = rig.source("orders", 3, 21).await;
    let second = StandIn::start(&rig.parts, &rig.name).await;
    let _writer = rig.start_s3_spolt();
    let _one = Daemon::start("redshift-spolt", &rig.config("one.toml", "one", &rig.parts.redshift));
    rig.produce(&rig.topic("orders"), &orders.changes(4_000));
    rig.upserted(&rig.parts.redshift, "orders").await;

    // The second starts late and is killed on the way: it has a checkpoint of its own and catches up from the same objects.
    let config = rig.config("two.toml", "two", &second.url);
    let mut two = Daemon::start("redshift-spolt", &config);
    rig.produce(&rig.topic("orders"), &orders.changes(4_000));
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    two.kill();
    let _two = Daemon::start("redshift-spolt", &config);
    rig.upserted(&rig.parts.redshift, "orders").await;
    rig.upserted(&second.url, "orders").await;
}
