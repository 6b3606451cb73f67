//! `/healthz` and `/readyz`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::{Background, Shared};

/// `GET /healthz`: the process answers.
pub(crate) async fn alive() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// `GET /readyz`: it can do its work, or what it lacks.
pub(crate) async fn ready(State(shared): State<Shared>) -> (StatusCode, Json<Value>) {
    let store = shared.store().ping().await.is_ok();
    let matchmaking = *shared.background.borrow() == Background::Running;
    let missing: Vec<&str> = [("store", store), ("matchmaking", matchmaking)]
        .into_iter()
        .filter_map(|(name, ready)| (!ready).then_some(name))
        .collect();
    let (status, word) = if missing.is_empty() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    (status, Json(json!({ "status": word, "missing": missing })))
}
