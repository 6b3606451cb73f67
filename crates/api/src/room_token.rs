//! `GET /auth/token`: a LiveKit token for a room that the player was matched into.

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use gs_store::{Match, MatchStatus};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::Shared;
use crate::body::Params;
use crate::caller::Caller;
use crate::problem::{FieldError, Problem};

pub(crate) async fn room_token(
    State(shared): State<Shared>,
    caller: Caller,
    Params(params): Params<RoomParams>,
) -> Result<Response, Problem> {
    let Some(room) = params.room else {
        return Err(Problem::invalid(vec![FieldError::new(
            "room",
            "is missing",
        )]));
    };
    let found = shared.store().match_by_room(&room).await?;
    // A room that does not exist and one of others answer alike.
    let Some(found) = found.filter(|m| m.slots.iter().any(|s| s.player_id == caller.player_id))
    else {
        return Err(Problem::forbidden("you were not matched into this room"));
    };
    if !is_joinable(&found) {
        return Err(Problem::conflict(
            "not-joinable",
            "the match is not ready yet, or over",
        ));
    }
    let minted = mint(&shared, &found, caller.player_id)?;
    let expires_at = minted
        .expires_at
        .to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let body = json!({
        "url": shared.parts.livekit_url,
        "room": found.room,
        "token": minted.token,
        "identity": caller.player_id,
        "expires_at": expires_at,
    });
    Ok(([(CACHE_CONTROL, "no-store")], Json(body)).into_response())
}

#[derive(Deserialize)]
pub(crate) struct RoomParams {
    room: Option<String>,
}

/// Whether the match's authority is in its room, and the match not over.
pub(crate) fn is_joinable(found: &Match) -> bool {
    found.ready_at.is_some() && matches!(found.status, MatchStatus::Open | MatchStatus::Running)
}

pub(crate) struct Minted {
    pub(crate) token: String,
    pub(crate) expires_at: DateTime<Utc>,
}

/// A token for one of the match's players.
pub(crate) fn mint(shared: &Shared, found: &Match, player_id: Uuid) -> Result<Minted, Problem> {
    let name = found
        .slots
        .iter()
        .find(|s| s.player_id == player_id)
        .map(|s| s.username.as_str());
    let minted = shared.parts.room_tokens.player_token(
        &player_id.to_string(),
        name.unwrap_or_default(),
        &found.room,
    );
    let minted = minted.map_err(|error| {
        tracing::error!(error = %error, "a LiveKit token could not be made");
        Problem::internal()
    })?;
    Ok(Minted {
        token: minted.token,
        expires_at: minted.expires_at.into(),
    })
}
