//! S3: PUT is atomic, what was put is read at once, and a request may be refused, unanswered, or land when nobody waits for it any more.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use common::failure::Failure;
use common::mutant::Mutant;
use runtime::port::{Head, Listed, Listing, ObjectStore, Put, PutObject, Result, Undeleted};

use super::answered;
use crate::schedule::Point;
use crate::world::{EPOCH_MS, Port, Reply, State};

/// Name of the bucket.
pub const BUCKET: &str = "lake";
/// Its region.
pub const REGION: &str = "eu-central-1";
/// How often the same PUT is sent before the client gives up.
const ATTEMPTS: u32 = 3;

/// Objects of one page of a listing: few, so that pages are turned.
const PAGE: usize = 20;

#[derive(Debug)]
struct Object {
    body: Bytes,
    metadata: BTreeMap<String, String>,
    modified_ms: i64,
}

/// The objects.
#[derive(Debug, Default)]
pub struct Bucket {
    objects: BTreeMap<String, Object>,
    /// When each was put first: a PUT that lands once more after a deletion makes it no younger.
    first_ms: BTreeMap<String, i64>,
}

impl Bucket {
    /// Content of an object.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Bytes> {
        self.objects.get(key).map(|object| &object.body)
    }

    /// Removes an object.
    pub fn delete(&mut self, key: &str) {
        self.objects.remove(key);
    }

    fn list(&self, prefix: &str, after: Option<&str>) -> Listing {
        let behind = self.objects.range(after.unwrap_or(prefix).to_owned()..);
        let wanted = behind.filter(|(key, _)| key.starts_with(prefix) && Some(key.as_str()) != after);
        let listed = |(key, object): (&String, &Object)| Listed {
            key: key.clone(),
            bytes: object.body.len() as u64,
            modified_ms: object.modified_ms,
        };
        let mut objects: Vec<Listed> = wanted.take(PAGE + 1).map(listed).collect();
        let more = objects.len() > PAGE;
        objects.truncate(PAGE);
        Listing { objects, more }
    }
}

fn put(state: &mut State, object: PutObject, by: &str) -> Put {
    // M1 is a PUT without If-None-Match.
    if state.bucket.objects.contains_key(&object.key) && !Mutant::KeyByFirstOffset.is_on() {
        state.note(format_args!("s3 has {} already, for {by}", object.key));
        return Put::Existed;
    }
    state.note(format_args!("s3 takes {} from {by}", object.key));
    let kept = Object {
        body: object.body,
        metadata: object.metadata.into_iter().collect(),
        modified_ms: EPOCH_MS + i64::try_from(state.now).unwrap_or(0),
    };
    state
        .bucket
        .first_ms
        .entry(object.key.clone())
        .or_insert(kept.modified_ms);
    state.bucket.objects.insert(object.key, kept);
    Put::Created
}

#[async_trait]
impl ObjectStore for Port {
    async fn put_if_absent(&self, object: PutObject) -> Result<Put> {
        for attempt in 1..=ATTEMPTS {
            let (same, by) = (object.clone(), self.name.clone());
            if let Reply::Answer(done) = self.send(Point::Put, move |state| put(state, same, &by)).await {
                return Ok(done);
            }
            tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
        }
        Err(Failure::retry("put an object: no answer").key(object.key))
    }

    async fn get(&self, _: &str, key: &str) -> Result<Option<Bytes>> {
        let wanted = key.to_owned();
        let reply = self.send(Point::Get, move |state| state.bucket.get(&wanted).cloned());
        answered(reply.await, "get an object")
    }

    async fn head(&self, key: &str) -> Result<Option<Head>> {
        let wanted = key.to_owned();
        let reply = self.send(Point::Get, move |state| {
            let object = state.bucket.objects.get(&wanted)?;
            Some(Head {
                bytes: object.body.len() as u64,
                modified_ms: object.modified_ms,
                metadata: object.metadata.clone(),
            })
        });
        answered(reply.await, "ask for an object")
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Listing> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        let reply = self.send(Point::Get, move |state| state.bucket.list(&prefix, after.as_deref()));
        answered(reply.await, "list objects")
    }

    async fn delete(&self, keys: &[String]) -> Result<Vec<Undeleted>> {
        let (keys, by) = (keys.to_vec(), self.name.clone());
        let honest = self.skew.load(std::sync::atomic::Ordering::Relaxed) == 0;
        let reply = self.send(Point::Delete, move |state| {
            for key in keys {
                let Some(object) = state.bucket.objects.remove(&key) else {
                    continue;
                };
                state.note(format_args!("s3 deletes {key} for {by}"));
                // Whose clock is wrong knows no age.
                let first_ms = state.bucket.first_ms.get(&key).copied().unwrap_or(object.modified_ms);
                crate::judge::deleted(state, &key, &object.body, honest.then_some(first_ms));
            }
        });
        answered(reply.await, "delete objects").map(|()| Vec::new())
    }

    fn bucket(&self) -> &str {
        BUCKET
    }

    fn region(&self) -> &str {
        REGION
    }
}
