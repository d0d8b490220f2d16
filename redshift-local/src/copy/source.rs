//! Objects from S3: which ones, and their bytes while the ones before them are still being read.

use std::io;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::mpsc;

use super::manifest::{self, Entry};
use crate::sql::copy_statement::CopyStatement;
use crate::sql::refusal::Refusal;

/// Objects whose answers are awaited at once; more would only wait for the one thread that reads rows.
const OBJECTS_AHEAD_MAX: usize = 4;
/// Chunks of one object kept in memory; the SDK's chunks are some tens of KiB, so this is about a MiB.
const CHUNKS_AHEAD_MAX: usize = 32;
/// Largest manifest: an entry is about 200 bytes, so some 300,000 files.
const MANIFEST_BYTES_MAX: i64 = 64 * 1024 * 1024;

/// Why objects cannot be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SourceError {
    /// A mandatory file is missing.
    #[error("Mandatory url is not present in manifest file.")]
    Mandatory {
        /// Its address.
        url: String,
    },
    /// No file exists at all.
    #[error("The specified S3 prefix '{prefix}' does not exist")]
    Nothing {
        /// What was looked for.
        prefix: String,
    },
    /// S3 answered with an error.
    #[error("S3ServiceException:{message},Status {status},Error {code}")]
    Service {
        /// Address of the object.
        url: String,
        /// S3's error code.
        code: String,
        /// Its text.
        message: String,
        /// HTTP status.
        status: u16,
    },
    /// The bytes broke off or cannot be decompressed.
    #[error("failed to read '{url}': {reason}")]
    Unreadable {
        /// Address of the object.
        url: String,
        /// What the decoder said.
        reason: String,
    },
}

impl SourceError {
    /// As the client sees it.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        let refusal = Refusal::new("XX000", self.to_string());
        match self {
            Self::Mandatory { url } | Self::Service { url, .. } => refusal.with_detail(format!("url: {url}")),
            Self::Nothing { .. } | Self::Unreadable { .. } => refusal,
        }
    }
}

/// An object that is being fetched.
#[derive(Debug)]
pub struct Object {
    /// Its address.
    pub url: String,
    /// Its bytes as they come.
    pub chunks: mpsc::Receiver<io::Result<Bytes>>,
}

async fn get(client: &Client, bucket: &str, key: &str) -> Result<GetObjectOutput, SourceError> {
    client
        .get_object()
        .bucket(bucket)
        .key(key)
        .send()
        .await
        .map_err(|error| {
            let status = error.raw_response().map_or(0, |response| response.status().as_u16());
            let url = format!("s3://{bucket}/{key}");
            let error = error.into_service_error();
            SourceError::Service {
                url,
                code: error.code().unwrap_or("Unknown").to_owned(),
                message: error.message().map_or_else(|| error.to_string(), str::to_owned),
                status,
            }
        })
}

/// The files a COPY names: by manifest, or all whose key has the prefix.
///
/// # Errors
/// The manifest or the listing cannot be had, or names nothing.
pub async fn entries(client: &Client, copy: &CopyStatement) -> Result<Vec<Entry>, Refusal> {
    let url = format!("s3://{}/{}", copy.bucket, copy.key);
    if copy.manifest {
        let answer = get(client, &copy.bucket, &copy.key)
            .await
            .map_err(|error| error.refusal())?;
        if answer.content_length().unwrap_or(0) > MANIFEST_BYTES_MAX {
            return Err(Refusal::not_emulated(format!(
                "manifest over {MANIFEST_BYTES_MAX} bytes"
            )));
        }
        let body = answer.body.collect().await.map_err(|error| {
            SourceError::Unreadable {
                url: url.clone(),
                reason: error.to_string(),
            }
            .refusal()
        })?;
        return manifest::parse(&body.into_bytes());
    }
    let mut pages = client
        .list_objects_v2()
        .bucket(&copy.bucket)
        .prefix(&copy.key)
        .into_paginator()
        .send();
    let mut entries = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| {
            let status = error.raw_response().map_or(0, |response| response.status().as_u16());
            let error = error.into_service_error();
            SourceError::Service {
                url: url.clone(),
                code: error.code().unwrap_or("Unknown").to_owned(),
                message: error.message().unwrap_or("listing failed").to_owned(),
                status,
            }
            .refusal()
        })?;
        entries.extend(
            page.contents()
                .iter()
                .filter_map(|object| object.key())
                .map(|key| Entry {
                    url: format!("s3://{}/{key}", copy.bucket),
                    bucket: copy.bucket.clone(),
                    key: key.to_owned(),
                    mandatory: true,
                }),
        );
    }
    if entries.is_empty() {
        Err(SourceError::Nothing { prefix: url }.refusal())
    } else {
        Ok(entries)
    }
}

/// Starts fetching the files in order, a few ahead of the reader. Files that are missing and not mandatory are left out.
#[must_use]
pub fn fetch(client: Client, entries: Vec<Entry>) -> mpsc::Receiver<Result<Object, SourceError>> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let named: Vec<_> = entries.iter().map(|entry| entry.url.clone()).collect();
        let mut answers =
            futures::stream::iter(entries.into_iter().map(|entry| open(&client, entry))).buffered(OBJECTS_AHEAD_MAX);
        let mut found = 0;
        loop {
            // Without this a reader that stopped early would leave the remaining objects to be fetched for nobody.
            let answer = tokio::select! { answer = answers.next() => answer, () = sender.closed() => return };
            let Some(answer) = answer else { break };
            let Some(answer) = answer.transpose() else { continue };
            found += 1;
            if sender.send(answer).await.is_err() {
                return;
            }
        }
        if found == 0 {
            let prefix = named.first().cloned().unwrap_or_default();
            let _ = sender.send(Err(SourceError::Nothing { prefix })).await;
        }
    });
    receiver
}

async fn open(client: &Client, entry: Entry) -> Result<Option<Object>, SourceError> {
    let mut answer = match get(client, &entry.bucket, &entry.key).await {
        Ok(answer) => answer,
        Err(SourceError::Service { code, .. }) if code == "NoSuchKey" => {
            return if entry.mandatory {
                Err(SourceError::Mandatory { url: entry.url })
            } else {
                Ok(None)
            };
        }
        Err(error) => return Err(error),
    };
    let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD_MAX);
    tokio::spawn(async move {
        while let Some(chunk) = answer.body.next().await {
            let chunk = chunk.map_err(io::Error::other);
            let is_broken = chunk.is_err();
            if sender.send(chunk).await.is_err() || is_broken {
                return;
            }
        }
    });
    Ok(Some(Object { url: entry.url, chunks }))
}
