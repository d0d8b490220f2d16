//! What a drill makes on the parts: topics, objects, schemas. It is removed when the drill has held; what a failed one leaves is written
//! down beside its logs before it goes.

use std::path::Path;

use anyhow::{Context as _, Result};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use spolt_tests::oracle;
use spolt_tests::parts::Parts;
use spolt_tests::rig::{Rig, s3_client};
use spolt_tests::warehouse::Warehouse;

use crate::stage::{APPEND, UPSERT};

/// See the module.
#[derive(Debug, Clone)]
pub struct Corner {
    parts: Parts,
    name: String,
    bucket: String,
    prefix: String,
}

impl Corner {
    /// What belongs to this rig: everything carries its unique name.
    #[must_use]
    pub fn of(rig: &Rig) -> Corner {
        Corner {
            parts: rig.parts.clone(),
            name: rig.name.clone(),
            bucket: rig.bucket.clone(),
            prefix: rig.prefix.clone(),
        }
    }

    /// The same for a rig on brokers that are gone when it is cleared away, and its topics with them: on `parts` there are none of it.
    #[must_use]
    pub fn beside(rig: &Rig, parts: &Parts) -> Corner {
        Corner {
            parts: parts.clone(),
            ..Corner::of(rig)
        }
    }

    /// Removes topics, objects and schemas.
    ///
    /// # Errors
    /// When a part does not answer or refuses.
    pub async fn remove(&self) -> Result<()> {
        let topics = self.topics()?;
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.parts.kafka)
            .create()
            .context("an admin client")?;
        if !names.is_empty() {
            admin
                .delete_topics(&names, &AdminOptions::new())
                .await
                .context("delete the drill's topics")?;
        }
        let warehouse = Warehouse::connect(&self.parts.redshift).await;
        for schema in [self.name.clone(), format!("state_{}", self.name)] {
            let dropped = warehouse
                .rows(&format!("DROP SCHEMA IF EXISTS \"{schema}\" CASCADE"))
                .await;
            dropped.map_err(anyhow::Error::msg).context("drop the drill's schema")?;
        }
        let client = s3_client(&self.parts.s3);
        let deletes: Vec<_> = self
            .keys()
            .await?
            .into_iter()
            .map(|key| client.delete_object().bucket(&self.bucket).key(key))
            .collect();
        for delete in deletes {
            delete.send().await.context("delete the drill's objects")?;
        }
        if self.prefix.is_empty() {
            client
                .delete_bucket()
                .bucket(&self.bucket)
                .send()
                .await
                .context("delete the drill's bucket")?;
        }
        Ok(())
    }

    /// Writes signal logs, tables and the list of objects into a folder.
    ///
    /// # Errors
    /// When a file cannot be written or a part does not answer.
    pub async fn write_down(&self, folder: &Path) -> Result<()> {
        for topic in self
            .topics()?
            .iter()
            .filter(|topic| topic.starts_with("spolt.signals."))
        {
            let log = oracle::replay(&self.parts.kafka, topic);
            let lines = log.iter().map(|seen| {
                let value = seen.value.as_deref().unwrap_or_default();
                format!(
                    "{} {} {}\n",
                    seen.partition,
                    seen.offset,
                    String::from_utf8_lossy(value)
                )
            });
            write(folder, &format!("{topic}.txt"), &lines.collect::<String>())?;
        }
        let warehouse = Warehouse::connect(&self.parts.redshift).await;
        for table in [UPSERT, APPEND] {
            let state = format!("\"state_{0}\".\"{0}__{table}__state\"", self.name);
            let target = format!("\"{}\".\"{table}\"", self.name);
            for (name, relation) in [("rows", target), ("state", state)] {
                // A table that a failed drill never came to make is a finding, too.
                let text = match warehouse.rows(&format!("SELECT * FROM {relation}")).await {
                    Ok(rows) => rows.iter().map(|row| format!("{row:?}\n")).collect(),
                    Err(reason) => reason,
                };
                write(folder, &format!("{table}.{name}.txt"), &text)?;
            }
        }
        write(folder, "objects.txt", &(self.keys().await?.join("\n") + "\n"))
    }

    fn topics(&self) -> Result<Vec<String>> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.parts.kafka)
            .create()
            .context("a consumer")?;
        let metadata = consumer
            .fetch_metadata(None, std::time::Duration::from_secs(20))
            .context("list the topics")?;
        let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
        Ok(names.filter(|topic| topic.contains(&self.name)).collect())
    }

    async fn keys(&self) -> Result<Vec<String>> {
        let list = s3_client(&self.parts.s3)
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(&self.prefix);
        let mut pages = list.into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.context("list the bucket")?;
            keys.extend(
                page.contents()
                    .iter()
                    .filter_map(|object| object.key().map(str::to_owned)),
            );
        }
        Ok(keys)
    }
}

fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    let file = folder.join(name);
    std::fs::write(&file, text).with_context(|| format!("write `{}`", file.display()))
}
