//! Schemas from a Confluent-compatible registry over HTTP.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use common::avro::{Language, SchemaText, WriterSchema};
use common::failure::Failure;
use common::ids::{SchemaId, SchemaKey};
use reqwest::StatusCode;
use secrecy::ExposeSecret;
use serde::Deserialize;

use crate::config::{RegistryConfig, RegistryKind};
use crate::port::{Registry, Result};

/// Schemas kept in memory. A schema of an id never changes (assumption E4); beyond this number the cache starts anew.
const CACHED_MAX: usize = 10_000;
/// A schema text longer than this is refused: the largest in the wild are a few hundred kilobytes.
const SCHEMA_BYTES_MAX: usize = 16 << 20;
/// Texts that one schema refers to, directly or not.
const REFERENCES_MAX: usize = 200;

/// Asks a registry for schemas.
pub struct HttpRegistry {
    client: reqwest::Client,
    config: RegistryConfig,
    cached: Mutex<HashMap<SchemaKey, SchemaText>>,
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
        let path = match self.config.kind {
            RegistryKind::Confluent => "subjects?deletedOnly=true",
            RegistryKind::Schematizer => "v1/namespaces",
        };
        self.get(path).await.map(drop)
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
    async fn schema(&self, key: SchemaKey) -> Result<SchemaText> {
        Err(
            Failure::halt(format!("schema `{key}` is needed, and no registry is configured"))
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

#[derive(Deserialize)]
struct Answer {
    schema: String,
    #[serde(rename = "schemaType")]
    schema_type: Option<String>,
    #[serde(default)]
    references: Vec<Reference>,
}

/// Where a text that another refers to is registered.
#[derive(Deserialize)]
struct Reference {
    name: String,
    subject: String,
    version: i64,
}

#[async_trait]
impl Registry for HttpRegistry {
    async fn schema(&self, key: SchemaKey) -> Result<SchemaText> {
        if let Some(schema) = self.cached.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(schema.clone());
        }
        let path = match (self.config.kind, key) {
            // The ids of an envelope are those of whatever registry took the Schematizer's place.
            (RegistryKind::Confluent, SchemaKey::Confluent(id) | SchemaKey::Schematizer(id)) => {
                format!("schemas/ids/{id}")
            }
            (RegistryKind::Confluent, SchemaKey::Guid(_)) => format!("schemas/guids/{}", key.id()),
            (RegistryKind::Schematizer, SchemaKey::Schematizer(id)) => format!("v1/schemas/{id}"),
            (RegistryKind::Schematizer, _) => {
                return Err(Failure::halt(format!("a Schematizer does not have schema `{key}`"))
                    .hint("set `registry.kind`, or the topic's `envelope` if it is Yelp's"));
            }
        };
        let answer = self.answer(&path, &format!("schema `{key}`")).await?;
        let named = answer.schema_type.as_deref().unwrap_or("AVRO");
        let Some(language) = Language::named(named) else {
            return Err(Failure::halt(format!("schema `{key}` is of type `{named}`"))
                .hint("Avro, JSON Schema and Protobuf can be read"));
        };
        let schema = SchemaText {
            language,
            references: self.references(answer.references, key).await?,
            text: answer.schema,
        };
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.len() >= CACHED_MAX {
            cached.clear();
        }
        cached.insert(key, schema.clone());
        Ok(schema)
    }
}

impl HttpRegistry {
    async fn answer(&self, path: &str, what: &str) -> Result<Answer> {
        let (status, text) = self.get(path).await?;
        if status == StatusCode::NOT_FOUND {
            // It may be registered yet, or the registry may be restored (failure table 23): wait, do not halt.
            return Err(Failure::retry(format!("{what} is unknown to the registry"))
                .hint("is registry.url the registry that the producers use?"));
        }
        if text.len() > SCHEMA_BYTES_MAX {
            return Err(Failure::halt(format!("{what} is longer than {SCHEMA_BYTES_MAX} bytes")));
        }
        serde_json::from_str(&text)
            .map_err(|error| Failure::retry(format!("the registry's answer for {what} is not understood: {error}")))
    }

    /// The texts that a schema refers to and those that they refer to, each behind all that it needs itself.
    async fn references(&self, wanted: Vec<Reference>, key: SchemaKey) -> Result<Vec<(String, String)>> {
        let mut found: Vec<(String, String)> = Vec::new();
        // Depth first: an answer is met again, with nothing left to ask, when all that it refers to is there.
        let mut open: Vec<(Reference, Option<String>)> =
            wanted.into_iter().rev().map(|wanted| (wanted, None)).collect();
        let mut asked: HashSet<(String, i64)> = HashSet::new();
        while let Some((reference, text)) = open.pop() {
            if let Some(text) = text {
                found.push((reference.name, text));
                continue;
            }
            if !asked.insert((reference.subject.clone(), reference.version)) {
                continue;
            }
            if asked.len() > REFERENCES_MAX {
                return Err(Failure::halt(format!(
                    "schema `{key}` refers to more than {REFERENCES_MAX} others"
                )));
            }
            let (subject, version) = (path_part(&reference.subject), reference.version);
            let what = format!(
                "version `{version}` of `{}`, which schema `{key}` refers to,",
                reference.subject
            );
            let answer = self
                .answer(&format!("subjects/{subject}/versions/{version}"), &what)
                .await?;
            open.push((reference, Some(answer.schema)));
            open.extend(answer.references.into_iter().rev().map(|wanted| (wanted, None)));
        }
        Ok(found)
    }
}

/// A text as one part of a path: subjects may hold slashes and more.
fn path_part(text: &str) -> String {
    let mut part = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            part.push(char::from(byte));
        } else {
            part.push_str(&format!("%{byte:02X}"));
        }
    }
    part
}

/// Fetches a schema and compiles it.
///
/// # Errors
/// Of class retry while the registry does not have it; of class halt when it cannot be used.
pub async fn writer_schema(registry: &dyn Registry, id: &SchemaId) -> Result<Arc<WriterSchema>> {
    let Some(key) = id.key() else {
        return Err(Failure::halt(format!(
            "schema id `{id}` is of no registry that is configured"
        )));
    };
    let schema = registry.schema(key).await?;
    let parsed = WriterSchema::compile(&schema, &id.path());
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
        of_kind(RegistryKind::Confluent, server)
    }

    fn of_kind(kind: RegistryKind, server: &MockServer) -> HttpRegistry {
        let config = RegistryConfig {
            kind,
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
        assert_eq!(
            registry.schema(SchemaKey::Confluent(7)).await.unwrap_err().class,
            Class::Retry
        );
        let unknown = registry.schema(SchemaKey::Confluent(7)).await.unwrap_err();
        assert!(
            unknown.class == Class::Retry && unknown.message.contains("unknown"),
            "{unknown}"
        );
        assert_eq!(
            registry.schema(SchemaKey::Confluent(7)).await.unwrap(),
            SchemaText::avro("\"long\"")
        );
        assert_eq!(
            registry.schema(SchemaKey::Confluent(7)).await.unwrap(),
            SchemaText::avro("\"long\"")
        );
    }

    #[tokio::test]
    async fn refused_credentials_stop_and_other_languages_halt() {
        let server = MockServer::start().await;
        Mock::given(path("/schemas/ids/1"))
            .respond_with(ResponseTemplate::new(401))
            .mount(&server)
            .await;
        let other = ResponseTemplate::new(200).set_body_string(r#"{"schema":"syntax","schemaType":"THRIFT"}"#);
        Mock::given(path("/schemas/ids/2"))
            .respond_with(other)
            .mount(&server)
            .await;
        let registry = registry(&server);
        let asked = |id| registry.schema(SchemaKey::Confluent(id));
        assert_eq!(asked(1).await.unwrap_err().class, Class::Stop);
        assert_eq!(asked(2).await.unwrap_err().class, Class::Halt);
    }

    /// As the registry of Confluent Platform 8 answers, which no part of the test stack is.
    #[tokio::test]
    async fn a_guid_is_asked_for_as_such_and_waited_for() {
        let server = MockServer::start().await;
        let guid = "8a7c0001-ff10-4242-8000-0001020304fe";
        let at = format!("/schemas/guids/{guid}");
        let unknown = Mock::given(path(&at))
            .respond_with(ResponseTemplate::new(404))
            .up_to_n_times(1);
        unknown.mount(&server).await;
        let body = format!(r#"{{"guid":"{guid}","schema":"\"long\"","schemaType":"AVRO"}}"#);
        let known = Mock::given(path(&at)).respond_with(ResponseTemplate::new(200).set_body_string(body));
        known.expect(1).mount(&server).await;
        let registry = registry(&server);
        let id = SchemaId(format!("guid:{guid}"));
        let unknown = writer_schema(&registry, &id).await.unwrap_err();
        assert!(
            unknown.class == Class::Retry && unknown.message.contains(guid),
            "{unknown}"
        );
        for _ in 0..2 {
            writer_schema(&registry, &id).await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_a_schema_refers_to_is_fetched_before_it() {
        let server = MockServer::start().await;
        let record = |name: &str, ty: &str| {
            let text = format!(r#"{{"type":"record","name":"{name}","fields":[{{"name":"f","type":"{ty}"}}]}}"#);
            serde_json::Value::String(text)
        };
        let answers = [
            (
                "/schemas/ids/3",
                record("a", "b"),
                serde_json::json!([{"name": "b", "subject": "x/b", "version": 2}, {"name": "c", "subject": "c", "version": 1}]),
            ),
            (
                "/subjects/x%2Fb/versions/2",
                record("b", "c"),
                serde_json::json!([{"name": "c", "subject": "c", "version": 1}]),
            ),
            ("/subjects/c/versions/1", record("c", "long"), serde_json::json!([])),
        ];
        for (at, schema, references) in answers {
            let body = serde_json::json!({"schema": schema, "references": references});
            let answer = Mock::given(path(at)).respond_with(ResponseTemplate::new(200).set_body_json(body));
            answer.expect(1).mount(&server).await;
        }
        let registry = registry(&server);
        let schema = registry.schema(SchemaKey::Confluent(3)).await.unwrap();
        let names: Vec<&str> = schema.references.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["c", "b"]);
        writer_schema(&registry, &SchemaId::confluent(3)).await.unwrap();
    }

    /// The Schematizer's answer, as its REST interface describes it; and the same id in a registry that took its place.
    #[tokio::test]
    async fn the_ids_of_yelps_envelopes_are_asked_for_in_either_registry() {
        let server = MockServer::start().await;
        let answer = serde_json::json!({"schema_id": 12, "schema": "\"long\"", "topic": {"name": "t"}, "primary_keys": [], "status": "RW"});
        Mock::given(path("/v1/schemas/12"))
            .respond_with(ResponseTemplate::new(200).set_body_json(answer))
            .mount(&server)
            .await;
        Mock::given(path("/schemas/ids/12"))
            .respond_with(ResponseTemplate::new(200).set_body_json(serde_json::json!({"schema": "\"string\""})))
            .mount(&server)
            .await;
        let (schematizer, confluent) = (of_kind(RegistryKind::Schematizer, &server), registry(&server));
        let key = SchemaKey::Schematizer(12);
        assert_eq!(schematizer.schema(key).await.unwrap(), SchemaText::avro("\"long\""));
        assert_eq!(confluent.schema(key).await.unwrap(), SchemaText::avro("\"string\""));
        let other = schematizer.schema(SchemaKey::Confluent(12)).await.unwrap_err();
        assert_eq!(other.class, Class::Halt);
    }
}
