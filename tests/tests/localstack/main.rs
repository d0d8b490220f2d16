//! The bucket port against LocalStack, and against LocalStack behind a proxy that misbehaves.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod proxy;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::failure::Class;
use runtime::config::S3Config;
use runtime::port::{ObjectStore, Put, PutObject};
use runtime::readiness::Readiness;
use runtime::s3::S3Store;
use runtime::world::RealWorld;
use sha2::{Digest, Sha256};
use spolt_tests::parts::Parts;
use spolt_tests::rig::s3_client;

use proxy::{Fault, Proxy};

async fn bucket(parts: &Parts) -> String {
    let name = format!("localstack-{}", uuid::Uuid::new_v4().simple());
    s3_client(&parts.s3).create_bucket().bucket(&name).send().await.unwrap();
    name
}

async fn store(endpoint: &str, bucket: &str) -> S3Store {
    let config = S3Config {
        bucket: bucket.to_owned(),
        prefix: "p".into(),
        region: Some("us-east-1".into()),
        endpoint: Some(endpoint.to_owned()),
        path_style: true,
        request_timeout: Duration::from_millis(1_500),
        retry_for: Duration::from_secs(20),
    };
    S3Store::new(&config, Arc::new(RealWorld), &Readiness::default()).await
}

fn object(key: &str, body: &'static str) -> PutObject {
    PutObject {
        key: key.to_owned(),
        body: Bytes::from_static(body.as_bytes()),
        sha256: Sha256::digest(body).into(),
        content_type: "text/csv",
        metadata: vec![("spolt-claim".into(), r#"{"v":1}"#.into())],
    }
}

async fn content(parts: &Parts, bucket: &str, key: &str) -> (Bytes, Option<String>) {
    let answer = s3_client(&parts.s3)
        .get_object()
        .bucket(bucket)
        .key(key)
        .send()
        .await
        .unwrap();
    let claim = answer
        .metadata()
        .and_then(|metadata| metadata.get("spolt-claim").cloned());
    (answer.body.collect().await.unwrap().into_bytes(), claim)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_created_once_and_never_overwritten() {
    let parts = Parts::from_env();
    let bucket = bucket(&parts).await;
    let store = store(&parts.s3, &bucket).await;
    assert_eq!(store.put_if_absent(object("p/a", "first")).await, Ok(Put::Created));
    assert_eq!(store.put_if_absent(object("p/a", "other")).await, Ok(Put::Existed));
    assert_eq!(
        content(&parts, &bucket, "p/a").await,
        (Bytes::from("first"), Some(r#"{"v":1}"#.into()))
    );
    assert_eq!(store.get(&bucket, "p/a").await, Ok(Some(Bytes::from("first"))));
    assert_eq!(store.get(&bucket, "p/none").await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_down_conflicts_and_silence_are_answered_by_the_same_put_again() {
    let parts = Parts::from_env();
    let bucket = bucket(&parts).await;
    let faults = [
        (
            vec![Fault::Status(503), Fault::Status(503), Fault::Status(500)],
            Put::Created,
        ),
        (vec![Fault::Status(409)], Put::Created),
        (vec![Fault::Silence], Put::Created),
        // The PUT took effect but its answer was lost: the second one finds the object.
        (vec![Fault::AnswerLost], Put::Existed),
        (
            vec![Fault::Status(503), Fault::AnswerLost, Fault::Silence],
            Put::Existed,
        ),
    ];
    for (index, (faults, expected)) in faults.into_iter().enumerate() {
        let proxy = Proxy::start(&parts.s3).await;
        let store = store(&proxy.url, &bucket).await;
        let count = faults.len();
        proxy.plan(faults);
        let key = format!("p/{index}");
        assert_eq!(
            store.put_if_absent(object(&key, "content")).await,
            Ok(expected),
            "{key}"
        );
        assert_eq!(content(&parts, &bucket, &key).await.0, Bytes::from("content"));
        assert_eq!(proxy.requests(), count + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_missing_stops_with_the_reason() {
    let parts = Parts::from_env();
    let store = store(&parts.s3, "no-such-bucket-anywhere").await;
    let failure = store.put_if_absent(object("p/a", "x")).await.unwrap_err();
    assert_eq!(failure.class, Class::Stop);
    let said = failure.to_string();
    assert!(
        said.contains("no-such-bucket-anywhere") && said.contains("hint:"),
        "{said}"
    );
    assert_eq!(store.check().await.unwrap_err().class, Class::Stop);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_away_is_tried_again_until_it_is_back() {
    let parts = Parts::from_env();
    let bucket = bucket(&parts).await;
    let proxy = Proxy::start(&parts.s3).await;
    let store = Arc::new(store(&proxy.url, &bucket).await);
    proxy.close();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.put_if_absent(object("p/late", "content")).await }
    });
    proxy.refused().await;
    proxy.reopen();
    assert_eq!(waiting.await.unwrap(), Ok(Put::Created));
}
