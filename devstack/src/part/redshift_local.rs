//! redshift-local, the stand-in for Redshift, in front of PostgreSQL and S3.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::postgres::{DATABASE, USER};
use super::{Started, ready};
use crate::client::sql::Sql;
use crate::home::Home;
use crate::process::Process;

/// What the program writes into its addresses file.
#[derive(Debug, Deserialize)]
struct Written {
    listen: String,
    admin: String,
}

/// Starts the program, with `env` (credentials of the object store) added to its environment, and waits until it answers `SELECT 1`. Returns it with the URL of its admin port.
///
/// # Errors
/// It does not come up; the error has the end of its log.
pub async fn start(
    home: &Home,
    program: &Path,
    postgres: &str,
    s3: &str,
    env: &[(String, String)],
) -> Result<(Started, String)> {
    let file = home.run().join("redshift-local.json");
    if file.exists() {
        std::fs::remove_file(&file).with_context(|| format!("cannot remove `{}`", file.display()))?;
    }
    let mut command = Command::new(program);
    command.args([
        "--postgres",
        postgres,
        "--s3-endpoint",
        s3,
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ]);
    command.arg("--addresses-file").arg(&file).envs(env.iter().cloned());
    let mut process = Process::spawn(
        "redshift-local",
        command,
        &home.log("redshift-local"),
        Some(&home.run()),
    )?;
    ready(&mut process, || async {
        Sql::connect(&url(&read(&file)?))
            .await?
            .query("SELECT 1")
            .await
            .map(drop)
    })
    .await?;
    let written = read(&file)?;
    Ok((
        Started {
            process,
            address: url(&written),
        },
        format!("http://{}", written.admin),
    ))
}

fn read(file: &Path) -> Result<Written> {
    let text = std::fs::read_to_string(file).with_context(|| format!("`{}` is not written yet", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("`{}` is not what was expected", file.display()))
}

fn url(written: &Written) -> String {
    format!("postgresql://{USER}@{}/{DATABASE}", written.listen)
}
