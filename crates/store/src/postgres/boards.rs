//! Boards: entries and their order from PostgreSQL, ranks from Redis.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::PostgresStore;
use super::ranks::Known;
use super::rows::millis;
use crate::boards::{PAGE_LIMITS, cursor_of, rank_entries, split_around, split_off};
use crate::{
    BoardCursor, BoardEntry, BoardKey, BoardPage, BoardStart, Boards, Rebuild, Standing,
    StoreResult,
};

#[async_trait::async_trait]
impl Boards for PostgresStore {
    async fn board_page(
        &self,
        board: &BoardKey,
        start: BoardStart,
        limit: u32,
    ) -> StoreResult<BoardPage> {
        let limit = limit.clamp(*PAGE_LIMITS.start(), *PAGE_LIMITS.end());
        match start {
            BoardStart::Top => self.top(board, limit).await,
            BoardStart::After(cursor) => {
                let neighbours = self
                    .neighbours(board, cursor, 0, i64::from(limit) + 1)
                    .await?;
                self.ranked(board, split_off(neighbours.below, limit)).await
            }
            BoardStart::Around(player_id) => self.around(board, player_id, limit).await,
        }
    }

    async fn standing(&self, board: &BoardKey, player_id: Uuid) -> StoreResult<Option<Standing>> {
        if let Known::Standing(standing) = self.known_standing(board, player_id).await {
            return Ok(Some(standing));
        }
        // Not on the board, or only just.
        let Some(own) = self.entry(board, player_id).await? else {
            return Ok(None);
        };
        let counts = self.counts(board, &[own.score]).await?;
        Ok(Some(Standing {
            rank: counts.higher.first().map_or(1, |higher| higher + 1),
            score: own.score,
            total: counts.total.max(1),
        }))
    }

    async fn seasons(&self, game: &str, board: &str, limit: u32) -> StoreResult<Vec<String>> {
        let seasons = sqlx::query_scalar!(
            r#"SELECT season FROM boards WHERE game_id = $1 AND board = $2
             ORDER BY season COLLATE "C" DESC LIMIT $3"#,
            game,
            board,
            i64::from(limit),
        );
        Ok(seasons.fetch_all(&self.pool).await?)
    }

    async fn request_rebuild(&self, game: &str, board: Option<&str>) -> StoreResult<Uuid> {
        let id = Uuid::now_v7();
        sqlx::query!(
            "WITH old AS (
                 DELETE FROM board_rebuilds WHERE done_at < now() - interval '1 day')
             INSERT INTO board_rebuilds (id, game_id, board) VALUES ($1, $2, $3)",
            id,
            game,
            board,
        )
        .execute(&self.pool)
        .await?;
        self.changed();
        Ok(id)
    }

    async fn rebuild(&self, id: Uuid) -> StoreResult<Option<Rebuild>> {
        let row = sqlx::query!(
            r#"SELECT entries, done_at IS NOT NULL AS "done!" FROM board_rebuilds WHERE id = $1"#,
            id,
        );
        let row = row.fetch_optional(&self.pool).await?;
        Ok(row.map(|row| Rebuild {
            entries: row.entries.unsigned_abs(),
            done: row.done,
        }))
    }
}

impl PostgresStore {
    /// The first page, whose ranks follow from its order.
    ///
    /// The inner limit is a constant, the longest page and one more: PostgreSQL would plan for a
    /// tenth of the board where it is a parameter.
    async fn top(&self, board: &BoardKey, limit: u32) -> StoreResult<BoardPage> {
        let rows = sqlx::query_as!(
            EntryRow,
            r#"SELECT top.player_id, username, score, reached_at FROM (
                 SELECT player_id, score, reached_at FROM board_entries WHERE board_id =
                     (SELECT id FROM boards WHERE game_id = $1 AND board = $2 AND season = $3)
                 ORDER BY score DESC, reached_at, player_id LIMIT 101) AS top
             JOIN players ON players.id = top.player_id
             ORDER BY score DESC, reached_at, top.player_id LIMIT $4"#,
            board.game,
            board.board,
            board.season,
            i64::from(limit) + 1,
        );
        let (rows, counts) = tokio::join!(rows.fetch_all(&self.pool), self.counts(board, &[]));
        let entries = rows?.into_iter().map(BoardEntry::from).collect();
        let (mut entries, more) = split_off(entries, limit);
        rank_entries(&mut entries, 1, 1);
        Ok(BoardPage {
            // An entry is on the record a moment before it is counted.
            total: counts?.total.max(entries.len() as u64),
            next: entries.last().filter(|_| more).map(cursor_of),
            entries,
        })
    }

    async fn around(
        &self,
        board: &BoardKey,
        player_id: Uuid,
        limit: u32,
    ) -> StoreResult<BoardPage> {
        let Some(own) = self.entry(board, player_id).await? else {
            return Ok(BoardPage {
                total: self.counts(board, &[]).await?.total,
                ..BoardPage::default()
            });
        };
        let (above, below) = (i64::from(limit) - 1, i64::from(limit));
        let mut found = self
            .neighbours(board, cursor_of(&own), above, below)
            .await?;
        // The player may have moved since.
        found.above.retain(|e| e.player_id != player_id);
        found.below.retain(|e| e.player_id != player_id);
        let (above, rest) = split_around(found.above.len(), found.below.len(), limit);
        let more = found.below.len() > rest;
        let mut entries = found.above;
        entries.truncate(above);
        entries.reverse();
        entries.push(own);
        entries.extend(found.below.into_iter().take(rest));
        self.ranked(board, (entries, more)).await
    }

    /// A page of these entries, and whether more come after them.
    async fn ranked(
        &self,
        board: &BoardKey,
        (mut entries, more): (Vec<BoardEntry>, bool),
    ) -> StoreResult<BoardPage> {
        let Some(first) = entries.first().map(|e| e.score) else {
            return Ok(BoardPage {
                total: self.counts(board, &[]).await?.total,
                ..BoardPage::default()
            });
        };
        // The first entries' equals may begin on the page before: those of the next score begin here.
        let second = entries.iter().position(|e| e.score != first);
        let mut asked = vec![first];
        asked.extend(second.map(|index| entries[index].score));
        let counts = self.counts(board, &asked).await?;
        let rank = |index: usize| counts.higher.get(index).map_or(1, |higher| higher + 1);
        let place = second.map_or(rank(0), |index| rank(1).saturating_sub(index as u64));
        rank_entries(&mut entries, rank(0), place);
        Ok(BoardPage {
            total: counts.total.max(entries.len() as u64),
            next: entries.last().filter(|_| more).map(cursor_of),
            entries,
        })
    }

    async fn entry(&self, board: &BoardKey, player_id: Uuid) -> StoreResult<Option<BoardEntry>> {
        let row = sqlx::query_as!(
            EntryRow,
            "SELECT player_id, username, score, reached_at FROM board_entries
             JOIN players ON players.id = player_id
             WHERE board_id =
                 (SELECT id FROM boards WHERE game_id = $1 AND board = $2 AND season = $3)
             AND player_id = $4",
            board.game,
            board.board,
            board.season,
            player_id,
        );
        let row = row.fetch_optional(&self.pool).await?;
        Ok(row.map(BoardEntry::from))
    }

    /// What comes before and after a place in a board's order, the nearest first, at most 101 each.
    ///
    /// Equal and unequal scores are asked for apart, so that each is one stretch of the index,
    /// however many share a score. As for the inner limits, see [`PostgresStore::top`].
    async fn neighbours(
        &self,
        board: &BoardKey,
        place: BoardCursor,
        above: i64,
        below: i64,
    ) -> StoreResult<Neighbours> {
        let rows = sqlx::query!(
            r#"WITH board AS (
                 SELECT id FROM boards WHERE game_id = $1 AND board = $2 AND season = $3),
             above AS (
                 (SELECT player_id, score, reached_at FROM board_entries
                  WHERE board_id = (SELECT id FROM board) AND score = $4
                  AND (reached_at, player_id) < ($5, $6)
                  ORDER BY reached_at DESC, player_id DESC LIMIT 101)
                 UNION ALL
                 (SELECT player_id, score, reached_at FROM board_entries
                  WHERE board_id = (SELECT id FROM board) AND score > $4
                  ORDER BY score, reached_at DESC, player_id DESC LIMIT 101)
                 ORDER BY score, reached_at DESC, player_id DESC LIMIT $7),
             below AS (
                 (SELECT player_id, score, reached_at FROM board_entries
                  WHERE board_id = (SELECT id FROM board) AND score = $4
                  AND (reached_at, player_id) > ($5, $6)
                  ORDER BY reached_at, player_id LIMIT 101)
                 UNION ALL
                 (SELECT player_id, score, reached_at FROM board_entries
                  WHERE board_id = (SELECT id FROM board) AND score < $4
                  ORDER BY score DESC, reached_at, player_id LIMIT 101)
                 ORDER BY score DESC, reached_at, player_id LIMIT $8),
             found AS (
                 SELECT TRUE AS above, player_id, score, reached_at FROM above
                 UNION ALL
                 SELECT FALSE, player_id, score, reached_at FROM below)
             SELECT above AS "above!", player_id AS "player_id!", username, score AS "score!",
                 reached_at AS "reached_at!"
             FROM found JOIN players ON players.id = player_id
             ORDER BY score DESC, reached_at, player_id"#,
            board.game,
            board.board,
            board.season,
            place.score,
            millis(place.at),
            place.player_id,
            above,
            below,
        )
        .fetch_all(&self.pool)
        .await?;
        let mut found = Neighbours::default();
        for row in rows {
            let side = if row.above {
                &mut found.above
            } else {
                &mut found.below
            };
            side.push(BoardEntry {
                rank: 0,
                player_id: row.player_id,
                username: row.username,
                score: row.score,
                at: row.reached_at,
            });
        }
        found.above.reverse();
        found
            .above
            .truncate(usize::try_from(above).unwrap_or_default());
        found
            .below
            .truncate(usize::try_from(below).unwrap_or_default());
        Ok(found)
    }
}

/// Entries without their ranks.
#[derive(Default)]
struct Neighbours {
    above: Vec<BoardEntry>,
    below: Vec<BoardEntry>,
}

/// A row of `board_entries` with the player's name.
struct EntryRow {
    player_id: Uuid,
    username: String,
    score: i64,
    reached_at: DateTime<Utc>,
}

impl From<EntryRow> for BoardEntry {
    /// Without its rank.
    fn from(row: EntryRow) -> Self {
        Self {
            rank: 0,
            player_id: row.player_id,
            username: row.username,
            score: row.score,
            at: row.reached_at,
        }
    }
}
