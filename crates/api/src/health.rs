//! `/healthz` and `/readyz`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::openapi::tag;
use crate::{Background, Shared};

/// Is the process alive
#[utoipa::path(get, path = "/healthz", tag = tag::SERVER,
    responses((status = OK, description = "It answers", body = Alive)))]
pub(crate) async fn alive() -> Json<Alive> {
    Json(Alive { status: "ok" })
}

/// Can the server do its work
#[utoipa::path(get, path = "/readyz", tag = tag::SERVER,
    responses(
        (status = OK, description = "It can", body = Readiness),
        (status = SERVICE_UNAVAILABLE, description = "It lacks something", body = Readiness),
    ))]
pub(crate) async fn ready(State(shared): State<Shared>) -> (StatusCode, Json<Readiness>) {
    let mut missing = shared.store().missing().await;
    if *shared.background.borrow() != Background::Running {
        missing.push("matchmaking");
    }
    let (code, status) = if missing.is_empty() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    (code, Json(Readiness { status, missing }))
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Alive {
    #[schema(example = "ok")]
    status: &'static str,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// `ready` or `not ready`.
    #[schema(example = "ready")]
    status: &'static str,
    /// What the server lacks.
    #[schema(example = json!([]))]
    missing: Vec<&'static str>,
}
