//! V10, V11, V13: a part that is away, that is slow or refuses, or whose disk is full.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use devstack::client::sql::Sql;
use devstack::wait;
use spolt_tests::rig::produce;
use spolt_tests::source::{COLUMNS, Column, envelope_schema};
use spolt_tests::standin::StandIn;
use spolt_tests::weather::{Weather, WeatherProxy};

use super::scene::{Scene, TABLES};
use super::{drill, quick};
use crate::drill::{Context, Drill, Skipped};
use crate::net::Proxy;
use crate::stage::{APPEND, UPSERT};

/// How long S3 answers 503 to everything.
const STORM: Duration = Duration::from_secs(30);

/// How late a request then reaches S3: beyond the client's limit of 2 s, as five minutes are beyond the limits of production.
const LATENCY: Duration = Duration::from_secs(6);

/// How long S3 stays slow.
const SLOW: Duration = Duration::from_secs(14);

/// Room of the small disk: the tables of the drill need less than half of it.
const DISK: &str = "size=24m";

/// The small disk is filled up to so many bytes.
const LEFT: u64 = 64 * 1024;

/// What a full disk or a storm must have shown in the log by then.
const SHOWN: Duration = Duration::from_secs(60);

pub(super) fn drills() -> Vec<Drill> {
    vec![
        quick(drill(
            "V10",
            "",
            "the registry is away. What has known schemas goes on; a topic with a new one waits, its fellow goes on; when the registry is \
             back, so does it.",
            registry_away,
        )),
        drill(
            "V11",
            "",
            "S3 answers 503 to everything for 30 s, then every request reaches it 6 s late, three times the client's limit (scaled: 5 minutes \
             against 60 s). Requests are made again, what lands late changes nothing: everything goes on.",
            s3_weather,
        ),
        drill(
            "V13",
            "",
            "the disk of the warehouse (a small tmpfs) is full while loads go on. No load is applied in part; the loader says that there is no \
             room, and goes on when there is.",
            disk_full,
        ),
    ]
}

async fn registry_away(context: Context) -> Result<()> {
    let mut scene = Scene::set(&context).await?;
    let straight = scene.stage.rig.parts.registry.clone();
    let mut url: reqwest::Url = straight.parse().context("the registry's URL")?;
    if url.scheme() != "http" {
        return Err(Skipped("the registry speaks TLS".to_owned()).into());
    }
    let upstream = format!(
        "{}:{}",
        url.host_str().unwrap_or("127.0.0.1"),
        url.port_or_known_default().unwrap_or(80)
    );
    let proxy = Proxy::s3(&upstream).await?;
    url.set_host(Some("127.0.0.1"))?;
    url.set_port(Some(proxy.port()))
        .map_err(|()| anyhow!("the registry's URL takes no port"))?;
    scene.stage.rig.parts.registry = url.to_string();
    let (writer, loader) = (scene.writer("writer"), scene.loader("loader"));
    scene.feed(150);
    scene.equal(&[&writer, &loader]).await?;

    proxy.gate().cut();
    context.did("the registry is away");
    scene.feed(150);
    scene.equal(&[&writer, &loader]).await?;
    let before = scene.changes(UPSERT);
    let mut newer: Vec<Column> = COLUMNS.to_vec();
    newer.push(("level", r#""long""#));
    let topic = scene.topic(UPSERT);
    scene.stage.rig.parts.registry = straight;
    let id = scene
        .stage
        .rig
        .register(&format!("{topic}-value"), &envelope_schema(&newer))
        .await;
    let source = scene.source(UPSERT);
    source.evolve(id, &newer);
    let unknown = source.changes(100);
    produce(scene.kafka().bootstrap(), &topic, &unknown);
    let other = scene.topic(APPEND);
    let known = scene.source(APPEND).changes(100);
    produce(scene.kafka().bootstrap(), &other, &known);
    wait::until(SHOWN, "s3-spolt to wait for the schema", || async {
        Ok(writer.log().contains("waiting for a schema").then_some(()))
    })
    .await?;
    scene
        .equal_to(&before, &scene.changes(APPEND), &[&writer, &loader])
        .await?;
    context.saw("the topic with the new schema waits, the other goes on");
    proxy.gate().restore();
    context.did("the registry is back");
    scene.equal(&[&writer, &loader]).await
}

async fn s3_weather(context: Context) -> Result<()> {
    let mut scene = Scene::set(&context).await?;
    let proxy = WeatherProxy::start(&scene.stage.rig.parts.s3).await?;
    scene.stage.rig.s3_endpoint = Some(proxy.url().to_owned());
    let straight = std::mem::replace(&mut scene.stage.rig.parts.s3, proxy.url().to_owned());
    let (writer, loader) = (scene.writer("writer"), scene.loader("loader"));
    scene.stage.rig.parts.s3 = straight;
    scene.feed(150);
    scene.equal(&[&writer, &loader]).await?;
    for (weather, length) in [(Weather::Status(503), STORM), (Weather::Late(LATENCY), SLOW)] {
        proxy.set(weather);
        context.did(format!("S3: {weather:?} for {} s", length.as_secs()));
        let until = tokio::time::Instant::now() + length;
        while tokio::time::Instant::now() < until {
            scene.feed(60);
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        ensure!(proxy.struck() > 0, "no request met the weather");
        context.saw(format!("{} requests met it", proxy.struck()));
    }
    proxy.set(Weather::Clear);
    scene.stage.judge(vec![writer, loader]).await
}

async fn disk_full(context: Context) -> Result<()> {
    let mut scene = Scene::set(&context).await?;
    let postgres = Sql::connect(&scene.stage.rig.parts.postgres).await?;
    let disk = SmallDisk::mount(&scene.stage.rig.name, &postgres).await?;
    let name = scene.stage.rig.name.clone();
    let standin = StandIn::start(&scene.stage.rig.parts, &name).await;
    for setting in ["default_tablespace", "temp_tablespaces"] {
        postgres
            .execute(&format!("ALTER DATABASE \"{name}\" SET {setting} = '{name}'"))
            .await?;
    }
    scene.stage.rig.parts.redshift.clone_from(&standin.url);
    let (writer, loader) = (scene.writer("writer"), scene.loader("loader"));
    scene.feed(200);
    scene.equal(&[&writer, &loader]).await?;

    disk.fill()?;
    context.did("the disk of the warehouse is full");
    scene.feed(2_000);
    let told = wait::until(SHOWN, "the loader to say that there is no room", || async {
        let log = loader.log();
        let line = log
            .lines()
            .find(|line| line.contains("No space left") || line.contains("53100"));
        Ok(line.map(str::to_owned))
    })
    .await?;
    context.saw(
        told.get(told.find("WARN").unwrap_or(0)..)
            .unwrap_or_default()
            .to_owned(),
    );
    for table in TABLES {
        let sql = format!(
            "SELECT count(*) - count(DISTINCT \"_kafka_partition\" * 1000000 + \"_kafka_offset\") FROM \"{name}\".\"{table}\""
        );
        ensure!(scene.number(&sql).await? == 0, "{table} has rows twice");
    }
    disk.make_room()?;
    context.did("there is room again");
    let ended = scene.equal(&[&writer, &loader]).await;
    drop((writer, loader, standin));
    postgres
        .execute(&format!("DROP DATABASE \"{name}\" WITH (FORCE)"))
        .await?;
    postgres.execute(&format!("DROP TABLESPACE \"{name}\"")).await?;
    ended
}

/// A tmpfs of a few megabytes with a tablespace on it; gone when dropped.
struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    async fn mount(name: &str, postgres: &Sql) -> Result<SmallDisk> {
        let data = postgres
            .value("SHOW data_directory")
            .await?
            .context("PostgreSQL has a data folder")?;
        let Ok(owner) = std::fs::metadata(&data) else {
            return Err(Skipped(format!("PostgreSQL's data folder `{data}` is not on this machine")).into());
        };
        use std::os::unix::fs::MetadataExt as _;
        let folder = std::env::temp_dir().join(format!("spolt-small-disk-{name}"));
        std::fs::create_dir_all(&folder)?;
        let disk = SmallDisk { folder };
        let options = format!("{DISK},uid={},gid={},mode=0700", owner.uid(), owner.gid());
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&disk.folder)
            .output();
        match mounted {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                return Err(Skipped(format!("a tmpfs cannot be mounted: {why}")).into());
            }
            Err(error) => return Err(Skipped(format!("there is no `mount`: {error}")).into()),
        }
        let created = format!("CREATE TABLESPACE \"{name}\" LOCATION '{}'", disk.folder.display());
        postgres.execute(&created).await?;
        Ok(disk)
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }

    /// Leaves [`LEFT`] bytes.
    fn fill(&self) -> Result<()> {
        let free = free(&self.folder)?;
        let bytes = usize::try_from(free.saturating_sub(LEFT))?;
        std::fs::write(self.ballast(), vec![0; bytes]).context("fill the small disk")
    }

    fn make_room(&self) -> Result<()> {
        std::fs::remove_file(self.ballast()).context("make room on the small disk")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server that still has files open there must not keep it mounted.
        let _ = Command::new("umount").arg("-l").arg(&self.folder).output();
        let _ = std::fs::remove_dir(&self.folder);
    }
}

/// Bytes that are free where `folder` lies.
fn free(folder: &Path) -> Result<u64> {
    let output = Command::new("df")
        .args(["--output=avail", "-B1"])
        .arg(folder)
        .output()
        .context("run `df`")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = text.lines().last().unwrap_or_default().trim();
    number.parse().with_context(|| format!("`df` says `{number}`"))
}
