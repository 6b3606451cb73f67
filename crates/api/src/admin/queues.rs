//! `/admin/queues`: who waits, for how long, and why.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use chrono::{DateTime, Utc};
use gs_matchmaker::Group;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{NotKept, Operator};
use crate::Shared;
use crate::body::{Params, Segments, page_limit};
use crate::catalog::known_game;
use crate::openapi::tag;
use crate::problem::{NotFound, Problem, TooManyRequests};
use crate::queue::view::{self, ModeView, Waiting};
use crate::timestamp::Timestamp;

/// The queues of all games
#[utoipa::path(get, path = "/admin/queues", tag = tag::ADMINISTRATION,
    security(("admin_key" = [])),
    responses(
        (status = OK, description = "One for each game and mode", body = Queues),
        (status = NOT_FOUND, response = NotFound),
        (status = TOO_MANY_REQUESTS, response = TooManyRequests),
    ))]
pub(crate) async fn queues(
    State(shared): State<Shared>,
    _operator: Operator,
) -> Result<NotKept<Queues>, Problem> {
    let now = shared.now();
    let mut queues = Vec::new();
    for game in shared.parts.catalog.games() {
        let view = view::view(&shared, &game).await?;
        for (mode, waiting) in view.modes.iter() {
            queues.push(QueueDocument::of(&game.id, mode, waiting, now));
        }
    }
    Ok(([(CACHE_CONTROL, "no-store")], Json(Queues { queues })))
}

/// Who waits for a game
///
/// The longest first, each with why.
#[utoipa::path(get, path = "/admin/queues/{game}", tag = tag::ADMINISTRATION,
    operation_id = "queued", security(("admin_key" = [])),
    params(("game" = String, Path, description = "The game's id"), QueueParams),
    responses(
        (status = OK, description = "The first of them", body = QueuedGroups),
        (status = NOT_FOUND, response = NotFound),
        (status = TOO_MANY_REQUESTS, response = TooManyRequests),
    ))]
pub(crate) async fn queued(
    State(shared): State<Shared>,
    _operator: Operator,
    Segments(game): Segments<String>,
    Params(params): Params<QueueParams>,
) -> Result<NotKept<QueuedGroups>, Problem> {
    let limit = page_limit(params.limit)?;
    let game = known_game(&shared, &game)?;
    let view = view::view(&shared, &game).await?;
    let named = |mode: &str| params.mode.as_deref().is_none_or(|wanted| wanted == mode);
    let modes = view.modes.iter().filter(|(mode, _)| named(mode));
    let mut groups: Vec<(&str, &ModeView, &Group)> = modes
        .flat_map(|(mode, view)| view.groups.iter().map(move |g| (mode.as_str(), view, g)))
        .collect();
    groups.sort_by_key(|(_, _, group)| (group.queued_at, group.id));
    let total = groups.len();
    groups.truncate(limit as usize);
    let now = shared.now();
    let groups = groups
        .into_iter()
        .map(|(mode, view, group)| QueuedGroup::of(mode, view, group, now))
        .collect();
    let answer = QueuedGroups { total, groups };
    Ok(([(CACHE_CONTROL, "no-store")], Json(answer)))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct QueueParams {
    /// Only this mode.
    mode: Option<String>,
    /// Most groups, 1–100.
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Queues {
    queues: Vec<QueueDocument>,
}

/// Who waits for a mode of a game.
#[derive(Serialize, ToSchema)]
#[schema(as = Queue)]
pub(crate) struct QueueDocument {
    game: String,
    mode: String,
    /// Parties, and players who wait alone.
    groups: usize,
    players: usize,
    /// How long the longest has waited.
    oldest_wait_ms: u64,
    /// Half of those who wait have waited less.
    wait_p50_ms: u64,
    /// Nine of ten of those who wait have waited less.
    wait_p90_ms: u64,
    /// How many groups are at each step of the tolerance; `any` beyond the last.
    by_tolerance: BTreeMap<String, usize>,
    /// How many groups could play in each region now; empty where the rules know none.
    by_region: BTreeMap<String, usize>,
}

impl QueueDocument {
    fn of(game: &str, mode: &str, view: &ModeView, now: DateTime<Utc>) -> Self {
        let mut waits: Vec<u64> = view.groups.iter().map(|g| millis(g, now)).collect();
        waits.sort_unstable();
        let at = |share: usize| waits.get(waits.len() * share / 100).copied().unwrap_or(0);
        let (mut by_tolerance, mut by_region) = (BTreeMap::new(), BTreeMap::new());
        for group in &view.groups {
            let waited = group.waited(now);
            if let Some(rule) = &view.rules.skill {
                let tolerance = rule.tolerance.at(waited);
                let step = match tolerance.is_finite() {
                    true => tolerance.to_string(),
                    false => "any".to_owned(),
                };
                *by_tolerance.entry(step).or_default() += 1;
            }
            if let Some(rule) = &view.rules.latency {
                let limit = rule.max_ms.at(waited);
                for region in &rule.regions {
                    let near = group.latency_ms.get(region);
                    let near = near.is_some_and(|&ms| f64::from(ms) <= limit);
                    if near || group.latency_ms.is_empty() {
                        *by_region.entry(region.clone()).or_default() += 1;
                    }
                }
            }
        }
        Self {
            game: game.to_owned(),
            mode: mode.to_owned(),
            groups: view.groups.len(),
            players: view.groups.iter().map(|g| g.members.len()).sum(),
            oldest_wait_ms: waits.last().copied().unwrap_or(0),
            wait_p50_ms: at(50),
            wait_p90_ms: at(90),
            by_tolerance,
            by_region,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct QueuedGroups {
    /// How many groups wait.
    total: usize,
    /// The first of them.
    groups: Vec<QueuedGroup>,
}

/// A party that waits, or a player alone.
#[derive(Serialize, ToSchema)]
pub(crate) struct QueuedGroup {
    mode: String,
    tickets: Vec<Uuid>,
    players: Vec<Uuid>,
    /// By the mode's rules.
    skill: f64,
    queued_at: Timestamp,
    waited_ms: u64,
    /// Whether it waits for others with the same code.
    private: bool,
    /// Whether a match of it fell apart before it began.
    returned: bool,
    /// Why it waits, in a sentence.
    reason: Option<String>,
    #[serde(flatten)]
    waiting: Option<Waiting>,
}

impl QueuedGroup {
    fn of(mode: &str, view: &ModeView, group: &Group, now: DateTime<Utc>) -> Self {
        let explained = view.queue.explain(group.id, now);
        let waiting = explained.map(|e| Waiting::new(e, view.rules.players.max));
        Self {
            mode: mode.to_owned(),
            tickets: group.members.iter().map(|m| m.ticket_id).collect(),
            players: group.members.iter().map(|m| m.player_id).collect(),
            skill: view.rules.skill_of(group).round(),
            queued_at: Timestamp(group.queued_at),
            waited_ms: millis(group, now),
            private: group.code.is_some(),
            returned: group.returned,
            reason: waiting.as_ref().map(Waiting::sentence),
            waiting,
        }
    }
}

fn millis(group: &Group, now: DateTime<Utc>) -> u64 {
    u64::try_from(group.waited(now).as_millis()).unwrap_or(u64::MAX)
}
