use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use super::batch::Accepted;
use crate::tally::{self, Scored};
use crate::{BoardKey, BoardRule, StoreError, StoreResult};

/// Ids of boards that are known to be stored.
#[derive(Debug, Default)]
pub(super) struct BoardIds(HashMap<BoardKey, i32>);

impl BoardIds {
    /// Forgets all: the database may be another one now.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    fn keep(&mut self, found: &[(BoardKey, i32)]) {
        if self.0.len() + found.len() > MAX_KNOWN_BOARDS {
            self.0.clear();
        }
        self.0.extend(found.iter().cloned());
    }
}

/// Enters the results' scores on the boards that they count on, and notes the entries that changed
/// for those who keep the ranks.
pub(super) async fn count(
    tx: &mut Transaction<'_, Postgres>,
    board_ids: &mut BoardIds,
    accepted: &[Accepted<'_>],
) -> StoreResult<()> {
    let mut boards: BTreeMap<BoardKey, HashMap<(Uuid, BoardRule), Scored>> = BTreeMap::new();
    for result in accepted {
        let game = &result.stored.game_id;
        for score in tally::board_scores(game, &result.counted, result.outcome) {
            let (rule, scored) = (score.rule, score.scored);
            let entries = boards.entry(score.board).or_default();
            entries
                .entry((score.player_id, rule))
                .and_modify(|kept| *kept = tally::keep(rule, Some(*kept), scored))
                .or_insert(scored);
        }
    }
    if boards.is_empty() {
        return Ok(());
    }
    let ids = ids(tx, board_ids, boards.keys()).await?;
    let (mut best, mut latest, mut sum) = (Scores::default(), Scores::default(), Scores::default());
    for (board, entries) in &boards {
        let id = ids.get(board).ok_or_else(|| {
            StoreError::Invalid(format!(
                "board {} of {} was not stored",
                board.board, board.game
            ))
        })?;
        for ((player_id, rule), scored) in entries {
            let scores = match rule {
                BoardRule::Best => &mut best,
                BoardRule::Latest => &mut latest,
                BoardRule::Sum => &mut sum,
            };
            scores.boards.push(*id);
            scores.players.push(*player_id);
            scores.scores.push(scored.score);
            scores.times.push(scored.at);
        }
    }
    enter_best(tx, &best).await?;
    enter_latest(tx, &latest).await?;
    enter_sum(tx, &sum).await
}

/// Scores to enter, no player twice on a board.
#[derive(Default)]
struct Scores {
    boards: Vec<i32>,
    players: Vec<Uuid>,
    scores: Vec<i64>,
    times: Vec<DateTime<Utc>>,
}

// The conditions are `tally::keep`'s. Entries are locked in order, so that transactions do not wait
// for each other in a circle; a change's number is drawn under its entry's lock, so an entry's
// changes are numbered in the order in which they happened.

async fn enter_best(tx: &mut Transaction<'_, Postgres>, scores: &Scores) -> StoreResult<()> {
    if scores.boards.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "WITH kept AS (
             INSERT INTO board_entries AS kept (board_id, player_id, score, reached_at)
             SELECT * FROM unnest($1::integer[], $2::uuid[], $3::bigint[], $4::timestamptz[])
             ORDER BY 1, 2
             ON CONFLICT (board_id, player_id) DO UPDATE
             SET score = EXCLUDED.score, reached_at = EXCLUDED.reached_at
             WHERE (EXCLUDED.score, kept.reached_at) > (kept.score, EXCLUDED.reached_at)
             RETURNING board_id, player_id, score)
         INSERT INTO board_changes (board_id, player_id, score)
         SELECT board_id, player_id, score FROM kept",
        &scores.boards,
        &scores.players,
        &scores.scores,
        &scores.times,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn enter_latest(tx: &mut Transaction<'_, Postgres>, scores: &Scores) -> StoreResult<()> {
    if scores.boards.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "WITH kept AS (
             INSERT INTO board_entries AS kept (board_id, player_id, score, reached_at)
             SELECT * FROM unnest($1::integer[], $2::uuid[], $3::bigint[], $4::timestamptz[])
             ORDER BY 1, 2
             ON CONFLICT (board_id, player_id) DO UPDATE
             SET score = EXCLUDED.score, reached_at = EXCLUDED.reached_at
             WHERE (EXCLUDED.reached_at, EXCLUDED.score) > (kept.reached_at, kept.score)
             RETURNING board_id, player_id, score)
         INSERT INTO board_changes (board_id, player_id, score)
         SELECT board_id, player_id, score FROM kept",
        &scores.boards,
        &scores.players,
        &scores.scores,
        &scores.times,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn enter_sum(tx: &mut Transaction<'_, Postgres>, scores: &Scores) -> StoreResult<()> {
    if scores.boards.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "WITH kept AS (
             INSERT INTO board_entries AS kept (board_id, player_id, score, reached_at)
             SELECT * FROM unnest($1::integer[], $2::uuid[], $3::bigint[], $4::timestamptz[])
             ORDER BY 1, 2
             ON CONFLICT (board_id, player_id) DO UPDATE
             SET score = kept.score + EXCLUDED.score,
                 reached_at = greatest(kept.reached_at, EXCLUDED.reached_at)
             RETURNING board_id, player_id, score)
         INSERT INTO board_changes (board_id, player_id, score)
         SELECT board_id, player_id, score FROM kept",
        &scores.boards,
        &scores.players,
        &scores.scores,
        &scores.times,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The ids of boards, which are made where they are missing.
async fn ids<'a>(
    tx: &mut Transaction<'_, Postgres>,
    known: &mut BoardIds,
    boards: impl Iterator<Item = &'a BoardKey> + Clone,
) -> StoreResult<HashMap<BoardKey, i32>> {
    let unknown: Vec<&BoardKey> = boards
        .clone()
        .filter(|b| !known.0.contains_key(b))
        .collect();
    let mut ids: HashMap<BoardKey, i32> = boards
        .filter_map(|board| Some((board.clone(), *known.0.get(board)?)))
        .collect();
    if unknown.is_empty() {
        return Ok(ids);
    }
    let found = stored(tx, &unknown).await?;
    known.keep(&found);
    ids.extend(found);
    let missing: Vec<&BoardKey> = unknown
        .into_iter()
        .filter(|b| !ids.contains_key(b))
        .collect();
    if !missing.is_empty() {
        let (games, names, seasons) = columns(&missing);
        sqlx::query!(
            "INSERT INTO boards (game_id, board, season)
             SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) ORDER BY 1, 2, 3
             ON CONFLICT DO NOTHING",
            &games,
            &names,
            &seasons,
        )
        .execute(&mut **tx)
        .await?;
        // Not known yet: this transaction may fail.
        ids.extend(stored(tx, &missing).await?);
    }
    Ok(ids)
}

async fn stored(
    tx: &mut Transaction<'_, Postgres>,
    boards: &[&BoardKey],
) -> StoreResult<Vec<(BoardKey, i32)>> {
    let (games, names, seasons) = columns(boards);
    let rows = sqlx::query!(
        "SELECT id, game_id, board, season FROM boards WHERE (game_id, board, season) IN (
             SELECT * FROM unnest($1::text[], $2::text[], $3::text[]))",
        &games,
        &names,
        &seasons,
    )
    .fetch_all(&mut **tx)
    .await?;
    let found = rows.into_iter().map(|row| {
        let board = BoardKey {
            game: row.game_id,
            board: row.board,
            season: row.season,
        };
        (board, row.id)
    });
    Ok(found.collect())
}

fn columns(boards: &[&BoardKey]) -> (Vec<String>, Vec<String>, Vec<String>) {
    let games = boards.iter().map(|b| b.game.clone()).collect();
    let names = boards.iter().map(|b| b.board.clone()).collect();
    let seasons = boards.iter().map(|b| b.season.clone()).collect();
    (games, names, seasons)
}

/// A process writes to the boards of its games in their current seasons.
const MAX_KNOWN_BOARDS: usize = 1024;
