//! The bucket, through the AWS SDK. The SDK's own repetition is off: what to do after which answer is the protocol's (rule 8).
//!
//! Objects go up by a single PUT: S3 takes 5 GiB that way, `cut_bytes` is far below, and a multipart upload would add the crash
//! points of its parts without need.

mod verdict;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use aws_config::BehaviorVersion;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Region, RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use bytes::Bytes;
use common::failure::Failure;
use common::mutant::Mutant;
use metrics::{counter, histogram};
use tracing::warn;

use crate::config::S3Config;
use crate::port::{Head, Listed, Listing, ObjectStore, Put, PutObject, Result, Undeleted, World};
use crate::readiness::Readiness;
use crate::registry::causes;
use crate::retry::REQUESTS;

use verdict::{Answer, verdict};

/// Name of the part in /readyz.
pub const PART: &str = "s3";

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The bucket of the configuration.
pub struct S3Store {
    client: Client,
    bucket: String,
    prefix: String,
    region: String,
    retry_for: Duration,
    world: Arc<dyn World>,
    readiness: Readiness,
    /// Sent until the store says that it does not know it (protocol.md section 2: use it, do not depend on it).
    conditional: AtomicBool,
    /// Whether requests travel encrypted, so that the payload need not be hashed a second time for its signature.
    encrypted: bool,
}

impl S3Store {
    /// Prepares the client: credentials from the SDK's default chain, region from the configuration, else from that chain, else
    /// `us-east-1`. Nothing is asked of the bucket yet. Registers the part `s3` in `readiness` and keeps it up to date.
    pub async fn new(config: &S3Config, world: Arc<dyn World>, readiness: &Readiness) -> S3Store {
        readiness.register(PART);
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
        if let Some(region) = &config.region {
            loader = loader.region(Region::new(region.clone()));
        }
        let shared = loader.load().await;
        let region = shared.region().cloned().unwrap_or(Region::from_static("us-east-1"));
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(config.request_timeout)
            .build();
        let mut builder = aws_sdk_s3::config::Builder::from(&shared)
            .region(region.clone())
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            // We send the SHA-256 ourselves; another checksum by default is more than S3-compatible stores understand.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .force_path_style(config.path_style);
        if let Some(endpoint) = &config.endpoint {
            builder = builder.endpoint_url(endpoint);
        }
        S3Store {
            client: Client::from_conf(builder.build()),
            bucket: config.bucket.clone(),
            prefix: config.prefix.clone(),
            region: region.to_string(),
            retry_for: config.retry_for,
            world,
            readiness: readiness.clone(),
            conditional: AtomicBool::new(true),
            encrypted: !config
                .endpoint
                .as_deref()
                .is_some_and(|endpoint| endpoint.starts_with("http://")),
        }
    }

    /// Whether the bucket is there and this user may write, read and delete below the prefix: for `check`. Asked once, not repeated.
    ///
    /// # Errors
    /// What is missing, with a hint.
    pub async fn check(&self) -> Result<()> {
        let head = self.client.head_bucket().bucket(&self.bucket).send().await;
        self.judge("look at the bucket", "head_bucket", Instant::now(), head)?;
        let folder = if self.prefix.is_empty() {
            String::new()
        } else {
            format!("{}/", self.prefix)
        };
        let key = format!("{folder}_check/{}", self.world.uuid());
        let begun = Instant::now();
        let put = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(&key)
            .body(ByteStream::from_static(b"spolt"))
            .send()
            .await;
        self.judge("write an object", "put", begun, put)
            .map_err(|failure| failure.key(&key))?;
        let read = self.get_once(&self.bucket, &key).await?;
        if read.as_deref() != Some(b"spolt") {
            return Err(Failure::stop("an object that was just written reads differently")
                .key(&key)
                .hint("is this store S3?"));
        }
        let begun = Instant::now();
        let deleted = self.client.delete_object().bucket(&self.bucket).key(&key).send().await;
        self.judge("delete an object", "delete", begun, deleted)
            .map_err(|failure| failure.key(&key))?;
        Ok(())
    }

    /// PUT without a condition, repeated like any other: for what is named by a random id, such as manifests.
    ///
    /// # Errors
    /// As [`ObjectStore::put_if_absent`].
    pub async fn put(&self, object: PutObject) -> Result<()> {
        self.repeat(|| self.put_once(&object, false)).await.map(drop)
    }

    async fn put_once(&self, object: &PutObject, conditional: bool) -> Result<Put> {
        let begun = Instant::now();
        let mut request = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(&object.key)
            .content_type(object.content_type)
            .content_length(i64::try_from(object.body.len()).unwrap_or(i64::MAX))
            .checksum_sha256(aws_smithy_types::base64::encode(object.sha256))
            .body(ByteStream::from(object.body.clone()));
        for (name, value) in &object.metadata {
            request = request.metadata(name, value);
        }
        if conditional {
            request = request.if_none_match("*");
        }
        let answer = if self.encrypted {
            request.customize().disable_payload_signing().send().await
        } else {
            request.send().await
        };
        let answer = match answer {
            Err(error) if conditional && verdict(&error).answer == Answer::ConditionUnknown => {
                warn!(
                    key = object.key,
                    "the store does not know conditional writes; objects are put without them"
                );
                self.conditional.store(false, Ordering::Relaxed);
                return Err(Failure::retry("put the object: the store does not know If-None-Match").key(&object.key));
            }
            Err(error) if conditional && verdict(&error).answer == Answer::Existed => {
                self.count("put", "existed", begun);
                self.readiness.ok(PART);
                return Ok(Put::Existed);
            }
            answer => answer,
        };
        self.judge("put the object", "put", begun, answer)
            .map_err(|failure| failure.key(&object.key))?;
        counter!("spolt_s3_put_bytes_total").increment(object.body.len() as u64);
        Ok(Put::Created)
    }

    async fn get_once(&self, bucket: &str, key: &str) -> Result<Option<Bytes>> {
        let begun = Instant::now();
        let answer = match self.client.get_object().bucket(bucket).key(key).send().await {
            Err(error) if verdict(&error).answer == Answer::NoSuchKey => {
                self.count("get", "absent", begun);
                self.readiness.ok(PART);
                return Ok(None);
            }
            answer => answer,
        };
        let found = self
            .judge("get the object", "get", begun, answer)
            .map_err(|failure| failure.key(key))?;
        let whole = found.body.collect().await;
        whole
            .map(|body| Some(body.into_bytes()))
            .map_err(|error| Failure::retry(format!("get the object: {}", causes(&error))).key(key))
    }

    async fn head_once(&self, key: &str) -> Result<Option<Head>> {
        let begun = Instant::now();
        let request = self.client.head_object().bucket(&self.bucket).key(key);
        let answer = match request.send().await {
            // An answer to HEAD has no body and so no code.
            Err(error) if is_not_found(&error) => {
                self.count("head", "absent", begun);
                self.readiness.ok(PART);
                return Ok(None);
            }
            answer => answer,
        };
        let found = self
            .judge("look at the object", "head", begun, answer)
            .map_err(|failure| failure.key(key))?;
        Ok(Some(Head {
            bytes: size(found.content_length()),
            modified_ms: millis(found.last_modified()),
            metadata: found.metadata.into_iter().flatten().collect(),
        }))
    }

    async fn list_once(&self, prefix: &str, after: Option<&str>) -> Result<Listing> {
        let begun = Instant::now();
        let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix);
        let answer = request.set_start_after(after.map(str::to_owned)).send().await;
        let page = self
            .judge("list objects", "list", begun, answer)
            .map_err(|failure| failure.key(prefix))?;
        let more = page.is_truncated().unwrap_or(false);
        let listed = |object: aws_sdk_s3::types::Object| {
            let (bytes, modified_ms) = (size(object.size()), millis(object.last_modified()));
            object.key.map(|key| Listed {
                key,
                bytes,
                modified_ms,
            })
        };
        Ok(Listing {
            objects: page.contents.into_iter().flatten().filter_map(listed).collect(),
            more,
        })
    }

    async fn delete_once(&self, keys: &[String]) -> Result<Vec<Undeleted>> {
        let begun = Instant::now();
        let identifiers = keys
            .iter()
            .map(|key| ObjectIdentifier::builder().key(key).build())
            .collect::<std::result::Result<Vec<_>, _>>();
        let request =
            identifiers.and_then(|identifiers| Delete::builder().set_objects(Some(identifiers)).quiet(true).build());
        let request = request.map_err(|error| Failure::stop(format!("delete objects: {error}")))?;
        let answer = self
            .client
            .delete_objects()
            .bucket(&self.bucket)
            .delete(request)
            .send()
            .await;
        let done = self.judge("delete objects", "delete", begun, answer)?;
        let refused = done.errors.into_iter().flatten();
        Ok(refused
            .filter(|error| error.code() != Some("NoSuchKey"))
            .map(|error| Undeleted {
                reason: format!(
                    "{}: {}",
                    error.code().unwrap_or_default(),
                    error.message().unwrap_or_default()
                ),
                key: error.key.unwrap_or_default(),
            })
            .collect())
    }

    async fn repeat<T, F: Future<Output = Result<T>>>(&self, attempt: impl FnMut() -> F) -> Result<T> {
        REQUESTS.repeat(&*self.world, self.retry_for, attempt).await
    }

    fn judge<T, E>(
        &self,
        doing: &str,
        operation: &'static str,
        begun: Instant,
        answer: std::result::Result<T, SdkError<E>>,
    ) -> Result<T>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        match answer {
            Ok(done) => {
                self.count(operation, "ok", begun);
                self.readiness.ok(PART);
                Ok(done)
            }
            Err(error) => {
                let verdict = verdict(&error);
                self.count(operation, verdict.label(), begun);
                let failure = verdict.failure(doing, &self.bucket, &self.region);
                self.readiness.failing(PART, &failure.message);
                Err(failure)
            }
        }
    }

    fn count(&self, operation: &'static str, result: &'static str, begun: Instant) {
        counter!("spolt_s3_requests_total", "operation" => operation, "result" => result).increment(1);
        histogram!("spolt_s3_request_duration_seconds", "operation" => operation).record(begun.elapsed().as_secs_f64());
    }
}

fn is_not_found<E>(error: &SdkError<E>) -> bool {
    error
        .raw_response()
        .is_some_and(|response| response.status().as_u16() == 404)
}

fn size(length: Option<i64>) -> u64 {
    length.and_then(|length| u64::try_from(length).ok()).unwrap_or(0)
}

/// A time that the store does not tell counts as now-or-later: nothing is taken for old.
fn millis(time: Option<&aws_sdk_s3::primitives::DateTime>) -> i64 {
    time.and_then(|time| time.to_millis().ok()).unwrap_or(i64::MAX)
}

#[async_trait]
impl ObjectStore for S3Store {
    async fn put_if_absent(&self, object: PutObject) -> Result<Put> {
        let conditional = || self.conditional.load(Ordering::Relaxed) && !Mutant::KeyByFirstOffset.is_on();
        self.repeat(|| self.put_once(&object, conditional())).await
    }

    async fn get(&self, bucket: &str, key: &str) -> Result<Option<Bytes>> {
        self.repeat(|| self.get_once(bucket, key)).await
    }

    async fn head(&self, key: &str) -> Result<Option<Head>> {
        self.repeat(|| self.head_once(key)).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Listing> {
        self.repeat(|| self.list_once(prefix, after)).await
    }

    async fn delete(&self, keys: &[String]) -> Result<Vec<Undeleted>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.repeat(|| self.delete_once(keys)).await
    }

    fn bucket(&self) -> &str {
        &self.bucket
    }

    fn region(&self) -> &str {
        &self.region
    }
}
