use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use super::rows::{self, TRIES, TicketRow, collided, millis, retried, select_tickets};
use super::{PostgresStore, acceptance};
use crate::tickets::whole_groups;
use crate::{Accept, Cancel, Enqueue, NewGroup, Search, StoreError, StoreResult, Ticket, Tickets};

#[async_trait::async_trait]
impl Tickets for PostgresStore {
    async fn enqueue(&self, new: NewGroup) -> StoreResult<Enqueue> {
        new.check()?;
        // The live ticket that stands in the way may end between the two statements.
        for _ in 0..TRIES {
            match self.try_enqueue(&new).await {
                Err(error) if collided(&error) => {}
                Err(error) => return Err(error),
                Ok(Some(done)) => return Ok(done),
                Ok(None) => {}
            }
        }
        let message = format!(
            "a player of group {} does not exist or cannot queue",
            new.id
        );
        Err(StoreError::Invalid(message))
    }

    async fn ticket(&self, id: Uuid) -> StoreResult<Option<Ticket>> {
        let row = select_tickets!("WHERE id = $1", id);
        let row = row.fetch_optional(&self.pool).await?;
        row.map(Ticket::try_from).transpose()
    }

    async fn newest_ticket(&self, player_id: Uuid) -> StoreResult<Option<Ticket>> {
        let row = select_tickets!(
            "WHERE player_id = $1 ORDER BY queued_at DESC, id DESC LIMIT 1",
            player_id,
        );
        let row = row.fetch_optional(&self.pool).await?;
        row.map(Ticket::try_from).transpose()
    }

    async fn tickets_of_match(&self, match_id: Uuid) -> StoreResult<Vec<Ticket>> {
        let rows = select_tickets!("WHERE match_id = $1 ORDER BY id", match_id);
        rows::tickets(rows.fetch_all(&self.pool).await?)
    }

    async fn touch_ticket(&self, id: Uuid, now: DateTime<Utc>) -> StoreResult<()> {
        sqlx::query!(
            "UPDATE tickets SET seen_at = $2
             WHERE id = $1 AND status IN ('queued', 'accepting') AND seen_at < $2",
            id,
            millis(now),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    async fn cancel_ticket(&self, id: Uuid, now: DateTime<Utc>) -> StoreResult<Cancel> {
        retried(|| self.try_cancel(id, now)).await
    }

    async fn queued_games(&self) -> StoreResult<Vec<String>> {
        // From game to game along the index, however many wait for each.
        let games = sqlx::query_scalar!(
            r#"WITH RECURSIVE games (game) AS (
                 (SELECT game_id FROM tickets WHERE status = 'queued' ORDER BY game_id LIMIT 1)
                 UNION ALL
                 SELECT (SELECT game_id FROM tickets WHERE status = 'queued' AND game_id > game
                     ORDER BY game_id LIMIT 1)
                 FROM games WHERE game IS NOT NULL)
               SELECT game AS "game!" FROM games WHERE game IS NOT NULL"#,
        );
        let mut games = games.fetch_all(&self.pool).await?;
        // The database's own order depends on its locale.
        games.sort_unstable();
        Ok(games)
    }

    async fn queued_tickets(&self, game: &str, limit: u32) -> StoreResult<Vec<Ticket>> {
        let rows = select_tickets!(
            "WHERE game_id = $1 AND status = 'queued' ORDER BY queued_at, group_id, id LIMIT $2",
            game,
            i64::from(limit) + 1,
        );
        let tickets = rows::tickets(rows.fetch_all(&self.pool).await?)?;
        Ok(whole_groups(tickets, limit))
    }

    async fn expire_tickets(
        &self,
        not_seen_since: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> StoreResult<u64> {
        let expired = select_tickets!(
            returning "UPDATE tickets SET status = 'timed_out', changed_at = $2,
                 reason = CASE WHEN seen_at < $1 THEN 'nobody asked for this ticket any more'
                     ELSE 'a member of the party is gone' END
             WHERE id IN (SELECT id FROM tickets WHERE status = 'queued' AND group_id IN (
                     SELECT group_id FROM tickets WHERE status = 'queued' AND seen_at < $1)
                 ORDER BY id FOR UPDATE)",
            millis(not_seen_since),
            millis(now),
        );
        let expired = expired.fetch_all(&self.pool).await?;
        self.report(expired)
    }

    async fn time_out_tickets(
        &self,
        game: &str,
        mode: &str,
        queued_before: DateTime<Utc>,
        reason: &str,
        now: DateTime<Utc>,
    ) -> StoreResult<u64> {
        let timed_out = select_tickets!(
            returning "UPDATE tickets SET status = 'timed_out', changed_at = $5, reason = $4
             WHERE id IN (SELECT id FROM tickets WHERE game_id = $1 AND mode = $2
                 AND status = 'queued' AND queued_at < $3 ORDER BY id FOR UPDATE)",
            game,
            mode,
            millis(queued_before),
            reason,
            millis(now),
        );
        let timed_out = timed_out.fetch_all(&self.pool).await?;
        self.report(timed_out)
    }

    async fn accept(
        &self,
        ticket_id: Uuid,
        accept: bool,
        now: DateTime<Utc>,
    ) -> StoreResult<Accept> {
        retried(|| self.try_accept(ticket_id, accept, now)).await
    }

    async fn lapse_acceptances(&self, now: DateTime<Utc>) -> StoreResult<u64> {
        self.lapse(now).await
    }

    async fn lead_queue(
        &self,
        game: &str,
        holder: &str,
        now: DateTime<Utc>,
        ttl: Duration,
    ) -> StoreResult<Option<u64>> {
        let epoch = sqlx::query_scalar!(
            "INSERT INTO queue_leaders AS led (game_id, holder, epoch, expires_at)
             VALUES ($1, $2, 1, $3)
             ON CONFLICT (game_id) DO UPDATE SET holder = $2, expires_at = $3,
                 epoch = led.epoch + CASE WHEN led.holder = $2 THEN 0 ELSE 1 END
             WHERE led.holder = $2 OR led.expires_at <= $4
             RETURNING epoch",
            game,
            holder,
            millis(now + ttl),
            millis(now),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(epoch.map(i64::unsigned_abs))
    }

    async fn give_up_queues(&self, holder: &str) -> StoreResult<()> {
        sqlx::query!(
            "UPDATE queue_leaders SET holder = '', expires_at = '-infinity', epoch = epoch + 1
             WHERE holder = $1",
            holder,
        )
        .execute(&self.pool)
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
        let first = (millis(since), Uuid::nil());
        let after = after.map_or(first, |(at, id)| (millis(at), id).max(first));
        let rows = select_tickets!(
            "WHERE game_id = $1 AND (queued_at, id) > ($2, $3) ORDER BY queued_at, id LIMIT $4",
            game,
            after.0,
            after.1,
            i64::from(limit),
        );
        rows::tickets(rows.fetch_all(&self.pool).await?)
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

impl PostgresStore {
    /// None where somebody had a live ticket that is gone meanwhile.
    async fn try_enqueue(&self, new: &NewGroup) -> StoreResult<Option<Enqueue>> {
        let players: Vec<Uuid> = new.tickets.iter().map(|t| t.player_id).collect();
        let mut tx = self.pool.begin().await?;
        if let Some(party) = new.party_id
            && !is_party_of(&mut tx, party, &players, new.queued_at).await?
        {
            tx.rollback().await?;
            return Ok(Some(Enqueue::PartyChanged));
        }
        let ids: Vec<Uuid> = new.tickets.iter().map(|t| t.id).collect();
        let search: Vec<serde_json::Value> = new
            .tickets
            .iter()
            .map(|t| serde_json::to_value(&t.search))
            .collect::<Result<_, _>>()
            .map_err(|error| StoreError::Invalid(error.to_string()))?;
        let queued = select_tickets!(
            returning "INSERT INTO tickets (id, player_id, game_id, mode, code, status, group_id,
                 party_id, search, queued_at, seen_at, changed_at)
             SELECT asked.id, players.id, $4, $5, $6, 'queued', $7, $8, asked.search, $9, $9, $9
             FROM unnest($1::uuid[], $2::uuid[], $3::jsonb[]) AS asked (id, player_id, search)
             JOIN players ON players.id = asked.player_id WHERE erased_at IS NULL
             ORDER BY players.id FOR KEY SHARE OF players
             ON CONFLICT (player_id, game_id) WHERE status IN ('queued', 'accepting', 'placing')
             DO NOTHING",
            &ids,
            &players,
            &search,
            new.game,
            new.mode,
            new.code,
            new.id,
            new.party_id,
            millis(new.queued_at),
        )
        .fetch_all(&mut *tx)
        .await?;
        if queued.len() == new.tickets.len() {
            tx.commit().await?;
            let mut tickets = rows::tickets(queued)?;
            tickets.sort_by_key(|ticket| ids.iter().position(|id| *id == ticket.id));
            self.redis.tickets_changed(tickets.clone());
            self.changed();
            return Ok(Some(Enqueue::Queued(tickets)));
        }
        tx.rollback().await?;
        let live = sqlx::query!(
            "SELECT id, player_id FROM tickets WHERE player_id = ANY($1) AND game_id = $2
             AND status IN ('queued', 'accepting', 'placing')
             ORDER BY array_position($1, player_id) LIMIT 1",
            &players,
            new.game,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(live.map(|live| Enqueue::AlreadyQueued {
            player_id: live.player_id,
            ticket_id: live.id,
        }))
    }

    async fn try_cancel(&self, id: Uuid, now: DateTime<Utc>) -> StoreResult<Cancel> {
        let mut tx = self.pool.begin().await?;
        let group = sqlx::query_scalar!("SELECT group_id FROM tickets WHERE id = $1", id);
        let Some(group) = group.fetch_optional(&mut *tx).await? else {
            return Ok(Cancel::NotFound);
        };
        let cancelled = acceptance::withdraw(&mut tx, &[group], None, now).await?;
        if !cancelled.is_empty() {
            tx.commit().await?;
            self.redis.tickets_changed(cancelled);
            self.changed();
            return Ok(Cancel::Cancelled);
        }
        // What it is now is what stood in the way.
        let status = sqlx::query_scalar!("SELECT status FROM tickets WHERE id = $1", id);
        Ok(match status.fetch_optional(&mut *tx).await?.as_deref() {
            None => Cancel::NotFound,
            Some("placing" | "matched") => Cancel::AlreadyMatched,
            Some(_) => Cancel::Cancelled,
        })
    }

    /// Tells of tickets that changed; answers how many.
    fn report(&self, changed: Vec<TicketRow>) -> StoreResult<u64> {
        let count = changed.len() as u64;
        if count > 0 {
            self.redis.tickets_changed(rows::tickets(changed)?);
            self.changed();
        }
        Ok(count)
    }
}

/// Whether these are the members of a party, which stay so until the transaction ends.
async fn is_party_of(
    tx: &mut Transaction<'_, Postgres>,
    party: Uuid,
    players: &[Uuid],
    now: DateTime<Utc>,
) -> StoreResult<bool> {
    sqlx::query!(
        "UPDATE parties SET used_at = greatest(used_at, $2) WHERE id = $1",
        party,
        millis(now),
    )
    .execute(&mut **tx)
    .await?;
    let members = sqlx::query_scalar!(
        "SELECT player_id FROM party_members WHERE party_id = $1",
        party,
    );
    let mut members = members.fetch_all(&mut **tx).await?;
    let mut players = players.to_vec();
    members.sort_unstable();
    players.sort_unstable();
    Ok(members == players)
}
