//! `/webhooks/livekit`: what LiveKit tells of its rooms. Nothing depends on it: it may come late,
//! repeatedly, out of order or not at all.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use gs_store::{Match, MatchStatus};
use livekit_rooms::{WebhookError, WebhookEvent, WebhookKind};
use uuid::Uuid;

use crate::Shared;
use crate::body::RawBody;
use crate::openapi::tag;
use crate::problem::{Malformed, NotFound, Problem, Unauthorized};
use crate::room_token::is_room;

/// An event of LiveKit
///
/// For LiveKit alone: `Authorization` is a token that it signs with its API key, and that holds the
/// body's hash. Configure it in LiveKit under `webhook.urls`, with the same API key. An event that
/// came before, or that nobody here knows what to do with, is answered like any other.
#[utoipa::path(post, path = "/webhooks/livekit", tag = tag::SERVER, operation_id = "livekit_webhook",
    request_body(content = Object, description = "LiveKit's `WebhookEvent`",
        content_type = "application/webhook+json"),
    params(("Authorization" = String, Header, description = "LiveKit's token")),
    responses(
        (status = OK, description = "Taken"),
        (status = BAD_REQUEST, response = Malformed),
        (status = UNAUTHORIZED, response = Unauthorized),
        (status = NOT_FOUND, response = NotFound),
    ))]
pub(crate) async fn livekit(
    State(shared): State<Shared>,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<StatusCode, Problem> {
    let Some(webhooks) = &shared.parts.settings.webhooks else {
        return Err(Problem::not_found("this server takes no webhooks"));
    };
    let token = headers.get(AUTHORIZATION).and_then(|t| t.to_str().ok());
    let event = match webhooks.receive(&body, token.unwrap_or_default()) {
        Ok(event) => event,
        Err(error @ (WebhookError::Token | WebhookError::Hash)) => {
            return Err(Problem::unauthorized(&error.to_string()));
        }
        Err(error @ WebhookError::NotText) => return Err(Problem::malformed(error.to_string())),
        // LiveKit signed it, so repeating it would not help.
        Err(error @ WebhookError::NotUnderstood(_)) => {
            tracing::debug!(%error, "a webhook is ignored");
            return Ok(StatusCode::OK);
        }
    };
    if !shared
        .store()
        .first_delivery(&event.id, shared.now())
        .await?
    {
        return Ok(StatusCode::OK);
    }
    apply(&shared, event).await?;
    Ok(StatusCode::OK)
}

async fn apply(shared: &Shared, event: WebhookEvent) -> Result<(), Problem> {
    if matches!(event.kind, WebhookKind::Other(_)) {
        return Ok(());
    }
    let found = match is_room(&event.room) {
        true => shared.store().match_by_room(&event.room).await?,
        false => None,
    };
    // Names of rooms are used again by other servers on the same LiveKit, sids are not.
    let Some(found) = found.filter(|m| m.room_sid.as_deref() == Some(&event.room_sid)) else {
        tracing::debug!(room.id = event.room, "a webhook of a room that is not ours");
        return Ok(());
    };
    let store = shared.store();
    match event.kind {
        WebhookKind::RoomFinished => store.room_closed(&found.room).await?,
        WebhookKind::ParticipantJoined { identity } => {
            if let Some(player_id) = player(&found, &identity)
                && !is_over(&found)
            {
                store.room_joined(&found.room, player_id).await?;
            }
        }
        WebhookKind::ParticipantLeft { identity } => {
            if let Some(player_id) = player(&found, &identity) {
                store.room_left(&found.room, player_id).await?;
            }
        }
        WebhookKind::RoomStarted | WebhookKind::Other(_) => {}
    }
    tracing::debug!(room.id = found.room, match.id = %found.id, "LiveKit told of a room");
    Ok(())
}

/// The player of the match that has this identity: not the authority, nor anybody else.
fn player(found: &Match, identity: &str) -> Option<Uuid> {
    let id = Uuid::parse_str(identity).ok()?;
    found.slots.iter().any(|s| s.player_id == id).then_some(id)
}

fn is_over(found: &Match) -> bool {
    matches!(found.status, MatchStatus::Ended | MatchStatus::Failed)
}

/// A room's metadata and a participant's are at most 64 KiB each, and JSON escapes some of it.
pub(crate) const MAX_BODY_BYTES: usize = 512 * 1024;
