//! Kafka Connect, over its REST interface.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// One request; a worker that has just begun to run a connector may take seconds.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A worker.
#[derive(Debug, Clone)]
pub struct Connect {
    url: String,
    http: reqwest::Client,
}

/// How a connector does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It and all its tasks run.
    Running,
    /// Not all do yet.
    Starting,
    /// It or a task has failed, with the trace that Connect gives.
    Failed(String),
}

impl Connect {
    /// The worker at `url`.
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

    /// What it can run.
    ///
    /// # Errors
    /// It does not answer, or is not up yet.
    pub async fn plugins(&self) -> Result<Value> {
        self.get("connector-plugins").await
    }

    /// Creates a connector, or gives it other settings.
    ///
    /// # Errors
    /// The settings are refused, with what Connect says about them.
    pub async fn put(&self, name: &str, settings: &Value) -> Result<()> {
        let url = format!("{}/connectors/{name}/config", self.url);
        let response = self
            .http
            .put(&url)
            .json(settings)
            .send()
            .await
            .with_context(|| format!("no answer from `{url}`"))?;
        let status = response.status();
        if !status.is_success() {
            bail!(
                "Kafka Connect refuses the connector `{name}`: `{status}` {}",
                response.text().await.unwrap_or_default()
            );
        }
        Ok(())
    }

    /// How a connector does.
    ///
    /// # Errors
    /// The worker does not answer, or does not know it.
    pub async fn status(&self, name: &str) -> Result<Status> {
        let answer = self.get(&format!("connectors/{name}/status")).await?;
        Ok(status_in(&answer))
    }

    /// How far a source is whose changes Kafka has.
    ///
    /// # Errors
    /// The worker does not answer, or does not know the connector.
    pub async fn offsets(&self, name: &str) -> Result<Value> {
        self.get(&format!("connectors/{name}/offsets")).await
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let url = format!("{}/{path}", self.url);
        let response = self
            .http
            .get(&url)
            .send()
            .await
            .with_context(|| format!("no answer from `{url}`"))?;
        response
            .error_for_status()?
            .json()
            .await
            .with_context(|| format!("no JSON from `{url}`"))
    }
}

fn status_in(answer: &Value) -> Status {
    let tasks = answer["tasks"].as_array().map_or(&[][..], Vec::as_slice);
    let mut all = std::iter::once(&answer["connector"]).chain(tasks);
    if let Some(failed) = all.clone().find(|part| part["state"] == "FAILED") {
        return Status::Failed(failed["trace"].as_str().unwrap_or_default().to_owned());
    }
    if !tasks.is_empty() && all.all(|part| part["state"] == "RUNNING") {
        Status::Running
    } else {
        Status::Starting
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_connector_runs_when_its_tasks_do_and_fails_when_one_does() {
        let running = json!({"state": "RUNNING"});
        let failed = json!({"state": "FAILED", "trace": "no such table"});
        let status = |tasks: Value| status_in(&json!({"connector": running, "tasks": tasks}));
        assert_eq!(status(json!([])), Status::Starting);
        assert_eq!(status(json!([running])), Status::Running);
        assert_eq!(status(json!([running, {"state": "UNASSIGNED"}])), Status::Starting);
        assert_eq!(status(json!([running, failed])), Status::Failed("no such table".into()));
    }
}
