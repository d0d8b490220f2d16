//! The admin port: faults and sessions as JSON.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::faults::{FAULTS_MAX, Fault};
use crate::shared::Shared;

/// The routes.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(list))
        .route("/healthz", get(healthz))
        .route("/faults", post(add).delete(clear))
        .with_state(shared)
}

async fn list(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!({ "faults": shared.faults.list(), "sessions": shared.sessions() }))
}

async fn healthz(State(shared): State<Arc<Shared>>) -> (StatusCode, Json<Value>) {
    match shared.catalog.execute("SELECT 1").await {
        Ok(()) => (StatusCode::OK, Json(json!({ "status": "ok" }))),
        Err(error) => (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(json!({ "status": "postgresql away", "reason": format!("{error:#}") })),
        ),
    }
}

async fn add(State(shared): State<Arc<Shared>>, body: Json<Fault>) -> (StatusCode, Json<Value>) {
    let Json(fault) = body;
    if shared.faults.add(fault) {
        (StatusCode::CREATED, Json(json!({ "faults": shared.faults.list() })))
    } else {
        (
            StatusCode::BAD_REQUEST,
            Json(json!({ "error": format!("count has to be at least 1 and at most {FAULTS_MAX} faults may wait") })),
        )
    }
}

async fn clear(State(shared): State<Arc<Shared>>) -> Json<Value> {
    shared.faults.clear();
    Json(json!({ "faults": [] }))
}
