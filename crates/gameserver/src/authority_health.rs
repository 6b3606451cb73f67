//! `/healthz` and `/readyz` of an authority without an API, in the API's own form.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use gs_store::Store;
use livekit_rooms::Rooms;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

#[derive(Clone)]
struct Health {
    store: Arc<dyn Store>,
    rooms: Arc<dyn Rooms>,
    shutdown: CancellationToken,
}

/// `rooms` is the LiveKit server that matches need.
pub(crate) fn router(
    store: Arc<dyn Store>,
    rooms: Arc<dyn Rooms>,
    shutdown: CancellationToken,
) -> Router {
    Router::new()
        .route("/healthz", get(async || Json(json!({ "status": "ok" }))))
        .route("/readyz", get(ready))
        .with_state(Health {
            store,
            rooms,
            shutdown,
        })
}

/// It can claim and run matches, or what it lacks.
async fn ready(State(health): State<Health>) -> (StatusCode, Json<Value>) {
    let ping = tokio::time::timeout(PATIENCE, health.rooms.ping());
    let (mut missing, livekit) = tokio::join!(health.store.missing(), ping);
    if !matches!(livekit, Ok(Ok(()))) {
        missing.push("LiveKit");
    }
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

/// A room service that is well answers in milliseconds, and whoever asks for readiness waits.
const PATIENCE: Duration = Duration::from_secs(1);
