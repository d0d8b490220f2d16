//! /metrics, /healthz, /readyz and /state.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use common::failure::Failure;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::readiness::Readiness;

/// Buckets of every histogram in seconds: from a local round trip to a bad night.
const SECONDS: [f64; 16] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0,
];

/// Gives the document of /state.
pub type StateSource = Arc<dyn Fn() -> serde_json::Value + Send + Sync>;

#[derive(Clone)]
struct Shared {
    metrics: PrometheusHandle,
    readiness: Readiness,
    state: StateSource,
}

/// A server that was bound and serves until stopped.
pub struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Binds the address, which is done before any work starts, and serves.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(address: SocketAddr, readiness: Readiness, state: StateSource) -> Result<Server, Failure> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::stop(format!("listen on `{address}`: {error}"))
            .hint("choose another `http` address, or port 0 for any that is free")
    })?;
    let address = listener
        .local_addr()
        .map_err(|error| Failure::stop(format!("listen on `{address}`: {error}")))?;
    let shared = Shared {
        metrics: recorder()?,
        readiness,
        state,
    };
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/state", get(state_document))
        .with_state(shared.clone());
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let task = tokio::spawn(async move {
        let upkeep = async {
            let mut tick = tokio::time::interval(std::time::Duration::from_secs(5));
            loop {
                tick.tick().await;
                shared.metrics.run_upkeep();
            }
        };
        tokio::select! {
            served = async { axum::serve(listener, router).await } => {
                if let Err(error) = served {
                    tracing::error!(%error, "the HTTP server has ended");
                }
            }
            () = upkeep => {}
            () = stopped => {}
        }
    });
    info!(%address, "http listens");
    Ok(Server { address, stop, task })
}

impl Server {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops serving.
    pub async fn stop(self) {
        self.stop.cancel();
        let _ = self.task.await;
    }
}

/// The recorder of this process; made once, since tests start several servers in one process.
fn recorder() -> Result<PrometheusHandle, Failure> {
    static RECORDER: OnceLock<Result<PrometheusHandle, String>> = OnceLock::new();
    let made = RECORDER.get_or_init(|| {
        PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
            .and_then(PrometheusBuilder::install_recorder)
            .map_err(|error| error.to_string())
    });
    made.clone()
        .map_err(|error| Failure::stop(format!("install the metrics recorder: {error}")))
}

async fn metrics(State(shared): State<Shared>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        shared.metrics.render(),
    )
}

async fn readyz(State(shared): State<Shared>) -> impl IntoResponse {
    let not_ready = shared.readiness.not_ready();
    let status = if not_ready.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        axum::Json(serde_json::json!({ "ready": not_ready.is_empty(), "not_ready": not_ready })),
    )
}

async fn state_document(State(shared): State<Shared>) -> impl IntoResponse {
    axum::Json((shared.state)())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(server: &Server, path: &str) -> (u16, String) {
        let response = reqwest::get(format!("http://{}{path}", server.address()))
            .await
            .unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    #[tokio::test]
    async fn it_tells_what_is_ready_and_why_not() {
        let readiness = Readiness::default();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let server = serve(any, readiness.clone(), Arc::new(|| serde_json::json!({"lineages": []})))
            .await
            .unwrap();
        assert_eq!(get(&server, "/healthz").await, (200, "ok\n".into()));
        readiness.register("kafka");
        assert_eq!(get(&server, "/readyz").await.0, 503);
        readiness.ok("kafka");
        assert_eq!(get(&server, "/readyz").await.0, 200);
        readiness.failing("s3", "503 SlowDown");
        let (status, text) = get(&server, "/readyz").await;
        assert!(status == 503 && text.contains("SlowDown"), "{text}");
        assert_eq!(get(&server, "/state").await, (200, r#"{"lineages":[]}"#.into()));
        ::metrics::counter!("test_total").increment(3);
        assert!(get(&server, "/metrics").await.1.contains("test_total 3"));
        assert!(
            serve(server.address(), readiness, Arc::new(|| serde_json::Value::Null))
                .await
                .is_err()
        );
        server.stop().await;
    }
}
