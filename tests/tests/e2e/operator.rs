//! What a person does about a lineage that cannot go on by itself, on the real parts.

use spolt_tests::daemon::Daemon;
use spolt_tests::oracle;
use spolt_tests::rig::Rig;
use spolt_tests::wait::until;

async fn says(daemon: &Daemon, what: &str) {
    until(&format!("the daemon says `{what}`"), async || {
        if daemon.log().contains(what) {
            Ok(())
        } else {
            Err(daemon.log_tail())
        }
    })
    .await;
}

/// Rows and their last offset, as an append table holds them.
fn held(changes: &[oracle::Change], kept: impl Fn(i64) -> bool) -> (i64, i64) {
    let offsets: Vec<i64> = changes
        .iter()
        .map(|change| change.offset)
        .filter(|offset| kept(*offset))
        .collect();
    (offsets.len() as i64, *offsets.iter().max().unwrap())
}

fn cells(numbers: &[i64]) -> Vec<Option<String>> {
    numbers.iter().map(|number| Some(number.to_string())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recreated_topic_halts_until_the_operator_begins_its_next_life() {
    let mut rig = Rig::new("recreated").await;
    let topic = rig.topic("journal");
    rig.extra_config = format!("[[topic]]\nname = \"{topic}\"\nmode = \"append\"\n");
    let mut journal = rig.source("journal", 1, 71).await;
    let writer = rig.start_s3_spolt();
    let _loader = rig.start_redshift_spolt();
    rig.produce(&topic, &journal.changes(700));
    rig.appended(&rig.parts.redshift, "journal").await;
    let (old, old_last) = held(&rig.changes(&topic), |_| true);
    let (done, said) = rig.command("s3-spolt", &["reset", &topic]);
    assert!(!done && said.contains("nothing is wrong"), "{said}");
    let (done, said) = rig.command("s3-spolt", &["reset", &topic, "--at", "latest", "--force", "--apply"]);
    assert!(!done && said.contains("stop every s3-spolt"), "{said}");

    rig.recreate_topic(&topic, 1).await;
    rig.produce(&topic, &journal.changes(300));
    says(&writer, "the topic was recreated").await;
    let (new, new_last) = held(&rig.changes(&topic), |_| true);
    let (done, preview) = rig.command("s3-spolt", &["reset", &topic]);
    assert!(
        done && preview.contains("incarnation 1 begins at offset 0") && preview.contains("--apply"),
        "{preview}"
    );
    let (done, said) = rig.command("s3-spolt", &["reset", &topic, "--apply"]);
    assert!(done && said.contains("reset holds"), "{said}");
    // Neither daemon is started again.
    let sql = format!(
        "SELECT \"_kafka_incarnation\", count(*), count(DISTINCT \"_kafka_offset\"), max(\"_kafka_offset\") \
         FROM \"{}\".\"journal\" GROUP BY 1 ORDER BY 1",
        rig.name
    );
    let lives = vec![cells(&[0, old, old, old_last]), cells(&[1, new, new, new_last])];
    rig.equals(&rig.parts.redshift, "journal", &sql, lives).await;
    rig.chains_hold("journal").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_deleted_before_they_were_read_are_given_up_by_the_operator_alone() {
    let mut rig = Rig::new("deleted").await;
    let topic = rig.topic("journal");
    rig.extra_config = format!("[[topic]]\nname = \"{topic}\"\nmode = \"append\"\n");
    let mut journal = rig.source("journal", 1, 72).await;
    let mut writer = rig.start_s3_spolt();
    let loader = rig.start_redshift_spolt();
    rig.produce(&topic, &journal.changes(500));
    rig.appended(&rig.parts.redshift, "journal").await;
    let claimed = oracle::replay(&rig.parts.kafka, &topic).len() as i64;
    assert!(writer.terminate().success(), "{}", writer.log_tail());
    rig.produce(&topic, &journal.changes(500));
    let lost = 40;
    let (left, last) = held(&rig.changes(&topic), |offset| {
        !(claimed..claimed + lost).contains(&offset)
    });
    rig.delete_records(&topic, 0, claimed + lost).await;

    let writer = rig.start_s3_spolt();
    says(&writer, "records were deleted before they were read").await;
    let (done, said) = rig.command("s3-spolt", &["reset", &topic, "--partition", "0"]);
    assert!(!done && said.contains("`gap`"), "{said}");
    let (done, preview) = rig.command("s3-spolt", &["gap", &topic, "--partition", "0"]);
    let range = format!("offsets {claimed}..{} ({lost} of them, 0 of which", claimed + lost);
    assert!(done && preview.contains(&range), "{preview}");
    let (done, said) = rig.command("s3-spolt", &["gap", &topic, "--partition", "0", "--apply"]);
    assert!(done && said.contains("gap holds"), "{said}");
    let sql = format!(
        "SELECT count(*), count(DISTINCT \"_kafka_offset\"), max(\"_kafka_offset\") FROM \"{}\".\"journal\"",
        rig.name
    );
    rig.equals(&rig.parts.redshift, "journal", &sql, vec![cells(&[left, left, last])])
        .await;
    rig.chains_hold("journal").await;
    assert!(!loader.log().contains("ERROR"), "{}", loader.log_tail());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_an_older_loader_left_on_the_lock_does_not_hold_the_table_for_ever() {
    let mut rig = Rig::new("takeover").await;
    let topic = rig.topic("orders");
    rig.extra_redshift_spolt = "takeover_after = \"2s\"".to_owned();
    let mut orders = rig.source("orders", 1, 73).await;
    let _writer = rig.start_s3_spolt();
    let older = rig.start_redshift_spolt();
    rig.produce(&topic, &orders.changes(500));
    rig.upserted(&rig.parts.redshift, "orders").await;
    says(&older, "loader is enlisted").await;

    // The older loader hangs in the middle of a transaction: the process is stopped, and a session of its name holds the lock.
    older.signal("STOP");
    let mut hanging: tokio_postgres::Config = rig.parts.redshift.parse().unwrap();
    hanging.application_name("redshift-spolt/main/1/77");
    let (client, connection) = hanging.connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let lock = format!("LOCK TABLE \"state_{0}\".\"{0}__orders__state\"", rig.name);
    client.simple_query("BEGIN").await.unwrap();
    client.simple_query(&lock).await.unwrap();

    let newer = rig.start_redshift_spolt();
    rig.produce(&topic, &orders.changes(500));
    rig.upserted(&rig.parts.redshift, "orders").await;
    let log = newer.log();
    assert!(
        log.contains("ended the session of an older loader"),
        "{}",
        newer.log_tail()
    );
    assert!(client.simple_query("SELECT 1").await.is_err(), "the session is gone");
    // The older one wakes up, finds that it owns nothing, and changes nothing.
    older.signal("CONT");
    rig.produce(&topic, &orders.changes(500));
    rig.upserted(&rig.parts.redshift, "orders").await;
}
