use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};
use uuid::Uuid;

use super::rows::{self, millis};
use super::{EmbeddedStore, acceptance};
use crate::tickets::whole_groups;
use crate::{
    Accept, Cancel, Enqueue, NewGroup, StoreError, StoreResult, Ticket, TicketStatus, Tickets,
};

#[async_trait::async_trait]
impl Tickets for EmbeddedStore {
    async fn enqueue(&self, new: NewGroup) -> StoreResult<Enqueue> {
        new.check()?;
        let mut tx = self.write().await?;
        let party = new.party_id.map(|id| id.to_string());
        if let Some(party) = &party
            && !is_party_of(&mut tx, party, &new).await?
        {
            return Ok(Enqueue::PartyChanged);
        }
        let mut tickets = Vec::with_capacity(new.tickets.len());
        for ticket in &new.tickets {
            let live = sqlx::query(
                "SELECT id FROM tickets WHERE player_id = ? AND game_id = ?
                 AND status IN ('queued', 'accepting', 'placing')",
            )
            .bind(ticket.player_id.to_string())
            .bind(&new.game)
            .fetch_optional(&mut *tx)
            .await?;
            if let Some(row) = live {
                return Ok(Enqueue::AlreadyQueued {
                    player_id: ticket.player_id,
                    ticket_id: rows::uuid(&row, "id")?,
                });
            }
            let search = serde_json::to_string(&ticket.search)
                .map_err(|error| StoreError::Invalid(error.to_string()))?;
            let row = sqlx::query(
                "INSERT INTO tickets (id, player_id, game_id, mode, code, status, group_id,
                     party_id, search, queued_at, seen_at, changed_at)
                 SELECT ?1, id, ?3, ?4, ?5, 'queued', ?6, ?7, ?8, ?9, ?9, ?9 FROM players
                 WHERE id = ?2 AND erased_at IS NULL RETURNING *",
            )
            .bind(ticket.id.to_string())
            .bind(ticket.player_id.to_string())
            .bind(&new.game)
            .bind(&new.mode)
            .bind(&new.code)
            .bind(new.id.to_string())
            .bind(&party)
            .bind(search)
            .bind(millis(new.queued_at))
            .fetch_optional(&mut *tx)
            .await?;
            let Some(row) = row else {
                return Err(StoreError::Invalid(format!(
                    "a player of group {} does not exist or cannot queue",
                    new.id
                )));
            };
            tickets.push(rows::ticket(&row)?);
        }
        tx.commit().await?;
        self.changed();
        Ok(Enqueue::Queued(tickets))
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

    async fn tickets_of_match(&self, match_id: Uuid) -> StoreResult<Vec<Ticket>> {
        let rows = sqlx::query("SELECT * FROM tickets WHERE match_id = ? ORDER BY id")
            .bind(match_id.to_string())
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(rows::ticket).collect()
    }

    async fn touch_ticket(&self, id: Uuid, now: DateTime<Utc>) -> StoreResult<()> {
        sqlx::query(
            "UPDATE tickets SET seen_at = max(seen_at, ?)
             WHERE id = ? AND status IN ('queued', 'accepting')",
        )
        .bind(millis(now))
        .bind(id.to_string())
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    async fn cancel_ticket(&self, id: Uuid, now: DateTime<Utc>) -> StoreResult<Cancel> {
        let mut tx = self.write().await?;
        let row = sqlx::query("SELECT * FROM tickets WHERE id = ?")
            .bind(id.to_string())
            .fetch_optional(&mut *tx)
            .await?;
        let Some(ticket) = row.as_ref().map(rows::ticket).transpose()? else {
            return Ok(Cancel::NotFound);
        };
        if acceptance::withdraw(&mut tx, &[ticket.group_id], None, now).await? {
            tx.commit().await?;
            self.changed();
            return Ok(Cancel::Cancelled);
        }
        Ok(match ticket.status {
            TicketStatus::Placing | TicketStatus::Matched => Cancel::AlreadyMatched,
            _ => Cancel::Cancelled,
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
             ORDER BY queued_at, group_id, id LIMIT ?",
        )
        .bind(game)
        .bind(i64::from(limit) + 1)
        .fetch_all(&self.readers)
        .await?;
        let tickets: StoreResult<Vec<Ticket>> = rows.iter().map(rows::ticket).collect();
        Ok(whole_groups(tickets?, limit))
    }

    async fn expire_tickets(
        &self,
        not_seen_since: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> StoreResult<u64> {
        let expired = sqlx::query(
            "UPDATE tickets SET status = 'timed_out', changed_at = ?1,
                 reason = CASE WHEN seen_at < ?2 THEN 'nobody asked for this ticket any more'
                     ELSE 'a member of the party is gone' END
             WHERE status = 'queued' AND group_id IN (
                 SELECT group_id FROM tickets WHERE status = 'queued' AND seen_at < ?2)",
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

    async fn time_out_tickets(
        &self,
        game: &str,
        mode: &str,
        queued_before: DateTime<Utc>,
        reason: &str,
        now: DateTime<Utc>,
    ) -> StoreResult<u64> {
        let timed_out = sqlx::query(
            "UPDATE tickets SET status = 'timed_out', changed_at = ?, reason = ?
             WHERE game_id = ? AND mode = ? AND status = 'queued' AND queued_at < ?",
        )
        .bind(millis(now))
        .bind(reason)
        .bind(game)
        .bind(mode)
        .bind(millis(queued_before))
        .execute(&self.writer)
        .await?;
        if timed_out.rows_affected() > 0 {
            self.changed();
        }
        Ok(timed_out.rows_affected())
    }

    async fn accept(
        &self,
        ticket_id: Uuid,
        accept: bool,
        now: DateTime<Utc>,
    ) -> StoreResult<Accept> {
        let mut tx = self.write().await?;
        let done = acceptance::accept(&mut tx, ticket_id, accept, now).await?;
        tx.commit().await?;
        self.changed();
        Ok(done)
    }

    async fn lapse_acceptances(&self, now: DateTime<Utc>) -> StoreResult<u64> {
        let mut tx = self.write().await?;
        let lapsed = acceptance::lapse(&mut tx, now).await?;
        tx.commit().await?;
        if lapsed > 0 {
            self.changed();
        }
        Ok(lapsed)
    }

    async fn lead_queue(
        &self,
        game: &str,
        holder: &str,
        now: DateTime<Utc>,
        ttl: Duration,
    ) -> StoreResult<Option<u64>> {
        let row = sqlx::query(
            "INSERT INTO queue_leaders (game_id, holder, epoch, expires_at) VALUES (?1, ?2, 1, ?3)
             ON CONFLICT (game_id) DO UPDATE SET holder = ?2, expires_at = ?3,
                 epoch = epoch + CASE WHEN holder = ?2 THEN 0 ELSE 1 END
             WHERE holder = ?2 OR expires_at <= ?4
             RETURNING epoch",
        )
        .bind(game)
        .bind(holder)
        .bind(millis(now + ttl))
        .bind(millis(now))
        .fetch_optional(&self.writer)
        .await?;
        let epoch: Option<i64> = row.map(|row| row.try_get("epoch")).transpose()?;
        Ok(epoch.map(i64::unsigned_abs))
    }

    async fn give_up_queues(&self, holder: &str) -> StoreResult<()> {
        sqlx::query(
            "UPDATE queue_leaders SET holder = '', expires_at = 0, epoch = epoch + 1
             WHERE holder = ?",
        )
        .bind(holder)
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    async fn recent_tickets(
        &self,
        game: &str,
        since: DateTime<Utc>,
        after: Option<(DateTime<Utc>, Uuid)>,
        limit: u32,
    ) -> StoreResult<Vec<Ticket>> {
        // One bound, so that every page begins where it is in the index.
        let first = (since, Uuid::nil());
        let after = after.map_or(first, |after| after.max(first));
        let rows = sqlx::query(
            "SELECT * FROM tickets WHERE game_id = ? AND (queued_at, id) > (?, ?)
             ORDER BY queued_at, id LIMIT ?",
        )
        .bind(game)
        .bind(millis(after.0))
        .bind(after.1.to_string())
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(rows::ticket).collect()
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

/// Whether a group is all of a party.
async fn is_party_of(
    tx: &mut Transaction<'_, Sqlite>,
    party: &str,
    group: &NewGroup,
) -> StoreResult<bool> {
    sqlx::query("UPDATE parties SET used_at = max(used_at, ?) WHERE id = ?")
        .bind(millis(group.queued_at))
        .bind(party)
        .execute(&mut **tx)
        .await?;
    let rows = sqlx::query("SELECT player_id FROM party_members WHERE party_id = ?")
        .bind(party)
        .fetch_all(&mut **tx)
        .await?;
    let members: StoreResult<BTreeSet<Uuid>> = rows
        .iter()
        .map(|row| rows::uuid(row, "player_id"))
        .collect();
    let players: BTreeSet<Uuid> = group.tickets.iter().map(|t| t.player_id).collect();
    Ok(members? == players)
}

/// The groups of a player that are queued or asked to accept a match.
pub(super) async fn waiting_groups_of(
    tx: &mut Transaction<'_, Sqlite>,
    player_id: Uuid,
) -> StoreResult<Vec<Uuid>> {
    let rows = sqlx::query(
        "SELECT group_id FROM tickets WHERE player_id = ? AND status IN ('queued', 'accepting')",
    )
    .bind(player_id.to_string())
    .fetch_all(&mut **tx)
    .await?;
    rows.iter().map(|row| rows::uuid(row, "group_id")).collect()
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
