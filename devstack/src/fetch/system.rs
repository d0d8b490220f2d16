//! What the operating system has to bring: Java, Maven, Python with venv, PostgreSQL. Installed with apt on Debian and Ubuntu; elsewhere
//! the exact list is printed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use super::run;
use crate::progress::Progress;

/// A program and the Debian package that brings it.
struct Needed {
    what: &'static str,
    package: &'static str,
    present: fn() -> bool,
}

const NEEDED: &[Needed] = &[
    Needed {
        what: "Java 17 or later",
        package: "openjdk-17-jre-headless",
        present: || on_path("java").is_some(),
    },
    Needed {
        what: "Maven",
        package: "maven",
        present: || on_path("mvn").is_some(),
    },
    Needed {
        what: "Python 3 with venv",
        package: "python3-venv",
        present: has_venv,
    },
    Needed {
        what: "PostgreSQL server 14 or later",
        package: "postgresql",
        present: || postgres_programs().is_ok(),
    },
];

/// What the quickstart from a MariaDB needs beside these.
const MARIADB: &[Needed] = &[Needed {
    what: "MariaDB server",
    package: "mariadb-server",
    present: || mariadb_programs().is_ok(),
}];

/// Where Debian puts Java when there is no 17 any more.
const JAVA_FALLBACK: &str = "default-jre-headless";

/// Makes sure that all is there.
///
/// # Errors
/// Something is missing and cannot be installed from here; the error lists what.
pub async fn ensure(progress: &Progress) -> Result<()> {
    ensure_these(NEEDED, progress).await
}

/// Makes sure that there is a MariaDB.
///
/// # Errors
/// As [`ensure`].
pub async fn ensure_mariadb(progress: &Progress) -> Result<()> {
    ensure_these(MARIADB, progress).await
}

async fn ensure_these(needed: &[Needed], progress: &Progress) -> Result<()> {
    let missing: Vec<&Needed> = needed.iter().filter(|needed| !(needed.present)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let whats = missing.iter().map(|needed| needed.what).collect::<Vec<_>>().join(", ");
    let packages: Vec<&str> = missing.iter().map(|needed| needed.package).collect();
    let listed = packages.join(" ");
    if on_path("apt-get").is_none() {
        bail!(
            "missing on this machine: {whats}\nhint: install what Debian calls `{listed}` with your package manager, then run again"
        );
    }
    let prefix: &[&str] = if rustix::process::geteuid().is_root() {
        &[]
    } else if on_path("sudo").is_some() {
        progress.note(format!(
            "{whats} missing: installing `{listed}` with apt, for which sudo may ask your password"
        ));
        &["sudo"]
    } else {
        bail!("missing on this machine: {whats}\nhint: as root, run `apt-get install {listed}`, then run again");
    };
    let step = progress.step(format!("installing {listed} (apt)"));
    let result = install(prefix, &packages).await;
    match result {
        Ok(()) => step.done(""),
        Err(error) => {
            step.failed("");
            return Err(error.context(format!(
                "cannot install {whats}\nhint: install `{listed}` by hand, then run again"
            )));
        }
    }
    match needed.iter().find(|needed| !(needed.present)()) {
        None => Ok(()),
        Some(needed) => bail!("`{}` is installed, yet {} is not found", needed.package, needed.what),
    }
}

async fn install(prefix: &[&str], packages: &[&str]) -> Result<()> {
    run(&mut apt(prefix, &["update", "-q"])).await?;
    let mut arguments = vec!["install", "-q", "-y", "--no-install-recommends"];
    arguments.extend(packages);
    if run(&mut apt(prefix, &arguments)).await.is_ok() {
        return Ok(());
    }
    // Newer releases may no longer have Java 17: theirs does as well.
    let arguments: Vec<&str> = arguments
        .iter()
        .map(|word| {
            if *word == NEEDED[0].package {
                JAVA_FALLBACK
            } else {
                word
            }
        })
        .collect();
    run(&mut apt(prefix, &arguments)).await.map(drop)
}

fn apt(prefix: &[&str], arguments: &[&str]) -> Command {
    let words: Vec<&str> = prefix
        .iter()
        .copied()
        .chain(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"])
        .collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).args(arguments);
    command
}

/// Where `program` lies on the PATH.
#[must_use]
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

fn has_venv() -> bool {
    let check = std::process::Command::new("python3")
        .args(["-c", "import venv, ensurepip"])
        .output();
    check.is_ok_and(|output| output.status.success())
}

/// Folder with `initdb` and `postgres`: version 15, which was measured, before later ones, these before 14.
///
/// # Errors
/// None is installed.
pub fn postgres_programs() -> Result<PathBuf> {
    let mut versions: Vec<u32> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|version| *version >= 14)
        .collect();
    versions.sort_by_key(|version| (*version != 15, std::cmp::Reverse(*version)));
    let debian = versions
        .iter()
        .map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin")));
    let elsewhere = on_path("initdb").and_then(|file| file.parent().map(Path::to_owned));
    debian
        .chain(elsewhere)
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
        .context("no PostgreSQL server of version 14 or later is installed\nhint: install the package `postgresql`")
}

/// The programs of a MariaDB.
#[derive(Debug)]
pub struct MariaDbPrograms {
    /// Makes a data folder.
    pub install: PathBuf,
    /// The server.
    pub server: PathBuf,
}

/// `mariadb-install-db` and `mariadbd`, which lies where only root's PATH leads.
///
/// # Errors
/// They are not installed.
pub fn mariadb_programs() -> Result<MariaDbPrograms> {
    let find = |name: &str| {
        let folders = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];
        let usual = folders.map(|folder| Path::new(folder).join(name));
        on_path(name)
            .or_else(|| usual.into_iter().find(|file| file.is_file()))
            .with_context(|| format!("no `{name}` is installed\nhint: install the package `mariadb-server`"))
    };
    Ok(MariaDbPrograms {
        install: find("mariadb-install-db")?,
        server: find("mariadbd")?,
    })
}
