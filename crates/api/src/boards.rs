//! `/leaderboard`.

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use gs_store::{BoardCursor, BoardInfo, BoardKey, BoardStart, DEFAULT_BOARD, Season};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::Shared;
use crate::body::{Params, Segments, page_limit};
use crate::caller::Caller;
use crate::catalog::{GameInfo, known_game};
use crate::cursor;
use crate::openapi::tag;
use crate::problem::{FieldError, NotFound, Problem, Unauthorized};
use crate::timestamp::Timestamp;

/// A leaderboard
///
/// Best first. Equal scores share a rank; who reached the score first is listed first. A season
/// that nobody is on is empty, and so is the part around a player who is not on the board.
#[utoipa::path(get, path = "/leaderboard/{game}", tag = tag::LEADERBOARDS,
    operation_id = "leaderboard", security((), ("bearer" = [])),
    params(("game" = String, Path, description = "The game's id", example = "arena"), BoardParams),
    responses(
        (status = OK, description = "A part of it", body = Leaderboard),
        (status = UNAUTHORIZED, response = Unauthorized),
        (status = NOT_FOUND, response = NotFound),
    ))]
pub(crate) async fn page(
    State(shared): State<Shared>,
    caller: Option<Caller>,
    Segments(game): Segments<String>,
    Params(params): Params<BoardParams>,
) -> Result<Response, Problem> {
    let game = known_game(&shared, &game)?;
    let now = shared.now();
    let board = find(&game, params.board.as_deref().unwrap_or(DEFAULT_BOARD))?;
    let mut errors = Vec::new();
    let limit = page_limit(params.limit).unwrap_or_else(|error| {
        errors.push(error);
        0
    });
    let current = board.season.of(now);
    let season = params.season.unwrap_or_else(|| current.clone());
    if !Season::is_well_written(&season) {
        let message = "has to be the day on which the season began, such as 2026-11-23, or `all`";
        errors.push(FieldError::new("season", message));
    }
    if params.cursor.is_some() && params.around.is_some() {
        let message = "cannot be together with `cursor`";
        errors.push(FieldError::new("around", message));
    }
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }

    let key = BoardKey {
        game: game.id.clone(),
        board: board.id.clone(),
        season,
    };
    let own = params.around.as_deref() == Some(ME);
    let start = match (params.around.as_deref(), params.cursor) {
        (Some(player), _) => BoardStart::Around(parse_around(player, caller)?),
        (None, Some(cursor)) => BoardStart::After(read_cursor(&key, &cursor)?),
        (None, None) => BoardStart::Top,
    };
    let page = shared.store().board_page(&key, start, limit).await?;
    let entries = page.entries.into_iter().map(|entry| LeaderboardEntry {
        rank: entry.rank,
        player_id: entry.player_id,
        username: entry.username,
        score: entry.score,
        at: Timestamp(entry.at),
    });
    let is_current = key.season == current;
    let resets_at = board.season.next_reset(now).filter(|_| is_current);
    let answer = Leaderboard {
        entries: entries.collect(),
        total: page.total,
        next_cursor: page.next.map(|next| write_cursor(&key, next)),
        resets_at: resets_at.map(Timestamp),
        game: key.game,
        board: key.board,
        season: key.season,
    };
    let cache = if own { PRIVATE } else { PUBLIC };
    Ok(([(CACHE_CONTROL, cache)], Json(answer)).into_response())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct BoardParams {
    /// One of the game's boards; `default` where absent.
    board: Option<String>,
    /// The day on which the season began (`2026-11-23`), or `all` for a board without seasons; the
    /// current season where absent.
    season: Option<String>,
    /// Most entries in the answer, 1 to 100; 20 where absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// A player to be in the middle of the answer: an id, or `me`, which needs an access token.
    around: Option<String>,
}

/// A part of a leaderboard.
#[derive(Serialize, ToSchema)]
pub(crate) struct Leaderboard {
    #[schema(example = "arena")]
    game: String,
    #[schema(example = "default")]
    board: String,
    /// The day on which the season began, or `all`.
    #[schema(example = "all")]
    season: String,
    /// When the season ends; null where it has ended or never does.
    resets_at: Option<Timestamp>,
    entries: Vec<LeaderboardEntry>,
    /// How many players are on the board.
    total: u64,
    /// The next page's `cursor`; null where this is the last.
    next_cursor: Option<String>,
}

/// A player's place on a leaderboard.
#[derive(Serialize, ToSchema)]
pub(crate) struct LeaderboardEntry {
    /// 1 is best; one more than the number of higher scores.
    rank: u64,
    player_id: Uuid,
    username: String,
    score: i64,
    /// When the score was reached.
    at: Timestamp,
}

fn find<'g>(game: &'g GameInfo, id: &str) -> Result<&'g BoardInfo, Problem> {
    let board = game.boards.iter().find(|board| board.id == id);
    board.ok_or_else(|| {
        Problem::not_found("this game has no such board; `GET /games` lists its boards")
    })
}

fn parse_around(player: &str, caller: Option<Caller>) -> Result<Uuid, Problem> {
    match (player, caller) {
        (ME, Some(caller)) => Ok(caller.player_id),
        (ME, None) => Err(Problem::unauthorized(
            "`around=me` needs `Authorization: Bearer` with an access token",
        )),
        (id, _) => Uuid::parse_str(id).map_err(|_| {
            let message = "has to be a player's id, or `me`";
            Problem::invalid(vec![FieldError::new("around", message)])
        }),
    }
}

fn write_cursor(key: &BoardKey, place: BoardCursor) -> String {
    let mut bytes = [0; CURSOR_BYTES];
    bytes[..8].copy_from_slice(&place.score.to_be_bytes());
    bytes[8..16].copy_from_slice(&place.at.timestamp_millis().to_be_bytes());
    bytes[16..].copy_from_slice(place.player_id.as_bytes());
    cursor::write(&list(key), &bytes)
}

fn read_cursor(key: &BoardKey, text: &str) -> Result<BoardCursor, Problem> {
    let bytes: [u8; CURSOR_BYTES] = cursor::read(&list(key), text)?;
    let number = |at: usize| i64::from_be_bytes(std::array::from_fn(|n| bytes[at + n]));
    Ok(BoardCursor {
        score: number(0),
        at: DateTime::<Utc>::from_timestamp_millis(number(8)).unwrap_or_default(),
        player_id: Uuid::from_bytes(std::array::from_fn(|n| bytes[16 + n])),
    })
}

fn list(key: &BoardKey) -> [&str; 4] {
    ["leaderboard", &key.game, &key.board, &key.season]
}

/// Names the caller in place of an id.
pub(crate) const ME: &str = "me";
/// Score, time and player.
const CURSOR_BYTES: usize = 32;
/// A crowd that looks at one board makes one read a second of it.
const PUBLIC: &str = "public, max-age=1";
const PRIVATE: &str = "private, no-store";
