use std::collections::HashMap;

use chrono::{DateTime, Utc};
use gs_matchmaker::Rating;
use sqlx::{Row, Sqlite, Transaction};
use uuid::Uuid;

use super::EmbeddedStore;
use super::rows::{self, millis};
use crate::tally::{self, CountedSlot};
use crate::{PlayerStatistics, Statistics, StoreError, StoreResult};

#[async_trait::async_trait]
impl Statistics for EmbeddedStore {
    async fn statistics(
        &self,
        game: &str,
        player_id: Uuid,
    ) -> StoreResult<Vec<(String, PlayerStatistics)>> {
        let rows = sqlx::query(
            "SELECT * FROM player_statistics WHERE player_id = ? AND game_id = ? ORDER BY mode",
        )
        .bind(player_id.to_string())
        .bind(game)
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| Ok((row.try_get("mode")?, rows::statistics(row)?)))
            .collect()
    }

    async fn ratings(&self, game: &str, mode: &str, players: &[Uuid]) -> StoreResult<Vec<Rating>> {
        let mut tx = self.read().await?;
        let mut ratings = Vec::with_capacity(players.len());
        for player_id in players {
            let row = sqlx::query(
                "SELECT rating, rating_uncertainty FROM player_statistics
                 WHERE player_id = ? AND game_id = ? AND mode = ?",
            )
            .bind(player_id.to_string())
            .bind(game)
            .bind(mode)
            .fetch_optional(&mut *tx)
            .await?;
            let rating = row.as_ref().map(rows::rating).transpose()?;
            ratings.push(rating.unwrap_or_default());
        }
        Ok(ratings)
    }
}

/// Adds what counts of a match to its players' statistics.
pub(super) async fn count(
    tx: &mut Transaction<'_, Sqlite>,
    (game, mode): (&str, &str),
    slots: &[CountedSlot<'_>],
    ended_at: DateTime<Utc>,
) -> StoreResult<()> {
    let mut sums = HashMap::new();
    for slot in slots {
        let row = sqlx::query(
            "SELECT * FROM player_statistics WHERE player_id = ? AND game_id = ? AND mode = ?",
        )
        .bind(slot.player_id.to_string())
        .bind(game)
        .bind(mode)
        .fetch_optional(&mut **tx)
        .await?;
        if let Some(row) = row {
            sums.insert(slot.player_id, rows::statistics(&row)?);
        }
    }
    tally::count_statistics(slots, ended_at, &mut sums);
    for (player_id, sums) in sums {
        let named = serde_json::to_string(&sums.statistics)
            .map_err(|error| StoreError::Invalid(error.to_string()))?;
        sqlx::query(
            "INSERT OR REPLACE INTO player_statistics (player_id, game_id, mode, matches, wins,
                 losses, draws, best_score, total_score, statistics, rating, rating_uncertainty,
                 last_played_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(player_id.to_string())
        .bind(game)
        .bind(mode)
        .bind(sums.matches.cast_signed())
        .bind(sums.wins.cast_signed())
        .bind(sums.losses.cast_signed())
        .bind(sums.draws.cast_signed())
        .bind(sums.best_score)
        .bind(sums.total_score)
        .bind(named)
        .bind(sums.rating.value)
        .bind(sums.rating.uncertainty)
        .bind(sums.last_played_at.map(millis))
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// What all of a player's rated results add up to, by game and mode.
pub(super) async fn statistics_of(
    tx: &mut Transaction<'_, Sqlite>,
    player_id: Uuid,
) -> StoreResult<Vec<(String, String, PlayerStatistics)>> {
    let rows =
        sqlx::query("SELECT * FROM player_statistics WHERE player_id = ? ORDER BY game_id, mode")
            .bind(player_id.to_string())
            .fetch_all(&mut **tx)
            .await?;
    rows.iter()
        .map(|row| {
            let (game, mode) = (row.try_get("game_id")?, row.try_get("mode")?);
            Ok((game, mode, rows::statistics(row)?))
        })
        .collect()
}
