//! Security events: lines in the log about who signs in and who is refused, with a field `event`
//! that programs can tell apart. Their request's span says who, from where and what was called
//! (`docs/accounts.md` lists them).

use std::net::IpAddr;

use axum::http::StatusCode;
use tracing::Span;
use uuid::Uuid;

/// The target of all security events.
pub(crate) const TARGET: &str = "gs_api::security";

/// Notes in the request's span where it comes from.
pub(crate) fn comes_from(address: IpAddr) {
    Span::current().record(CLIENT_ADDRESS, tracing::field::display(address));
}

/// Notes in the request's span who calls.
pub(crate) fn is_from(player_id: Uuid) {
    Span::current().record(PLAYER_ID, tracing::field::display(player_id));
}

/// Logs that a call is refused for what its caller may not do, or not so often.
pub(crate) fn refused(status: StatusCode, kind: &str) {
    let event = match (status, kind) {
        (StatusCode::FORBIDDEN, "banned") => "banned_refused",
        (StatusCode::FORBIDDEN, _) => "forbidden",
        (StatusCode::TOO_MANY_REQUESTS, _) => "limited",
        _ => return,
    };
    tracing::info!(target: TARGET, event, "a call is refused");
}

/// Logs that a token is refused.
pub(crate) fn token_refused(reason: &str) {
    tracing::info!(target: TARGET, event = "token_refused", reason, "a token is refused");
}

const CLIENT_ADDRESS: &str = "client.address";
const PLAYER_ID: &str = "player.id";
