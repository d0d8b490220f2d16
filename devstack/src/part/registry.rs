//! The Apicurio registry, in memory, spoken to through its Confluent-compatible interface.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{Started, ready};
use crate::client::registry::Registry;
use crate::fetch::maven::REGISTRY;
use crate::home::Home;
use crate::process::Process;

/// Starts the registry on `port` and waits until it lists its subjects.
///
/// # Errors
/// It does not come up; the error has the end of its log.
pub async fn start(home: &Home, folder: &Path, port: u16) -> Result<Started> {
    let mut command = Command::new("java");
    command.args(["-Xmx384m", "-XX:+UseSerialGC", "-Dquarkus.http.host=127.0.0.1"]);
    command.arg(format!("-Dquarkus.http.port={port}"));
    command
        .arg("-jar")
        .arg(format!("apicurio-registry-app-{REGISTRY}-runner.jar"))
        .current_dir(folder);
    let mut process = Process::spawn("registry", command, &home.log("registry"), Some(&home.run()))?;
    let address = format!("http://127.0.0.1:{port}/apis/ccompat/v7");
    let registry = Registry::new(&address)?;
    ready(&mut process, || async { registry.subjects().await.map(drop) }).await?;
    Ok(Started { process, address })
}
