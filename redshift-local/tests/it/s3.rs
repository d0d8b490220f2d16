//! As much of S3 as COPY needs, in memory: put, get and list, path style.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};

type Objects = Arc<Mutex<BTreeMap<String, BTreeMap<String, Bytes>>>>;

/// Serves on a free port for as long as the runtime lives.
pub(crate) async fn serve() -> String {
    let objects = Objects::default();
    let router = Router::new()
        .route("/{bucket}", put(make).get(list))
        .route("/{bucket}/", put(make).get(list))
        .route("/{bucket}/{*key}", get(fetch).put(store))
        .with_state(objects);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router.layer(axum::extract::DefaultBodyLimit::disable())).await });
    format!("http://{address}")
}

fn error(status: StatusCode, code: &str, message: &str) -> Response {
    (
        status,
        [(header::CONTENT_TYPE, "application/xml")],
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"),
    )
        .into_response()
}

async fn make(State(objects): State<Objects>, Path(bucket): Path<String>) {
    objects.lock().unwrap().entry(bucket).or_default();
}

async fn store(State(objects): State<Objects>, Path((bucket, key)): Path<(String, String)>, body: Bytes) {
    objects.lock().unwrap().entry(bucket).or_default().insert(key, body);
}

async fn fetch(State(objects): State<Objects>, Path((bucket, key)): Path<(String, String)>) -> Response {
    match objects.lock().unwrap().get(&bucket) {
        None => error(
            StatusCode::NOT_FOUND,
            "NoSuchBucket",
            "The specified bucket does not exist",
        ),
        Some(keys) => match keys.get(&key) {
            None => error(StatusCode::NOT_FOUND, "NoSuchKey", "The specified key does not exist."),
            Some(bytes) => bytes.clone().into_response(),
        },
    }
}

async fn list(State(objects): State<Objects>, Path(bucket): Path<String>, RawQuery(query): RawQuery) -> Response {
    // Keys in these tests need no percent-encoding but for the slash.
    let query = query.unwrap_or_default();
    let prefix = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("prefix="))
        .unwrap_or_default()
        .replace("%2F", "/");
    let held = objects.lock().unwrap();
    let Some(keys) = held.get(&bucket) else {
        return error(
            StatusCode::NOT_FOUND,
            "NoSuchBucket",
            "The specified bucket does not exist",
        );
    };
    let contents: String = keys
        .iter()
        .filter(|(key, _)| key.starts_with(&prefix))
        .map(|(key, bytes)| format!("<Contents><Key>{key}</Key><Size>{}</Size></Contents>", bytes.len()))
        .collect();
    let body = format!(
        "<?xml version=\"1.0\"?><ListBucketResult><Name>{bucket}</Name><Prefix>{prefix}</Prefix><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"
    );
    ([(header::CONTENT_TYPE, "application/xml")], body).into_response()
}
