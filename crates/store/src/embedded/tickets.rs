use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};
use uuid::Uuid;

use super::EmbeddedStore;
use super::rows::{self, millis};
use crate::{Cancel, Enqueue, NewTicket, StoreResult, Ticket, TicketStatus, Tickets};

#[async_trait::async_trait]
impl Tickets for EmbeddedStore {
    async fn enqueue(&self, new: NewTicket) -> StoreResult<Enqueue> {
        let mut tx = self.write().await?;
        let live = sqlx::query(
            "SELECT id FROM tickets
             WHERE player_id = ? AND game_id = ? AND status IN ('queued', 'placing')",
        )
        .bind(new.player_id.to_string())
        .bind(&new.game)
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(row) = live {
            return Ok(Enqueue::AlreadyQueued(rows::uuid(&row, "id")?));
        }
        let row = sqlx::query(
            "INSERT INTO tickets
                 (id, player_id, game_id, mode, code, status, queued_at, seen_at, changed_at)
             VALUES (?1, ?2, ?3, ?4, ?5, 'queued', ?6, ?6, ?6) RETURNING *",
        )
        .bind(new.id.to_string())
        .bind(new.player_id.to_string())
        .bind(&new.game)
        .bind(&new.mode)
        .bind(&new.code)
        .bind(millis(new.queued_at))
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        self.changed();
        Ok(Enqueue::Queued(rows::ticket(&row)?))
    }

    async fn ticket(&self, id: Uuid) -> StoreResult<Option<Ticket>> {
        let row = sqlx::query("SELECT * FROM tickets WHERE id = ?")
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await?;
        row.as_ref().map(rows::ticket).transpose()
    }

    async fn newest_ticket(&self, player_id: Uuid) -> StoreResult<Option<Ticket>> {
        let row = sqlx::query(
            "SELECT * FROM tickets WHERE player_id = ? ORDER BY queued_at DESC, id DESC LIMIT 1",
        )
        .bind(player_id.to_string())
        .fetch_optional(&self.readers)
        .await?;
        row.as_ref().map(rows::ticket).transpose()
    }

    async fn touch_ticket(&self, id: Uuid, now: DateTime<Utc>) -> StoreResult<()> {
        sqlx::query(
            "UPDATE tickets SET seen_at = max(seen_at, ?) WHERE id = ? AND status = 'queued'",
        )
        .bind(millis(now))
        .bind(id.to_string())
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    async fn cancel_ticket(&self, id: Uuid, now: DateTime<Utc>) -> StoreResult<Cancel> {
        let mut tx = self.write().await?;
        let cancelled = sqlx::query(
            "UPDATE tickets SET status = 'cancelled', changed_at = ?
             WHERE id = ? AND status = 'queued'",
        )
        .bind(millis(now))
        .bind(id.to_string())
        .execute(&mut *tx)
        .await?;
        if cancelled.rows_affected() == 1 {
            tx.commit().await?;
            self.changed();
            return Ok(Cancel::Cancelled);
        }
        let row = sqlx::query("SELECT * FROM tickets WHERE id = ?")
            .bind(id.to_string())
            .fetch_optional(&mut *tx)
            .await?;
        let ticket = row.as_ref().map(rows::ticket).transpose()?;
        Ok(match ticket.map(|t| t.status) {
            None => Cancel::NotFound,
            Some(TicketStatus::Placing | TicketStatus::Matched) => Cancel::AlreadyMatched,
            Some(_) => Cancel::Cancelled,
        })
    }

    async fn queued_games(&self) -> StoreResult<Vec<String>> {
        let rows = sqlx::query(
            "SELECT DISTINCT game_id FROM tickets WHERE status = 'queued' ORDER BY game_id",
        )
        .fetch_all(&self.readers)
        .await?;
        let games: Result<Vec<String>, sqlx::Error> = rows
            .iter()
            .map(|row: &SqliteRow| row.try_get("game_id"))
            .collect();
        Ok(games?)
    }

    async fn queued_tickets(&self, game: &str, limit: u32) -> StoreResult<Vec<Ticket>> {
        let rows = sqlx::query(
            "SELECT * FROM tickets WHERE game_id = ? AND status = 'queued'
             ORDER BY queued_at, id LIMIT ?",
        )
        .bind(game)
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(rows::ticket).collect()
    }

    async fn expire_tickets(
        &self,
        not_seen_since: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> StoreResult<u64> {
        let expired = sqlx::query(
            "UPDATE tickets SET status = 'timed_out', changed_at = ?,
                 reason = 'nobody asked for this ticket any more'
             WHERE status = 'queued' AND seen_at < ?",
        )
        .bind(millis(now))
        .bind(millis(not_seen_since))
        .execute(&self.writer)
        .await?;
        if expired.rows_affected() > 0 {
            self.changed();
        }
        Ok(expired.rows_affected())
    }

    async fn forget_tickets(&self, unchanged_since: DateTime<Utc>, limit: u32) -> StoreResult<u64> {
        let deleted = sqlx::query(
            "DELETE FROM tickets WHERE id IN (
                 SELECT tickets.id FROM tickets LEFT JOIN matches ON matches.id = match_id
                 WHERE tickets.status IN ('matched', 'cancelled', 'timed_out', 'failed')
                 AND changed_at < ?
                 AND (match_id IS NULL OR matches.status IN ('ended', 'failed'))
                 ORDER BY changed_at LIMIT ?)",
        )
        .bind(millis(unchanged_since))
        .bind(limit)
        .execute(&self.writer)
        .await?;
        Ok(deleted.rows_affected())
    }
}

/// All tickets of a player, newest first.
pub(super) async fn tickets_of(
    tx: &mut Transaction<'_, Sqlite>,
    player_id: Uuid,
) -> StoreResult<Vec<Ticket>> {
    let rows =
        sqlx::query("SELECT * FROM tickets WHERE player_id = ? ORDER BY queued_at DESC, id DESC")
            .bind(player_id.to_string())
            .fetch_all(&mut **tx)
            .await?;
    rows.iter().map(rows::ticket).collect()
}
