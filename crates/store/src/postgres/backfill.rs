//! Substitutes. Whoever changes who has or may take a match's slots locks the match's row first, so
//! that a slot is given once; then its tickets.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use super::PostgresStore;
use super::matches::{all, leads, select_matches};
use super::rows::{
    self, MatchRow, SlotRow, SubstituteRow, TicketRow, millis, retried, select_tickets, within,
};
use crate::backfill::{MAX_OPENINGS, opened};
use crate::{
    Backfill, FillSlot, Lease, Match, MatchOpening, MatchStatus, Search, StoreError, StoreResult,
    Substitute, Ticket,
};

#[async_trait::async_trait]
impl Backfill for PostgresStore {
    async fn open_slots(
        &self,
        match_id: Uuid,
        epoch: u64,
        slots: &[u8],
        now: DateTime<Utc>,
    ) -> StoreResult<Lease> {
        self.limited(async { retried(|| self.try_open(match_id, epoch, slots, now)).await })
            .await
    }

    async fn openings(&self, game: &str) -> StoreResult<Vec<MatchOpening>> {
        let open = sqlx::query!(
            "SELECT match_id, slot, team, opened_at FROM match_open_slots
             JOIN matches ON matches.id = match_id
             WHERE game_id = $1 AND status IN ('open', 'running')
             ORDER BY opened_at, match_id, slot LIMIT $2",
            game,
            i64::from(MAX_OPENINGS),
        )
        .fetch_all(&self.pool)
        .await?;
        if open.is_empty() {
            return Ok(Vec::new());
        }
        let mut ids: Vec<Uuid> = open.iter().map(|row| row.match_id).collect();
        ids.sort_unstable();
        ids.dedup();
        let matches = select_matches!("", "matches WHERE id = ANY($1)", &ids);
        let matches = all(matches.fetch_all(&self.pool).await?)?;
        let matches: HashMap<Uuid, Match> = matches.into_iter().map(|m| (m.id, m)).collect();
        let tickets = select_tickets!("WHERE match_id = ANY($1)", &ids);
        let tickets = rows::tickets(tickets.fetch_all(&self.pool).await?)?;
        let attributes = tickets
            .into_iter()
            .filter_map(|t| Some(((t.match_id?, t.player_id), t.search.attributes)))
            .collect();
        let mut openings = Vec::with_capacity(open.len());
        for row in open {
            let slot = within("slot", row.slot)?;
            // What came between the two queries closed it again.
            let found = matches
                .get(&row.match_id)
                .filter(|m| m.open.contains(&slot));
            let team = row.team.map(|team| within("team", team)).transpose()?;
            openings.extend(found.map(|m| m.opening((slot, team), row.opened_at, &attributes)));
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
        retried(|| self.try_fill(match_id, slot, ticket_id, lead, now)).await
    }

    async fn substitutes(&self, match_id: Uuid) -> StoreResult<Vec<Substitute>> {
        self.limited(async {
            let rows = sqlx::query_as!(
                SubstituteRow,
                "SELECT slot, team, player_id, username, ticket_id, status FROM match_substitutes
                 JOIN players ON players.id = player_id
                 WHERE match_id = $1 AND status <> 'left' ORDER BY slot",
                match_id,
            );
            let rows = rows.fetch_all(&self.pool).await?;
            rows.into_iter().map(Substitute::try_from).collect()
        })
        .await
    }

    async fn slot_filled(
        &self,
        match_id: Uuid,
        epoch: u64,
        slot: u8,
        player_id: Uuid,
        now: DateTime<Utc>,
    ) -> StoreResult<Lease> {
        self.limited(async {
            retried(|| self.try_confirm(match_id, epoch, slot, player_id, now)).await
        })
        .await
    }
}

impl PostgresStore {
    async fn try_open(
        &self,
        match_id: Uuid,
        epoch: u64,
        slots: &[u8],
        now: DateTime<Utc>,
    ) -> StoreResult<Lease> {
        let mut tx = self.pool.begin().await?;
        let Some(found) = held(&mut tx, match_id, epoch).await? else {
            tx.rollback().await?;
            return Ok(Lease::Lost);
        };
        let rows = sqlx::query!(
            "SELECT slot, team FROM match_open_slots WHERE match_id = $1",
            match_id,
        );
        let mut open = Vec::new();
        for row in rows.fetch_all(&mut *tx).await? {
            let team = row.team.map(|team| within("team", team)).transpose()?;
            open.push((within("slot", row.slot)?, team));
        }
        let had = sqlx::query_scalar!(
            r#"SELECT count(*) AS "had!" FROM match_substitutes WHERE match_id = $1"#,
            match_id,
        );
        let had = u32::try_from(had.fetch_one(&mut *tx).await?).unwrap_or(u32::MAX);
        let changes = match opened(&found, &open, had, slots) {
            Ok(changes) => changes,
            Err(error) => {
                // At once: a claim passes over locked rows.
                tx.rollback().await?;
                return Err(error);
            }
        };
        sqlx::query!(
            "UPDATE match_substitutes SET status = 'left'
             WHERE match_id = $1 AND slot = ANY($2) AND status = 'playing'",
            match_id,
            &numbers(&changes.left),
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "DELETE FROM match_open_slots WHERE match_id = $1 AND slot = ANY($2)",
            match_id,
            &numbers(&changes.closed),
        )
        .execute(&mut *tx)
        .await?;
        let (slots, teams): (Vec<u8>, Vec<Option<u8>>) = changes.opened.into_iter().unzip();
        let teams: Vec<Option<i16>> = teams.into_iter().map(|t| t.map(i16::from)).collect();
        sqlx::query!(
            "INSERT INTO match_open_slots (match_id, slot, team, opened_at)
             SELECT $1, slot, team, $4
             FROM unnest($2::smallint[], $3::smallint[]) AS s (slot, team)",
            match_id,
            &numbers(&slots),
            teams as _,
            millis(now),
        )
        .execute(&mut *tx)
        .await?;
        let returned = match changes.returned.as_slice() {
            [] => Vec::new(),
            slots => give_back(&mut tx, &[match_id], Some(&numbers(slots)), now).await?,
        };
        tx.commit().await?;
        self.redis.tickets_changed(returned);
        self.changed();
        Ok(Lease::Held)
    }

    async fn try_fill(
        &self,
        match_id: Uuid,
        slot: u8,
        ticket_id: Uuid,
        lead: Option<u64>,
        now: DateTime<Utc>,
    ) -> StoreResult<FillSlot> {
        let mut tx = self.pool.begin().await?;
        let filled = fill(&mut tx, match_id, slot, ticket_id, lead, now).await?;
        let Ok(placing) = filled else {
            // At once: what passes over locked rows must not miss them after the answer.
            tx.rollback().await?;
            return Ok(filled.err().unwrap_or(FillSlot::TicketGone));
        };
        tx.commit().await?;
        self.redis.tickets_changed(vec![placing]);
        self.changed();
        Ok(FillSlot::Filling)
    }

    async fn try_confirm(
        &self,
        match_id: Uuid,
        epoch: u64,
        slot: u8,
        player_id: Uuid,
        now: DateTime<Utc>,
    ) -> StoreResult<Lease> {
        let mut tx = self.pool.begin().await?;
        let Some(found) = held(&mut tx, match_id, epoch).await? else {
            tx.rollback().await?;
            return Ok(Lease::Lost);
        };
        let its = |s: &&Substitute| s.slot == slot && s.player_id == player_id;
        let Some(substitute) = found.substitutes.iter().find(its) else {
            tx.rollback().await?;
            let message = format!("{player_id} is no substitute for slot {slot} of {match_id}");
            return Err(StoreError::Invalid(message));
        };
        if substitute.confirmed {
            tx.rollback().await?;
            return Ok(Lease::Held);
        }
        sqlx::query!(
            "UPDATE match_substitutes SET status = 'playing'
             WHERE match_id = $1 AND slot = $2 AND status = 'placing'",
            match_id,
            i16::from(slot),
        )
        .execute(&mut *tx)
        .await?;
        let matched = select_tickets!(
            returning "UPDATE tickets SET status = 'matched', changed_at = $2
             WHERE id = $1 AND status = 'placing'",
            substitute.ticket_id,
            millis(now),
        );
        let matched = rows::tickets(matched.fetch_all(&mut *tx).await?)?;
        tx.commit().await?;
        self.redis.tickets_changed(matched);
        self.changed();
        Ok(Lease::Held)
    }
}

/// Ends what matches, whose rows are locked, have to do with substitutes: those who are on their way
/// go back to the queue. Answers their tickets.
pub(super) async fn end(
    tx: &mut Transaction<'_, Postgres>,
    matches: &[Uuid],
    now: DateTime<Utc>,
) -> StoreResult<Vec<Ticket>> {
    sqlx::query!(
        "DELETE FROM match_open_slots WHERE match_id = ANY($1)",
        matches,
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "UPDATE match_substitutes SET status = 'stayed'
         WHERE match_id = ANY($1) AND status = 'playing'",
        matches,
    )
    .execute(&mut **tx)
    .await?;
    give_back(tx, matches, None, now).await
}

/// Puts the player of a ticket into an open slot; answers the ticket, or why not.
async fn fill(
    tx: &mut Transaction<'_, Postgres>,
    match_id: Uuid,
    slot: u8,
    ticket_id: Uuid,
    lead: Option<u64>,
    now: DateTime<Utc>,
) -> StoreResult<Result<Ticket, FillSlot>> {
    // The player first, as whoever erases one does.
    sqlx::query!(
        "SELECT players.id FROM tickets JOIN players ON players.id = player_id
         WHERE tickets.id = $1 FOR KEY SHARE OF players",
        ticket_id,
    )
    .fetch_optional(&mut **tx)
    .await?;
    let game = sqlx::query_scalar!("SELECT game_id FROM matches WHERE id = $1", match_id);
    let Some(game) = game.fetch_optional(&mut **tx).await? else {
        return Ok(Err(FillSlot::SlotTaken));
    };
    if !leads(tx, &game, lead).await? {
        return Ok(Err(FillSlot::NotLeading));
    }
    let Some(found) = lock(tx, match_id).await? else {
        return Ok(Err(FillSlot::SlotTaken));
    };
    let team = sqlx::query_scalar!(
        "DELETE FROM match_open_slots WHERE match_id = $1 AND slot = $2 RETURNING team",
        match_id,
        i16::from(slot),
    );
    let Some(team) = team.fetch_optional(&mut **tx).await? else {
        return Ok(Err(FillSlot::SlotTaken));
    };
    let ticket = select_tickets!("WHERE id = $1 FOR UPDATE", ticket_id);
    let ticket = ticket.fetch_optional(&mut **tx).await?;
    let ticket = ticket.map(Ticket::try_from).transpose()?;
    let Some(ticket) = ticket.filter(|ticket| found.takes(ticket)) else {
        return Ok(Err(FillSlot::TicketGone));
    };
    let others = sqlx::query_scalar!(
        r#"SELECT count(*) AS "others!" FROM tickets
           WHERE group_id = $1 AND id <> $2 AND status IN ('queued', 'accepting', 'placing')"#,
        ticket.group_id,
        ticket_id,
    );
    if others.fetch_one(&mut **tx).await? > 0 {
        return Ok(Err(FillSlot::TicketGone));
    }
    let placing = select_tickets!(
        returning "UPDATE tickets SET status = 'placing', match_id = $2, changed_at = $3
         WHERE id = $1",
        ticket_id,
        match_id,
        millis(now),
    );
    let placing = placing.fetch_one(&mut **tx).await?;
    sqlx::query!(
        "INSERT INTO match_substitutes (match_id, number, slot, team, player_id, ticket_id, status)
         SELECT $1, coalesce(max(number), -1) + 1, $2, $3, $4, $5, 'placing'
         FROM match_substitutes WHERE match_id = $1",
        match_id,
        i16::from(slot),
        team,
        ticket.player_id,
        ticket_id,
    )
    .execute(&mut **tx)
    .await?;
    Ok(Ok(placing.try_into()?))
}

/// Locks a match that runs.
async fn lock(tx: &mut Transaction<'_, Postgres>, id: Uuid) -> StoreResult<Option<Match>> {
    let locked = sqlx::query_scalar!(
        "SELECT id FROM matches WHERE id = $1 AND status IN ('open', 'running') FOR NO KEY UPDATE",
        id,
    );
    if locked.fetch_optional(&mut **tx).await?.is_none() {
        return Ok(None);
    }
    // A statement of its own, which sees what the lock was waited for.
    let row = select_matches!("", "matches WHERE id = $1", id);
    let row = row.fetch_optional(&mut **tx).await?;
    let found = row.map(Match::try_from).transpose()?;
    Ok(found.filter(|m| matches!(m.status, MatchStatus::Open | MatchStatus::Running)))
}

/// Locks a match, if it runs under this epoch.
async fn held(
    tx: &mut Transaction<'_, Postgres>,
    id: Uuid,
    epoch: u64,
) -> StoreResult<Option<Match>> {
    let found = lock(tx, id).await?;
    Ok(found.filter(|found| found.epoch == epoch))
}

/// Takes substitutes who are on their way to matches, or to some slots of them, back to the queue;
/// answers their tickets.
async fn give_back(
    tx: &mut Transaction<'_, Postgres>,
    matches: &[Uuid],
    slots: Option<&[i16]>,
    now: DateTime<Utc>,
) -> StoreResult<Vec<Ticket>> {
    let tickets = sqlx::query_scalar!(
        "DELETE FROM match_substitutes WHERE match_id = ANY($1) AND status = 'placing'
         AND ($2::smallint[] IS NULL OR slot = ANY($2)) RETURNING ticket_id",
        matches,
        slots as _,
    );
    let tickets = tickets.fetch_all(&mut **tx).await?;
    if tickets.is_empty() {
        return Ok(Vec::new());
    }
    let returned = select_tickets!(
        returning "UPDATE tickets SET status = 'queued', match_id = NULL, returned = TRUE,
             seen_at = greatest(seen_at, $2), changed_at = $2
         WHERE id IN (SELECT id FROM tickets WHERE id = ANY($1) AND status = 'placing'
             ORDER BY id FOR UPDATE)",
        &tickets,
        millis(now),
    );
    rows::tickets(returned.fetch_all(&mut **tx).await?)
}

fn numbers(slots: &[u8]) -> Vec<i16> {
    slots.iter().copied().map(i16::from).collect()
}
