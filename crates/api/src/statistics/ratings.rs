//! `GET /stats/{game}/{player}/ratings`: what each match changed.

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use gs_store::RatingChange;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{known_player, rounded};
use crate::Shared;
use crate::body::{Params, Segments, page_limit};
use crate::caller::Caller;
use crate::catalog::{known_game, known_mode};
use crate::cursor;
use crate::openapi::tag;
use crate::problem::{NotFound, Problem, Unauthorized};
use crate::timestamp::Timestamp;

/// A player's rating over time
///
/// What each rated match changed, the newest match first.
#[utoipa::path(get, path = "/stats/{game}/{player}/ratings", tag = tag::LEADERBOARDS,
    operation_id = "ratings", security((), ("bearer" = [])),
    params(
        ("game" = String, Path, description = "The game's id", example = "arena"),
        ("player" = String, Path, description = "A player's id, or `me`, which needs an access token",
            example = "me"),
        RatingsParams,
    ),
    responses(
        (status = OK, description = "A page of changes", body = Ratings),
        (status = UNAUTHORIZED, response = Unauthorized),
        (status = NOT_FOUND, response = NotFound),
    ))]
pub(crate) async fn of_player(
    State(shared): State<Shared>,
    caller: Option<Caller>,
    Segments((game, player)): Segments<(String, String)>,
    Params(params): Params<RatingsParams>,
) -> Result<Response, Problem> {
    let game = known_game(&shared, &game)?;
    let mode = &known_mode(&game, params.mode.as_deref())?.name;
    let limit = page_limit(params.limit)?;
    let player = known_player(&shared, caller, &player).await?;
    let id = player.id.to_string();
    let list = ["ratings", &game.id, &id, mode];
    let before = match &params.cursor {
        None => None,
        Some(cursor) => Some(Uuid::from_bytes(cursor::read(&list, cursor)?)),
    };
    let changes = shared
        .store()
        .rating_history(&game.id, mode, player.id, before, limit)
        .await?;
    let full = changes.len() == limit as usize;
    let last = changes.last().filter(|_| full);
    let answer = Ratings {
        player_id: player.id,
        next_cursor: last.map(|change| cursor::write(&list, change.match_id.as_bytes())),
        ratings: changes.into_iter().map(RatingDocument::from).collect(),
        game: game.id.clone(),
        mode: mode.clone(),
    };
    Ok(([(CACHE_CONTROL, "no-cache")], Json(answer)).into_response())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RatingsParams {
    /// One of the game's modes; its default mode where absent.
    mode: Option<String>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// Most changes of a page, 1–100.
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

/// A player's rating over time.
#[derive(Serialize, ToSchema)]
pub(crate) struct Ratings {
    player_id: Uuid,
    game: String,
    mode: String,
    /// The newest match first.
    ratings: Vec<RatingDocument>,
    next_cursor: Option<String>,
}

/// What a match changed of a rating.
#[derive(Serialize, ToSchema)]
#[schema(as = RatingChange)]
pub(crate) struct RatingDocument {
    match_id: Uuid,
    /// When the match ended.
    at: Timestamp,
    before: i32,
    after: i32,
    /// The standard deviation afterwards.
    uncertainty: i32,
}

impl From<RatingChange> for RatingDocument {
    fn from(change: RatingChange) -> Self {
        Self {
            match_id: change.match_id,
            at: Timestamp(change.at),
            before: rounded(change.before.value),
            after: rounded(change.after.value),
            uncertainty: rounded(change.after.uncertainty),
        }
    }
}
