//! Apache Kafka: one node, broker and controller in one (KRaft).

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine;

use super::{Started, ready};
use crate::client::kafka::Kafka;
use crate::fetch;
use crate::home::Home;
use crate::process::Process;

/// Heap of the broker: a million events of 350 bytes pass through the page cache, not through it.
const HEAP: &str = "-Xmx640m";

/// Starts a broker on `port`, with its controller on `controller_port`, and waits until it answers a metadata request.
///
/// # Errors
/// It does not come up; the error has the end of its log.
pub async fn start(home: &Home, jars: &Path, port: u16, controller_port: u16) -> Result<Started> {
    let folder = home.data().join("kafka");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    let settings = folder.join("server.properties");
    std::fs::write(&settings, properties(&folder.join("log"), port, controller_port))
        .with_context(|| format!("cannot write `{}`", settings.display()))?;
    let mut format = tokio::process::Command::from(java(jars));
    format
        .args(["kafka.tools.StorageTool", "format", "-t", &cluster_id(), "-c"])
        .arg(&settings);
    fetch::run(&mut format).await.context("cannot format Kafka's storage")?;

    let mut command = java(jars);
    command.arg("kafka.Kafka").arg(&settings);
    let mut process = Process::spawn("kafka", command, &home.log("kafka"), Some(&home.run()))?;
    let address = format!("127.0.0.1:{port}");
    let kafka = Kafka::new(&address);
    ready(&mut process, || async {
        kafka.brokers(Duration::from_secs(2)).await.map(drop)
    })
    .await?;
    Ok(Started { process, address })
}

fn java(jars: &Path) -> Command {
    let mut command = Command::new("java");
    command.args(["-Xms128m", HEAP, "-XX:+UseSerialGC", "-Djava.awt.headless=true"]);
    command.args([
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
    ]);
    command.arg("-cp").arg(jars.join("lib/*"));
    command
}

/// A random cluster id in Kafka's form: 16 bytes in unpadded URL-safe base64.
fn cluster_id() -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>())
}

fn properties(log: &Path, port: u16, controller_port: u16) -> String {
    // Replication 1 because there is one broker; few internal partitions because each costs a file handle and start time; no waiting
    // for more group members, since tests come and go; retention off, since events may carry timestamps of the past.
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller_port}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         controller.listener.names=CONTROLLER\n\
         inter.broker.listener.name=PLAINTEXT\n\
         log.dirs={}\n\
         log.retention.ms=-1\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=4\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=4\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         share.coordinator.state.topic.num.partitions=4\n\
         group.initial.rebalance.delay.ms=0\n\
         auto.create.topics.enable=false\n",
        log.display()
    )
}
