use std::collections::HashMap;

use chrono::{DateTime, Utc};
use gs_matchmaker::Rating;
use sqlx::{Row, Sqlite, Transaction};
use uuid::Uuid;

use super::EmbeddedStore;
use super::rows::{self, millis};
use crate::tally::{self, CountedSlot, RatingStep};
use crate::{
    MatchOutcome, PlayerSkill, PlayerStatistics, RatingChange, Statistics, StoreError, StoreResult,
};

#[async_trait::async_trait]
impl Statistics for EmbeddedStore {
    async fn statistics(
        &self,
        game: &str,
        player_id: Uuid,
        now: DateTime<Utc>,
    ) -> StoreResult<Vec<(String, PlayerStatistics)>> {
        let rows = sqlx::query(
            "SELECT * FROM player_statistics WHERE player_id = ? AND game_id = ? ORDER BY mode",
        )
        .bind(player_id.to_string())
        .bind(game)
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                let mut sums = rows::statistics(row)?;
                sums.rating = tally::rating_at(sums.rating, sums.last_played_at, now);
                Ok((row.try_get("mode")?, sums))
            })
            .collect()
    }

    async fn ratings(
        &self,
        game: &str,
        mode: &str,
        players: &[Uuid],
        now: DateTime<Utc>,
    ) -> StoreResult<Vec<Rating>> {
        let skills = self.matchmaking_skills(game, mode, players, now).await?;
        Ok(skills.into_iter().map(|skill| skill.rating).collect())
    }

    async fn matchmaking_skills(
        &self,
        game: &str,
        mode: &str,
        players: &[Uuid],
        now: DateTime<Utc>,
    ) -> StoreResult<Vec<PlayerSkill>> {
        let mut tx = self.read().await?;
        let mut skills = Vec::with_capacity(players.len());
        for player_id in players {
            let row = sqlx::query(
                "SELECT * FROM player_statistics WHERE player_id = ? AND game_id = ? AND mode = ?",
            )
            .bind(player_id.to_string())
            .bind(game)
            .bind(mode)
            .fetch_optional(&mut *tx)
            .await?;
            let sums = row.as_ref().map(rows::statistics).transpose()?;
            skills.push(sums.map_or_else(PlayerSkill::default, |sums| PlayerSkill {
                rating: tally::rating_at(sums.rating, sums.last_played_at, now),
                best_score: sums.best_score,
                matches: sums.matches,
            }));
        }
        Ok(skills)
    }

    async fn rating_history(
        &self,
        game: &str,
        mode: &str,
        player_id: Uuid,
        before: Option<Uuid>,
        limit: u32,
    ) -> StoreResult<Vec<RatingChange>> {
        let rows = sqlx::query(
            "SELECT match_slots.*, ended_at FROM match_slots JOIN matches ON matches.id = match_id
             WHERE player_id = ?1 AND game_id = ?2 AND mode = ?3 AND rating_after IS NOT NULL
             AND (?4 IS NULL OR match_id < ?4)
             ORDER BY match_id DESC LIMIT ?5",
        )
        .bind(player_id.to_string())
        .bind(game)
        .bind(mode)
        .bind(before.map(|id| id.to_string()))
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        let mut changes = Vec::with_capacity(rows.len());
        for row in &rows {
            let Some((before, after)) = rows::rating_step(row)? else {
                continue;
            };
            changes.push(RatingChange {
                match_id: rows::uuid(row, "match_id")?,
                at: rows::time(row, "ended_at")?,
                before,
                after,
            });
        }
        Ok(changes)
    }
}

/// Adds what counts of a match to its players' statistics; answers what changed of ratings.
pub(super) async fn count(
    tx: &mut Transaction<'_, Sqlite>,
    (game, mode): (&str, &str),
    slots: &[CountedSlot<'_>],
    outcome: &MatchOutcome,
) -> StoreResult<Vec<RatingStep>> {
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
    let steps = tally::count_statistics(slots, outcome, &mut sums);
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
    Ok(steps)
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
