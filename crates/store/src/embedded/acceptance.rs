//! Matches that their players are asked to accept.

use chrono::{DateTime, Utc};
use sqlx::{Row, Sqlite, Transaction};
use uuid::Uuid;

use super::rows::{self, millis};
use crate::{Accept, StoreResult, TicketStatus};

pub(super) async fn accept(
    tx: &mut Transaction<'_, Sqlite>,
    ticket_id: Uuid,
    accept: bool,
    now: DateTime<Utc>,
) -> StoreResult<Accept> {
    let row = sqlx::query("SELECT * FROM tickets WHERE id = ?")
        .bind(ticket_id.to_string())
        .fetch_optional(&mut **tx)
        .await?;
    let Some(ticket) = row.as_ref().map(rows::ticket).transpose()? else {
        return Ok(Accept::NotFound);
    };
    let asked = ticket
        .match_id
        .filter(|_| ticket.status == TicketStatus::Accepting);
    let match_id = match (ticket.accepted, asked) {
        (Some(before), _) if before == accept => return Ok(Accept::Repeated),
        (Some(_), Some(_)) => return Ok(Accept::Contradicts),
        (_, None) => return Ok(Accept::NotAccepting),
        (None, Some(match_id)) => match_id,
    };
    if !accept {
        decline(tx, ticket_id, match_id, now).await?;
        return Ok(Accept::Declined);
    }
    answer(tx, ticket_id, true).await?;
    let missing: i64 = sqlx::query(
        "SELECT count(*) AS missing FROM tickets
         WHERE match_id = ? AND status = 'accepting' AND accepted IS NOT TRUE",
    )
    .bind(match_id.to_string())
    .fetch_one(&mut **tx)
    .await?
    .try_get("missing")?;
    if missing > 0 {
        return Ok(Accept::Accepted);
    }
    for statement in [
        "UPDATE matches SET status = 'forming', created_at = ?1 WHERE id = ?2",
        "UPDATE tickets SET status = 'placing', changed_at = ?1
         WHERE match_id = ?2 AND status = 'accepting'",
    ] {
        sqlx::query(statement)
            .bind(millis(now))
            .bind(match_id.to_string())
            .execute(&mut **tx)
            .await?;
    }
    Ok(Accept::Complete(match_id))
}

/// Declines for a ticket that is asked to accept a match, whatever it answered before.
pub(super) async fn decline(
    tx: &mut Transaction<'_, Sqlite>,
    ticket_id: Uuid,
    match_id: Uuid,
    now: DateTime<Utc>,
) -> StoreResult<()> {
    answer(tx, ticket_id, false).await?;
    fall_apart(tx, match_id, "a player declined the match", now).await
}

pub(super) async fn lapse(
    tx: &mut Transaction<'_, Sqlite>,
    now: DateTime<Utc>,
) -> StoreResult<u64> {
    let overdue =
        sqlx::query("SELECT id FROM matches WHERE status = 'accepting' AND accept_until <= ?")
            .bind(millis(now))
            .fetch_all(&mut **tx)
            .await?;
    for row in &overdue {
        let reason = "not everybody accepted the match in time";
        fall_apart(tx, rows::uuid(row, "id")?, reason, now).await?;
    }
    Ok(overdue.len() as u64)
}

async fn answer(
    tx: &mut Transaction<'_, Sqlite>,
    ticket_id: Uuid,
    accepted: bool,
) -> StoreResult<()> {
    sqlx::query("UPDATE tickets SET accepted = ? WHERE id = ?")
        .bind(accepted)
        .bind(ticket_id.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Fails a match. Whose group declined is cancelled; where nobody did, groups that lack an answer
/// time out; the others wait on as before.
async fn fall_apart(
    tx: &mut Transaction<'_, Sqlite>,
    match_id: Uuid,
    reason: &str,
    now: DateTime<Utc>,
) -> StoreResult<()> {
    for statement in [
        "UPDATE matches SET status = 'failed', reason = ?2, ended_at = ?3 WHERE id = ?1",
        "UPDATE tickets SET status = 'cancelled', changed_at = ?3
         WHERE match_id = ?1 AND status = 'accepting' AND ?2 = ?2 AND group_id IN (
             SELECT group_id FROM tickets WHERE match_id = ?1 AND accepted IS FALSE)",
        "UPDATE tickets SET status = 'timed_out', reason = ?2, changed_at = ?3
         WHERE match_id = ?1 AND status = 'accepting'
         AND NOT EXISTS (SELECT 1 FROM tickets WHERE match_id = ?1 AND accepted IS FALSE)
         AND group_id IN (SELECT group_id FROM tickets WHERE match_id = ?1 AND accepted IS NULL)",
        "UPDATE tickets SET status = 'queued', returned = TRUE, match_id = NULL, accepted = NULL,
             changed_at = ?3, seen_at = max(seen_at, ?3)
         WHERE match_id = ?1 AND status = 'accepting' AND ?2 = ?2",
    ] {
        sqlx::query(statement)
            .bind(match_id.to_string())
            .bind(reason)
            .bind(millis(now))
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}
