//! Matches that their players are asked to accept. Whoever changes one locks its row first, then its
//! tickets by id.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use super::PostgresStore;
use super::rows::{self, TRIES, TicketRow, collided, millis, select_tickets};
use crate::{Accept, Search, StoreResult, Ticket};

impl PostgresStore {
    pub(super) async fn try_accept(
        &self,
        ticket_id: Uuid,
        accept: bool,
        now: DateTime<Utc>,
    ) -> StoreResult<Accept> {
        let mut tx = self.pool.begin().await?;
        let asked = lock_asked(&mut tx, ticket_id).await?;
        let ticket = select_tickets!("WHERE id = $1 FOR UPDATE", ticket_id);
        let Some(ticket) = ticket.fetch_optional(&mut *tx).await? else {
            return Ok(Accept::NotFound);
        };
        let before = match (ticket.accepted, asked) {
            (Some(before), _) if before == accept => return Ok(Accept::Repeated),
            (Some(_), Some(_)) => return Ok(Accept::Contradicts),
            (_, None) => return Ok(Accept::NotAccepting),
            (None, Some(match_id)) => match_id,
        };
        sqlx::query!(
            "UPDATE tickets SET accepted = $2 WHERE id = $1",
            ticket_id,
            accept,
        )
        .execute(&mut *tx)
        .await?;
        let (changed, done) = if !accept {
            let reason = "a player declined the match";
            (
                fall_apart(&mut tx, before, reason, now).await?,
                Accept::Declined,
            )
        } else if all_accepted(&mut tx, before).await? {
            (
                begin_placing(&mut tx, before, now).await?,
                Accept::Complete(before),
            )
        } else {
            (Vec::new(), Accept::Accepted)
        };
        tx.commit().await?;
        self.redis.tickets_changed(changed);
        self.changed();
        Ok(done)
    }

    /// Declines for a ticket, whatever it answered before. Answers false where it is not asked any
    /// more.
    pub(super) async fn decline(&self, ticket_id: Uuid, now: DateTime<Utc>) -> StoreResult<bool> {
        for _ in 1..TRIES {
            match self.try_decline(ticket_id, now).await {
                Err(error) if collided(&error) => {}
                done => return done,
            }
        }
        self.try_decline(ticket_id, now).await
    }

    async fn try_decline(&self, ticket_id: Uuid, now: DateTime<Utc>) -> StoreResult<bool> {
        let mut tx = self.pool.begin().await?;
        let Some(changed) = decline(&mut tx, ticket_id, now).await? else {
            return Ok(false);
        };
        tx.commit().await?;
        self.redis.tickets_changed(changed);
        self.changed();
        Ok(true)
    }

    pub(super) async fn lapse(&self, now: DateTime<Utc>) -> StoreResult<u64> {
        let overdue = sqlx::query_scalar!(
            "SELECT id FROM matches WHERE status = 'accepting' AND accept_until <= $1 ORDER BY id",
            millis(now),
        );
        let overdue = overdue.fetch_all(&self.pool).await?;
        let mut lapsed = 0;
        for match_id in overdue {
            let mut tx = self.pool.begin().await?;
            if !lock_accepting(&mut tx, match_id).await? {
                continue;
            }
            let reason = "not everybody accepted the match in time";
            let changed = fall_apart(&mut tx, match_id, reason, now).await?;
            tx.commit().await?;
            self.redis.tickets_changed(changed);
            self.changed();
            lapsed += 1;
        }
        Ok(lapsed)
    }
}

/// Declines for a ticket, whatever it answered before; answers the tickets that changed. None where
/// it is not asked.
pub(super) async fn decline(
    tx: &mut Transaction<'_, Postgres>,
    ticket_id: Uuid,
    now: DateTime<Utc>,
) -> StoreResult<Option<Vec<Ticket>>> {
    let Some(match_id) = lock_asked(tx, ticket_id).await? else {
        return Ok(None);
    };
    sqlx::query!(
        "UPDATE tickets SET accepted = FALSE WHERE id = $1",
        ticket_id
    )
    .execute(&mut **tx)
    .await?;
    let reason = "a player declined the match";
    Ok(Some(fall_apart(tx, match_id, reason, now).await?))
}

/// Locks the match that a ticket is asked to accept; none where it is not asked.
async fn lock_asked(
    tx: &mut Transaction<'_, Postgres>,
    ticket_id: Uuid,
) -> StoreResult<Option<Uuid>> {
    let asked = sqlx::query_scalar!(
        r#"SELECT match_id AS "match_id!" FROM tickets
           WHERE id = $1 AND status = 'accepting' AND match_id IS NOT NULL"#,
        ticket_id,
    );
    let Some(match_id) = asked.fetch_optional(&mut **tx).await? else {
        return Ok(None);
    };
    Ok(lock_accepting(tx, match_id).await?.then_some(match_id))
}

async fn lock_accepting(tx: &mut Transaction<'_, Postgres>, match_id: Uuid) -> StoreResult<bool> {
    let locked = sqlx::query_scalar!(
        "SELECT id FROM matches WHERE id = $1 AND status = 'accepting' FOR UPDATE",
        match_id,
    );
    Ok(locked.fetch_optional(&mut **tx).await?.is_some())
}

async fn all_accepted(tx: &mut Transaction<'_, Postgres>, match_id: Uuid) -> StoreResult<bool> {
    let missing = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM tickets
           WHERE match_id = $1 AND status = 'accepting' AND accepted IS NOT TRUE"#,
        match_id,
    );
    Ok(missing.fetch_one(&mut **tx).await? == 0)
}

/// Everybody accepted a match that is locked.
async fn begin_placing(
    tx: &mut Transaction<'_, Postgres>,
    match_id: Uuid,
    now: DateTime<Utc>,
) -> StoreResult<Vec<Ticket>> {
    sqlx::query!(
        "UPDATE matches SET status = 'forming', created_at = $2 WHERE id = $1",
        match_id,
        millis(now),
    )
    .execute(&mut **tx)
    .await?;
    let placing = select_tickets!(
        returning "UPDATE tickets SET status = 'placing', changed_at = $2
         WHERE id IN (SELECT id FROM tickets WHERE match_id = $1 AND status = 'accepting'
             ORDER BY id FOR UPDATE)",
        match_id,
        millis(now),
    );
    rows::tickets(placing.fetch_all(&mut **tx).await?)
}

/// Fails a match that is locked. Whose group declined is cancelled; where nobody did, groups that
/// lack an answer time out; the others wait on as before.
async fn fall_apart(
    tx: &mut Transaction<'_, Postgres>,
    match_id: Uuid,
    reason: &str,
    now: DateTime<Utc>,
) -> StoreResult<Vec<Ticket>> {
    sqlx::query!(
        "UPDATE matches SET status = 'failed', reason = $2, ended_at = $3 WHERE id = $1",
        match_id,
        reason,
        millis(now),
    )
    .execute(&mut **tx)
    .await?;
    let settled = select_tickets!(
        returning "WITH asked AS (
             SELECT id, group_id, accepted FROM tickets
             WHERE match_id = $1 AND status = 'accepting' ORDER BY id FOR UPDATE),
         groups AS (
             SELECT group_id, bool_or(accepted IS FALSE) AS declined,
                 bool_or(accepted IS NULL) AND NOT (SELECT bool_or(accepted IS FALSE) FROM asked)
                     AS silent
             FROM asked GROUP BY group_id)
         UPDATE tickets SET changed_at = $3,
             status = CASE WHEN declined THEN 'cancelled' WHEN silent THEN 'timed_out'
                 ELSE 'queued' END,
             reason = CASE WHEN silent THEN $2 END,
             returned = NOT (declined OR silent),
             match_id = CASE WHEN declined OR silent THEN match_id END,
             accepted = CASE WHEN declined OR silent THEN tickets.accepted END,
             seen_at = greatest(seen_at, $3)
         FROM asked JOIN groups USING (group_id) WHERE tickets.id = asked.id",
        match_id,
        reason,
        millis(now),
    );
    rows::tickets(settled.fetch_all(&mut **tx).await?)
}
