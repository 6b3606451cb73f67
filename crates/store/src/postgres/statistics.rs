use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use gs_matchmaker::Rating;
use sqlx::types::Json;
use uuid::Uuid;

use super::PostgresStore;
use super::rows::{self, StatisticsRow};
use crate::tally;
use crate::{PlayerSkill, PlayerStatistics, RatingChange, Statistics, StoreResult};

#[async_trait::async_trait]
impl Statistics for PostgresStore {
    async fn statistics(
        &self,
        game: &str,
        player_id: Uuid,
        now: DateTime<Utc>,
    ) -> StoreResult<Vec<(String, PlayerStatistics)>> {
        let rows = sqlx::query_as!(
            StatisticsRow,
            r#"SELECT player_id, game_id, mode, matches, wins, losses, draws, best_score, total_score,
                   statistics AS "statistics: Json<BTreeMap<String, i64>>", rating,
                   rating_uncertainty, last_played_at
               FROM player_statistics WHERE player_id = $1 AND game_id = $2
               ORDER BY mode COLLATE "C""#,
            player_id,
            game,
        )
        .fetch_all(&self.pool)
        .await?;
        let by_mode = rows.into_iter().map(|row| {
            let mode = row.mode.clone();
            let mut sums: PlayerStatistics = row.into();
            sums.rating = tally::rating_at(sums.rating, sums.last_played_at, now);
            (mode, sums)
        });
        Ok(by_mode.collect())
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
        let rows = sqlx::query!(
            "SELECT player_id, rating, rating_uncertainty, last_played_at, best_score, matches
             FROM player_statistics WHERE player_id = ANY($1) AND game_id = $2 AND mode = $3",
            players,
            game,
            mode,
        )
        .fetch_all(&self.pool)
        .await?;
        let known: HashMap<Uuid, PlayerSkill> = rows
            .into_iter()
            .map(|row| {
                let rating = rows::rating(row.rating, row.rating_uncertainty);
                let skill = PlayerSkill {
                    rating: tally::rating_at(rating.unwrap_or_default(), row.last_played_at, now),
                    best_score: row.best_score,
                    matches: row.matches.unsigned_abs(),
                };
                (row.player_id, skill)
            })
            .collect();
        let of = |id: &Uuid| known.get(id).copied().unwrap_or_default();
        Ok(players.iter().map(of).collect())
    }

    async fn rating_history(
        &self,
        game: &str,
        mode: &str,
        player_id: Uuid,
        before: Option<Uuid>,
        limit: u32,
    ) -> StoreResult<Vec<RatingChange>> {
        // Match after match of the player, whatever is known of how rare the mode is: there may be any
        // number of matches of others.
        let rows = sqlx::query!(
            r#"SELECT match_id, ended_at AS "ended_at!", rating_before AS "rating_before!",
                   uncertainty_before AS "uncertainty_before!", rating_after AS "rating_after!",
                   uncertainty_after AS "uncertainty_after!"
               FROM match_slots CROSS JOIN LATERAL (
                   SELECT ended_at FROM matches
                   WHERE id = match_id AND game_id = $2 AND mode = $3 OFFSET 0) AS ended
               WHERE player_id = $1 AND rating_after IS NOT NULL
               AND ($4::uuid IS NULL OR match_id < $4)
               AND EXISTS (SELECT 1 FROM player_statistics
                   WHERE player_id = $1 AND game_id = $2 AND mode = $3)
               ORDER BY match_id DESC LIMIT $5"#,
            player_id,
            game,
            mode,
            before,
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?;
        let changes = rows.into_iter().map(|row| RatingChange {
            match_id: row.match_id,
            at: row.ended_at,
            before: Rating {
                value: row.rating_before,
                uncertainty: row.uncertainty_before,
            },
            after: Rating {
                value: row.rating_after,
                uncertainty: row.uncertainty_after,
            },
        });
        Ok(changes.collect())
    }
}
