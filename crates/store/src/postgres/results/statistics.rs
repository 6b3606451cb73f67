use std::collections::{BTreeMap, HashMap};

use sqlx::types::Json;
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use super::batch::Accepted;
use crate::postgres::rows::StatisticsRow;
use crate::tally::{self, RatingStep};
use crate::{PlayerStatistics, StoreError, StoreResult};

/// Adds results to their players' statistics, one after the other; answers what each changed of
/// ratings.
pub(super) async fn count(
    tx: &mut Transaction<'_, Postgres>,
    accepted: &[Accepted<'_>],
) -> StoreResult<Vec<Vec<RatingStep>>> {
    let mut modes = lock(tx, accepted).await?;
    let mut steps = Vec::with_capacity(accepted.len());
    for result in accepted {
        let key = (result.stored.game_id.clone(), result.stored.mode.clone());
        let players = modes.entry(key).or_default();
        steps.push(tally::count_statistics(
            &result.counted,
            result.outcome,
            players,
        ));
    }
    store(tx, &modes).await?;
    Ok(steps)
}

/// Players' statistics by game and mode.
type ByMode = HashMap<(String, String), HashMap<Uuid, PlayerStatistics>>;

/// Locks the rows that the results add to, after making those that are missing.
async fn lock(
    tx: &mut Transaction<'_, Postgres>,
    accepted: &[Accepted<'_>],
) -> StoreResult<ByMode> {
    let mut keys: Vec<(Uuid, &str, &str)> = accepted
        .iter()
        .flat_map(|a| {
            let key = |slot: &tally::CountedSlot<'_>| {
                (slot.player_id, &*a.stored.game_id, &*a.stored.mode)
            };
            a.counted.iter().map(key)
        })
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let players: Vec<Uuid> = keys.iter().map(|key| key.0).collect();
    let games: Vec<String> = keys.iter().map(|key| key.1.to_owned()).collect();
    let modes: Vec<String> = keys.iter().map(|key| key.2.to_owned()).collect();
    sqlx::query!(
        "INSERT INTO player_statistics (player_id, game_id, mode)
         SELECT player_id, game_id, mode
         FROM unnest($1::uuid[], $2::text[], $3::text[]) AS k (player_id, game_id, mode)
         ORDER BY player_id, game_id, mode ON CONFLICT DO NOTHING",
        &players,
        &games,
        &modes,
    )
    .execute(&mut **tx)
    .await?;
    let rows = sqlx::query_as!(
        StatisticsRow,
        r#"SELECT s.player_id, s.game_id, s.mode, matches, wins, losses, draws, best_score,
               total_score, statistics AS "statistics: Json<BTreeMap<String, i64>>", rating,
               rating_uncertainty, last_played_at
           FROM unnest($1::uuid[], $2::text[], $3::text[]) AS k (player_id, game_id, mode)
           JOIN player_statistics AS s ON s.player_id = k.player_id AND s.game_id = k.game_id
               AND s.mode = k.mode
           ORDER BY s.player_id, s.game_id, s.mode FOR NO KEY UPDATE OF s"#,
        &players,
        &games,
        &modes,
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut by_mode = ByMode::new();
    for row in rows {
        let key = (row.game_id.clone(), row.mode.clone());
        let player_id = row.player_id;
        by_mode
            .entry(key)
            .or_default()
            .insert(player_id, row.into());
    }
    Ok(by_mode)
}

async fn store(tx: &mut Transaction<'_, Postgres>, modes: &ByMode) -> StoreResult<()> {
    let rows: Vec<(&str, &str, Uuid, &PlayerStatistics)> = modes
        .iter()
        .flat_map(|((game, mode), players)| {
            players
                .iter()
                .map(move |(player_id, sums)| (&**game, &**mode, *player_id, sums))
        })
        .collect();
    let players: Vec<Uuid> = rows.iter().map(|row| row.2).collect();
    let games: Vec<String> = rows.iter().map(|row| row.0.to_owned()).collect();
    let mode_names: Vec<String> = rows.iter().map(|row| row.1.to_owned()).collect();
    let matches: Vec<i64> = rows.iter().map(|row| row.3.matches as i64).collect();
    let wins: Vec<i64> = rows.iter().map(|row| row.3.wins as i64).collect();
    let losses: Vec<i64> = rows.iter().map(|row| row.3.losses as i64).collect();
    let draws: Vec<i64> = rows.iter().map(|row| row.3.draws as i64).collect();
    let best: Vec<Option<i32>> = rows.iter().map(|row| row.3.best_score).collect();
    let total: Vec<i64> = rows.iter().map(|row| row.3.total_score).collect();
    let named: Result<Vec<String>, _> = rows
        .iter()
        .map(|row| serde_json::to_string(&row.3.statistics))
        .collect();
    let named = named.map_err(|error| StoreError::Invalid(error.to_string()))?;
    let ratings: Vec<f64> = rows.iter().map(|row| row.3.rating.value).collect();
    let uncertainties: Vec<f64> = rows.iter().map(|row| row.3.rating.uncertainty).collect();
    let last_played: Vec<_> = rows.iter().map(|row| row.3.last_played_at).collect();
    sqlx::query!(
        "UPDATE player_statistics AS s SET matches = n.matches, wins = n.wins, losses = n.losses,
             draws = n.draws, best_score = n.best_score, total_score = n.total_score,
             statistics = n.statistics::jsonb, rating = n.rating,
             rating_uncertainty = n.rating_uncertainty, last_played_at = n.last_played_at
         FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[],
             $7::bigint[], $8::integer[], $9::bigint[], $10::text[], $11::double precision[],
             $12::double precision[], $13::timestamptz[])
             AS n (player_id, game_id, mode, matches, wins, losses, draws, best_score, total_score,
                 statistics, rating, rating_uncertainty, last_played_at)
         WHERE s.player_id = n.player_id AND s.game_id = n.game_id AND s.mode = n.mode",
        &players,
        &games,
        &mode_names,
        &matches,
        &wins,
        &losses,
        &draws,
        best as _,
        &total,
        &named,
        &ratings,
        &uncertainties,
        last_played as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
