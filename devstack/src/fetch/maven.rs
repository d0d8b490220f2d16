//! Kafka and the schema registry, from Maven Central.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::process::Command;

use super::{Wanted, run};
use crate::progress::Progress;

/// Version of Apache Kafka, broker and controller.
pub const KAFKA: &str = "4.1.0";

/// Version of the Apicurio registry.
pub const REGISTRY: &str = "2.6.13.Final";

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
            let pom = folder.join("pom.xml");
            std::fs::write(&pom, kafka_pom()).with_context(|| format!("cannot write `{}`", pom.display()))?;
            let mut command = maven(cache);
            command.arg("-f").arg(&pom);
            command.arg(format!("{DEPENDENCY_PLUGIN}:copy-dependencies"));
            command.arg(format!("-DoutputDirectory={}", folder.join("lib").display()));
            run(&mut command).await.map(drop)
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
            let mut command = maven(cache);
            command.arg(format!("{DEPENDENCY_PLUGIN}:copy"));
            command.arg(format!(
                "-Dartifact=io.apicurio:apicurio-registry-app:{REGISTRY}:tar.gz:all"
            ));
            command
                .arg(format!("-DoutputDirectory={}", folder.display()))
                .current_dir(&folder);
            run(&mut command).await?;
            let archive = folder.join(format!("apicurio-registry-app-{REGISTRY}-all.tar.gz"));
            run(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&folder)).await?;
            std::fs::remove_file(&archive).with_context(|| format!("cannot remove `{}`", archive.display()))
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

fn kafka_pom() -> String {
    let dependency = |group: &str, artifact: &str, version: &str| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>"
        )
    };
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>spolt</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>\
         <dependencies>{}{}</dependencies></project>\n",
        dependency("org.apache.kafka", "kafka_2.13", KAFKA),
        dependency("org.slf4j", "slf4j-simple", SLF4J),
    )
}
