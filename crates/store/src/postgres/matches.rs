use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use super::PostgresStore;
use super::rows::{
    self, MatchRow, SlotRow, SubstituteRow, TicketRow, millis, retried, select_tickets,
};
use crate::{
    Claim, FormMatch, Lease, Match, MatchOutcome, Matches, NewMatch, Search, StoreError,
    StoreOutcome, StoreResult, Ticket,
};

/// A query of matches with their slots, in one statement and so as of one moment: what comes before
/// `SELECT`, then what the matches come from, under the name `matches`.
macro_rules! select_matches {
    ($with:literal, $from:literal, $($argument:expr),* $(,)?) => {
        sqlx::query_as!(
            MatchRow,
            $with + r#"SELECT id AS "id!", game_id AS "game_id!", mode AS "mode!",
                   room_id AS "room_id!", room_sid, module_sha256 AS "module_sha256!",
                   teams AS "teams!", options AS "options!", authority_mode AS "authority_mode!",
                   rated AS "rated!", region, capacity AS "capacity!", backfill AS "backfill!",
                   accept_until, status AS "status!", lease_epoch AS "lease_epoch!", outcome,
                   reason, metadata::text AS details, winner, ticks, created_at AS "created_at!",
                   ready_at, started_at, ended_at, (
                       SELECT json_agg(json_build_object('slot', slot, 'player_id', player_id,
                           'username', username, 'team', team, 'placement', placement,
                           'result_team', result_team, 'score', score,
                           'statistics', match_slots.statistics, 'rating_before', rating_before,
                           'uncertainty_before', uncertainty_before, 'rating_after', rating_after,
                           'uncertainty_after', uncertainty_after) ORDER BY slot)
                       FROM match_slots JOIN players ON players.id = player_id
                       WHERE match_id = matches.id) AS "slots!: Json<Vec<SlotRow>>",
                   CASE WHEN backfill THEN (
                       SELECT json_agg(json_build_object('slot', slot, 'team', team,
                           'player_id', player_id, 'username', username, 'ticket_id', ticket_id,
                           'status', s.status) ORDER BY slot)
                       FROM match_substitutes AS s JOIN players ON players.id = player_id
                       WHERE match_id = matches.id AND s.status <> 'left')
                   END AS "substitutes: Json<Vec<SubstituteRow>>",
                   CASE WHEN backfill THEN (
                       SELECT array_agg(slot ORDER BY slot) FROM match_open_slots
                       WHERE match_id = matches.id)
                   END AS open_slots
               FROM "# + $from,
            $($argument),*
        )
    };
}
pub(super) use select_matches;

#[async_trait::async_trait]
impl Matches for PostgresStore {
    async fn form_match(&self, new: NewMatch) -> StoreResult<FormMatch> {
        if new.slots.is_empty() || new.slots.len() > MAX_SLOTS {
            let message = format!(
                "a match has 1 to {MAX_SLOTS} slots, not {}",
                new.slots.len()
            );
            return Err(StoreError::Invalid(message));
        }
        retried(|| self.try_form(&new)).await
    }

    async fn forming_matches(&self) -> StoreResult<Vec<Match>> {
        let rows = select_matches!(
            "",
            "matches WHERE status = 'forming' ORDER BY created_at, id",
        );
        all(rows.fetch_all(&self.pool).await?)
    }

    async fn room_created(&self, match_id: Uuid, room_sid: &str) -> StoreResult<bool> {
        let updated = sqlx::query!(
            "UPDATE matches SET status = 'open', room_sid = $2 WHERE id = $1 AND status = 'forming'",
            match_id,
            room_sid,
        )
        .execute(&self.pool)
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
        self.limited(async {
            // One that is locked is being claimed by another, or has just been heard of.
            let claimed = select_matches!(
                "WITH claimed AS (
                     UPDATE matches SET lease_epoch = lease_epoch + 1, lease_holder = $1,
                         lease_expires_at = $2
                     WHERE id = (
                         SELECT id FROM matches WHERE status IN ('open', 'running')
                         AND (lease_expires_at IS NULL
                             OR (lease_expires_at <= $3 AND lease_holder IS DISTINCT FROM $1))
                         ORDER BY created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
                     RETURNING *) ",
                "claimed AS matches",
                holder,
                millis(now + ttl),
                millis(now),
            )
            .fetch_optional(&self.pool)
            .await?;
            let Some(row) = claimed else { return Ok(None) };
            self.changed();
            let details: Match = row.try_into()?;
            Ok(Some(Claim {
                epoch: details.epoch,
                details,
            }))
        })
        .await
    }

    async fn renew_lease(
        &self,
        match_id: Uuid,
        epoch: u64,
        now: DateTime<Utc>,
        ttl: Duration,
    ) -> StoreResult<Lease> {
        self.limited(async {
            let updated = sqlx::query!(
                "UPDATE matches SET lease_expires_at = $3
                 WHERE id = $1 AND lease_epoch = $2 AND status IN ('open', 'running')",
                match_id,
                epoch as i64,
                millis(now + ttl),
            )
            .execute(&self.pool)
            .await?;
            Ok(lease(updated.rows_affected()))
        })
        .await
    }

    async fn release_lease(&self, match_id: Uuid, epoch: u64) -> StoreResult<Lease> {
        self.limited(async {
            let updated = sqlx::query!(
                "UPDATE matches SET lease_expires_at = NULL, lease_holder = NULL
                 WHERE id = $1 AND lease_epoch = $2 AND status IN ('open', 'running')",
                match_id,
                epoch as i64,
            )
            .execute(&self.pool)
            .await?;
            if updated.rows_affected() == 1 {
                self.changed();
            }
            Ok(lease(updated.rows_affected()))
        })
        .await
    }

    async fn match_ready(
        &self,
        match_id: Uuid,
        epoch: u64,
        now: DateTime<Utc>,
    ) -> StoreResult<Lease> {
        self.limited(async {
            let mut tx = self.pool.begin().await?;
            let updated = sqlx::query!(
                "UPDATE matches SET ready_at = coalesce(ready_at, $3)
                 WHERE id = $1 AND lease_epoch = $2 AND status IN ('open', 'running')",
                match_id,
                epoch as i64,
                millis(now),
            )
            .execute(&mut *tx)
            .await?;
            if updated.rows_affected() == 0 {
                return Ok(Lease::Lost);
            }
            let settled = settle_tickets(&mut tx, match_id, "matched", None, now).await?;
            tx.commit().await?;
            self.redis.tickets_changed(settled);
            self.changed();
            Ok(Lease::Held)
        })
        .await
    }

    async fn match_started(
        &self,
        match_id: Uuid,
        epoch: u64,
        at: DateTime<Utc>,
    ) -> StoreResult<Lease> {
        self.limited(async {
            let mut tx = self.pool.begin().await?;
            let updated = sqlx::query!(
                "UPDATE matches SET status = 'running', started_at = coalesce(started_at, $3)
                 WHERE id = $1 AND lease_epoch = $2 AND status IN ('open', 'running')
                 RETURNING ready_at",
                match_id,
                epoch as i64,
                millis(at),
            )
            .fetch_optional(&mut *tx)
            .await?;
            let Some(updated) = updated else {
                return Ok(Lease::Lost);
            };
            if updated.ready_at.is_none() {
                // At once: a claim passes over locked rows.
                tx.rollback().await?;
                let message = format!("match {match_id} was started before it was ready");
                return Err(StoreError::Invalid(message));
            }
            tx.commit().await?;
            self.changed();
            Ok(Lease::Held)
        })
        .await
    }

    async fn fail_match(
        &self,
        match_id: Uuid,
        epoch: Option<u64>,
        reason: &str,
        now: DateTime<Utc>,
    ) -> StoreResult<bool> {
        self.limited(async {
            let mut tx = self.pool.begin().await?;
            let updated = sqlx::query!(
                "UPDATE matches SET status = 'failed', reason = $3, ended_at = $4,
                     lease_expires_at = NULL, lease_holder = NULL
                 WHERE id = $1 AND status IN ('forming', 'open') AND ready_at IS NULL
                 AND ($2::bigint IS NULL OR lease_epoch = $2)",
                match_id,
                epoch.map(|epoch| epoch as i64),
                reason,
                millis(now),
            )
            .execute(&mut *tx)
            .await?;
            if updated.rows_affected() == 0 {
                return Ok(false);
            }
            let settled = settle_tickets(&mut tx, match_id, "failed", Some(reason), now).await?;
            tx.commit().await?;
            self.redis.tickets_changed(settled);
            self.changed();
            Ok(true)
        })
        .await
    }

    async fn store_result(
        &self,
        match_id: Uuid,
        epoch: u64,
        outcome: MatchOutcome,
        now: DateTime<Utc>,
    ) -> StoreResult<StoreOutcome> {
        self.results.store(match_id, epoch, outcome, now).await
    }

    async fn match_by_id(&self, id: Uuid) -> StoreResult<Option<Match>> {
        let row = select_matches!("", "matches WHERE id = $1", id);
        let row = row.fetch_optional(&self.pool).await?;
        row.map(Match::try_from).transpose()
    }

    async fn match_by_room(&self, room: &str) -> StoreResult<Option<Match>> {
        let row = select_matches!("", "matches WHERE room_id = $1", room);
        let row = row.fetch_optional(&self.pool).await?;
        row.map(Match::try_from).transpose()
    }

    async fn live_match_of(&self, player_id: Uuid) -> StoreResult<Option<Match>> {
        // By its index first, and not through the matches from the newest on.
        let rows = select_matches!(
            "WITH live AS MATERIALIZED (
                 SELECT id FROM matches WHERE players @> ARRAY[$1::uuid]
                 AND status IN ('open', 'running')
                 UNION SELECT match_id FROM match_substitutes
                 WHERE player_id = $1 AND status IN ('placing', 'playing')) ",
            "matches WHERE id IN (SELECT id FROM live) AND status IN ('open', 'running')
             AND ready_at IS NOT NULL ORDER BY id DESC",
            player_id,
        );
        let live = all(rows.fetch_all(&self.pool).await?)?;
        Ok(live.into_iter().find(|m| m.plays(player_id).is_some()))
    }

    async fn matches_of(
        &self,
        player_id: Uuid,
        before: Option<Uuid>,
        limit: u32,
    ) -> StoreResult<Vec<Match>> {
        let rows = select_matches!(
            "",
            "matches WHERE id IN (
                 (SELECT match_id FROM match_slots JOIN matches AS m ON m.id = match_id
                     WHERE player_id = $1 AND m.status = 'ended'
                     AND ($2::uuid IS NULL OR match_id < $2)
                     ORDER BY match_id DESC LIMIT $3)
                 UNION
                 (SELECT match_id FROM match_substitutes JOIN matches AS m ON m.id = match_id
                     WHERE player_id = $1 AND m.status = 'ended'
                     AND ($2::uuid IS NULL OR match_id < $2)
                     GROUP BY match_id ORDER BY match_id DESC LIMIT $3))
             ORDER BY id DESC LIMIT $3",
            player_id,
            before,
            i64::from(limit),
        );
        all(rows.fetch_all(&self.pool).await?)
    }

    async fn overdue_matches(&self, formed_before: DateTime<Utc>) -> StoreResult<Vec<Match>> {
        let rows = select_matches!(
            "",
            "matches WHERE status IN ('forming', 'open') AND ready_at IS NULL AND created_at < $1
             ORDER BY created_at, id",
            millis(formed_before),
        );
        all(rows.fetch_all(&self.pool).await?)
    }
}

impl PostgresStore {
    async fn try_form(&self, new: &NewMatch) -> StoreResult<FormMatch> {
        let created_at = millis(new.created_at);
        let players: Vec<Uuid> = new.slots.iter().map(|s| s.player_id).collect();
        let tickets: Vec<Uuid> = new.slots.iter().map(|s| s.ticket_id).collect();
        let mut tx = self.pool.begin().await?;
        sqlx::query!(
            "SELECT id FROM players WHERE id = ANY($1) ORDER BY id FOR KEY SHARE",
            &players,
        )
        .fetch_all(&mut *tx)
        .await?;
        if !leads(&mut tx, &new.game, new.lead).await? {
            tx.rollback().await?;
            return Ok(FormMatch::NotLeading);
        }
        let (match_status, ticket_status) = match new.accept_until {
            Some(_) => ("accepting", "accepting"),
            None => ("forming", "placing"),
        };
        let inserted = sqlx::query!(
            "INSERT INTO matches (id, game_id, mode, room_id, module_sha256, teams, options,
                 authority_mode, rated, players, status, created_at, region, capacity, backfill,
                 accept_until)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
             ON CONFLICT (room_id) DO NOTHING",
            new.id,
            new.game,
            new.mode,
            new.room,
            new.module_sha256,
            i16::from(new.teams),
            new.options,
            new.authority_mode,
            new.rated,
            &players,
            match_status,
            created_at,
            new.region,
            i16::from(new.capacity),
            new.backfill,
            new.accept_until.map(millis),
        )
        .execute(&mut *tx)
        .await?;
        if inserted.rows_affected() == 0 {
            return Ok(FormMatch::RoomTaken);
        }
        let queued = sqlx::query!(
            "SELECT id, player_id FROM tickets
             WHERE group_id IN (SELECT group_id FROM tickets WHERE id = ANY($1))
             AND game_id = $2 AND status = 'queued' ORDER BY id FOR UPDATE",
            &tickets,
            new.game,
        )
        .fetch_all(&mut *tx)
        .await?;
        let mut wanted: Vec<(Uuid, Uuid)> = tickets.iter().copied().zip(players.clone()).collect();
        wanted.sort_unstable();
        let found: Vec<(Uuid, Uuid)> = queued.iter().map(|t| (t.id, t.player_id)).collect();
        // A ticket that is named twice is found once, and one that is left out of its group too.
        if found != wanted {
            // At once: what passes over locked rows must not miss those tickets after the answer.
            tx.rollback().await?;
            return Ok(FormMatch::TicketsGone);
        }
        let placing = select_tickets!(
            returning "UPDATE tickets SET status = $4, match_id = $2, changed_at = $3,
                 accepted = NULL
             WHERE id = ANY($1)",
            &tickets,
            new.id,
            created_at,
            ticket_status,
        )
        .fetch_all(&mut *tx)
        .await?;
        let teams: Vec<Option<i16>> = new.slots.iter().map(|s| s.team.map(i16::from)).collect();
        sqlx::query!(
            "INSERT INTO match_slots (match_id, slot, player_id, team)
             SELECT $1, ordinality - 1, player_id, team
             FROM unnest($2::uuid[], $3::smallint[]) WITH ORDINALITY AS s (player_id, team)",
            new.id,
            &players,
            teams as _,
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        self.redis.tickets_changed(rows::tickets(placing)?);
        self.changed();
        Ok(FormMatch::Formed)
    }
}

/// As many as the engine's, whose slots fit six bits.
const MAX_SLOTS: usize = 64;

/// Whether a game's queue is led under this epoch; none: whoever leads. It is until the transaction
/// ends: whoever takes the lead waits for that.
pub(super) async fn leads(
    tx: &mut Transaction<'_, Postgres>,
    game: &str,
    lead: Option<u64>,
) -> StoreResult<bool> {
    let Some(epoch) = lead else { return Ok(true) };
    let leads = sqlx::query_scalar!(
        "SELECT epoch FROM queue_leaders WHERE game_id = $1 AND epoch = $2 FOR SHARE",
        game,
        epoch as i64,
    );
    Ok(leads.fetch_optional(&mut **tx).await?.is_some())
}

/// Gives the tickets of a match that are still being placed their last status, but those of
/// substitutes; answers them.
async fn settle_tickets(
    tx: &mut Transaction<'_, Postgres>,
    match_id: Uuid,
    status: &'static str,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> StoreResult<Vec<Ticket>> {
    let settled = select_tickets!(
        returning "UPDATE tickets SET status = $2, reason = $3, changed_at = $4
         WHERE id IN (SELECT id FROM tickets WHERE match_id = $1 AND status = 'placing'
             AND id NOT IN (SELECT ticket_id FROM match_substitutes WHERE match_id = $1)
             ORDER BY id FOR UPDATE)",
        match_id,
        status,
        reason,
        millis(now),
    );
    rows::tickets(settled.fetch_all(&mut **tx).await?)
}

fn lease(rows_affected: u64) -> Lease {
    if rows_affected == 1 {
        Lease::Held
    } else {
        Lease::Lost
    }
}

/// All of these rows as matches.
pub(super) fn all(rows: Vec<MatchRow>) -> StoreResult<Vec<Match>> {
    rows.into_iter().map(Match::try_from).collect()
}
