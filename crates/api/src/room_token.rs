//! `GET /auth/token`: a LiveKit token for a room that the player was matched into.

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use gs_store::{Match, MatchStatus};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::Shared;
use crate::body::Params;
use crate::caller::Caller;
use crate::openapi::tag;
use crate::problem::{Conflict, Problem};
use crate::timestamp::Timestamp;

/// A LiveKit token for a room
///
/// For the players of the room's match, while it can be joined. The status of a matched ticket has
/// one, too.
#[utoipa::path(get, path = "/auth/token", tag = tag::MATCHMAKING, security(("bearer" = [])),
    params(RoomParams),
    responses(
        (status = OK, description = "The token", body = RoomTokenDocument),
        (status = CONFLICT, response = Conflict),
    ))]
pub(crate) async fn room_token(
    State(shared): State<Shared>,
    caller: Caller,
    Params(params): Params<RoomParams>,
) -> Result<Response, Problem> {
    let found = match is_room(&params.room) {
        true => shared.store().match_by_room(&params.room).await?,
        false => None,
    };
    // A room that does not exist and one of others answer alike.
    let Some(found) = found.filter(|m| m.plays(caller.player_id).is_some()) else {
        return Err(Problem::forbidden("you were not matched into this room"));
    };
    if !is_joinable(&found) {
        return Err(Problem::conflict(
            "not-joinable",
            "the match is not ready yet, or over",
        ));
    }
    let minted = mint(&shared, &found, caller.player_id)?;
    let body = RoomTokenDocument {
        url: shared.parts.livekit_url.clone(),
        room: found.room,
        token: minted.token,
        identity: caller.player_id,
        expires_at: Timestamp(minted.expires_at),
    };
    Ok(([(CACHE_CONTROL, "no-store")], Json(body)).into_response())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RoomParams {
    /// The room's name.
    #[param(example = "arena-4f2a91c3")]
    room: String,
}

/// A way into a room.
#[derive(Serialize, ToSchema)]
#[schema(as = RoomToken)]
pub(crate) struct RoomTokenDocument {
    /// Where LiveKit is.
    #[schema(example = "wss://livekit.example.org")]
    url: String,
    room: String,
    /// The LiveKit token.
    token: String,
    /// The player's identity in the room.
    identity: Uuid,
    expires_at: Timestamp,
}

/// Whether a room of a match can have this name. What a database cannot hold never gets there.
pub(crate) fn is_room(name: &str) -> bool {
    let known = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    (1..=MAX_ROOM_NAME).contains(&name.len()) && name.bytes().all(known)
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
    let players = found.playing();
    let name = players
        .iter()
        .find(|player| player.player_id == player_id)
        .map(|player| player.username.as_str());
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

/// A game's id, a hyphen and eight digits are at most 41.
const MAX_ROOM_NAME: usize = 64;
