//! `/games`: what is served, and the modules for browsers.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::Shared;
use crate::body::Segments;
use crate::catalog::GameInfo;
use crate::openapi::tag;
use crate::problem::{NotFound, Problem};
use crate::timestamp::Timestamp;

/// The games that are served
#[utoipa::path(get, path = "/games", tag = tag::GAMES, operation_id = "games",
    responses((status = OK, description = "All of them", body = Games)))]
pub(crate) async fn list(State(shared): State<Shared>) -> Json<Games> {
    let games = shared.parts.catalog.games();
    let now = shared.now();
    let games = games.iter().map(|game| Game::of(game, now)).collect();
    Json(Games { games })
}

/// A game's module
///
/// The bytes that the server runs, for a client that predicts with them. The path names the bytes,
/// so they never change.
#[utoipa::path(get, path = "/games/{game}/module/{sha256}", tag = tag::GAMES,
    params(
        ("game" = String, Path, description = "The game's id"),
        ("sha256" = String, Path, description = "The module's SHA-256, lower-case hex"),
    ),
    responses(
        (status = OK, description = "WebAssembly", body = WebAssembly, content_type = WASM),
        (status = NOT_FOUND, response = NotFound),
    ))]
pub(crate) async fn module(
    State(shared): State<Shared>,
    Segments((game, sha256)): Segments<(String, String)>,
) -> Result<Response, Problem> {
    let Some(bytes) = shared.parts.catalog.module(&game, &sha256) else {
        return Err(Problem::not_found("this game has no module with this hash"));
    };
    let headers = [
        (CONTENT_TYPE, WASM.to_owned()),
        (
            CACHE_CONTROL,
            "public, max-age=31536000, immutable".to_owned(),
        ),
        (ETAG, format!("\"{sha256}\"")),
    ];
    Ok((headers, bytes).into_response())
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Games {
    games: Vec<Game>,
}

/// A game, as its module and the configuration say.
#[derive(Serialize, ToSchema)]
pub(crate) struct Game {
    #[schema(example = "arena")]
    id: String,
    /// Its name, for people.
    title: String,
    /// The module's version, for people.
    version: String,
    /// The version of the module's interface.
    abi: u32,
    /// Ticks a second.
    tick_rate: u32,
    players: PlayerRange,
    /// Number of teams; 0: everyone for themselves.
    teams: u8,
    /// How the default mode is run: `full`, `validated` or `observer`.
    authority_mode: Option<String>,
    /// What one can queue for; the first is the default.
    modes: Vec<String>,
    /// How each mode is run.
    authority_modes: BTreeMap<String, String>,
    boards: Vec<GameBoard>,
    module: Module,
    /// The module's manifest, with the schemas of inputs, events and state.
    #[schema(value_type = Object)]
    manifest: Value,
}

/// Fewest and most players of a match.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlayerRange {
    min: u8,
    max: u8,
}

/// One of a game's leaderboards.
#[derive(Serialize, ToSchema)]
pub(crate) struct GameBoard {
    #[schema(example = "default")]
    id: String,
    /// What is kept of a player's scores: the `best`, the `latest`, or their `sum`.
    #[schema(example = "best")]
    rule: &'static str,
    /// The statistic that is the score; null: the match's score.
    statistic: Option<String>,
    /// The modes whose rated matches count; all of them where empty.
    modes: Vec<String>,
    /// When it begins anew next; null: never.
    resets_at: Option<Timestamp>,
}

/// Where to get a game's module.
#[derive(Serialize, ToSchema)]
pub(crate) struct Module {
    /// SHA-256, lower-case hex.
    sha256: String,
    /// Length.
    bytes: usize,
    /// Relative to this server.
    url: String,
}

impl Game {
    fn of(game: &GameInfo, now: DateTime<Utc>) -> Self {
        let modes = game.modes.iter();
        let boards = game.boards.iter().map(|board| GameBoard {
            id: board.id.clone(),
            rule: board.rule.as_str(),
            statistic: board.statistic.clone(),
            modes: board.modes.clone(),
            resets_at: board.season.next_reset(now).map(Timestamp),
        });
        Self {
            id: game.id.clone(),
            title: game.title.clone(),
            version: game.version.clone(),
            abi: game.abi,
            tick_rate: game.tick_rate,
            players: PlayerRange {
                min: game.min_players,
                max: game.max_players,
            },
            teams: game.teams,
            authority_mode: game.modes.first().map(|m| m.authority_mode.clone()),
            modes: modes.clone().map(|m| m.name.clone()).collect(),
            authority_modes: modes
                .map(|m| (m.name.clone(), m.authority_mode.clone()))
                .collect(),
            boards: boards.collect(),
            module: Module {
                sha256: game.module_sha256.clone(),
                bytes: game.module_bytes,
                url: format!("/games/{}/module/{}", game.id, game.module_sha256),
            },
            manifest: game.manifest.clone(),
        }
    }
}

/// A module's bytes.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "describes an answer that is no JSON")]
pub(crate) struct WebAssembly(Vec<u8>);

const WASM: &str = "application/wasm";
