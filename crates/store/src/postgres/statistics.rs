use std::collections::{BTreeMap, HashMap};

use gs_matchmaker::Rating;
use sqlx::types::Json;
use uuid::Uuid;

use super::PostgresStore;
use super::rows::StatisticsRow;
use crate::{PlayerStatistics, Statistics, StoreResult};

#[async_trait::async_trait]
impl Statistics for PostgresStore {
    async fn statistics(
        &self,
        game: &str,
        player_id: Uuid,
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
        let by_mode = rows.into_iter().map(|row| (row.mode.clone(), row.into()));
        Ok(by_mode.collect())
    }

    async fn ratings(&self, game: &str, mode: &str, players: &[Uuid]) -> StoreResult<Vec<Rating>> {
        let rows = sqlx::query!(
            r#"SELECT player_id, rating AS "value!", rating_uncertainty AS "uncertainty!"
               FROM player_statistics
               WHERE player_id = ANY($1) AND game_id = $2 AND mode = $3 AND rating IS NOT NULL"#,
            players,
            game,
            mode,
        )
        .fetch_all(&self.pool)
        .await?;
        let rating = |value, uncertainty| Rating { value, uncertainty };
        let known: HashMap<Uuid, Rating> = rows
            .into_iter()
            .map(|row| (row.player_id, rating(row.value, row.uncertainty)))
            .collect();
        let of = |id: &Uuid| known.get(id).copied().unwrap_or_default();
        Ok(players.iter().map(of).collect())
    }
}
