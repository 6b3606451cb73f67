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
    /// alphabetical order of modes.
    async fn statistics(
        &self,
        game: &str,
        player_id: Uuid,
    ) -> StoreResult<Vec<(String, PlayerStatistics)>>;

    /// The ratings of these players in a mode; a player without rated results has
    /// [`Rating::default`]. In the order asked.
    async fn ratings(&self, game: &str, mode: &str, players: &[Uuid]) -> StoreResult<Vec<Rating>>;
}

/// What a player's rated results in one mode of a game add up to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlayerStatistics {
    /// Matches that counted; wins, losses and draws together.
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
    /// How good the player is held to be.
    pub rating: Rating,
    /// When the last match that counted ended.
    pub last_played_at: Option<DateTime<Utc>>,
}

/// Most names of statistics kept for a player and mode: a match has 16 at most, and a game's later
/// versions may name others. What comes beyond is not added up.
pub const MAX_STATISTICS: usize = 64;
