//! V1, V2: leaders change, with and without the loss of acknowledged records; on three brokers of their own, which run only for these.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use devstack::client::kafka::Kafka;
use devstack::fetch;
use devstack::home::Home;
use devstack::part::kafka::Cluster;
use devstack::progress::Progress;
use devstack::wait;
use spolt_tests::oracle::Change;

use super::scene::{Scene, TABLES, WRITER};
use super::{alone, drill, signals};
use crate::drill::{Context, Drill};
use crate::member::Member;
use crate::stage::{PARTITIONS, Stage};

/// How long a leader may take to be elected: the controllers miss a broker after 6 s.
const ELECTION: Duration = Duration::from_secs(60);

/// Every broker has a replica; the one that is never killed alone leads first.
const SAFE: [i32; 3] = [3, 1, 2];

/// Replicas on two of three brokers, acknowledged by one, and an election of whoever is there: what assumption E1 forbids.
const UNSAFE: [(&str, &str); 2] = [("min.insync.replicas", "1"), ("unclean.leader.election.enable", "true")];

pub(super) fn drills() -> Vec<Drill> {
    vec![
        alone(drill(
            "V1",
            "",
            "on three brokers each in turn is killed while it leads, and comes back. Nothing acknowledged is lost: everything goes on.",
            leader_change,
        )),
        alone(drill(
            "V2",
            "upstream-shorter",
            "an unclean election takes records from the upstream topics that are claimed and loaded. Every lineage halts and says so; nothing \
             is loaded before `s3-spolt reset`, everything after it.",
            |context| upstream(context, false),
        )),
        alone(drill(
            "V2",
            "upstream-longer",
            "an unclean election takes records from the upstream topics that are claimed and loaded, and others have come in their place before \
             anybody looks. Every lineage halts and says so; nothing is loaded before `s3-spolt reset`, everything after it.",
            |context| upstream(context, true),
        )),
        alone(drill(
            "V2",
            "signals-applied",
            "an unclean election takes claims from the signal topics that are applied. Nothing needs them: everything goes on.",
            |context| signal_topics(context, true),
        )),
        alone(drill(
            "V2",
            "signals-waiting",
            "an unclean election takes claims from the signal topics that are not applied. They are claimed anew, or the loader halts at the gap \
             until `s3-spolt rebuild`; nothing is skipped.",
            |context| signal_topics(context, false),
        )),
    ]
}

struct Brokers {
    cluster: Cluster,
    scene: Scene,
}

impl Brokers {
    /// Three brokers, and both tables on them; every partition lies on `replicas`.
    async fn start(context: &Context, replicas: &[i32]) -> Result<Brokers> {
        let home = Home::with_cache(&context.folder().join("brokers"), context.cache())?;
        let kafka = fetch::kafka(home.cache(), &Progress::detect()).await?;
        let cluster = Cluster::start(&home, &kafka, 3).await?;
        let mut own = context.parts().clone();
        own.kafka = cluster.bootstrap();
        let stage = Stage::on(context, own, replicas.to_vec()).await?;
        let scene = Scene::of(context, stage);
        context.did("three brokers of this drill's own");
        let brokers = Brokers { cluster, scene };
        // Wherever the replicas of other topics are: without a registration nothing is loaded, and its topic is not to be elected uncleanly.
        let progress = brokers.scene.stage.rig.progress_topic();
        brokers
            .kafka()
            .create_topic_on(&progress, 1, &SAFE, &[("cleanup.policy", "compact")])
            .await?;
        Ok(brokers)
    }

    fn kafka(&self) -> Kafka {
        self.scene.kafka()
    }

    /// Waits until all partitions of a topic have a leader that is not `gone`.
    async fn led(&self, topic: &str, gone: i32) -> Result<()> {
        wait::until(
            ELECTION,
            &format!("leaders of `{topic}` other than broker `{gone}`"),
            || async {
                let leaders = self.kafka().leaders(topic).await?;
                let fine = leaders.iter().all(|leader| leader.is_some_and(|leader| leader != gone));
                Ok((fine && !leaders.is_empty()).then_some(()))
            },
        )
        .await
    }

    /// Lets the upstream topics lose records, and the signal topics none.
    async fn expose(&self, topics: &[String]) -> Result<()> {
        for (topic, table) in topics.iter().zip(TABLES) {
            self.kafka().set_topic(topic, &UNSAFE).await?;
            let signals = self.scene.stage.signals(table);
            let settings = [("retention.ms", "-1")];
            self.kafka()
                .create_topic_on(&signals, PARTITIONS, &SAFE, &settings)
                .await?;
        }
        Ok(())
    }

    /// Waits until every lineage of the topics has halted and said that its topic is not what it was.
    async fn all_halt(&self, writer: &Member, topics: &[String]) -> Result<()> {
        for topic in topics {
            for partition in 0..PARTITIONS {
                let number = format!("partition={partition} ");
                let alarm = self.scene.halts(writer, &["lineage halts", topic, &number]).await;
                let alarm = alarm.with_context(|| format!("`{topic}` [{partition}] lost acknowledged records"))?;
                let why = [
                    "the topic ends at offset",
                    "the record at the end of the last claim has changed",
                ];
                ensure!(
                    why.iter().any(|why| alarm.contains(why)),
                    "halted for another reason: {alarm}"
                );
            }
        }
        Ok(())
    }

    /// Loses what broker 1 alone has: it goes, and broker 2, which was away, comes back and leads.
    async fn lose(&mut self, topics: &[String]) -> Result<()> {
        self.cluster.kill(1).await?;
        self.cluster.restart(2).await?;
        for topic in topics {
            self.led(topic, 1).await?;
        }
        Ok(())
    }
}

async fn leader_change(context: Context) -> Result<()> {
    let mut brokers = Brokers::start(&context, &[1, 2, 3]).await?;
    for table in TABLES {
        let topic = brokers.scene.topic(table);
        brokers
            .kafka()
            .set_topic(&topic, &[("min.insync.replicas", "2")])
            .await?;
    }
    let (writer, loader) = (brokers.scene.writer("writer"), brokers.scene.loader("loader"));
    brokers.scene.feed(150);
    brokers.scene.equal(&[&writer, &loader]).await?;
    for broker in [1, 2, 3] {
        brokers.cluster.kill(broker).await?;
        context.did(format!("broker {broker} killed"));
        for table in TABLES {
            brokers.led(&brokers.scene.topic(table), broker).await?;
        }
        brokers.scene.feed(150);
        brokers.scene.equal(&[&writer, &loader]).await?;
        brokers.cluster.restart(broker).await?;
        brokers.scene.feed(50);
        brokers.scene.equal(&[&writer, &loader]).await?;
    }
    brokers.scene.stage.judge(vec![writer, loader]).await
}

async fn upstream(context: Context, longer: bool) -> Result<()> {
    let mut brokers = Brokers::start(&context, &[1, 2]).await?;
    let topics = TABLES.map(|table| brokers.scene.topic(table));
    brokers.expose(&topics).await?;
    let (writer, loader) = (brokers.scene.writer("writer"), brokers.scene.loader("loader"));
    brokers.scene.feed(150);
    brokers.scene.equal(&[&writer, &loader]).await?;
    brokers.cluster.kill(2).await?;
    for topic in &topics {
        brokers.led(topic, 2).await?;
    }
    let kept = TABLES.map(|table| brokers.scene.changes(table));
    brokers.scene.feed(150);
    brokers.scene.equal(&[&writer, &loader]).await?;
    let old = TABLES.map(|table| brokers.scene.changes(table));
    let before = [
        brokers.scene.content(TABLES[0]).await?,
        brokers.scene.content(TABLES[1]).await?,
    ];
    context.did("150 changes in each topic acknowledged by broker 1 alone, claimed and loaded");
    if longer {
        // Nobody looks before the topic has grown again.
        writer.stop();
    }
    brokers.lose(&topics).await?;
    context.did("broker 1 is gone, broker 2 leads without them");
    if longer {
        brokers.scene.feed(600);
        writer.go_on();
    }
    brokers.all_halt(&writer, &topics).await?;
    for (table, before) in TABLES.iter().zip(&before) {
        let now = brokers.scene.content(table).await?;
        ensure!(now == *before, "{table} has changed before anybody had decided");
    }
    for (topic, kept) in topics.iter().zip(&kept) {
        for partition in 0..PARTITIONS {
            let (number, from) = (partition.to_string(), end_of(kept, partition).to_string());
            brokers
                .scene
                .operator(WRITER, &["reset", topic, "--partition", &number, "--at", &from])?;
        }
    }
    brokers.scene.feed(100);
    let [upsert, append] = [0, 1].map(|at| {
        let mut both = old[at].clone();
        let now = brokers.scene.changes(TABLES[at]).into_iter();
        both.extend(now.filter(|change| change.offset >= end_of(&kept[at], change.partition)));
        both
    });
    brokers.scene.equal_to(&upsert, &append, &[&writer, &loader]).await
}

fn end_of(changes: &[Change], partition: i32) -> i64 {
    let of = changes.iter().filter(|change| change.partition == partition);
    of.map(|change| change.offset + 1).max().unwrap_or(0)
}

async fn signal_topics(context: Context, applied: bool) -> Result<()> {
    let mut brokers = Brokers::start(&context, &SAFE).await?;
    let mut topics = Vec::new();
    let settings = [UNSAFE[0], UNSAFE[1], ("retention.ms", "-1")];
    for table in TABLES {
        let signals = brokers.scene.stage.signals(table);
        brokers
            .kafka()
            .create_topic_on(&signals, PARTITIONS, &[1, 2], &settings)
            .await?;
        topics.push(signals);
    }
    let (writer, mut loader) = (brokers.scene.writer("writer"), brokers.scene.loader("loader"));
    brokers.scene.feed(150);
    brokers.scene.equal(&[&writer, &loader]).await?;
    brokers.cluster.kill(2).await?;
    for topic in &topics {
        brokers.led(topic, 2).await?;
    }
    if !applied {
        loader.kill();
    }
    brokers.scene.feed(150);
    brokers.scene.claimed(&writer).await?;
    if applied {
        brokers.scene.equal(&[&writer, &loader]).await?;
    }
    let before = brokers.scene.stage.claims_now();
    brokers.lose(&topics).await?;
    let after = brokers.scene.stage.claims_now();
    context.did(format!(
        "broker 1 is gone, broker 2 leads with {after} claims of {before}"
    ));
    ensure!(after < before, "no claim was lost");
    brokers.scene.feed(150);
    if !applied {
        loader = brokers.scene.loader("loader-2");
    }
    brokers.scene.claimed(&writer).await?;
    let went_on = tokio::time::timeout(Duration::from_secs(25), brokers.scene.equal(&[&writer, &loader])).await;
    if let Ok(Ok(())) = went_on {
        return Ok(());
    }
    ensure!(
        !applied,
        "applied claims were missed: {}",
        loader.log().lines().last().unwrap_or_default()
    );
    let alarm = brokers.scene.halts(&loader, &["gap"]).await?;
    ensure!(alarm.contains("partition"), "the alarm names no partition: {alarm}");
    brokers.cluster.restart(1).await?;
    let (writer, loader) = signals::rebuild(&brokers.scene, writer, loader).await?;
    brokers.scene.equal(&[&writer, &loader]).await
}
