//! Schemas from a Confluent-compatible registry over HTTP.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use common::avro::WriterSchema;
use common::failure::Failure;
use common::ids::SchemaId;
use reqwest::StatusCode;
use secrecy::ExposeSecret;
use serde::Deserialize;

use crate::config::RegistryConfig;
use crate::port::{Registry, Result};

/// Schemas kept in memory. A schema of an id never changes (assumption E4); beyond this number the cache starts anew.
const CACHED_MAX: usize = 10_000;
/// A schema text longer than this is refused: the largest in the wild are a few hundred kilobytes.
const SCHEMA_BYTES_MAX: usize = 16 << 20;

/// Asks a registry for schemas.
pub struct HttpRegistry {
    client: reqwest::Client,
    config: RegistryConfig,
    cached: Mutex<HashMap<u32, String>>,
}

impl HttpRegistry {
    /// A client for the configured registry. Nothing is asked yet.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(config: &RegistryConfig) -> Result<HttpRegistry> {
        let client = reqwest::Client::builder()
            .timeout(config.timeout)
            .build()
            .map_err(|error| Failure::stop(format!("make a client for the registry: {error}")))?;
        Ok(HttpRegistry {
            client,
            config: config.clone(),
            cached: Mutex::default(),
        })
    }

    /// Whether the registry answers and accepts the credentials.
    ///
    /// # Errors
    /// When it does not.
    pub async fn check(&self) -> Result<()> {
        self.get("subjects?deletedOnly=true").await.map(drop)
    }

    async fn get(&self, path: &str) -> Result<(StatusCode, String)> {
        let url = format!("{}/{path}", self.config.url.trim_end_matches('/'));
        let mut request = self
            .client
            .get(&url)
            .header("accept", "application/vnd.schemaregistry.v1+json");
        if let Some(username) = &self.config.username {
            let password = self.config.password.as_ref().map(|secret| secret.read()).transpose()?;
            request = request.basic_auth(username, password.as_ref().map(ExposeSecret::expose_secret));
        }
        let failed = |error: reqwest::Error| Failure::retry(format!("ask the registry at `{url}`: {}", causes(&error)));
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        let text = response.text().await.map_err(failed)?;
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Failure::stop(format!(
                "the registry at `{url}` refuses the credentials ({status})"
            ))
            .hint("check registry.username and registry.password_env or registry.password_file")),
            status if status.is_success() || status == StatusCode::NOT_FOUND => Ok((status, text)),
            status => Err(Failure::retry(format!("the registry at `{url}` answers {status}"))),
        }
    }
}

/// Stands where no registry is configured: topics in JSON need none, and those in Avro halt with the reason.
struct NoRegistry;

#[async_trait]
impl Registry for NoRegistry {
    async fn schema(&self, id: u32) -> Result<String> {
        Err(
            Failure::halt(format!("schema `{id}` is needed, and no registry is configured"))
                .hint("set `registry.url`, or the topic's `format` if it holds JSON"),
        )
    }
}

/// The configured registry; without one, what says so as soon as a schema is asked for.
///
/// # Errors
/// When no HTTP client can be made.
pub fn configured(config: Option<&RegistryConfig>) -> Result<Arc<dyn Registry>> {
    Ok(match config {
        Some(config) => Arc::new(HttpRegistry::new(config)?),
        None => Arc::new(NoRegistry),
    })
}

/// An error and what caused it, in one line.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[async_trait]
impl Registry for HttpRegistry {
    async fn schema(&self, id: u32) -> Result<String> {
        if let Some(schema) = self.cached.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(schema.clone());
        }
        #[derive(Deserialize)]
        struct Answer {
            schema: String,
            #[serde(rename = "schemaType")]
            schema_type: Option<String>,
        }
        let (status, text) = self.get(&format!("schemas/ids/{id}")).await?;
        if status == StatusCode::NOT_FOUND {
            // It may be registered yet, or the registry may be restored (failure table 23): wait, do not halt.
            return Err(Failure::retry(format!("schema id `{id}` is unknown to the registry"))
                .hint("is registry.url the registry that the producers use?"));
        }
        if text.len() > SCHEMA_BYTES_MAX {
            return Err(Failure::halt(format!(
                "schema `{id}` is longer than {SCHEMA_BYTES_MAX} bytes"
            )));
        }
        let answer: Answer = serde_json::from_str(&text).map_err(|error| {
            Failure::retry(format!(
                "the registry's answer for schema `{id}` is not understood: {error}"
            ))
        })?;
        if answer
            .schema_type
            .as_deref()
            .is_some_and(|schema_type| schema_type != "AVRO")
        {
            let other = answer.schema_type.unwrap_or_default();
            return Err(Failure::halt(format!("schema `{id}` is of type `{other}`")).hint("only Avro can be read yet"));
        }
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.len() >= CACHED_MAX {
            cached.clear();
        }
        cached.insert(id, answer.schema.clone());
        Ok(answer.schema)
    }
}

/// Fetches a schema and compiles it.
///
/// # Errors
/// Of class retry while the registry does not have it; of class halt when it cannot be used.
pub async fn writer_schema(registry: &dyn Registry, id: &SchemaId) -> Result<Arc<WriterSchema>> {
    let number = id.0.strip_prefix("confluent:").and_then(|number| number.parse().ok());
    let Some(number) = number else {
        return Err(Failure::halt(format!(
            "schema id `{id}` is of no registry that is configured"
        )));
    };
    let parsed = WriterSchema::parse(&registry.schema(number).await?);
    parsed
        .map(Arc::new)
        .map_err(|error| Failure::halt(format!("schema `{id}` cannot be used: {error}")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use common::failure::Class;
    use wiremock::matchers::{header, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;

    fn registry(server: &MockServer) -> HttpRegistry {
        let config = RegistryConfig {
            url: server.uri(),
            username: Some("u".into()),
            password: None,
            timeout: Duration::from_secs(5),
        };
        HttpRegistry::new(&config).unwrap()
    }

    #[tokio::test]
    async fn a_schema_is_asked_for_once_and_errors_are_never_kept() {
        let server = MockServer::start().await;
        let broken = Mock::given(path("/schemas/ids/7"))
            .respond_with(ResponseTemplate::new(503))
            .up_to_n_times(1);
        broken.mount(&server).await;
        let unknown =
            ResponseTemplate::new(404).set_body_string(r#"{"error_code":40403,"message":"Schema not found"}"#);
        Mock::given(path("/schemas/ids/7"))
            .respond_with(unknown)
            .up_to_n_times(1)
            .mount(&server)
            .await;
        let known = ResponseTemplate::new(200).set_body_string(r#"{"schema":"\"long\""}"#);
        Mock::given(path("/schemas/ids/7"))
            .and(header("authorization", "Basic dTo="))
            .respond_with(known)
            .expect(1)
            .mount(&server)
            .await;
        let registry = registry(&server);
        assert_eq!(registry.schema(7).await.unwrap_err().class, Class::Retry);
        let unknown = registry.schema(7).await.unwrap_err();
        assert!(
            unknown.class == Class::Retry && unknown.message.contains("unknown"),
            "{unknown}"
        );
        assert_eq!(registry.schema(7).await.unwrap(), "\"long\"");
        assert_eq!(registry.schema(7).await.unwrap(), "\"long\"");
    }

    #[tokio::test]
    async fn refused_credentials_stop_and_other_formats_halt() {
        let server = MockServer::start().await;
        Mock::given(path("/schemas/ids/1"))
            .respond_with(ResponseTemplate::new(401))
            .mount(&server)
            .await;
        let protobuf = ResponseTemplate::new(200).set_body_string(r#"{"schema":"syntax","schemaType":"PROTOBUF"}"#);
        Mock::given(path("/schemas/ids/2"))
            .respond_with(protobuf)
            .mount(&server)
            .await;
        let registry = registry(&server);
        assert_eq!(registry.schema(1).await.unwrap_err().class, Class::Stop);
        assert_eq!(registry.schema(2).await.unwrap_err().class, Class::Halt);
    }
}
