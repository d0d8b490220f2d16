//! MariaDB, as a source of changes. It refuses to run as root, so root hands it to another user.

use anyhow::{Context, Result};

use super::account::Place;
use super::{Started, ready};
use crate::client::mariadb::MariaDb;
use crate::fetch;
use crate::fetch::system::mariadb_programs;
use crate::home::Home;
use crate::process::Process;

/// Name of its process, its log and its folder.
const NAME: &str = "mariadb";

/// Who runs it when we are root: its own user, else one that exists everywhere.
const USERS: [&str; 2] = ["mysql", "nobody"];

/// User of the address handed out; it has no password, and only this machine is let in.
const USER: &str = "root";

/// What matters to the capture: whole rows in the binary log; and no waiting for the disk, which throw-away data does not need.
const SETTINGS: [&str; 15] = [
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    "--server-id=1",
    "--log-bin=binlog",
    "--binlog-format=ROW",
    "--binlog-row-image=FULL",
    "--character-set-server=utf8mb4",
    "--default-time-zone=+00:00",
    "--innodb-buffer-pool-size=64M",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-flush-method=nosync",
    "--innodb-doublewrite=0",
    "--sync-binlog=0",
    "--performance-schema=OFF",
    "--max-allowed-packet=64M",
];

/// Starts MariaDB on `port` and waits until it answers `SELECT 1`.
///
/// # Errors
/// It does not come up; the error has the end of its log.
pub async fn start(home: &Home, port: u16) -> Result<Started> {
    let programs = mariadb_programs()?;
    let place = Place::make(home, NAME, &USERS)?;
    let data = place.folder().join("data");
    let mut install = place.command(&programs.install);
    install
        .args([
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
        ])
        .arg(format!("--datadir={}", data.display()));
    fetch::run(&mut tokio::process::Command::from(install))
        .await
        .context("cannot make MariaDB's data folder")?;

    let mut command = place.command(&programs.server);
    command
        .arg("--no-defaults")
        .arg(format!("--datadir={}", data.display()))
        .arg(format!("--socket={}", place.folder().join("socket").display()))
        .arg(format!("--pid-file={}", place.folder().join("pid").display()))
        .arg(format!("--port={port}"))
        .args(SETTINGS);
    let mut process = Process::spawn(NAME, command, &home.log(NAME), Some(&home.run()))?;
    let address = format!("mysql://{USER}@127.0.0.1:{port}");
    ready(&mut process, || async {
        MariaDb::connect(&address).await?.query("SELECT 1").await.map(drop)
    })
    .await?;
    Ok(Started { process, address })
}

/// Removes what [`start`] left outside of the home, if anything.
///
/// # Errors
/// It cannot be removed.
pub fn clean(home: &Home) -> Result<()> {
    Place::clean(home, NAME)
}
