//! `/healthz` and `/readyz` of an authority without an API, in the API's own form.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use gs_store::Store;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

#[derive(Clone)]
struct Health {
    store: Arc<dyn Store>,
    shutdown: CancellationToken,
}

pub(crate) fn router(store: Arc<dyn Store>, shutdown: CancellationToken) -> Router {
    Router::new()
        .route("/healthz", get(async || Json(json!({ "status": "ok" }))))
        .route("/readyz", get(ready))
        .with_state(Health { store, shutdown })
}

/// It can claim and run matches, or what it lacks.
async fn ready(State(health): State<Health>) -> (StatusCode, Json<Value>) {
    let mut missing = health.store.missing().await;
    if health.shutdown.is_cancelled() {
        missing.push("it is shutting down");
    }
    let (status, word) = if missing.is_empty() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    (status, Json(json!({ "status": word, "missing": missing })))
}
