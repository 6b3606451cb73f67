//! `/games`: what is served, and the modules for browsers.

use axum::Json;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::Shared;
use crate::body::Segments;
use crate::catalog::GameInfo;
use crate::problem::Problem;

/// `GET /games`.
pub(crate) async fn list(State(shared): State<Shared>) -> Json<Value> {
    let games: Vec<Value> = shared
        .parts
        .catalog
        .games()
        .iter()
        .map(|g| describe(g))
        .collect();
    Json(json!({ "games": games }))
}

/// `GET /games/{game}/module/{sha256}`. The path names the bytes, so they never change.
pub(crate) async fn module(
    State(shared): State<Shared>,
    Segments((game, sha256)): Segments<(String, String)>,
) -> Result<Response, Problem> {
    let Some(bytes) = shared.parts.catalog.module(&game, &sha256) else {
        return Err(Problem::not_found("this game has no module with this hash"));
    };
    let headers = [
        (CONTENT_TYPE, "application/wasm".to_owned()),
        (
            CACHE_CONTROL,
            "public, max-age=31536000, immutable".to_owned(),
        ),
        (ETAG, format!("\"{sha256}\"")),
    ];
    Ok((headers, bytes).into_response())
}

fn describe(game: &GameInfo) -> Value {
    let modes: Vec<&str> = game.modes.iter().map(|m| m.name.as_str()).collect();
    let authority_modes: Map<String, Value> = game
        .modes
        .iter()
        .map(|m| (m.name.clone(), m.authority_mode.as_str().into()))
        .collect();
    json!({
        "id": game.id,
        "title": game.title,
        "version": game.version,
        "abi": game.abi,
        "tick_rate": game.tick_rate,
        "players": {"min": game.min_players, "max": game.max_players},
        "teams": game.teams,
        "authority_mode": game.modes.first().map(|m| m.authority_mode.as_str()),
        "modes": modes,
        "authority_modes": authority_modes,
        "module": {
            "sha256": game.module_sha256,
            "bytes": game.module_bytes,
            "url": format!("/games/{}/module/{}", game.id, game.module_sha256),
        },
        "manifest": game.manifest,
    })
}
