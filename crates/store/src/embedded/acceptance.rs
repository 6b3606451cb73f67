//! Matches that their players are asked to accept, and how groups leave the queue and such matches.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sqlx::{Row, Sqlite, Transaction};
use uuid::Uuid;

use super::rows::{self, millis};
use crate::{Accept, StoreResult, Ticket, TicketStatus};

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
    answer(tx, ticket_id, accept).await?;
    if !accept {
        let reason = "the match was declined";
        fall_apart(tx, match_id, &[], Some(reason), now).await?;
        return Ok(Accept::Declined);
    }
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

/// Takes groups out of the queue, and out of the matches that they are asked to accept, for a
/// reason that their players are told; answers whether any of them was there.
pub(super) async fn withdraw(
    tx: &mut Transaction<'_, Sqlite>,
    groups: &[Uuid],
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> StoreResult<bool> {
    let mut any = false;
    for group in groups {
        let cancelled = sqlx::query(
            "UPDATE tickets SET status = 'cancelled', reason = ?, changed_at = ?
             WHERE group_id = ? AND status = 'queued'",
        )
        .bind(reason)
        .bind(millis(now))
        .bind(group.to_string())
        .execute(&mut **tx)
        .await?;
        let asked = sqlx::query(
            "SELECT DISTINCT match_id FROM tickets WHERE group_id = ? AND status = 'accepting'",
        )
        .bind(group.to_string())
        .fetch_all(&mut **tx)
        .await?;
        for row in &asked {
            fall_apart(tx, rows::uuid(row, "match_id")?, groups, reason, now).await?;
        }
        any |= cancelled.rows_affected() > 0 || !asked.is_empty();
    }
    Ok(any)
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
        fall_apart(tx, rows::uuid(row, "id")?, &[], None, now).await?;
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

/// Fails a match that is to be accepted. The groups that are named, and those in which a player
/// declined, are cancelled for the reason given; where there is none such, groups that lack an
/// answer time out; the others wait on as before.
async fn fall_apart(
    tx: &mut Transaction<'_, Sqlite>,
    match_id: Uuid,
    withdrawn: &[Uuid],
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> StoreResult<()> {
    let rows = sqlx::query("SELECT * FROM tickets WHERE match_id = ? AND status = 'accepting'")
        .bind(match_id.to_string())
        .fetch_all(&mut **tx)
        .await?;
    let asked: Vec<Ticket> = rows.iter().map(rows::ticket).collect::<StoreResult<_>>()?;
    let groups_of = |fits: &dyn Fn(&Ticket) -> bool| -> BTreeSet<Uuid> {
        let fit = asked.iter().filter(|t| fits(t));
        fit.map(|t| t.group_id).collect()
    };
    let declined = groups_of(&|t| t.accepted == Some(false) || withdrawn.contains(&t.group_id));
    let silent = match declined.is_empty() {
        true => groups_of(&|t| t.accepted.is_none()),
        false => BTreeSet::new(),
    };
    for ticket in &asked {
        let (status, reason) = if declined.contains(&ticket.group_id) {
            ("cancelled", reason)
        } else if silent.contains(&ticket.group_id) {
            ("timed_out", Some(LAPSED))
        } else {
            ("queued", None)
        };
        sqlx::query("UPDATE tickets SET status = ?1, reason = ?2, changed_at = ?3 WHERE id = ?4")
            .bind(status)
            .bind(reason)
            .bind(millis(now))
            .bind(ticket.id.to_string())
            .execute(&mut **tx)
            .await?;
    }
    sqlx::query(
        "UPDATE tickets SET returned = TRUE, match_id = NULL, accepted = NULL,
             seen_at = max(seen_at, ?) WHERE match_id = ? AND status = 'queued'",
    )
    .bind(millis(now))
    .bind(match_id.to_string())
    .execute(&mut **tx)
    .await?;
    sqlx::query("UPDATE matches SET status = 'failed', reason = ?, ended_at = ? WHERE id = ?")
        .bind(if silent.is_empty() { DECLINED } else { LAPSED })
        .bind(millis(now))
        .bind(match_id.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

const LAPSED: &str = "not everybody accepted the match in time";
const DECLINED: &str = "a player declined the match";
