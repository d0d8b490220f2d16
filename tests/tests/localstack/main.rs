//! The bucket port against LocalStack, and against LocalStack behind a proxy that misbehaves.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod proxy;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::failure::Class;
use futures::StreamExt as _;
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

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_listed_page_by_page_looked_at_and_deleted() {
    let parts = Parts::from_env();
    let bucket = bucket(&parts).await;
    let store = Arc::new(store(&parts.s3, &bucket).await);
    let puts = (0..1_003).map(|number| {
        let store = store.clone();
        async move {
            store
                .put_if_absent(object(&format!("p/t/{number:04}"), "content"))
                .await
        }
    });
    for result in futures::stream::iter(puts)
        .buffer_unordered(32)
        .collect::<Vec<_>>()
        .await
    {
        assert_eq!(result, Ok(Put::Created));
    }
    store.put_if_absent(object("p/tt/0000", "other topic")).await.unwrap();

    let first = store.list("p/t/", None).await.unwrap();
    assert_eq!((first.objects.len(), first.more), (1_000, true));
    let last = first.objects.last().unwrap().key.clone();
    let second = store.list("p/t/", Some(&last)).await.unwrap();
    assert_eq!((second.objects.len(), second.more), (3, false));
    let all: Vec<String> = first
        .objects
        .iter()
        .chain(&second.objects)
        .map(|listed| listed.key.clone())
        .collect();
    let expected: Vec<String> = (0..1_003).map(|number| format!("p/t/{number:04}")).collect();
    assert_eq!(all, expected);

    let head = store.head("p/t/0007").await.unwrap().unwrap();
    assert_eq!((head.bytes, head.metadata["spolt-claim"].as_str()), (7, r#"{"v":1}"#));
    assert_eq!(head.modified_ms / 1_000, first.objects[7].modified_ms / 1_000);
    assert_eq!(store.head("p/t/none").await, Ok(None));

    // What is not there counts as deleted; what was not named stays.
    let named: Vec<String> = all[..999].iter().cloned().chain(["p/t/none".to_owned()]).collect();
    assert_eq!(store.delete(&named).await, Ok(Vec::new()));
    assert_eq!(store.delete(&[]).await, Ok(Vec::new()));
    let left = store.list("p/", None).await.unwrap();
    let left: Vec<&str> = left.objects.iter().map(|listed| listed.key.as_str()).collect();
    assert_eq!(left, ["p/t/0999", "p/t/1000", "p/t/1001", "p/t/1002", "p/tt/0000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn listing_looking_and_deleting_are_repeated_like_a_put() {
    let parts = Parts::from_env();
    let bucket = bucket(&parts).await;
    let proxy = Proxy::start(&parts.s3).await;
    let store = store(&proxy.url, &bucket).await;
    store.put_if_absent(object("p/a", "content")).await.unwrap();
    let troubles = || vec![Fault::Status(503), Fault::Silence];
    proxy.plan(troubles());
    assert!(
        store
            .head("p/a")
            .await
            .unwrap()
            .unwrap()
            .metadata
            .contains_key("spolt-claim")
    );
    proxy.plan(troubles());
    assert_eq!(store.list("p/", None).await.unwrap().objects.len(), 1);
    // The second request deletes what the first, whose answer was lost, has deleted already.
    proxy.plan(vec![Fault::Status(500), Fault::AnswerLost]);
    assert_eq!(store.delete(&["p/a".to_owned()]).await, Ok(Vec::new()));
    assert_eq!(store.head("p/a").await, Ok(None));
    assert_eq!(proxy.requests(), 3 + 1);
}
