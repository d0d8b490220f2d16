//! The bucket: what is real S3's behaviour as LocalStack has it, and what only a misbehaving store shows.

use std::time::{Duration, Instant};

use bytes::Bytes;
use common::failure::Class;
use runtime::config::S3Config;
use runtime::port::{ObjectStore as _, Put, PutObject};
use runtime::s3::S3Store;
use sha2::{Digest as _, Sha256};
use wiremock::matchers::{header, header_exists, method};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::{fresh, s3_config, store};

fn object(key: &str, content: &'static str) -> PutObject {
    PutObject {
        key: key.to_owned(),
        body: Bytes::from_static(content.as_bytes()),
        sha256: Sha256::digest(content).into(),
        content_type: "text/csv",
        metadata: vec![("spolt-claim".to_owned(), "{\"v\":1}".to_owned())],
    }
}

async fn create_bucket() -> String {
    let bucket = fresh("bucket");
    let url = format!("{}/{bucket}", super::address("SPOLT_S3_ENDPOINT"));
    let created = reqwest::Client::new().put(url).send().await.unwrap();
    assert!(created.status().is_success(), "{created:?}");
    bucket
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_created_once_and_read_back() {
    let bucket = create_bucket().await;
    let store = store(&s3_config(&bucket)).await;
    store.check().await.unwrap();
    assert_eq!(store.put_if_absent(object("a/b", "one")).await.unwrap(), Put::Created);
    assert_eq!(store.put_if_absent(object("a/b", "two")).await.unwrap(), Put::Existed);
    assert_eq!(
        store.get(&bucket, "a/b").await.unwrap().as_deref(),
        Some(b"one".as_slice())
    );
    store.put(object("a/b", "three")).await.unwrap();
    assert_eq!(
        store.get(&bucket, "a/b").await.unwrap().as_deref(),
        Some(b"three".as_slice())
    );
    assert_eq!(store.get(&bucket, "a/c").await.unwrap(), None);
    assert_eq!((store.bucket(), store.region()), (bucket.as_str(), "us-east-1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_stops_with_a_hint() {
    let store = store(&s3_config(&fresh("missing"))).await;
    for failure in [
        store.check().await.unwrap_err(),
        store.put_if_absent(object("k", "v")).await.unwrap_err(),
        store.get(store.bucket(), "k").await.unwrap_err(),
    ] {
        assert_eq!(failure.class, Class::Stop, "{failure}");
        assert!(failure.hint.as_deref().unwrap().contains("s3.bucket"), "{failure}");
    }
}

/// A store that answers as told, first to last; the last answer stays.
async fn telling(answers: Vec<ResponseTemplate>) -> (MockServer, S3Store) {
    let server = MockServer::start().await;
    let last = answers.len() - 1;
    for (number, answer) in answers.into_iter().enumerate() {
        let mut mock = Mock::given(method("PUT"))
            .and(header_exists("x-amz-checksum-sha256"))
            .respond_with(answer);
        if number < last {
            mock = mock.up_to_n_times(1);
        }
        mock.mount(&server).await;
    }
    let config = S3Config {
        endpoint: Some(server.uri()),
        request_timeout: Duration::from_millis(500),
        retry_for: Duration::from_secs(3),
        ..s3_config("bucket")
    };
    let store = store(&config).await;
    (server, store)
}

fn error(status: u16, code: &str) -> ResponseTemplate {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>told to</Message></Error>");
    ResponseTemplate::new(status).set_body_raw(body, "application/xml")
}

fn ok() -> ResponseTemplate {
    ResponseTemplate::new(200).insert_header("etag", "\"x\"")
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_conflicts_and_time_outs_are_the_same_put_again() {
    let answers = vec![
        error(503, "SlowDown"),
        error(409, "ConditionalRequestConflict"),
        error(500, "InternalError"),
        ok().set_delay(Duration::from_secs(5)),
        ok(),
    ];
    let (server, store) = telling(answers).await;
    assert_eq!(store.put_if_absent(object("k", "v")).await.unwrap(), Put::Created);
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests.len(), 5);
    let condition = |request: &Request| request.headers.get("if-none-match").is_some_and(|value| value == "*");
    assert!(requests.iter().all(condition), "every one of them is conditional");
    assert!(requests.iter().all(|request| request.body == b"v"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_stays_away_is_given_up_in_time() {
    let (_server, store) = telling(vec![error(503, "SlowDown")]).await;
    let begun = Instant::now();
    let failure = store.put_if_absent(object("k", "v")).await.unwrap_err();
    assert_eq!(failure.class, Class::Retry, "{failure}");
    assert!(
        failure.message.contains("SlowDown") && failure.at.key.as_deref() == Some("k"),
        "{failure}"
    );
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_stop_at_once_with_what_to_do() {
    for (answer, hint) in [
        (error(403, "AccessDenied"), "s3:PutObject"),
        (error(403, "SignatureDoesNotMatch"), "credentials"),
        (error(404, "NoSuchBucket"), "create the bucket"),
        (
            error(301, "PermanentRedirect").insert_header("x-amz-bucket-region", "eu-north-1"),
            "eu-north-1",
        ),
    ] {
        let (server, store) = telling(vec![answer]).await;
        let failure = store.put_if_absent(object("k", "v")).await.unwrap_err();
        assert_eq!(failure.class, Class::Stop, "{failure}");
        assert!(failure.hint.as_deref().unwrap().contains(hint), "{failure}");
        assert_eq!(server.received_requests().await.unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_conditional_writes_is_written_without() {
    let server = MockServer::start().await;
    Mock::given(header("if-none-match", "*"))
        .respond_with(error(501, "NotImplemented"))
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(method("PUT"))
        .respond_with(ok())
        .with_priority(10)
        .expect(2)
        .mount(&server)
        .await;
    let store = store(&S3Config {
        endpoint: Some(server.uri()),
        ..s3_config("bucket")
    })
    .await;
    for key in ["k", "l"] {
        assert_eq!(store.put_if_absent(object(key, "v")).await.unwrap(), Put::Created);
    }
    server.verify().await;
}
