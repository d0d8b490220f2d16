//! kill -9 of each daemon in mid-work, many times.

use std::time::Duration;

use spolt_tests::rig::Rig;
use spolt_tests::source::Source;

/// Produces in the background until told to stop, so that the daemons are never idle when they die.
fn background(rig: &Rig, table: &'static str, mut source: Source, rounds: usize) -> std::thread::JoinHandle<()> {
    let (topic, kafka) = (rig.topic(table), rig.parts.clone());
    std::thread::spawn(move || {
        for _ in 0..rounds {
            spolt_tests::rig::produce(&kafka.kafka, &topic, &source.changes(1_500));
            std::thread::sleep(Duration::from_millis(150));
        }
    })
}

async fn two_tables(test: &str) -> (Rig, Source, Source) {
    let mut rig = Rig::new(test).await;
    let orders = rig.source("orders", 3, 11).await;
    let journal = rig.source("journal", 3, 12).await;
    rig.extra_config = format!("[[topic]]\nname = \"{}\"\nmode = \"append\"\n", rig.topic("journal"));
    (rig, orders, journal)
}

async fn both_equal_the_truth(rig: &Rig) {
    rig.upserted(&rig.parts.redshift, "orders").await;
    rig.appended(&rig.parts.redshift, "journal").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_spolt_killed_again_and_again() {
    let (rig, orders, journal) = two_tables("kill_writer").await;
    let _loader = rig.start_redshift_spolt();
    let producers = [
        background(&rig, "orders", orders, 40),
        background(&rig, "journal", journal, 40),
    ];
    for life in 0..5 {
        let mut writer = rig.start_s3_spolt();
        // Each life is cut at another moment of its work: while recovering, encoding, putting, signalling.
        tokio::time::sleep(Duration::from_millis(700 + 370 * life)).await;
        assert!(writer.is_running(), "{}", writer.log_tail());
        writer.kill();
    }
    let _writer = rig.start_s3_spolt();
    producers.into_iter().for_each(|producer| producer.join().unwrap());
    both_equal_the_truth(&rig).await;
    rig.chains_hold("orders").await;
    rig.chains_hold("journal").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redshift_spolt_killed_again_and_again() {
    let (rig, orders, journal) = two_tables("kill_loader").await;
    let _writer = rig.start_s3_spolt();
    let producers = [
        background(&rig, "orders", orders, 40),
        background(&rig, "journal", journal, 40),
    ];
    for life in 0..6 {
        let mut loader = rig.start_redshift_spolt();
        tokio::time::sleep(Duration::from_millis(900 + 310 * life)).await;
        assert!(loader.is_running(), "{}", loader.log_tail());
        loader.kill();
    }
    let _loader = rig.start_redshift_spolt();
    producers.into_iter().for_each(|producer| producer.join().unwrap());
    both_equal_the_truth(&rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_each_at_once_one_of_each_killed() {
    let (rig, orders, journal) = two_tables("two_of_each").await;
    let mut writers = [rig.start_s3_spolt(), rig.start_s3_spolt()];
    let mut loaders = [rig.start_redshift_spolt(), rig.start_redshift_spolt()];
    let producers = [
        background(&rig, "orders", orders, 50),
        background(&rig, "journal", journal, 50),
    ];
    tokio::time::sleep(Duration::from_secs(4)).await;
    writers[0].kill();
    loaders[0].kill();
    producers.into_iter().for_each(|producer| producer.join().unwrap());
    both_equal_the_truth(&rig).await;
    assert!(writers[1].is_running() && loaders[1].is_running());
    rig.chains_hold("orders").await;
    rig.chains_hold("journal").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_sleeps_past_its_session_and_wakes_up_changes_nothing() {
    let (rig, orders, journal) = two_tables("zombie").await;
    let sleeper = rig.start_s3_spolt();
    let _loader = rig.start_redshift_spolt();
    let producers = [
        background(&rig, "orders", orders, 60),
        background(&rig, "journal", journal, 60),
    ];
    tokio::time::sleep(Duration::from_secs(3)).await;
    sleeper.signal("STOP");
    let _other = rig.start_s3_spolt();
    // Longer than the session timeout of 6 s, so that the other one owns everything meanwhile.
    tokio::time::sleep(Duration::from_secs(9)).await;
    sleeper.signal("CONT");
    producers.into_iter().for_each(|producer| producer.join().unwrap());
    both_equal_the_truth(&rig).await;
    rig.chains_hold("orders").await;
}
