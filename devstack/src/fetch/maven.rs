//! Kafka, Kafka Connect with Debezium, and the schema registry, from Maven Central.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use super::{Wanted, run};
use crate::progress::Progress;

/// Version of Apache Kafka, broker and controller.
pub const KAFKA: &str = "4.1.0";

/// Version of the Apicurio registry.
pub const REGISTRY: &str = "2.6.13.Final";

/// Version of Debezium's source for PostgreSQL.
pub const DEBEZIUM: &str = "3.6.3.Final";

/// Version of Debezium's source for MariaDB.
pub const DEBEZIUM_MARIADB: &str = "3.5.0.Final";

/// Kafka logs through slf4j 1.7; without a binding it would be silent.
const SLF4J: &str = "1.7.36";

/// Plugin versions pinned, so that a build of next year does the same.
const DEPENDENCY_PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1";

/// Folder with `kafka_2.13` and all it needs.
pub(super) async fn kafka(cache: &Path, progress: &Progress) -> Result<PathBuf> {
    let wanted = Wanted {
        folder: "kafka",
        title: format!("Apache Kafka {KAFKA} (Maven Central)"),
        pins: format!("kafka_2.13 {KAFKA} slf4j-simple {SLF4J}"),
        beside: Some(repository(cache)),
        bytes: 105_000_000,
    };
    wanted
        .get(cache, progress, |folder| async move {
            jars(
                cache,
                &folder,
                "lib",
                &[("org.apache.kafka", "kafka_2.13", KAFKA), SIMPLE_LOG],
            )
            .await
        })
        .await
}

/// Folder with Kafka Connect in `lib`, and in `plugins` Debezium's source for PostgreSQL and the Avro converter.
pub(super) async fn connect(cache: &Path, progress: &Progress) -> Result<PathBuf> {
    let wanted = Wanted {
        folder: "connect",
        title: format!("Kafka Connect {KAFKA} with Debezium {DEBEZIUM} (Maven Central)"),
        pins: format!("connect {KAFKA} slf4j-simple {SLF4J} debezium {DEBEZIUM} apicurio {REGISTRY}"),
        beside: Some(repository(cache)),
        bytes: 160_000_000,
    };
    wanted
        .get(cache, progress, |folder| async move {
            let runtime = ["connect-runtime", "connect-json"].map(|artifact| ("org.apache.kafka", artifact, KAFKA));
            jars(cache, &folder, "lib", &[runtime[0], runtime[1], SIMPLE_LOG]).await?;
            let converter = ("io.apicurio", "apicurio-registry-utils-converter", REGISTRY);
            jars(cache, &folder, "plugins/avro", &[converter]).await?;
            let debezium = format!("debezium-connector-postgres:{DEBEZIUM}:tar.gz:plugin");
            unpacked(cache, &folder.join("plugins"), "io.debezium", &debezium).await
        })
        .await
}

/// Folder with Debezium's source for MariaDB as a plugin.
pub(super) async fn debezium_mariadb(cache: &Path, progress: &Progress) -> Result<PathBuf> {
    let wanted = Wanted {
        folder: "debezium-mariadb",
        title: format!("Debezium {DEBEZIUM_MARIADB} for MariaDB (Maven Central)"),
        pins: format!("debezium-connector-mariadb {DEBEZIUM_MARIADB}"),
        beside: Some(repository(cache)),
        bytes: 60_000_000,
    };
    wanted
        .get(cache, progress, |folder| async move {
            let debezium = format!("debezium-connector-mariadb:{DEBEZIUM_MARIADB}:tar.gz:plugin");
            unpacked(cache, &folder, "io.debezium", &debezium).await
        })
        .await
}

/// Folder with the registry, unpacked.
pub(super) async fn registry(cache: &Path, progress: &Progress) -> Result<PathBuf> {
    let wanted = Wanted {
        folder: "registry",
        title: format!("Apicurio schema registry {REGISTRY} (Maven Central)"),
        pins: format!("apicurio-registry-app {REGISTRY}"),
        beside: Some(repository(cache)),
        bytes: 293_000_000,
    };
    wanted
        .get(cache, progress, |folder| async move {
            let artifact = format!("apicurio-registry-app:{REGISTRY}:tar.gz:all");
            unpacked(cache, &folder, "io.apicurio", &artifact).await
        })
        .await
}

/// Maven without prompts, with its local repository in the cache rather than in the user's home.
fn maven(cache: &Path) -> Command {
    let mut command = Command::new("mvn");
    command
        .args(["-q", "-B"])
        .arg(format!("-Dmaven.repo.local={}", repository(cache).display()));
    command
}

fn repository(cache: &Path) -> PathBuf {
    cache.join("maven")
}

/// Group, artifact and version of a jar.
type Jar = (&'static str, &'static str, &'static str);

const SIMPLE_LOG: Jar = ("org.slf4j", "slf4j-simple", SLF4J);

/// Copies jars and all they need at run time into a folder within `folder`.
async fn jars(cache: &Path, folder: &Path, inside: &str, jars: &[Jar]) -> Result<()> {
    let pom = folder.join("pom.xml");
    std::fs::write(&pom, pom_of(jars)).with_context(|| format!("cannot write `{}`", pom.display()))?;
    let mut command = maven(cache);
    command.arg("-f").arg(&pom);
    command.arg(format!("{DEPENDENCY_PLUGIN}:copy-dependencies"));
    command.arg("-DincludeScope=runtime");
    command.arg(format!("-DoutputDirectory={}", folder.join(inside).display()));
    run(&mut command).await.map(drop)
}

/// Unpacks an archive (`artifact:version:tar.gz:classifier`) into a folder.
async fn unpacked(cache: &Path, folder: &Path, group: &str, artifact: &str) -> Result<()> {
    let mut command = maven(cache);
    command.arg(format!("{DEPENDENCY_PLUGIN}:copy"));
    command.arg(format!("-Dartifact={group}:{artifact}"));
    command
        .arg(format!("-DoutputDirectory={}", folder.display()))
        .current_dir(folder);
    run(&mut command).await?;
    let parts: Vec<&str> = artifact.split(':').collect();
    let [name, version, kind, classifier] = parts[..] else {
        bail!("`{artifact}` does not name an archive");
    };
    let archive = folder.join(format!("{name}-{version}-{classifier}.{kind}"));
    run(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(folder)).await?;
    std::fs::remove_file(&archive).with_context(|| format!("cannot remove `{}`", archive.display()))
}

fn pom_of(jars: &[Jar]) -> String {
    let dependency = |(group, artifact, version): &Jar| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>"
        )
    };
    let dependencies: String = jars.iter().map(dependency).collect();
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>spolt</groupId><artifactId>parts</artifactId><version>1</version><packaging>pom</packaging>\
         <dependencies>{dependencies}</dependencies></project>\n"
    )
}
