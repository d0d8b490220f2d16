//! The object store.

use anyhow::{Result, anyhow};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::{DisplayErrorContext, SdkError};

use crate::addresses::{LOCAL_ACCESS_KEY, LOCAL_REGION};

/// A store with S3's interface.
#[derive(Debug, Clone)]
pub struct S3 {
    client: Client,
}

impl S3 {
    /// The local store at `endpoint`, with path-style addresses and its test credentials.
    #[must_use]
    pub fn local(endpoint: &str) -> Self {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(endpoint)
            .region(Region::new(LOCAL_REGION))
            .credentials_provider(Credentials::new(
                LOCAL_ACCESS_KEY,
                LOCAL_ACCESS_KEY,
                None,
                None,
                "devstack",
            ))
            .force_path_style(true)
            .build();
        Self {
            client: Client::from_conf(config),
        }
    }

    /// The store at `endpoint` with the credentials and region of the environment (the SDK's default chain).
    pub async fn from_chain(endpoint: &str) -> Self {
        let shared = aws_config::defaults(BehaviorVersion::latest())
            .endpoint_url(endpoint)
            .load()
            .await;
        let config = aws_sdk_s3::config::Builder::from(&shared)
            .force_path_style(true)
            .build();
        Self {
            client: Client::from_conf(config),
        }
    }

    /// The SDK's client, for what is not here.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Names of the buckets.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn buckets(&self) -> Result<Vec<String>> {
        let answer = self
            .client
            .list_buckets()
            .send()
            .await
            .map_err(|error| explain("list the buckets", &error))?;
        Ok(answer
            .buckets()
            .iter()
            .filter_map(|bucket| bucket.name().map(str::to_owned))
            .collect())
    }

    /// Creates a bucket; one that is ours already is fine.
    ///
    /// # Errors
    /// The store refuses.
    pub async fn create_bucket(&self, name: &str) -> Result<()> {
        match self.client.create_bucket().bucket(name).send().await {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|e| e.is_bucket_already_owned_by_you()) =>
            {
                Ok(())
            }
            Err(error) => Err(explain(&format!("create the bucket `{name}`"), &error)),
        }
    }

    /// Key and size of every object below `prefix`.
    ///
    /// # Errors
    /// The store refuses.
    pub async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<(String, u64)>> {
        let mut pages = self
            .client
            .list_objects_v2()
            .bucket(bucket)
            .prefix(prefix)
            .into_paginator()
            .send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| explain(&format!("list `{bucket}/{prefix}`"), &error))?;
            found.extend(page.contents().iter().filter_map(|object| {
                Some((
                    object.key()?.to_owned(),
                    u64::try_from(object.size().unwrap_or(0)).unwrap_or(0),
                ))
            }));
        }
        Ok(found)
    }

    /// The content of an object.
    ///
    /// # Errors
    /// There is none, or the store refuses.
    pub async fn get(&self, bucket: &str, key: &str) -> Result<Vec<u8>> {
        let answer = self.client.get_object().bucket(bucket).key(key).send().await;
        let answer = answer.map_err(|error| explain(&format!("read `{bucket}/{key}`"), &error))?;
        Ok(answer.body.collect().await?.to_vec())
    }
}

fn explain<E>(what: &str, error: &SdkError<E>) -> anyhow::Error
where
    SdkError<E>: std::error::Error,
{
    anyhow!("cannot {what}: {}", DisplayErrorContext(error))
}
