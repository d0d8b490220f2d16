//! A signal topic that is gone, made anew from the objects on S3 (rule 2, failure table 43).

use common::claim::{Claim, Kind};
use common::ids::Partition;
use spolt_tests::daemon::{Daemon, command};
use spolt_tests::oracle;
use spolt_tests::rig::Rig;
use spolt_tests::standin::StandIn;
use spolt_tests::wait::until;

fn claims(rig: &Rig, signals: &str, partition: i32) -> Vec<Claim> {
    oracle::replay(&rig.parts.kafka, signals)
        .iter()
        .map(|seen| Claim::decode(seen.value.as_deref().unwrap()).unwrap())
        .filter(|claim| claim.partition == Partition(partition))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_signal_topic_is_rebuilt_and_loads_into_old_and_new_targets() {
    let mut rig = Rig::new("rebuild").await;
    let topic = rig.topic("orders");
    let signals = format!("spolt.signals.{topic}");
    let mut orders = rig.source("orders", 2, 61).await;
    let mut journal = rig.source("journal", 1, 62).await;
    rig.extra_config = format!("[[topic]]\nname = \"{}\"\nmode = \"append\"\n", rig.topic("journal"));
    let config = rig.config("spolt.toml", "main", &rig.parts.redshift);
    let mut writer = rig.start_s3_spolt();
    let mut loader = rig.start_redshift_spolt();
    for _ in 0..4 {
        rig.produce(&topic, &orders.changes(2_000));
        rig.produce(&rig.topic("journal"), &journal.changes(1_000));
        rig.upserted(&rig.parts.redshift, "orders").await;
    }
    // Killed in mid-work and started again: objects that were never signalled, and others cut anew over the same range.
    rig.produce(&topic, &orders.changes(2_000));
    writer.kill();
    let mut writer = rig.start_s3_spolt();
    rig.upserted(&rig.parts.redshift, "orders").await;
    rig.appended(&rig.parts.redshift, "journal").await;
    let lost: Vec<Vec<Claim>> = (0..2).map(|partition| claims(&rig, &signals, partition)).collect();

    let rebuild = |more: &[&str]| command("s3-spolt", &config, &[&["rebuild", topic.as_str()], more].concat());
    let (ok, said) = rebuild(&["--apply"]);
    assert!(!ok && said.contains("members of the group"), "{said}");
    assert!(writer.terminate().success(), "{}", writer.log_tail());
    assert!(loader.terminate().success(), "{}", loader.log_tail());
    until("the group is empty and the log is not", async || {
        let (ok, said) = rebuild(&["--apply"]);
        let refused = !ok && said.contains("the signal partition is not empty, or was not always");
        refused.then_some(()).ok_or(said)
    })
    .await;

    for table in ["orders", "journal"] {
        rig.delete_topic(&format!("spolt.signals.{}", rig.topic(table))).await;
    }
    let (ok, said) = rebuild(&[]);
    assert!(ok && said.contains("Nothing was done"), "{said}");
    let (ok, said) = rebuild(&["--apply"]);
    assert!(ok && said.contains("claims were appended"), "{said}");
    let (ok, said) = command("s3-spolt", &config, &["rebuild", &rig.topic("journal"), "--apply"]);
    assert!(ok, "{said}");

    rig.chains_hold("orders").await;
    rig.chains_hold("journal").await;
    for (partition, lost) in lost.iter().enumerate() {
        let made = claims(&rig, &signals, i32::try_from(partition).unwrap());
        let end = |claims: &[Claim]| claims.iter().map(|claim| claim.next).max();
        assert!(end(&made) >= end(lost), "{said}");
        assert!(made.len() <= lost.len() + 1, "{} claims of {}", made.len(), lost.len());
        for claim in made.iter().filter(|claim| claim.kind == Kind::Data) {
            // Where the lost log had the same claim, the new one is equal to the last byte, longest values included.
            if let Some(same) = lost.iter().find(|same| same.object == claim.object) {
                assert_eq!(same, claim);
            }
        }
    }

    let second = StandIn::start(&rig.parts, &rig.name).await;
    let _writer = rig.start_s3_spolt();
    let _old = rig.start_redshift_spolt();
    let _new = Daemon::start("redshift-spolt", &rig.config("two.toml", "two", &second.url));
    rig.produce(&topic, &orders.changes(2_000));
    rig.produce(&rig.topic("journal"), &journal.changes(1_000));
    for url in [&rig.parts.redshift, &second.url] {
        rig.upserted(url, "orders").await;
        rig.appended(url, "journal").await;
    }
}
