use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};
use uuid::Uuid;

use super::rows::{self, millis};
use super::{EmbeddedStore, backfill, boards, statistics};
use crate::matches::capacity_of;
use crate::tally::{self, Played};
use crate::{
    Claim, FormMatch, Lease, Match, MatchOutcome, Matches, NewMatch, StoreError, StoreOutcome,
    StoreResult,
};

#[async_trait::async_trait]
impl Matches for EmbeddedStore {
    async fn form_match(&self, new: NewMatch) -> StoreResult<FormMatch> {
        if new.slots.is_empty() || new.slots.len() > MAX_SLOTS {
            let message = format!(
                "a match has 1 to {MAX_SLOTS} slots, not {}",
                new.slots.len()
            );
            return Err(StoreError::Invalid(message));
        }
        let mut tx = self.write().await?;
        let players: Vec<String> = new.slots.iter().map(|s| s.player_id.to_string()).collect();
        if !leads(&mut tx, &new.game, new.lead).await? {
            return Ok(FormMatch::NotLeading);
        }
        let (match_status, ticket_status) = match new.accept_until {
            Some(_) => ("accepting", "accepting"),
            None => ("forming", "placing"),
        };
        let inserted = sqlx::query(
            "INSERT INTO matches (id, game_id, mode, room_id, module_sha256, teams, options,
                 authority_mode, rated, players, status, created_at, region, capacity, backfill,
                 accept_until)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (room_id) DO NOTHING",
        )
        .bind(new.id.to_string())
        .bind(&new.game)
        .bind(&new.mode)
        .bind(&new.room)
        .bind(&new.module_sha256)
        .bind(new.teams)
        .bind(&new.options)
        .bind(&new.authority_mode)
        .bind(new.rated)
        .bind(serde_json::Value::from(players).to_string())
        .bind(match_status)
        .bind(millis(new.created_at))
        .bind(&new.region)
        .bind(new.capacity)
        .bind(new.backfill)
        .bind(new.accept_until.map(millis))
        .execute(&mut *tx)
        .await?;
        if inserted.rows_affected() == 0 {
            return Ok(FormMatch::RoomTaken);
        }
        for (number, slot) in new.slots.iter().enumerate() {
            let moved = sqlx::query(
                "UPDATE tickets SET status = ?, match_id = ?, changed_at = ?, accepted = NULL
                 WHERE id = ? AND player_id = ? AND game_id = ? AND status = 'queued'",
            )
            .bind(ticket_status)
            .bind(new.id.to_string())
            .bind(millis(new.created_at))
            .bind(slot.ticket_id.to_string())
            .bind(slot.player_id.to_string())
            .bind(&new.game)
            .execute(&mut *tx)
            .await?;
            if moved.rows_affected() == 0 {
                return Ok(FormMatch::TicketsGone);
            }
            sqlx::query(
                "INSERT INTO match_slots (match_id, slot, player_id, team) VALUES (?, ?, ?, ?)",
            )
            .bind(new.id.to_string())
            .bind(number as i64)
            .bind(slot.player_id.to_string())
            .bind(slot.team)
            .execute(&mut *tx)
            .await?;
        }
        let left = sqlx::query(
            "SELECT 1 FROM tickets WHERE status = 'queued' AND group_id IN (
                 SELECT group_id FROM tickets WHERE match_id = ?) LIMIT 1",
        )
        .bind(new.id.to_string())
        .fetch_optional(&mut *tx)
        .await?;
        if left.is_some() {
            return Ok(FormMatch::TicketsGone);
        }
        tx.commit().await?;
        self.changed();
        Ok(FormMatch::Formed)
    }

    async fn forming_matches(&self) -> StoreResult<Vec<Match>> {
        let mut tx = self.read().await?;
        let rows =
            sqlx::query("SELECT * FROM matches WHERE status = 'forming' ORDER BY created_at, id")
                .fetch_all(&mut *tx)
                .await?;
        all_with_slots(&mut tx, rows).await
    }

    async fn room_created(&self, match_id: Uuid, room_sid: &str) -> StoreResult<bool> {
        let updated = sqlx::query(
            "UPDATE matches SET status = 'open', room_sid = ? WHERE id = ? AND status = 'forming'",
        )
        .bind(room_sid)
        .bind(match_id.to_string())
        .execute(&self.writer)
        .await?;
        if updated.rows_affected() == 1 {
            self.changed();
        }
        Ok(updated.rows_affected() == 1)
    }

    async fn claim_match(
        &self,
        holder: &str,
        now: DateTime<Utc>,
        ttl: Duration,
    ) -> StoreResult<Option<Claim>> {
        let mut tx = self.write().await?;
        let row = sqlx::query(
            "UPDATE matches SET lease_epoch = lease_epoch + 1, lease_holder = ?1,
                 lease_expires_at = ?2
             WHERE id = (
                 SELECT id FROM matches WHERE status IN ('open', 'running')
                 AND (lease_expires_at IS NULL
                     OR (lease_expires_at <= ?3 AND lease_holder IS NOT ?1))
                 ORDER BY created_at, id LIMIT 1)
             RETURNING *",
        )
        .bind(holder)
        .bind(millis(now + ttl))
        .bind(millis(now))
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let details = with_slots(&mut tx, &row).await?;
        tx.commit().await?;
        self.changed();
        Ok(Some(Claim {
            epoch: details.epoch,
            details,
        }))
    }

    async fn renew_lease(
        &self,
        match_id: Uuid,
        epoch: u64,
        now: DateTime<Utc>,
        ttl: Duration,
    ) -> StoreResult<Lease> {
        let updated = sqlx::query(
            "UPDATE matches SET lease_expires_at = ?
             WHERE id = ? AND lease_epoch = ? AND status IN ('open', 'running')",
        )
        .bind(millis(now + ttl))
        .bind(match_id.to_string())
        .bind(epoch as i64)
        .execute(&self.writer)
        .await?;
        Ok(lease(updated.rows_affected()))
    }

    async fn release_lease(&self, match_id: Uuid, epoch: u64) -> StoreResult<Lease> {
        let updated = sqlx::query(
            "UPDATE matches SET lease_expires_at = NULL, lease_holder = NULL
             WHERE id = ? AND lease_epoch = ? AND status IN ('open', 'running')",
        )
        .bind(match_id.to_string())
        .bind(epoch as i64)
        .execute(&self.writer)
        .await?;
        if updated.rows_affected() == 1 {
            self.changed();
        }
        Ok(lease(updated.rows_affected()))
    }

    async fn match_ready(
        &self,
        match_id: Uuid,
        epoch: u64,
        now: DateTime<Utc>,
    ) -> StoreResult<Lease> {
        let mut tx = self.write().await?;
        let updated = sqlx::query(
            "UPDATE matches SET ready_at = coalesce(ready_at, ?)
             WHERE id = ? AND lease_epoch = ? AND status IN ('open', 'running')",
        )
        .bind(millis(now))
        .bind(match_id.to_string())
        .bind(epoch as i64)
        .execute(&mut *tx)
        .await?;
        if updated.rows_affected() == 0 {
            return Ok(Lease::Lost);
        }
        settle_tickets(&mut tx, match_id, "matched", None, now).await?;
        tx.commit().await?;
        self.changed();
        Ok(Lease::Held)
    }

    async fn match_started(
        &self,
        match_id: Uuid,
        epoch: u64,
        at: DateTime<Utc>,
    ) -> StoreResult<Lease> {
        let mut tx = self.write().await?;
        let row = sqlx::query(
            "UPDATE matches SET status = 'running', started_at = coalesce(started_at, ?)
             WHERE id = ? AND lease_epoch = ? AND status IN ('open', 'running') RETURNING ready_at",
        )
        .bind(millis(at))
        .bind(match_id.to_string())
        .bind(epoch as i64)
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else {
            return Ok(Lease::Lost);
        };
        let ready_at: Option<i64> = row.try_get("ready_at")?;
        if ready_at.is_none() {
            let message = format!("match {match_id} was started before it was ready");
            return Err(StoreError::Invalid(message));
        }
        tx.commit().await?;
        self.changed();
        Ok(Lease::Held)
    }

    async fn fail_match(
        &self,
        match_id: Uuid,
        epoch: Option<u64>,
        reason: &str,
        now: DateTime<Utc>,
    ) -> StoreResult<bool> {
        let mut tx = self.write().await?;
        let updated = sqlx::query(
            "UPDATE matches SET status = 'failed', reason = ?1, ended_at = ?2,
                 lease_expires_at = NULL, lease_holder = NULL
             WHERE id = ?3 AND status IN ('forming', 'open') AND ready_at IS NULL
             AND (?4 IS NULL OR lease_epoch = ?4)",
        )
        .bind(reason)
        .bind(millis(now))
        .bind(match_id.to_string())
        .bind(epoch.map(|epoch| epoch as i64))
        .execute(&mut *tx)
        .await?;
        if updated.rows_affected() == 0 {
            return Ok(false);
        }
        settle_tickets(&mut tx, match_id, "failed", Some(reason), now).await?;
        tx.commit().await?;
        self.changed();
        Ok(true)
    }

    async fn store_result(
        &self,
        match_id: Uuid,
        epoch: u64,
        outcome: MatchOutcome,
        now: DateTime<Utc>,
    ) -> StoreResult<StoreOutcome> {
        let mut tx = self.write().await?;
        let Some(stored) = select_match(&mut tx, match_id).await? else {
            return Err(StoreError::Invalid(format!("there is no match {match_id}")));
        };
        // First, so that nobody takes another holder's result for its own.
        if stored.epoch != epoch {
            return Ok(StoreOutcome::StaleEpoch);
        }
        if stored.ended_at.is_some() {
            return Ok(StoreOutcome::AlreadyStored);
        }
        let players: Vec<Uuid> = stored.slots.iter().map(|s| s.player_id).collect();
        let filled = backfill::end(&mut tx, &stored, now).await?;
        let played = Played {
            id: match_id,
            rated: stored.rated,
            players: &players,
            capacity: stored.capacity,
            filled: &filled,
        };
        tally::check(&played, &outcome)?;
        store_slots(&mut tx, &stored, &played, &outcome, now).await?;
        sqlx::query(
            "UPDATE matches SET status = 'ended', outcome = ?, reason = ?, details = ?, winner = ?,
                 ticks = ?,
                 started_at = coalesce(started_at, ?), ended_at = ?,
                 lease_expires_at = NULL, lease_holder = NULL
             WHERE id = ?",
        )
        .bind(outcome.outcome.as_str())
        .bind(&outcome.reason)
        .bind(&outcome.details)
        .bind(tally::winner(&played, &outcome).map(|id| id.to_string()))
        .bind(outcome.ticks)
        .bind(outcome.started_at.map(millis))
        .bind(millis(outcome.ended_at))
        .bind(match_id.to_string())
        .execute(&mut *tx)
        .await?;
        let reason = outcome
            .reason
            .as_deref()
            .unwrap_or("the match ended before it was ready");
        settle_tickets(&mut tx, match_id, "failed", Some(reason), now).await?;
        tx.commit().await?;
        self.changed();
        Ok(StoreOutcome::Stored)
    }

    async fn match_by_id(&self, id: Uuid) -> StoreResult<Option<Match>> {
        let mut tx = self.read().await?;
        select_match(&mut tx, id).await
    }

    async fn match_by_room(&self, room: &str) -> StoreResult<Option<Match>> {
        let mut tx = self.read().await?;
        let row = sqlx::query("SELECT * FROM matches WHERE room_id = ?")
            .bind(room)
            .fetch_optional(&mut *tx)
            .await?;
        Ok(all_with_slots(&mut tx, row.into_iter().collect())
            .await?
            .pop())
    }

    async fn live_match_of(&self, player_id: Uuid) -> StoreResult<Option<Match>> {
        let mut tx = self.read().await?;
        let rows = sqlx::query(
            "SELECT * FROM matches WHERE id IN (
                 SELECT match_id FROM match_slots WHERE player_id = ?1
                 UNION SELECT match_id FROM match_substitutes WHERE player_id = ?1)
             AND status IN ('open', 'running') AND ready_at IS NOT NULL ORDER BY id DESC",
        )
        .bind(player_id.to_string())
        .fetch_all(&mut *tx)
        .await?;
        let live = all_with_slots(&mut tx, rows).await?;
        Ok(live.into_iter().find(|m| m.plays(player_id).is_some()))
    }

    async fn matches_of(
        &self,
        player_id: Uuid,
        before: Option<Uuid>,
        limit: u32,
    ) -> StoreResult<Vec<Match>> {
        let mut tx = self.read().await?;
        let rows = sqlx::query(
            "SELECT * FROM matches WHERE id IN (
                 SELECT match_id FROM match_slots WHERE player_id = ?1
                 UNION SELECT match_id FROM match_substitutes WHERE player_id = ?1)
             AND status = 'ended' AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3",
        )
        .bind(player_id.to_string())
        .bind(before.map(|id| id.to_string()))
        .bind(limit)
        .fetch_all(&mut *tx)
        .await?;
        all_with_slots(&mut tx, rows).await
    }

    async fn overdue_matches(&self, formed_before: DateTime<Utc>) -> StoreResult<Vec<Match>> {
        let mut tx = self.read().await?;
        let rows = sqlx::query(
            "SELECT * FROM matches WHERE status IN ('forming', 'open') AND ready_at IS NULL
             AND created_at < ? ORDER BY created_at, id",
        )
        .bind(millis(formed_before))
        .fetch_all(&mut *tx)
        .await?;
        all_with_slots(&mut tx, rows).await
    }
}

/// As many as the engine's, whose slots fit six bits.
const MAX_SLOTS: usize = 64;

fn lease(rows_affected: u64) -> Lease {
    if rows_affected == 1 {
        Lease::Held
    } else {
        Lease::Lost
    }
}

/// Stores how it ended for each slot, and what of it counts.
async fn store_slots(
    tx: &mut Transaction<'_, Sqlite>,
    stored: &Match,
    played: &Played<'_>,
    outcome: &MatchOutcome,
    now: DateTime<Utc>,
) -> StoreResult<()> {
    for result in &outcome.slots {
        let statistics = serde_json::to_string(&result.statistics)
            .map_err(|error| StoreError::Invalid(error.to_string()))?;
        sqlx::query(
            "UPDATE match_slots SET placement = ?, result_team = ?, score = ?, statistics = ?
             WHERE match_id = ? AND slot = ?",
        )
        .bind(result.placement)
        .bind(result.team)
        .bind(result.score)
        .bind(statistics)
        .bind(stored.id.to_string())
        .bind(result.slot)
        .execute(&mut **tx)
        .await?;
    }
    let counted = tally::counted(played, outcome);
    for slot in counted.iter().filter(|slot| !slot.filled) {
        sqlx::query(
            "INSERT INTO scores (id, game_id, mode, player_id, match_id, score, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(Uuid::now_v7().to_string())
        .bind(&stored.game)
        .bind(&stored.mode)
        .bind(slot.player_id.to_string())
        .bind(stored.id.to_string())
        .bind(slot.result.score)
        .bind(millis(now))
        .execute(&mut **tx)
        .await?;
    }
    let key = (stored.game.as_str(), stored.mode.as_str());
    for step in statistics::count(tx, key, &counted, outcome).await? {
        sqlx::query(
            "UPDATE match_slots SET rating_before = ?, uncertainty_before = ?, rating_after = ?,
                 uncertainty_after = ? WHERE match_id = ? AND slot = ?",
        )
        .bind(step.before.value)
        .bind(step.before.uncertainty)
        .bind(step.after.value)
        .bind(step.after.uncertainty)
        .bind(stored.id.to_string())
        .bind(step.slot)
        .execute(&mut **tx)
        .await?;
    }
    boards::enter(tx, tally::board_scores(&stored.game, &counted, outcome)).await
}

/// Gives the tickets of a match that are still being placed their last status, but those of
/// substitutes.
async fn settle_tickets(
    tx: &mut Transaction<'_, Sqlite>,
    match_id: Uuid,
    status: &'static str,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> StoreResult<()> {
    sqlx::query(
        "UPDATE tickets SET status = ?1, reason = ?2, changed_at = ?3
         WHERE match_id = ?4 AND status = 'placing'
         AND id NOT IN (SELECT ticket_id FROM match_substitutes WHERE match_id = ?4)",
    )
    .bind(status)
    .bind(reason)
    .bind(millis(now))
    .bind(match_id.to_string())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whether a game's queue is led under this epoch; none: whoever leads.
pub(super) async fn leads(
    tx: &mut Transaction<'_, Sqlite>,
    game: &str,
    lead: Option<u64>,
) -> StoreResult<bool> {
    let Some(epoch) = lead else { return Ok(true) };
    let leads = sqlx::query("SELECT 1 FROM queue_leaders WHERE game_id = ? AND epoch = ?")
        .bind(game)
        .bind(epoch as i64)
        .fetch_optional(&mut **tx)
        .await?;
    Ok(leads.is_some())
}

pub(super) async fn select_match(
    tx: &mut Transaction<'_, Sqlite>,
    id: Uuid,
) -> StoreResult<Option<Match>> {
    let row = sqlx::query("SELECT * FROM matches WHERE id = ?")
        .bind(id.to_string())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(all_with_slots(tx, row.into_iter().collect()).await?.pop())
}

async fn all_with_slots(
    tx: &mut Transaction<'_, Sqlite>,
    rows: Vec<SqliteRow>,
) -> StoreResult<Vec<Match>> {
    let mut matches = Vec::with_capacity(rows.len());
    for row in &rows {
        matches.push(with_slots(tx, row).await?);
    }
    Ok(matches)
}

async fn with_slots(tx: &mut Transaction<'_, Sqlite>, row: &SqliteRow) -> StoreResult<Match> {
    let mut found = rows::game_match(row)?;
    let slots = sqlx::query(
        "SELECT match_slots.*, username FROM match_slots
         JOIN players ON players.id = player_id WHERE match_id = ? ORDER BY slot",
    )
    .bind(found.id.to_string())
    .fetch_all(&mut **tx)
    .await?;
    found.slots = slots
        .iter()
        .map(rows::match_slot)
        .collect::<StoreResult<_>>()?;
    found.capacity = capacity_of(found.capacity, &found.slots);
    if found.backfill {
        found.set_substitutes(backfill::substitutes(tx, found.id).await?);
        found.open = backfill::open(tx, found.id).await?;
    }
    Ok(found)
}
