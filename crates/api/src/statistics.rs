//! `/stats`.

pub(crate) mod ratings;

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use gs_matchmaker::PLACEMENT_MATCHES;
use gs_store::{BoardKey, DEFAULT_BOARD, Player, PlayerStatistics};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::Shared;
use crate::boards::ME;
use crate::body::{Params, Segments, parse_id};
use crate::caller::Caller;
use crate::catalog::{known_game, known_mode};
use crate::openapi::tag;
use crate::problem::{NotFound, Problem, Unauthorized};
use crate::timestamp::Timestamp;

/// A player's statistics in a game
///
/// What the player's rated results add up to: over all modes, or in one. The rating is that of the
/// mode, or of the game's default mode; the rank is that on the board `default` in its current
/// season.
#[utoipa::path(get, path = "/stats/{game}/{player}", tag = tag::LEADERBOARDS,
    operation_id = "stats", security((), ("bearer" = [])),
    params(
        ("game" = String, Path, description = "The game's id", example = "arena"),
        ("player" = String, Path, description = "A player's id, or `me`, which needs an access token",
            example = "me"),
        StatsParams,
    ),
    responses(
        (status = OK, description = "The statistics; zeros before the first result", body = Stats),
        (status = UNAUTHORIZED, response = Unauthorized),
        (status = NOT_FOUND, response = NotFound),
    ))]
pub(crate) async fn of_player(
    State(shared): State<Shared>,
    caller: Option<Caller>,
    Segments((game, player)): Segments<(String, String)>,
    Params(params): Params<StatsParams>,
) -> Result<Response, Problem> {
    let game = known_game(&shared, &game)?;
    let rated_mode = &known_mode(&game, params.mode.as_deref())?.name;
    let player = known_player(&shared, caller, &player).await?;
    let player_id = player.id;

    let now = shared.now();
    let modes = shared.store().statistics(&game.id, player_id, now).await?;
    let rated = modes.iter().find(|(mode, _)| mode == rated_mode);
    let (rating, rated_matches) = rated.map_or_else(Default::default, |(_, statistics)| {
        (statistics.rating, statistics.matches)
    });
    let mut sum = Sum::default();
    for (mode, statistics) in modes {
        if params.mode.as_ref().is_none_or(|wanted| *wanted == mode) {
            sum.add(statistics);
        }
    }
    let rank = match game.boards.iter().find(|board| board.id == DEFAULT_BOARD) {
        None => None,
        Some(board) => {
            let key = BoardKey {
                game: game.id.clone(),
                board: board.id.clone(),
                season: board.season.of(now),
            };
            let standing = shared.store().standing(&key, player_id).await?;
            standing.map(|standing| standing.rank)
        }
    };
    // Presence is a courtesy: where it cannot be asked, nobody is there.
    let online = shared.store().online(&[player_id], now).await;
    let online = online.is_ok_and(|online| online.first() == Some(&true));
    let answer = Stats {
        player_id,
        username: player.username,
        game: game.id.clone(),
        mode: params.mode,
        rating: rounded(rating.value),
        rating_uncertainty: rounded(rating.uncertainty),
        placement_matches_left: u64::from(PLACEMENT_MATCHES).saturating_sub(rated_matches),
        rank,
        matches: sum.matches,
        wins: sum.wins,
        losses: sum.losses,
        draws: sum.draws,
        best_score: sum.best_score,
        total_score: sum.total_score,
        statistics: sum.statistics,
        online,
        last_played_at: sum.last_played_at.map(Timestamp),
    };
    Ok(([(CACHE_CONTROL, "no-cache")], Json(answer)).into_response())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StatsParams {
    /// One of the game's modes; all of them together where absent.
    mode: Option<String>,
}

/// What a player's rated results in a game add up to.
#[derive(Serialize, ToSchema)]
pub(crate) struct Stats {
    player_id: Uuid,
    username: String,
    #[schema(example = "arena")]
    game: String,
    /// The mode that was asked for; null: all modes together.
    mode: Option<String>,
    /// How good the player is held to be; 1500 is where everyone starts.
    #[schema(example = 1500)]
    rating: i32,
    /// The rating's standard deviation: 350 at first, less with every match, and more again when
    /// the player is long away.
    #[schema(example = 350)]
    rating_uncertainty: i32,
    /// How many rated matches are left in the mode until the rating says something.
    #[schema(example = 10)]
    placement_matches_left: u64,
    /// The rank on the board `default` in its current season; null where the player is not on it.
    rank: Option<u64>,
    /// Matches that counted: wins, losses and draws together.
    matches: u64,
    wins: u64,
    losses: u64,
    draws: u64,
    /// The highest score of a match.
    best_score: Option<i32>,
    /// The scores of all matches added up.
    total_score: i64,
    /// The game's own statistics, each added up over all matches.
    statistics: BTreeMap<String, i64>,
    /// Whether the player was heard of within the last minute.
    online: bool,
    /// When the last match that counted ended.
    last_played_at: Option<Timestamp>,
}

/// The player of a path: an id, or `me`.
async fn known_player(
    shared: &Shared,
    caller: Option<Caller>,
    player: &str,
) -> Result<Player, Problem> {
    let id = match (player, caller) {
        (ME, Some(caller)) => caller.player_id,
        (ME, None) => {
            let detail = "`me` needs `Authorization: Bearer` with an access token";
            return Err(Problem::unauthorized(detail));
        }
        (id, _) => parse_id(id, "player")?,
    };
    let player = shared.store().player(id).await?;
    player.ok_or_else(|| Problem::not_found("there is no such player"))
}

/// A rating as players are shown it.
pub(crate) fn rounded(value: f64) -> i32 {
    // Saturates, and ratings are far from its ends.
    value.round() as i32
}

/// The statistics of several modes together.
#[derive(Default)]
struct Sum {
    matches: u64,
    wins: u64,
    losses: u64,
    draws: u64,
    best_score: Option<i32>,
    total_score: i64,
    statistics: BTreeMap<String, i64>,
    last_played_at: Option<DateTime<Utc>>,
}

impl Sum {
    fn add(&mut self, more: PlayerStatistics) {
        self.matches += more.matches;
        self.wins += more.wins;
        self.losses += more.losses;
        self.draws += more.draws;
        self.best_score = self.best_score.max(more.best_score);
        self.total_score = self.total_score.saturating_add(more.total_score);
        for (name, value) in more.statistics {
            let sum = self.statistics.entry(name).or_default();
            *sum = sum.saturating_add(value);
        }
        self.last_played_at = self.last_played_at.max(more.last_played_at);
    }
}
