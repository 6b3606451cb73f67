use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use gs_matchmaker::Rating;
use uuid::Uuid;

use crate::StoreResult;

/// What players' rated results add up to, by game and mode. Results fill it
/// ([`crate::Matches::store_result`]).
#[async_trait::async_trait]
pub trait Statistics: Send + Sync {
    /// A player's statistics in each mode of a game that the player has rated results in, in the
    /// alphabetical order of modes. Ratings are what they are at `now`.
    async fn statistics(
        &self,
        game: &str,
        player_id: Uuid,
        now: DateTime<Utc>,
    ) -> StoreResult<Vec<(String, PlayerStatistics)>>;

    /// The ratings of these players in a mode at `now`; a player without rated results has
    /// [`Rating::default`]. In the order asked.
    async fn ratings(
        &self,
        game: &str,
        mode: &str,
        players: &[Uuid],
        now: DateTime<Utc>,
    ) -> StoreResult<Vec<Rating>>;

    /// What players are matched by in a mode, as it is at `now`. In the order asked.
    async fn matchmaking_skills(
        &self,
        game: &str,
        mode: &str,
        players: &[Uuid],
        now: DateTime<Utc>,
    ) -> StoreResult<Vec<PlayerSkill>>;

    /// What matches changed of a player's rating in a mode, those formed last first, at most
    /// `limit`, only those before `before`. It is kept as long as the matches are, until the player
    /// is erased; matches of before it was kept are left out.
    async fn rating_history(
        &self,
        game: &str,
        mode: &str,
        player_id: Uuid,
        before: Option<Uuid>,
        limit: u32,
    ) -> StoreResult<Vec<RatingChange>>;
}

/// What a player is matched by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PlayerSkill {
    /// How good the player is held to be; [`Rating::default`] before the first rated result.
    pub rating: Rating,
    /// The highest score of a rated match.
    pub best_score: Option<i32>,
    /// How many rated matches the player has played.
    pub matches: u64,
}

/// What a match changed of a player's rating.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RatingChange {
    /// The match.
    pub match_id: Uuid,
    /// When it ended.
    pub at: DateTime<Utc>,
    /// The rating before; less certain than after the match before, by the time between them.
    pub before: Rating,
    /// The rating after.
    pub after: Rating,
}

/// What a player's rated results in one mode of a game add up to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlayerStatistics {
    /// Matches that counted; wins, losses and draws together. Of one in which a substitute took the
    /// player's slot, scores and named statistics did not.
    pub matches: u64,
    /// Matches in which the player (or the player's team) alone came first.
    pub wins: u64,
    /// Matches in which somebody else came before the player.
    pub losses: u64,
    /// Matches in which the player shared the first place with another team or player.
    pub draws: u64,
    /// The highest score of a match.
    pub best_score: Option<i32>,
    /// The scores of all matches added up.
    pub total_score: i64,
    /// The game's named statistics added up, at most [`MAX_STATISTICS`] names.
    pub statistics: BTreeMap<String, i64>,
    /// How good the player is held to be; in [`crate::AccountData`] as of the last match.
    pub rating: Rating,
    /// When the last match that counted ended.
    pub last_played_at: Option<DateTime<Utc>>,
}

/// Most names of statistics kept for a player and mode: a match has 16 at most, and a game's later
/// versions may name others. What comes beyond is not added up.
pub const MAX_STATISTICS: usize = 64;
