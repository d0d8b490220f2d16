//! PostgreSQL, behind redshift-local or as the source of changes. It refuses to run as root, so root hands it to another user.

use anyhow::{Context, Result};

use super::account::Place;
use super::{Started, ready};
use crate::client::sql::Sql;
use crate::fetch;
use crate::fetch::system::postgres_programs;
use crate::home::Home;
use crate::process::Process;

/// Superuser of the cluster, and the user of all addresses handed out.
pub const USER: &str = "spolt";

/// Database of the addresses handed out; Redshift's usual first one is called so, too.
pub const DATABASE: &str = "dev";

/// Who runs PostgreSQL when we are root: its own user, else one that exists everywhere.
const USERS: [&str; 2] = ["postgres", "nobody"];

/// Which of the servers of a stack it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// Behind redshift-local. Without `fsync` a power cut may lose all: right for throw-away data, wrong for drills that cut the power.
    Warehouse {
        /// Wait for the disk.
        fsync: bool,
    },
    /// Where changes are captured: its log can be decoded.
    Source,
}

impl Server {
    /// Name of its process, its log and its folder.
    fn name(self) -> &'static str {
        match self {
            Server::Warehouse { .. } => "postgres",
            Server::Source => "source",
        }
    }
}

/// Starts PostgreSQL on `port` and waits until it answers `SELECT 1`.
///
/// # Errors
/// It does not come up; the error has the end of its log.
pub async fn start(home: &Home, port: u16, server: Server) -> Result<Started> {
    let programs = postgres_programs()?;
    let place = Place::make(home, server.name(), &USERS)?;
    let data = place.folder().join("cluster");
    let mut initdb = place.command(&programs.join("initdb"));
    initdb
        .args([
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--username",
            USER,
            "-D",
        ])
        .arg(&data);
    fetch::run(&mut tokio::process::Command::from(initdb))
        .await
        .context("cannot make PostgreSQL's data folder")?;

    let mut command = place.command(&programs.join("postgres"));
    command
        .arg("-D")
        .arg(&data)
        .arg("-k")
        .arg(place.folder())
        .args(["-p", &port.to_string(), "-h", "127.0.0.1"]);
    for setting in settings(server) {
        command.arg("-c").arg(setting);
    }
    let mut process = Process::spawn(server.name(), command, &home.log(server.name()), Some(&home.run()))?;
    let url = |database: &str| format!("postgresql://{USER}@127.0.0.1:{port}/{database}");
    ready(&mut process, || async {
        Sql::connect(&url("postgres")).await?.query("SELECT 1").await.map(drop)
    })
    .await?;
    Sql::connect(&url("postgres"))
        .await?
        .execute(&format!("CREATE DATABASE {DATABASE}"))
        .await?;
    Ok(Started {
        process,
        address: url(DATABASE),
    })
}

/// Removes what [`start`] left outside of the home, if anything.
///
/// # Errors
/// It cannot be removed.
pub fn clean(home: &Home) -> Result<()> {
    for server in [Server::Warehouse { fsync: false }, Server::Source] {
        Place::clean(home, server.name())?;
    }
    Ok(())
}

fn settings(server: Server) -> Vec<&'static str> {
    let mut settings = vec![
        // One checkpoint in a quickstart would only cost time.
        "max_wal_size=4GB",
        "checkpoint_timeout=30min",
        // Merges of whole tables on two cores gain nothing from parallel workers that must be started first.
        "jit=off",
        "timezone=UTC",
        "log_timezone=UTC",
    ];
    match server {
        Server::Warehouse { .. } => settings.extend([
            "shared_buffers=256MB",
            "max_connections=200",
            "work_mem=64MB",
            "maintenance_work_mem=128MB",
            "wal_level=minimal",
            "max_wal_senders=0",
        ]),
        Server::Source => settings.extend(["shared_buffers=64MB", "wal_level=logical", "max_wal_senders=4"]),
    }
    if server != (Server::Warehouse { fsync: true }) {
        settings.extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"]);
    }
    settings
}
