//! `/matches` and `/players/{player_id}/matches`: match history.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, SecondsFormat, Utc};
use gs_store::{Match, MatchSlot};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::Shared;
use crate::body::{Params, Segments, parse_id};
use crate::problem::{FieldError, Problem};

/// `GET /matches/{match_id}`.
pub(crate) async fn one(
    State(shared): State<Shared>,
    Segments(match_id): Segments<String>,
) -> Result<Json<Value>, Problem> {
    let found = shared
        .store()
        .match_by_id(parse_id(&match_id, "match")?)
        .await?;
    let found = found.ok_or_else(|| Problem::not_found("there is no such match"))?;
    Ok(Json(describe(&found)))
}

/// `GET /players/{player_id}/matches`: ended ones, newest first.
pub(crate) async fn of_player(
    State(shared): State<Shared>,
    Segments(player_id): Segments<String>,
    Params(params): Params<PageParams>,
) -> Result<Json<Value>, Problem> {
    let player_id = parse_id(&player_id, "player")?;
    let limit = params.limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        let message = format!("has to be 1 to {MAX_PAGE}");
        return Err(Problem::invalid(vec![FieldError::new("limit", message)]));
    }
    let before = params
        .cursor
        .as_deref()
        .map(uuid::Uuid::parse_str)
        .transpose();
    let before = before.map_err(|_| {
        Problem::invalid(vec![FieldError::new("cursor", "has to be a `next_cursor`")])
    })?;
    if shared.store().player(player_id).await?.is_none() {
        return Err(Problem::not_found("there is no such player"));
    }
    let page = shared.store().matches_of(player_id, before, limit).await?;
    let full = page.len() == limit as usize;
    let next_cursor = page.last().filter(|_| full).map(|m| m.id);
    let matches: Vec<Value> = page.iter().map(describe).collect();
    Ok(Json(
        json!({ "matches": matches, "next_cursor": next_cursor }),
    ))
}

#[derive(Deserialize)]
pub(crate) struct PageParams {
    cursor: Option<String>,
    limit: Option<u32>,
}

fn describe(found: &Match) -> Value {
    let players: Vec<Value> = found.slots.iter().map(describe_slot).collect();
    // The authority wrote it as JSON.
    let details: Option<Value> = found
        .details
        .as_deref()
        .and_then(|details| serde_json::from_str(details).ok());
    json!({
        "match_id": found.id,
        "game": found.game,
        "mode": found.mode,
        "authority_mode": found.authority_mode,
        "rated": found.rated,
        "module_sha256": found.module_sha256,
        "status": found.status.as_str(),
        "outcome": found.outcome.map(|o| o.as_str()),
        "reason": found.reason,
        "details": details,
        "winner": found.winner,
        "ticks": found.ticks,
        "players": players,
        "created_at": time(found.created_at),
        "started_at": found.started_at.map(time),
        "ended_at": found.ended_at.map(time),
    })
}

fn describe_slot(slot: &MatchSlot) -> Value {
    let result = slot.result.as_ref();
    let statistics: Option<Map<String, Value>> = result.map(|r| {
        r.statistics
            .iter()
            .map(|(n, v)| (n.clone(), (*v).into()))
            .collect()
    });
    json!({
        "slot": slot.slot,
        "player_id": slot.player_id,
        "username": slot.username,
        "team": result.map_or(slot.team, |r| r.team),
        "placement": result.map(|r| r.placement),
        "score": result.map(|r| r.score),
        "statistics": statistics,
    })
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

const DEFAULT_PAGE: u32 = 20;
/// A page that a reader can take in, and that costs the store one read a match.
const MAX_PAGE: u32 = 100;
