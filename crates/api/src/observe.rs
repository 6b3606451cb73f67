//! What surrounds every request: its id, its line in the log, its limit of time.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Query, Request, State};
use axum::http::{HeaderName, HeaderValue, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tracing::Instrument;
use uuid::Uuid;

use crate::metrics::HttpMetrics;
use crate::problem::Problem;
use crate::queue;

/// Carries a request's id, there and back.
pub(crate) const REQUEST_ID: &str = "x-request-id";

/// Gives the request an id, or keeps a proxy's, and logs and counts how it went. The log holds the route, not
/// the path and its query, which may hold what is nobody's business.
pub(crate) async fn observe(
    State(metrics): State<HttpMetrics>,
    request: Request,
    next: Next,
) -> Response {
    let given = request
        .headers()
        .get(REQUEST_ID)
        .filter(|id| is_request_id(id))
        .cloned();
    let id = given.or_else(|| HeaderValue::from_str(&Uuid::new_v4().to_string()).ok());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let route = route.as_deref().unwrap_or("none");
    let method = request.method().clone();
    let span = tracing::info_span!(
        "request",
        request.id = id.as_ref().and_then(|id| id.to_str().ok()),
        http.method = %method,
        http.route = route,
        client.address = tracing::field::Empty,
        player.id = tracing::field::Empty,
    );
    let started = Instant::now();
    let _in_flight = metrics.begin();
    let mut response = next.run(request).instrument(span.clone()).await;
    let (status, elapsed) = (response.status(), started.elapsed());
    metrics.answered(&method, route, status, elapsed);
    span.in_scope(|| {
        tracing::debug!(
            http.status = status.as_u16(),
            elapsed_ms = elapsed.as_millis() as u64,
            "answered"
        );
    });
    if let Some(id) = id {
        response
            .headers_mut()
            .insert(HeaderName::from_static(REQUEST_ID), id);
    }
    response
}

/// Gives up on a request that takes too long, such as one whose body does not come, or that waits
/// for a store that hangs.
pub(crate) async fn limit_time(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let wait = match route {
        Some(route) if route.as_str() == queue::status::STATUS_PATH => asked_wait(request.uri()),
        _ => Duration::ZERO,
    };
    match tokio::time::timeout(wait + MAX_REQUEST_TIME, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::unavailable("the request took too long").into_response(),
    }
}

/// How long a caller asks to wait for a change. What is no number the call itself refuses.
fn asked_wait(uri: &Uri) -> Duration {
    #[derive(Deserialize)]
    struct Asked {
        wait: Option<u64>,
    }

    let asked = Query::<Asked>::try_from_uri(uri).ok();
    let seconds = asked.and_then(|Query(asked)| asked.wait).unwrap_or(0);
    Duration::from_secs(seconds).min(queue::status::MAX_WAIT)
}

fn is_request_id(id: &HeaderValue) -> bool {
    (1..=MAX_REQUEST_ID).contains(&id.len())
        && id
            .as_bytes()
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

/// Beside what a caller asked to wait. Far more than an answer takes, a full queue of passwords to
/// hash included, and no longer than a player looks at a screen that stands still.
const MAX_REQUEST_TIME: Duration = Duration::from_secs(5);
/// Longer ones would only fill the log.
const MAX_REQUEST_ID: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_given_the_time_it_asks_for() {
        for (query, seconds) in [
            ("", 0),
            ("?wait=20", 20),
            ("?ticket_id=x&wait=%32%35", 25),
            ("?wait=99", 25),
            ("?wait=-1", 0),
            ("?wait=soon", 0),
            ("?wait=1&wait=2", 0),
        ] {
            let uri: Uri = format!("/match/status{query}").parse().unwrap();
            assert_eq!(asked_wait(&uri), Duration::from_secs(seconds), "{query}");
        }
    }
}
