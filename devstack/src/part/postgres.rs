//! PostgreSQL, behind redshift-local or as the source of changes. It refuses to run as root, so root hands it to another user.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

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
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

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

#[derive(Clone, Copy)]
struct Account {
    uid: u32,
    gid: u32,
}

/// Starts PostgreSQL on `port` and waits until it answers `SELECT 1`.
///
/// # Errors
/// It does not come up; the error has the end of its log.
pub async fn start(home: &Home, port: u16, server: Server) -> Result<Started> {
    let programs = postgres_programs()?;
    let account = if rustix::process::geteuid().is_root() {
        Some(unprivileged()?)
    } else {
        None
    };
    let folder = folder(home, server, account)?;
    let data = folder.join("cluster");
    let mut initdb = as_account(&programs.join("initdb"), account, &folder);
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

    let mut command = as_account(&programs.join("postgres"), account, &folder);
    command
        .arg("-D")
        .arg(&data)
        .arg("-k")
        .arg(&folder)
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
        let outside = outside(home, server);
        if outside.exists() {
            std::fs::remove_dir_all(&outside).with_context(|| format!("cannot remove `{}`", outside.display()))?;
        }
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

/// The folder for data and socket, owned by the account. In the home, unless that account may not pass the folders above it (a clone in
/// root's own home): then in /var/tmp, and [`clean`] removes it.
fn folder(home: &Home, server: Server, account: Option<Account>) -> Result<PathBuf> {
    let inside = home.data().join(server.name());
    let folder = match account {
        Some(account) if !may_pass(&home.data(), account) => outside(home, server),
        _ => inside,
    };
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))?;
    if let Some(account) = account {
        std::os::unix::fs::chown(&folder, Some(account.uid), Some(account.gid))
            .with_context(|| format!("cannot hand `{}` to PostgreSQL's user", folder.display()))?;
    }
    Ok(folder)
}

fn outside(home: &Home, server: Server) -> PathBuf {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    home.root().hash(&mut hasher);
    PathBuf::from(format!("/var/tmp/spolt-{}-{:016x}", server.name(), hasher.finish()))
}

fn may_pass(folder: &Path, account: Account) -> bool {
    folder.ancestors().all(|folder| {
        std::fs::metadata(folder).is_ok_and(|meta| {
            let shift = match () {
                () if meta.uid() == account.uid => 6,
                () if meta.gid() == account.gid => 3,
                () => 0,
            };
            (meta.mode() >> shift) & 1 == 1
        })
    })
}

fn as_account(program: &Path, account: Option<Account>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env("LC_ALL", "C");
    if let Some(account) = account {
        // Setting the uid as root also drops the supplementary groups (std::os::unix::process::CommandExt).
        command.gid(account.gid).uid(account.uid);
    }
    command
}

fn unprivileged() -> Result<Account> {
    let users = std::fs::read_to_string("/etc/passwd").context("cannot read `/etc/passwd`")?;
    for wanted in UNPRIVILEGED {
        let found = users
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| fields[0] == wanted);
        if let Some([_, _, uid, gid, ..]) = found.as_deref() {
            return Ok(Account {
                uid: uid.parse()?,
                gid: gid.parse()?,
            });
        }
    }
    bail!("PostgreSQL refuses to run as root and there is no user `postgres`\nhint: run as an ordinary user")
}
