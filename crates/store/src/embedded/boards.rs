use chrono::{DateTime, Utc};
use sqlx::{Row, Sqlite, Transaction};
use uuid::Uuid;

use super::EmbeddedStore;
use super::rows::{self, millis};
use crate::boards::{PAGE_LIMITS, cursor_of, rank_entries, split_around, split_off};
use crate::tally::{self, BoardScore, Scored};
use crate::{
    BoardCursor, BoardEntry, BoardKey, BoardPage, BoardRule, BoardStart, Boards, Rebuild, Standing,
    StoreResult,
};

#[async_trait::async_trait]
impl Boards for EmbeddedStore {
    async fn board_page(
        &self,
        board: &BoardKey,
        start: BoardStart,
        limit: u32,
    ) -> StoreResult<BoardPage> {
        let limit = limit.clamp(*PAGE_LIMITS.start(), *PAGE_LIMITS.end());
        let mut tx = self.read().await?;
        let Some(id) = board_id(&mut tx, board).await? else {
            return Ok(BoardPage::default());
        };
        let total = count(&mut tx, id).await?;
        let (mut entries, more) = match start {
            BoardStart::Top => {
                let entries = after(&mut tx, id, None, limit + 1).await?;
                split_off(entries, limit)
            }
            BoardStart::After(cursor) => {
                let entries = after(&mut tx, id, Some(cursor), limit + 1).await?;
                split_off(entries, limit)
            }
            BoardStart::Around(player_id) => {
                let Some(own) = entry(&mut tx, id, player_id).await? else {
                    return Ok(BoardPage {
                        total,
                        ..BoardPage::default()
                    });
                };
                let mut entries = before(&mut tx, id, cursor_of(&own), limit - 1).await?;
                let below = after(&mut tx, id, Some(cursor_of(&own)), limit).await?;
                let (above, rest) = split_around(entries.len(), below.len(), limit);
                entries.truncate(above);
                entries.reverse();
                entries.push(own);
                let more = below.len() > rest;
                entries.extend(below.into_iter().take(rest));
                (entries, more)
            }
        };
        if let Some(first) = entries.first() {
            let (rank, position) = place(&mut tx, id, first).await?;
            rank_entries(&mut entries, rank, position);
        }
        let next = entries.last().filter(|_| more).map(cursor_of);
        Ok(BoardPage {
            entries,
            total,
            next,
        })
    }

    async fn standing(&self, board: &BoardKey, player_id: Uuid) -> StoreResult<Option<Standing>> {
        let mut tx = self.read().await?;
        let Some(id) = board_id(&mut tx, board).await? else {
            return Ok(None);
        };
        let Some(own) = entry(&mut tx, id, player_id).await? else {
            return Ok(None);
        };
        let (rank, _) = place(&mut tx, id, &own).await?;
        let total = count(&mut tx, id).await?;
        Ok(Some(Standing {
            rank,
            score: own.score,
            total,
        }))
    }

    async fn seasons(&self, game: &str, board: &str, limit: u32) -> StoreResult<Vec<String>> {
        let seasons = sqlx::query_scalar(
            "SELECT season FROM boards WHERE game_id = ? AND board = ?
             ORDER BY season DESC LIMIT ?",
        )
        .bind(game)
        .bind(board)
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        Ok(seasons)
    }

    /// Ranks are counted from the record whenever they are asked for, so there is nothing to do.
    async fn request_rebuild(&self, game: &str, board: Option<&str>) -> StoreResult<Uuid> {
        let entries: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM boards JOIN board_entries ON board_id = boards.id
             WHERE game_id = ?1 AND (?2 IS NULL OR board = ?2)",
        )
        .bind(game)
        .bind(board)
        .fetch_one(&self.readers)
        .await?;
        let id = Uuid::now_v7();
        let done = Rebuild {
            entries: entries.unsigned_abs(),
            done: true,
        };
        self.memory().rebuild_done(id, done);
        Ok(id)
    }

    async fn rebuild(&self, id: Uuid) -> StoreResult<Option<Rebuild>> {
        Ok(self.memory().rebuild(id))
    }
}

/// Enters the scores of a result on their boards.
pub(super) async fn enter(
    tx: &mut Transaction<'_, Sqlite>,
    scores: Vec<BoardScore>,
) -> StoreResult<()> {
    for BoardScore {
        board,
        rule,
        player_id,
        scored,
    } in scores
    {
        let id = match board_id(tx, &board).await? {
            Some(id) => id,
            None => insert_board(tx, &board).await?,
        };
        enter_one(tx, id, rule, player_id, scored).await?;
    }
    Ok(())
}

/// All entries of a player, in the order of boards.
pub(super) async fn entries_of(
    tx: &mut Transaction<'_, Sqlite>,
    player_id: Uuid,
) -> StoreResult<Vec<(BoardKey, i64, DateTime<Utc>)>> {
    let rows = sqlx::query(
        "SELECT game_id, board, season, score, reached_at FROM board_entries
         JOIN boards ON boards.id = board_id WHERE player_id = ? ORDER BY game_id, board, season",
    )
    .bind(player_id.to_string())
    .fetch_all(&mut **tx)
    .await?;
    rows.iter()
        .map(|row| {
            let key = BoardKey {
                game: row.try_get("game_id")?,
                board: row.try_get("board")?,
                season: row.try_get("season")?,
            };
            Ok((key, row.try_get("score")?, rows::time(row, "reached_at")?))
        })
        .collect()
}

async fn board_id(tx: &mut Transaction<'_, Sqlite>, board: &BoardKey) -> StoreResult<Option<i64>> {
    let id =
        sqlx::query_scalar("SELECT id FROM boards WHERE game_id = ? AND board = ? AND season = ?")
            .bind(&board.game)
            .bind(&board.board)
            .bind(&board.season)
            .fetch_optional(&mut **tx)
            .await?;
    Ok(id)
}

async fn insert_board(tx: &mut Transaction<'_, Sqlite>, board: &BoardKey) -> StoreResult<i64> {
    let id = sqlx::query_scalar(
        "INSERT INTO boards (game_id, board, season) VALUES (?, ?, ?) RETURNING id",
    )
    .bind(&board.game)
    .bind(&board.board)
    .bind(&board.season)
    .fetch_one(&mut **tx)
    .await?;
    Ok(id)
}

async fn enter_one(
    tx: &mut Transaction<'_, Sqlite>,
    board: i64,
    rule: BoardRule,
    player_id: Uuid,
    scored: Scored,
) -> StoreResult<()> {
    let kept = entry(tx, board, player_id).await?.map(|entry| Scored {
        score: entry.score,
        at: entry.at,
    });
    let scored = tally::keep(rule, kept, scored);
    sqlx::query(
        "INSERT INTO board_entries (board_id, player_id, score, reached_at) VALUES (?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET score = excluded.score, reached_at = excluded.reached_at",
    )
    .bind(board)
    .bind(player_id.to_string())
    .bind(scored.score)
    .bind(millis(scored.at))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn entry(
    tx: &mut Transaction<'_, Sqlite>,
    board: i64,
    player_id: Uuid,
) -> StoreResult<Option<BoardEntry>> {
    let row = sqlx::query(
        "SELECT player_id, username, score, reached_at FROM board_entries
         JOIN players ON players.id = player_id WHERE board_id = ? AND player_id = ?",
    )
    .bind(board)
    .bind(player_id.to_string())
    .fetch_optional(&mut **tx)
    .await?;
    row.as_ref().map(rows::board_entry).transpose()
}

/// The entries after this one, best first; from the top where there is none.
async fn after(
    tx: &mut Transaction<'_, Sqlite>,
    board: i64,
    cursor: Option<BoardCursor>,
    limit: u32,
) -> StoreResult<Vec<BoardEntry>> {
    let (score, at, player_id) = match cursor {
        Some(cursor) => (
            cursor.score,
            millis(cursor.at),
            cursor.player_id.to_string(),
        ),
        None => (i64::MAX, i64::MIN, String::new()),
    };
    let rows = sqlx::query(
        "SELECT player_id, username, score, reached_at FROM board_entries
         JOIN players ON players.id = player_id
         WHERE board_id = ?1 AND score <= ?2
         AND (score < ?2 OR (reached_at, player_id) > (?3, ?4))
         ORDER BY score DESC, reached_at, player_id LIMIT ?5",
    )
    .bind(board)
    .bind(score)
    .bind(at)
    .bind(player_id)
    .bind(limit)
    .fetch_all(&mut **tx)
    .await?;
    rows.iter().map(rows::board_entry).collect()
}

/// The entries before this one, the nearest first.
async fn before(
    tx: &mut Transaction<'_, Sqlite>,
    board: i64,
    cursor: BoardCursor,
    limit: u32,
) -> StoreResult<Vec<BoardEntry>> {
    let rows = sqlx::query(
        "SELECT player_id, username, score, reached_at FROM board_entries
         JOIN players ON players.id = player_id
         WHERE board_id = ?1 AND score >= ?2
         AND (score > ?2 OR (reached_at, player_id) < (?3, ?4))
         ORDER BY score, reached_at DESC, player_id DESC LIMIT ?5",
    )
    .bind(board)
    .bind(cursor.score)
    .bind(millis(cursor.at))
    .bind(cursor.player_id.to_string())
    .bind(limit)
    .fetch_all(&mut **tx)
    .await?;
    rows.iter().map(rows::board_entry).collect()
}

/// An entry's rank, and its place in the order; both 1 for the best.
async fn place(
    tx: &mut Transaction<'_, Sqlite>,
    board: i64,
    entry: &BoardEntry,
) -> StoreResult<(u64, u64)> {
    let (higher, earlier): (i64, i64) = sqlx::query_as(
        "SELECT
             (SELECT COUNT(*) FROM board_entries WHERE board_id = ?1 AND score > ?2),
             (SELECT COUNT(*) FROM board_entries WHERE board_id = ?1 AND score = ?2
                 AND (reached_at, player_id) < (?3, ?4))",
    )
    .bind(board)
    .bind(entry.score)
    .bind(millis(entry.at))
    .bind(entry.player_id.to_string())
    .fetch_one(&mut **tx)
    .await?;
    let rank = higher.unsigned_abs() + 1;
    Ok((rank, rank + earlier.unsigned_abs()))
}

async fn count(tx: &mut Transaction<'_, Sqlite>, board: i64) -> StoreResult<u64> {
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM board_entries WHERE board_id = ?")
        .bind(board)
        .fetch_one(&mut **tx)
        .await?;
    Ok(count.unsigned_abs())
}
