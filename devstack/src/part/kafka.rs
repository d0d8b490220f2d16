//! Apache Kafka (KRaft): by default one node that is broker and controller in one; several for drills that need a leader to change.

use std::path::Path;
use std::process::Command;

pub mod cluster;
mod settings;

pub use cluster::Cluster;

/// Heap of a single broker: a million events of 350 bytes pass through the page cache, not through it.
const HEAP: &str = "-Xmx640m";

/// Heap of each of several brokers, which only ever see the little load of drills: 1 GB for three, all told.
const SMALL_HEAP: &str = "-Xmx320m";

fn java(jars: &Path, heap: &str) -> Command {
    let mut command = Command::new("java");
    command.args(["-Xms128m", heap, "-XX:+UseSerialGC", "-Djava.awt.headless=true"]);
    command.args([
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
    ]);
    command.arg("-cp").arg(jars.join("lib/*"));
    command
}
