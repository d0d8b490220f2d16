//! Kafka Connect, one worker in distributed mode, with a source of Debezium's and a converter that writes Avro in the frame of
//! a Confluent-compatible serializer.

use std::process::Command;

use anyhow::{Context, Result};

use super::{Started, ready};
use crate::client::connect::Connect;
use crate::fetch::Worker;
use crate::home::Home;
use crate::process::Process;

/// Heap of the worker: a source holds some thousand records of a few kilobytes at a time.
const HEAP: &str = "-Xmx512m";

/// Starts a worker on `port` with these jars and plugins, and waits until it lists its plugins: its REST interface answers 404
/// until the herder is up.
///
/// # Errors
/// It does not come up; the error has the end of its log.
pub async fn start(home: &Home, worker: &Worker, bootstrap: &str, port: u16) -> Result<Started> {
    let file = home.run().join("connect.properties");
    let text = settings(worker, bootstrap, port);
    std::fs::write(&file, text).with_context(|| format!("cannot write `{}`", file.display()))?;
    let mut command = Command::new("java");
    command.args(["-Xms128m", HEAP, "-XX:+UseSerialGC", "-Djava.awt.headless=true"]);
    command.args([
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
    ]);
    command.arg("-cp").arg(worker.jars.join("*"));
    command
        .arg("org.apache.kafka.connect.cli.ConnectDistributed")
        .arg(&file);
    let mut process = Process::spawn("connect", command, &home.log("connect"), Some(&home.run()))?;
    let address = format!("http://127.0.0.1:{port}");
    let connect = Connect::new(&address)?;
    ready(&mut process, || async { connect.plugins().await.map(drop) }).await?;
    Ok(Started { process, address })
}

fn settings(worker: &Worker, bootstrap: &str, port: u16) -> String {
    let plugins: Vec<String> = worker
        .plugins
        .iter()
        .map(|folder| folder.display().to_string())
        .collect();
    let mut lines = vec![
        format!("bootstrap.servers={bootstrap}"),
        format!("listeners=http://127.0.0.1:{port}"),
        format!("plugin.path={}", plugins.join(",")),
        "group.id=connect".to_owned(),
        // Of the internal records alone; connectors bring their own.
        "key.converter=org.apache.kafka.connect.json.JsonConverter".to_owned(),
        "value.converter=org.apache.kafka.connect.json.JsonConverter".to_owned(),
        // How soon a source is told that its changes are in Kafka.
        "offset.flush.interval.ms=1000".to_owned(),
        "offset.storage.partitions=1".to_owned(),
        "status.storage.partitions=1".to_owned(),
    ];
    for storage in ["config", "offset", "status"] {
        lines.push(format!("{storage}.storage.topic=connect.{storage}"));
        lines.push(format!("{storage}.storage.replication.factor=1"));
    }
    lines.join("\n") + "\n"
}
