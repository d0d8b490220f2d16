//! The schema registry, over Confluent's REST interface.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// One request; a local registry answers in milliseconds.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A registry.
#[derive(Debug, Clone)]
pub struct Registry {
    url: String,
    http: reqwest::Client,
}

impl Registry {
    /// The registry at `url`.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new(url: &str) -> Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .build()
            .context("cannot make an HTTP client")?;
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            http,
        })
    }

    /// All subjects.
    ///
    /// # Errors
    /// The registry does not answer as it should.
    pub async fn subjects(&self) -> Result<Vec<String>> {
        let url = format!("{}/subjects", self.url);
        let response = self
            .http
            .get(&url)
            .send()
            .await
            .with_context(|| format!("no answer from `{url}`"))?;
        Ok(response.error_for_status()?.json().await?)
    }

    /// Registers an Avro schema and returns its id; the same schema again gets the same id.
    ///
    /// # Errors
    /// The registry refuses it.
    pub async fn register(&self, subject: &str, schema: &str) -> Result<u32> {
        let url = format!("{}/subjects/{subject}/versions", self.url);
        let request = self.http.post(&url).json(&json!({ "schema": schema }));
        let response = request
            .send()
            .await
            .with_context(|| format!("no answer from `{url}`"))?;
        let status = response.status();
        let answer: Value = response.json().await.with_context(|| format!("no JSON from `{url}`"))?;
        match answer["id"].as_u64().and_then(|id| u32::try_from(id).ok()) {
            Some(id) if status.is_success() => Ok(id),
            _ => bail!("the registry refuses the schema of `{subject}`: `{status}` {answer}"),
        }
    }

    /// The text of the schema `id`.
    ///
    /// # Errors
    /// There is none.
    pub async fn schema(&self, id: u32) -> Result<String> {
        let url = format!("{}/schemas/ids/{id}", self.url);
        let response = self
            .http
            .get(&url)
            .send()
            .await
            .with_context(|| format!("no answer from `{url}`"))?;
        let answer: Value = response.error_for_status()?.json().await?;
        Ok(answer["schema"]
            .as_str()
            .with_context(|| format!("no schema in the answer of `{url}`"))?
            .to_owned())
    }

    /// Sets the compatibility of a subject, for example `NONE`.
    ///
    /// # Errors
    /// The registry refuses.
    pub async fn set_compatibility(&self, subject: &str, level: &str) -> Result<()> {
        let url = format!("{}/config/{subject}", self.url);
        let response = self
            .http
            .put(&url)
            .json(&json!({ "compatibility": level }))
            .send()
            .await?;
        response
            .error_for_status()
            .map(drop)
            .with_context(|| format!("cannot set the compatibility of `{subject}`"))
    }
}
