//! `/matches` and `/players/{player_id}/matches`: match history.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use gs_store::{Match, MatchSlot, Substitute};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::Shared;
use crate::body::{Params, Segments, page_limit, parse_id};
use crate::cursor;
use crate::openapi::tag;
use crate::problem::{NotFound, Problem};
use crate::statistics::rounded;
use crate::timestamp::Timestamp;

/// A match
#[utoipa::path(get, path = "/matches/{match_id}", tag = tag::HISTORY, operation_id = "match",
    params(("match_id" = Uuid, Path, description = "The match")),
    responses(
        (status = OK, description = "What is known of it", body = MatchDocument),
        (status = NOT_FOUND, response = NotFound),
    ))]
pub(crate) async fn one(
    State(shared): State<Shared>,
    Segments(match_id): Segments<String>,
) -> Result<Json<MatchDocument>, Problem> {
    let found = shared
        .store()
        .match_by_id(parse_id(&match_id, "match")?)
        .await?;
    let found = found.ok_or_else(|| Problem::not_found("there is no such match"))?;
    Ok(Json(MatchDocument::of(found)))
}

/// A player's matches
///
/// Those that ended, newest first.
#[utoipa::path(get, path = "/players/{player_id}/matches", tag = tag::HISTORY,
    operation_id = "matches_of_player",
    params(("player_id" = Uuid, Path, description = "The player"), PageParams),
    responses(
        (status = OK, description = "A page of them", body = MatchPage),
        (status = NOT_FOUND, response = NotFound),
    ))]
pub(crate) async fn of_player(
    State(shared): State<Shared>,
    Segments(player_id): Segments<String>,
    Params(params): Params<PageParams>,
) -> Result<Json<MatchPage>, Problem> {
    let player_id = parse_id(&player_id, "player")?;
    let limit = page_limit(params.limit)?;
    let list = ["matches", &player_id.to_string()];
    let before = params.cursor.map(|cursor| cursor::read(&list, &cursor));
    let before = before.transpose()?.map(Uuid::from_bytes);
    if shared.store().player(player_id).await?.is_none() {
        return Err(Problem::not_found("there is no such player"));
    }
    let page = shared.store().matches_of(player_id, before, limit).await?;
    let full = page.len() == limit as usize;
    let last = page.last().filter(|_| full);
    let next_cursor = last.map(|last| cursor::write(&list, last.id.as_bytes()));
    let matches = page.into_iter().map(MatchDocument::of).collect();
    Ok(Json(MatchPage {
        matches,
        next_cursor,
    }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageParams {
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// Most matches in the answer, 1 to 100; 20 where absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct MatchPage {
    matches: Vec<MatchDocument>,
    /// The next page's `cursor`; null where this is the last.
    next_cursor: Option<String>,
}

/// A match and how it ended.
#[derive(Serialize, ToSchema)]
#[schema(as = Match)]
pub(crate) struct MatchDocument {
    match_id: Uuid,
    game: String,
    mode: String,
    /// `full`, `validated` or `observer`.
    authority_mode: String,
    /// Whether it counts for ratings, statistics and boards.
    rated: bool,
    /// The module that was played.
    module_sha256: String,
    /// `forming`, `open`, `running`, `ended` or `failed`.
    status: &'static str,
    /// `finished`, `abandoned` or `void`, once it has ended.
    outcome: Option<&'static str>,
    /// Why it failed or did not finish, for people.
    reason: Option<String>,
    /// What else is known of how it ended.
    #[schema(value_type = Option<Object>)]
    details: Option<Value>,
    /// Who alone came first.
    winner: Option<Uuid>,
    /// How many ticks ran.
    ticks: Option<u32>,
    /// Those who were matched into it.
    players: Vec<MatchPlayer>,
    /// Those who came while it ran, to slots that were free; it counts for none of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    substitutes: Vec<SubstituteDocument>,
    /// The region that was best for the players, where the mode's rules know regions.
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
}

/// A player's part in a match.
#[derive(Serialize, ToSchema)]
pub(crate) struct MatchPlayer {
    slot: u8,
    player_id: Uuid,
    username: String,
    team: Option<u8>,
    /// 1 is best; equal placements are a draw.
    placement: Option<u8>,
    score: Option<i32>,
    /// The game's own.
    statistics: Option<BTreeMap<String, i32>>,
    /// The rating before the match, where it counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    rating_before: Option<i32>,
    /// The rating after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    rating_after: Option<i32>,
}

/// A player who came to a match while it ran.
#[derive(Serialize, ToSchema)]
#[schema(as = Substitute)]
pub(crate) struct SubstituteDocument {
    slot: u8,
    player_id: Uuid,
    username: String,
    team: Option<u8>,
}

impl SubstituteDocument {
    fn of(substitute: Substitute) -> Self {
        Self {
            slot: substitute.slot,
            player_id: substitute.player_id,
            username: substitute.username,
            team: substitute.team,
        }
    }
}

impl MatchDocument {
    pub(crate) fn of(found: Match) -> Self {
        // The authority wrote it as JSON.
        let details: Option<Value> = found
            .details
            .as_deref()
            .and_then(|details| serde_json::from_str(details).ok());
        Self {
            match_id: found.id,
            game: found.game,
            mode: found.mode,
            authority_mode: found.authority_mode,
            rated: found.rated,
            module_sha256: found.module_sha256,
            status: found.status.as_str(),
            outcome: found.outcome.map(|o| o.as_str()),
            reason: found.reason,
            details,
            winner: found.winner,
            ticks: found.ticks,
            players: found.slots.into_iter().map(MatchPlayer::of).collect(),
            substitutes: found
                .substitutes
                .into_iter()
                .map(SubstituteDocument::of)
                .collect(),
            region: found.region,
            created_at: Timestamp(found.created_at),
            started_at: found.started_at.map(Timestamp),
            ended_at: found.ended_at.map(Timestamp),
        }
    }
}

impl MatchPlayer {
    fn of(slot: MatchSlot) -> Self {
        let result = slot.result;
        Self {
            slot: slot.slot,
            player_id: slot.player_id,
            username: slot.username,
            team: result.as_ref().map_or(slot.team, |r| r.team),
            placement: result.as_ref().map(|r| r.placement),
            score: result.as_ref().map(|r| r.score),
            statistics: result.map(|r| r.statistics.into_iter().collect()),
            rating_before: slot.rating.map(|(before, _)| rounded(before.value)),
            rating_after: slot.rating.map(|(_, after)| rounded(after.value)),
        }
    }
}
