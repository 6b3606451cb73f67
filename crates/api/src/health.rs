//! `/healthz` and `/readyz`.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
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
pub(crate) async fn ready(State(shared): State<Shared>) -> Response {
    let mut missing = shared.probes.missing(&shared).await;
    if *shared.background.borrow() != Background::Running {
        missing.push("matchmaking");
    }
    let (code, status) = if missing.is_empty() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    let answer = Json(Readiness { status, missing });
    (code, [(CACHE_CONTROL, "no-store")], answer).into_response()
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
    /// What the server lacks, such as `PostgreSQL`, `Redis`, `LiveKit` or `matchmaking`.
    #[schema(example = json!([]))]
    missing: Vec<&'static str>,
}

/// What was found of the services that the server rests on. Kept for a moment, so that they are not
/// asked each time that somebody asks us; and whoever asks meanwhile waits for the same answer.
#[derive(Default)]
pub(crate) struct Probes {
    store: Mutex<Option<Found>>,
    livekit: Mutex<Option<Found>>,
}

#[derive(Clone)]
struct Found {
    missing: Vec<&'static str>,
    until: Instant,
}

impl Probes {
    async fn missing(&self, shared: &Shared) -> Vec<&'static str> {
        let store = async {
            timeout(PROBE_TIMEOUT, shared.store().missing())
                .await
                .unwrap_or_else(|_| vec!["store"])
        };
        let livekit = async {
            match timeout(PROBE_TIMEOUT, shared.parts.rooms.ping()).await {
                Ok(Ok(())) => vec![],
                Ok(Err(error)) => {
                    tracing::debug!(%error, "LiveKit is missing");
                    vec!["LiveKit"]
                }
                Err(_) => vec!["LiveKit"],
            }
        };
        let (mut missing, livekit) = tokio::join!(
            kept(&self.store, STORE_KEPT, store),
            kept(&self.livekit, LIVEKIT_KEPT, livekit),
        );
        missing.extend(livekit);
        missing
    }
}

async fn kept(
    place: &Mutex<Option<Found>>,
    keep: Duration,
    probe: impl Future<Output = Vec<&'static str>>,
) -> Vec<&'static str> {
    let mut place = place.lock().await;
    if let Some(found) = place.as_ref().filter(|found| Instant::now() < found.until) {
        return found.missing.clone();
    }
    let missing = probe.await;
    // What is away may be back at any time, and a start waits for it.
    let keep = if missing.is_empty() {
        keep
    } else {
        MISSING_KEPT
    };
    let until = Instant::now() + keep;
    let missing_now = missing.clone();
    *place = Some(Found { missing, until });
    missing_now
}

/// A balancer asks every few seconds; all of them together are not to weigh on the services.
const STORE_KEPT: Duration = Duration::from_secs(1);
const LIVEKIT_KEPT: Duration = Duration::from_secs(5);
const MISSING_KEPT: Duration = Duration::from_millis(250);
/// Probes give up after some seconds; they should learn what is missing before.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
