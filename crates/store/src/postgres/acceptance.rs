//! Matches that their players are asked to accept, and how groups leave the queue and such matches.
//! Whoever changes one of these locks its row first, then its tickets by id.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use super::PostgresStore;
use super::rows::{self, TRIES, TicketRow, millis, select_tickets};
use crate::{Accept, Search, StoreError, StoreResult, Ticket, TicketStatus};

impl PostgresStore {
    pub(super) async fn try_accept(
        &self,
        ticket_id: Uuid,
        accept: bool,
        now: DateTime<Utc>,
    ) -> StoreResult<Accept> {
        let mut tx = self.pool.begin().await?;
        let Some(before) = ticket(&mut tx, ticket_id).await? else {
            return Ok(Accept::NotFound);
        };
        let asked = match before.match_id {
            Some(id) if before.status == TicketStatus::Accepting => {
                lock_asked(&mut tx, id).await?.map(|asked| (id, asked))
            }
            _ => None,
        };
        let Some((match_id, asked)) = asked else {
            // It may have been settled since the first look, by this very answer.
            let settled = ticket(&mut tx, ticket_id).await?;
            return Ok(
                match settled.map(|ticket| ticket.accepted == Some(accept)) {
                    None => Accept::NotFound,
                    Some(true) => Accept::Repeated,
                    Some(false) => Accept::NotAccepting,
                },
            );
        };
        match asked.iter().find(|t| t.id == ticket_id).map(|t| t.accepted) {
            None => return Ok(Accept::NotAccepting),
            Some(Some(before)) if before == accept => return Ok(Accept::Repeated),
            Some(Some(_)) => return Ok(Accept::Contradicts),
            Some(None) => {}
        }
        sqlx::query!(
            "UPDATE tickets SET accepted = $2 WHERE id = $1",
            ticket_id,
            accept,
        )
        .execute(&mut *tx)
        .await?;
        let mut others = asked.iter().filter(|t| t.id != ticket_id);
        let (changed, done) = if !accept {
            let reason = "the match was declined";
            let changed = fall_apart(&mut tx, match_id, &[], Some(reason), now).await?;
            (changed, Accept::Declined)
        } else if others.all(|t| t.accepted == Some(true)) {
            let changed = begin_placing(&mut tx, match_id, now).await?;
            (changed, Accept::Complete(match_id))
        } else {
            (Vec::new(), Accept::Accepted)
        };
        tx.commit().await?;
        if !changed.is_empty() {
            self.redis.tickets_changed(changed);
        }
        self.changed();
        Ok(done)
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
            if lock_asked(&mut tx, match_id).await?.is_none() {
                continue;
            }
            let changed = fall_apart(&mut tx, match_id, &[], None, now).await?;
            tx.commit().await?;
            self.redis.tickets_changed(changed);
            self.changed();
            lapsed += 1;
        }
        Ok(lapsed)
    }
}

/// Takes groups out of the queue, and out of the matches that they are asked to accept, for a
/// reason that their players are told; answers all tickets that changed.
pub(super) async fn withdraw(
    tx: &mut Transaction<'_, Postgres>,
    groups: &[Uuid],
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> StoreResult<Vec<Ticket>> {
    let mut changed = Vec::new();
    if groups.is_empty() {
        return Ok(changed);
    }
    // Between two statements a group may enter a match or fall out of one, through others.
    for _ in 0..TRIES {
        let cancelled = select_tickets!(
            returning "UPDATE tickets SET status = 'cancelled', reason = $2, changed_at = $3
             WHERE id IN (SELECT id FROM tickets
                 WHERE group_id = ANY($1) AND status = 'queued' ORDER BY id FOR UPDATE)",
            groups,
            reason,
            millis(now),
        );
        changed.extend(rows::tickets(cancelled.fetch_all(&mut **tx).await?)?);
        let waiting = sqlx::query_scalar!(
            "SELECT DISTINCT match_id FROM tickets
             WHERE group_id = ANY($1) AND status IN ('queued', 'accepting') ORDER BY match_id",
            groups,
        );
        let waiting = waiting.fetch_all(&mut **tx).await?;
        if waiting.is_empty() {
            return Ok(changed);
        }
        for match_id in waiting.into_iter().flatten() {
            if lock_asked(tx, match_id).await?.is_some() {
                changed.extend(fall_apart(tx, match_id, groups, reason, now).await?);
            }
        }
    }
    let busy = "a group goes from match to match faster than it can be taken out";
    Err(StoreError::Unavailable(sqlx::Error::Protocol(
        busy.to_owned(),
    )))
}

async fn ticket(tx: &mut Transaction<'_, Postgres>, id: Uuid) -> StoreResult<Option<Ticket>> {
    let row = select_tickets!("WHERE id = $1", id);
    let row = row.fetch_optional(&mut **tx).await?;
    row.map(Ticket::try_from).transpose()
}

/// Locks a match and its tickets, which it answers; none where nobody is asked to accept it.
async fn lock_asked(
    tx: &mut Transaction<'_, Postgres>,
    match_id: Uuid,
) -> StoreResult<Option<Vec<Ticket>>> {
    let locked = sqlx::query_scalar!(
        "SELECT id FROM matches WHERE id = $1 AND status = 'accepting' FOR UPDATE",
        match_id,
    );
    if locked.fetch_optional(&mut **tx).await?.is_none() {
        return Ok(None);
    }
    let asked = select_tickets!(
        "WHERE match_id = $1 AND status = 'accepting' ORDER BY id FOR UPDATE",
        match_id,
    );
    Ok(Some(rows::tickets(asked.fetch_all(&mut **tx).await?)?))
}

/// Everybody accepted a match that is locked with its tickets.
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
         WHERE match_id = $1 AND status = 'accepting'",
        match_id,
        millis(now),
    );
    rows::tickets(placing.fetch_all(&mut **tx).await?)
}

/// Fails a match that is locked with its tickets. The groups that are named, and those in which a
/// player declined, are cancelled for the reason given; where there is none such, groups that lack
/// an answer time out; the others wait on as before.
async fn fall_apart(
    tx: &mut Transaction<'_, Postgres>,
    match_id: Uuid,
    withdrawn: &[Uuid],
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> StoreResult<Vec<Ticket>> {
    let settled = select_tickets!(
        returning "WITH groups AS (
             SELECT group_id, bool_or(accepted IS FALSE OR group_id = ANY($2)) AS declined,
                 bool_or(accepted IS NULL) AS silent
             FROM tickets WHERE match_id = $1 AND status = 'accepting' GROUP BY group_id),
         fates AS (
             SELECT group_id, declined,
                 silent AND NOT (SELECT bool_or(declined) FROM groups) AS silent
             FROM groups)
         UPDATE tickets SET changed_at = $5,
             status = CASE WHEN declined THEN 'cancelled' WHEN silent THEN 'timed_out'
                 ELSE 'queued' END,
             reason = CASE WHEN declined THEN $3 WHEN silent THEN $4 END,
             returned = returned OR NOT (declined OR silent),
             match_id = CASE WHEN declined OR silent THEN match_id END,
             accepted = CASE WHEN declined OR silent THEN accepted END,
             seen_at = CASE WHEN declined OR silent THEN seen_at ELSE greatest(seen_at, $5) END
         FROM fates WHERE tickets.group_id = fates.group_id AND match_id = $1
         AND status = 'accepting'",
        match_id,
        withdrawn,
        reason,
        LAPSED,
        millis(now),
    );
    let settled = rows::tickets(settled.fetch_all(&mut **tx).await?)?;
    let lapsed = settled.iter().any(|t| t.status == TicketStatus::TimedOut);
    sqlx::query!(
        "UPDATE matches SET status = 'failed', reason = $2, ended_at = $3 WHERE id = $1",
        match_id,
        if lapsed { LAPSED } else { DECLINED },
        millis(now),
    )
    .execute(&mut **tx)
    .await?;
    Ok(settled)
}

const LAPSED: &str = "not everybody accepted the match in time";
const DECLINED: &str = "a player declined the match";
