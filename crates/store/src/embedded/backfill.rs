use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use sqlx::{Row, Sqlite, Transaction};
use uuid::Uuid;

use super::EmbeddedStore;
use super::matches::{leads, select_match};
use super::rows::{self, millis};
use crate::backfill::{MAX_OPENINGS, opened};
use crate::{
    Backfill, FillSlot, Lease, Match, MatchOpening, MatchStatus, StoreError, StoreResult,
    Substitute,
};

#[async_trait::async_trait]
impl Backfill for EmbeddedStore {
    async fn open_slots(
        &self,
        match_id: Uuid,
        epoch: u64,
        slots: &[u8],
        now: DateTime<Utc>,
    ) -> StoreResult<Lease> {
        let mut tx = self.write().await?;
        let Some(found) = held(&mut tx, match_id, epoch).await? else {
            return Ok(Lease::Lost);
        };
        let rows = sqlx::query("SELECT slot, team FROM match_open_slots WHERE match_id = ?")
            .bind(match_id.to_string())
            .fetch_all(&mut *tx)
            .await?;
        let open: Vec<(u8, Option<u8>)> = rows
            .iter()
            .map(|row| Ok((row.try_get("slot")?, row.try_get("team")?)))
            .collect::<StoreResult<_>>()?;
        let had = substitutes_ever(&mut tx, match_id).await?;
        let changes = opened(&found, &open, had, slots)?;
        for &slot in &changes.left {
            sqlx::query(
                "UPDATE match_substitutes SET status = 'left'
                 WHERE match_id = ? AND slot = ? AND status = 'playing'",
            )
            .bind(match_id.to_string())
            .bind(slot)
            .execute(&mut *tx)
            .await?;
        }
        for &slot in &changes.returned {
            give_back(&mut tx, match_id, Some(slot), now).await?;
        }
        for &slot in &changes.closed {
            sqlx::query("DELETE FROM match_open_slots WHERE match_id = ? AND slot = ?")
                .bind(match_id.to_string())
                .bind(slot)
                .execute(&mut *tx)
                .await?;
        }
        for &(slot, team) in &changes.opened {
            sqlx::query(
                "INSERT INTO match_open_slots (match_id, slot, team, opened_at) VALUES (?, ?, ?, ?)",
            )
            .bind(match_id.to_string())
            .bind(slot)
            .bind(team)
            .bind(millis(now))
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        self.changed();
        Ok(Lease::Held)
    }

    async fn openings(&self, game: &str) -> StoreResult<Vec<MatchOpening>> {
        let mut tx = self.read().await?;
        let rows = sqlx::query(
            "SELECT match_open_slots.* FROM match_open_slots JOIN matches ON matches.id = match_id
             WHERE game_id = ? AND status IN ('open', 'running')
             ORDER BY opened_at, match_id, slot LIMIT ?",
        )
        .bind(game)
        .bind(MAX_OPENINGS)
        .fetch_all(&mut *tx)
        .await?;
        let mut matches: HashMap<Uuid, Match> = HashMap::new();
        let mut attributes = HashMap::new();
        let mut openings = Vec::with_capacity(rows.len());
        for row in &rows {
            let id = rows::uuid(row, "match_id")?;
            if let Entry::Vacant(entry) = matches.entry(id) {
                let Some(found) = select_match(&mut tx, id).await? else {
                    continue;
                };
                entry.insert(found);
                let tickets = sqlx::query("SELECT * FROM tickets WHERE match_id = ?")
                    .bind(id.to_string())
                    .fetch_all(&mut *tx)
                    .await?;
                for ticket in &tickets {
                    let ticket = rows::ticket(ticket)?;
                    attributes.insert((id, ticket.player_id), ticket.search.attributes);
                }
            }
            let slot = (row.try_get("slot")?, row.try_get("team")?);
            let opened_at = rows::time(row, "opened_at")?;
            openings.push(matches[&id].opening(slot, opened_at, &attributes));
        }
        Ok(openings)
    }

    async fn fill_slot(
        &self,
        match_id: Uuid,
        slot: u8,
        ticket_id: Uuid,
        lead: Option<u64>,
        now: DateTime<Utc>,
    ) -> StoreResult<FillSlot> {
        let mut tx = self.write().await?;
        let Some(found) = select_match(&mut tx, match_id).await? else {
            return Ok(FillSlot::SlotTaken);
        };
        if !leads(&mut tx, &found.game, lead).await? {
            return Ok(FillSlot::NotLeading);
        }
        let team = sqlx::query(
            "DELETE FROM match_open_slots WHERE match_id = ? AND slot = ? RETURNING team",
        )
        .bind(match_id.to_string())
        .bind(slot)
        .fetch_optional(&mut *tx)
        .await?;
        let live = matches!(found.status, MatchStatus::Open | MatchStatus::Running);
        let (true, Some(team)) = (live, team) else {
            return Ok(FillSlot::SlotTaken);
        };
        let team: Option<u8> = team.try_get("team")?;
        let row = sqlx::query(
            "SELECT * FROM tickets WHERE id = ?1 AND NOT EXISTS (
                 SELECT 1 FROM tickets AS other WHERE other.group_id = tickets.group_id
                 AND other.id <> ?1 AND other.status IN ('queued', 'accepting', 'placing'))",
        )
        .bind(ticket_id.to_string())
        .fetch_optional(&mut *tx)
        .await?;
        let ticket = row.as_ref().map(rows::ticket).transpose()?;
        let Some(ticket) = ticket.filter(|ticket| found.takes(ticket)) else {
            return Ok(FillSlot::TicketGone);
        };
        sqlx::query(
            "UPDATE tickets SET status = 'placing', match_id = ?, changed_at = ? WHERE id = ?",
        )
        .bind(match_id.to_string())
        .bind(millis(now))
        .bind(ticket_id.to_string())
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "INSERT INTO match_substitutes
                 (match_id, number, slot, team, player_id, ticket_id, status)
             VALUES (?1, (SELECT coalesce(max(number), -1) + 1 FROM match_substitutes
                 WHERE match_id = ?1), ?2, ?3, ?4, ?5, 'placing')",
        )
        .bind(match_id.to_string())
        .bind(slot)
        .bind(team)
        .bind(ticket.player_id.to_string())
        .bind(ticket_id.to_string())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        self.changed();
        Ok(FillSlot::Filling)
    }

    async fn substitutes(&self, match_id: Uuid) -> StoreResult<Vec<Substitute>> {
        let mut tx = self.read().await?;
        substitutes(&mut tx, match_id).await
    }

    async fn slot_filled(
        &self,
        match_id: Uuid,
        epoch: u64,
        slot: u8,
        player_id: Uuid,
        now: DateTime<Utc>,
    ) -> StoreResult<Lease> {
        let mut tx = self.write().await?;
        let Some(found) = held(&mut tx, match_id, epoch).await? else {
            return Ok(Lease::Lost);
        };
        let its = |s: &&Substitute| s.slot == slot && s.player_id == player_id;
        let Some(substitute) = found.substitutes.iter().find(its) else {
            let message = format!("{player_id} is no substitute for slot {slot} of {match_id}");
            return Err(StoreError::Invalid(message));
        };
        if substitute.confirmed {
            return Ok(Lease::Held);
        }
        sqlx::query(
            "UPDATE match_substitutes SET status = 'playing'
             WHERE match_id = ? AND slot = ? AND status = 'placing'",
        )
        .bind(match_id.to_string())
        .bind(slot)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "UPDATE tickets SET status = 'matched', changed_at = ?
             WHERE id = ? AND status = 'placing'",
        )
        .bind(millis(now))
        .bind(substitute.ticket_id.to_string())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        self.changed();
        Ok(Lease::Held)
    }
}

/// Ends what a match that ends has to do with substitutes: those who are on their way go back to the
/// queue. Answers the slots that a substitute was in.
pub(super) async fn end(
    tx: &mut Transaction<'_, Sqlite>,
    ended: &Match,
    now: DateTime<Utc>,
) -> StoreResult<Vec<u8>> {
    if !ended.backfill {
        return Ok(Vec::new());
    }
    give_back(tx, ended.id, None, now).await?;
    for statement in [
        "UPDATE match_substitutes SET status = 'stayed' WHERE match_id = ? AND status = 'playing'",
        "DELETE FROM match_open_slots WHERE match_id = ?",
    ] {
        sqlx::query(statement)
            .bind(ended.id.to_string())
            .execute(&mut **tx)
            .await?;
    }
    let rows = sqlx::query("SELECT DISTINCT slot FROM match_substitutes WHERE match_id = ?")
        .bind(ended.id.to_string())
        .fetch_all(&mut **tx)
        .await?;
    rows.iter().map(|row| Ok(row.try_get("slot")?)).collect()
}

/// The substitutes who have a slot of a match.
pub(super) async fn substitutes(
    tx: &mut Transaction<'_, Sqlite>,
    match_id: Uuid,
) -> StoreResult<Vec<Substitute>> {
    let rows = sqlx::query(
        "SELECT match_substitutes.*, username FROM match_substitutes
         JOIN players ON players.id = player_id
         WHERE match_id = ? AND status <> 'left' ORDER BY slot",
    )
    .bind(match_id.to_string())
    .fetch_all(&mut **tx)
    .await?;
    rows.iter().map(rows::substitute).collect()
}

/// The open slots of a match.
pub(super) async fn open(tx: &mut Transaction<'_, Sqlite>, match_id: Uuid) -> StoreResult<Vec<u8>> {
    let rows = sqlx::query("SELECT slot FROM match_open_slots WHERE match_id = ? ORDER BY slot")
        .bind(match_id.to_string())
        .fetch_all(&mut **tx)
        .await?;
    rows.iter().map(|row| Ok(row.try_get("slot")?)).collect()
}

/// The match, if it runs under this epoch.
async fn held(
    tx: &mut Transaction<'_, Sqlite>,
    match_id: Uuid,
    epoch: u64,
) -> StoreResult<Option<Match>> {
    let found = select_match(tx, match_id).await?;
    Ok(found.filter(|found| {
        found.epoch == epoch && matches!(found.status, MatchStatus::Open | MatchStatus::Running)
    }))
}

async fn substitutes_ever(tx: &mut Transaction<'_, Sqlite>, match_id: Uuid) -> StoreResult<u32> {
    let row = sqlx::query("SELECT count(*) AS had FROM match_substitutes WHERE match_id = ?")
        .bind(match_id.to_string())
        .fetch_one(&mut **tx)
        .await?;
    Ok(row.try_get("had")?)
}

/// Takes substitutes who are on their way to a match, or to one slot of it, back to the queue.
async fn give_back(
    tx: &mut Transaction<'_, Sqlite>,
    match_id: Uuid,
    slot: Option<u8>,
    now: DateTime<Utc>,
) -> StoreResult<()> {
    let rows = sqlx::query(
        "DELETE FROM match_substitutes
         WHERE match_id = ?1 AND status = 'placing' AND (?2 IS NULL OR slot = ?2)
         RETURNING ticket_id",
    )
    .bind(match_id.to_string())
    .bind(slot)
    .fetch_all(&mut **tx)
    .await?;
    let tickets: BTreeSet<Uuid> = rows
        .iter()
        .map(|row| rows::uuid(row, "ticket_id"))
        .collect::<StoreResult<_>>()?;
    for ticket in tickets {
        sqlx::query(
            "UPDATE tickets SET status = 'queued', match_id = NULL, returned = 1,
                 seen_at = max(seen_at, ?1), changed_at = ?1 WHERE id = ?2 AND status = 'placing'",
        )
        .bind(millis(now))
        .bind(ticket.to_string())
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}
