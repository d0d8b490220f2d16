//! A proxy in front of LocalStack that answers wrongly, late or not at all, as it is told.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};

/// What the proxy does with one request.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// Answers this status without asking LocalStack.
    Status(u16),
    /// Neither asks nor answers.
    Silence,
    /// Asks, and does not answer.
    AnswerLost,
}

#[derive(Default)]
struct Inner {
    upstream: String,
    plan: Mutex<VecDeque<Fault>>,
    requests: AtomicUsize,
    closed: AtomicBool,
    refused: AtomicUsize,
}

/// See the module.
pub struct Proxy {
    inner: Arc<Inner>,
    /// Where it listens.
    pub url: String,
}

impl Proxy {
    /// A proxy without faults.
    pub async fn start(upstream: &str) -> Proxy {
        let inner = Arc::new(Inner {
            upstream: upstream.to_owned(),
            ..Inner::default()
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(inner.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Proxy { inner, url }
    }

    /// The next requests meet these faults, one each.
    pub fn plan(&self, faults: Vec<Fault>) {
        self.inner.requests.store(0, Ordering::SeqCst);
        *self.inner.plan.lock().unwrap() = faults.into();
    }

    /// Requests since the plan was made.
    pub fn requests(&self) -> usize {
        self.inner.requests.load(Ordering::SeqCst)
    }

    /// From now on every request is refused.
    pub fn close(&self) {
        self.inner.closed.store(true, Ordering::SeqCst);
    }

    /// Waits until a few requests were refused.
    pub async fn refused(&self) {
        while self.inner.refused.load(Ordering::SeqCst) < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Serves again.
    pub fn reopen(&self) {
        self.inner.closed.store(false, Ordering::SeqCst);
    }
}

async fn answer(State(inner): State<Arc<Inner>>, request: Request) -> Response<Body> {
    if inner.closed.load(Ordering::SeqCst) {
        inner.refused.fetch_add(1, Ordering::SeqCst);
        return status(StatusCode::BAD_GATEWAY);
    }
    inner.requests.fetch_add(1, Ordering::SeqCst);
    let fault = inner.plan.lock().unwrap().pop_front();
    match fault {
        Some(Fault::Status(code)) => status(StatusCode::from_u16(code).unwrap()),
        Some(Fault::Silence) => std::future::pending().await,
        Some(Fault::AnswerLost) => {
            forward(&inner.upstream, request).await;
            std::future::pending().await
        }
        None => forward(&inner.upstream, request).await,
    }
}

fn status(code: StatusCode) -> Response<Body> {
    Response::builder().status(code).body(Body::empty()).unwrap()
}

async fn forward(upstream: &str, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let body = to_bytes(body, 64 << 20).await.unwrap();
    let sent = reqwest::Client::new()
        .request(parts.method, format!("{upstream}{path}"))
        .headers(parts.headers)
        .body(body)
        .send()
        .await
        .unwrap();
    let mut response = Response::builder().status(sent.status());
    for (name, value) in sent.headers() {
        if name != "transfer-encoding" && name != "content-length" {
            response = response.header(name, value);
        }
    }
    response.body(Body::from(sent.bytes().await.unwrap())).unwrap()
}
