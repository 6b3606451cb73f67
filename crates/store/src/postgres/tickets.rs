use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::PostgresStore;
use super::rows::{self, TRIES, TicketRow, millis};
use crate::{Cancel, Enqueue, NewTicket, StoreError, StoreResult, Ticket, Tickets};

#[async_trait::async_trait]
impl Tickets for PostgresStore {
    async fn enqueue(&self, new: NewTicket) -> StoreResult<Enqueue> {
        // The live ticket that stands in the way may end between the two statements.
        for _ in 0..TRIES {
            let queued = sqlx::query_as!(
                TicketRow,
                "INSERT INTO tickets
                     (id, player_id, game_id, mode, code, status, queued_at, seen_at, changed_at)
                 SELECT $1, id, $3, $4, $5, 'queued', $6, $6, $6
                 FROM players WHERE id = $2 AND erased_at IS NULL FOR KEY SHARE
                 ON CONFLICT (player_id, game_id) WHERE status IN ('queued', 'placing') DO NOTHING
                 RETURNING id, player_id, game_id, mode, code, status, reason, match_id, queued_at,
                     seen_at, changed_at",
                new.id,
                new.player_id,
                new.game,
                new.mode,
                new.code,
                millis(new.queued_at),
            )
            .fetch_optional(&self.pool)
            .await?;
            if let Some(row) = queued {
                let ticket: Ticket = row.try_into()?;
                self.redis.tickets_changed(vec![ticket.clone()]);
                self.changed();
                return Ok(Enqueue::Queued(ticket));
            }
            let live = sqlx::query_scalar!(
                "SELECT id FROM tickets
                 WHERE player_id = $1 AND game_id = $2 AND status IN ('queued', 'placing')",
                new.player_id,
                new.game,
            )
            .fetch_optional(&self.pool)
            .await?;
            if let Some(id) = live {
                return Ok(Enqueue::AlreadyQueued(id));
            }
        }
        let message = format!("player {} does not exist or cannot queue", new.player_id);
        Err(StoreError::Invalid(message))
    }

    async fn ticket(&self, id: Uuid) -> StoreResult<Option<Ticket>> {
        let row = sqlx::query_as!(
            TicketRow,
            "SELECT id, player_id, game_id, mode, code, status, reason, match_id, queued_at, seen_at,
                 changed_at
             FROM tickets WHERE id = $1",
            id,
        );
        let row = row.fetch_optional(&self.pool).await?;
        row.map(Ticket::try_from).transpose()
    }

    async fn newest_ticket(&self, player_id: Uuid) -> StoreResult<Option<Ticket>> {
        let row = sqlx::query_as!(
            TicketRow,
            "SELECT id, player_id, game_id, mode, code, status, reason, match_id, queued_at, seen_at,
                 changed_at
             FROM tickets WHERE player_id = $1 ORDER BY queued_at DESC, id DESC LIMIT 1",
            player_id,
        );
        let row = row.fetch_optional(&self.pool).await?;
        row.map(Ticket::try_from).transpose()
    }

    async fn touch_ticket(&self, id: Uuid, now: DateTime<Utc>) -> StoreResult<()> {
        sqlx::query!(
            "UPDATE tickets SET seen_at = $2 WHERE id = $1 AND status = 'queued' AND seen_at < $2",
            id,
            millis(now),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    async fn cancel_ticket(&self, id: Uuid, now: DateTime<Utc>) -> StoreResult<Cancel> {
        let cancelled = sqlx::query_as!(
            TicketRow,
            "UPDATE tickets SET status = 'cancelled', changed_at = $2
             WHERE id = $1 AND status = 'queued'
             RETURNING id, player_id, game_id, mode, code, status, reason, match_id, queued_at,
                 seen_at, changed_at",
            id,
            millis(now),
        )
        .fetch_optional(&self.pool)
        .await?;
        if let Some(row) = cancelled {
            self.redis.tickets_changed(rows::tickets(vec![row])?);
            self.changed();
            return Ok(Cancel::Cancelled);
        }
        // No ticket is queued again, so what it is now is what stood in the way.
        let status = sqlx::query_scalar!("SELECT status FROM tickets WHERE id = $1", id)
            .fetch_optional(&self.pool)
            .await?;
        Ok(match status.as_deref() {
            None => Cancel::NotFound,
            Some("placing" | "matched") => Cancel::AlreadyMatched,
            Some(_) => Cancel::Cancelled,
        })
    }

    async fn queued_games(&self) -> StoreResult<Vec<String>> {
        let games = sqlx::query_scalar!(
            r#"SELECT DISTINCT game_id FROM tickets WHERE status = 'queued' ORDER BY game_id"#,
        );
        let mut games = games.fetch_all(&self.pool).await?;
        // The database's own order depends on its locale.
        games.sort_unstable();
        Ok(games)
    }

    async fn queued_tickets(&self, game: &str, limit: u32) -> StoreResult<Vec<Ticket>> {
        let rows = sqlx::query_as!(
            TicketRow,
            "SELECT id, player_id, game_id, mode, code, status, reason, match_id, queued_at, seen_at,
                 changed_at
             FROM tickets WHERE game_id = $1 AND status = 'queued' ORDER BY queued_at, id LIMIT $2",
            game,
            i64::from(limit),
        );
        rows::tickets(rows.fetch_all(&self.pool).await?)
    }

    async fn expire_tickets(
        &self,
        not_seen_since: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> StoreResult<u64> {
        // One that is locked is being matched or cancelled just now.
        let expired = sqlx::query_as!(
            TicketRow,
            "UPDATE tickets SET status = 'timed_out', changed_at = $2,
                 reason = 'nobody asked for this ticket any more'
             WHERE id IN (SELECT id FROM tickets WHERE status = 'queued' AND seen_at < $1
                 FOR UPDATE SKIP LOCKED)
             RETURNING id, player_id, game_id, mode, code, status, reason, match_id, queued_at,
                 seen_at, changed_at",
            millis(not_seen_since),
            millis(now),
        )
        .fetch_all(&self.pool)
        .await?;
        let count = expired.len() as u64;
        if count > 0 {
            self.redis.tickets_changed(rows::tickets(expired)?);
            self.changed();
        }
        Ok(count)
    }

    async fn forget_tickets(&self, unchanged_since: DateTime<Utc>, limit: u32) -> StoreResult<u64> {
        let deleted = sqlx::query!(
            "DELETE FROM tickets WHERE id IN (
                 SELECT tickets.id FROM tickets LEFT JOIN matches ON matches.id = match_id
                 WHERE tickets.status IN ('matched', 'cancelled', 'timed_out', 'failed')
                 AND changed_at < $1
                 AND (match_id IS NULL OR matches.status IN ('ended', 'failed'))
                 ORDER BY changed_at LIMIT $2 FOR UPDATE OF tickets SKIP LOCKED)",
            millis(unchanged_since),
            i64::from(limit),
        )
        .execute(&self.pool)
        .await?;
        Ok(deleted.rows_affected())
    }
}
