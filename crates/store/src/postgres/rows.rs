//! Rows to domain types and back.

use std::collections::BTreeMap;

use chrono::{DateTime, SubsecRound, Utc};
use gs_matchmaker::Rating;
use serde::Deserialize;
use sqlx::types::Json;
use uuid::Uuid;

use crate::matches::capacity_of;
use crate::{
    Ban, Match, MatchSlot, MatchStatus, Outcome, Player, PlayerStatistics, Search, SlotOutcome,
    StoreError, StoreResult, Substitute, Ticket, TicketStatus,
};

/// A time as it is stored.
pub(super) fn millis(time: DateTime<Utc>) -> DateTime<Utc> {
    time.trunc_subsecs(3)
}

/// Whether a transaction failed because it collided with another, and so is to be tried again.
pub(super) fn collided(error: &StoreError) -> bool {
    let StoreError::Unavailable(error) = error else {
        return false;
    };
    let code = error.as_database_error().and_then(|e| e.code());
    // serialization_failure, deadlock_detected
    matches!(code.as_deref(), Some("40001" | "40P01"))
}

/// Tries a transaction again that collides with another.
pub(super) async fn retried<T, F>(mut attempt: impl FnMut() -> F) -> StoreResult<T>
where
    F: Future<Output = StoreResult<T>>,
{
    for _ in 1..TRIES {
        match attempt().await {
            Err(error) if collided(&error) => {}
            done => return done,
        }
    }
    attempt().await
}

/// How often a transaction that collides is tried: two that met once rarely meet again.
pub(super) const TRIES: u32 = 5;

/// A row of `players`.
pub(super) struct PlayerRow {
    pub(super) id: Uuid,
    pub(super) username: String,
    pub(super) email: Option<String>,
    pub(super) guest: bool,
    pub(super) created_at: DateTime<Utc>,
}

impl From<PlayerRow> for Player {
    fn from(row: PlayerRow) -> Self {
        Self {
            id: row.id,
            username: row.username,
            email: row.email,
            guest: row.guest,
            created_at: row.created_at,
        }
    }
}

/// A row of `bans`.
pub(super) struct BanRow {
    pub(super) player_id: Uuid,
    pub(super) reason: String,
    pub(super) banned_at: DateTime<Utc>,
    pub(super) until: Option<DateTime<Utc>>,
}

impl From<BanRow> for Ban {
    fn from(row: BanRow) -> Self {
        Self {
            player_id: row.player_id,
            reason: row.reason,
            banned_at: row.banned_at,
            until: row.until,
        }
    }
}

/// A row of `player_statistics`.
pub(super) struct StatisticsRow {
    pub(super) player_id: Uuid,
    pub(super) game_id: String,
    pub(super) mode: String,
    pub(super) matches: i64,
    pub(super) wins: i64,
    pub(super) losses: i64,
    pub(super) draws: i64,
    pub(super) best_score: Option<i32>,
    pub(super) total_score: i64,
    pub(super) statistics: Json<BTreeMap<String, i64>>,
    pub(super) rating: Option<f64>,
    pub(super) rating_uncertainty: Option<f64>,
    pub(super) last_played_at: Option<DateTime<Utc>>,
}

/// A rating of its two columns.
pub(super) fn rating(value: Option<f64>, uncertainty: Option<f64>) -> Option<Rating> {
    let both = value.zip(uncertainty);
    both.map(|(value, uncertainty)| Rating { value, uncertainty })
}

impl From<StatisticsRow> for PlayerStatistics {
    fn from(row: StatisticsRow) -> Self {
        Self {
            matches: row.matches.unsigned_abs(),
            wins: row.wins.unsigned_abs(),
            losses: row.losses.unsigned_abs(),
            draws: row.draws.unsigned_abs(),
            best_score: row.best_score,
            total_score: row.total_score,
            statistics: row.statistics.0,
            rating: rating(row.rating, row.rating_uncertainty).unwrap_or_default(),
            last_played_at: row.last_played_at,
        }
    }
}

/// A row of `tickets`.
pub(super) struct TicketRow {
    pub(super) id: Uuid,
    pub(super) player_id: Uuid,
    pub(super) game_id: String,
    pub(super) mode: String,
    pub(super) code: Option<String>,
    pub(super) status: String,
    pub(super) reason: Option<String>,
    pub(super) match_id: Option<Uuid>,
    pub(super) queued_at: DateTime<Utc>,
    pub(super) seen_at: DateTime<Utc>,
    pub(super) changed_at: DateTime<Utc>,
    pub(super) group_id: Uuid,
    pub(super) party_id: Option<Uuid>,
    pub(super) search: Json<Search>,
    pub(super) returned: bool,
    pub(super) accepted: Option<bool>,
}

/// A query of tickets: `select_tickets!("WHERE …", …)`, or `select_tickets!(returning "UPDATE …", …)`
/// for what a change leaves behind.
macro_rules! select_tickets {
    (returning $change:literal, $($argument:expr),* $(,)?) => {
        sqlx::query_as!(
            TicketRow,
            $change + r#" RETURNING tickets.id, tickets.player_id, tickets.game_id, tickets.mode,
                tickets.code, tickets.status, tickets.reason, tickets.match_id, tickets.queued_at,
                tickets.seen_at, tickets.changed_at, tickets.group_id, tickets.party_id,
                tickets.search AS "search: Json<Search>", tickets.returned, tickets.accepted"#,
            $($argument),*
        )
    };
    ($rest:literal, $($argument:expr),* $(,)?) => {
        sqlx::query_as!(
            TicketRow,
            r#"SELECT id, player_id, game_id, mode, code, status, reason, match_id, queued_at,
                seen_at, changed_at, group_id, party_id, search AS "search: Json<Search>", returned,
                accepted
               FROM tickets "# + $rest,
            $($argument),*
        )
    };
}
pub(super) use select_tickets;

impl TryFrom<TicketRow> for Ticket {
    type Error = StoreError;

    fn try_from(row: TicketRow) -> StoreResult<Self> {
        Ok(Self {
            id: row.id,
            player_id: row.player_id,
            game: row.game_id,
            mode: row.mode,
            code: row.code,
            status: TicketStatus::parse(row.status)?,
            reason: row.reason,
            match_id: row.match_id,
            group_id: row.group_id,
            party_id: row.party_id,
            search: row.search.0,
            returned: row.returned,
            accepted: row.accepted,
            queued_at: row.queued_at,
            seen_at: row.seen_at,
            changed_at: row.changed_at,
        })
    }
}

/// All of these rows as tickets.
pub(super) fn tickets(rows: Vec<TicketRow>) -> StoreResult<Vec<Ticket>> {
    rows.into_iter().map(Ticket::try_from).collect()
}

/// A row of `matches` with its slots.
pub(super) struct MatchRow {
    pub(super) id: Uuid,
    pub(super) game_id: String,
    pub(super) mode: String,
    pub(super) room_id: String,
    pub(super) room_sid: Option<String>,
    pub(super) module_sha256: String,
    pub(super) teams: i16,
    pub(super) options: String,
    pub(super) authority_mode: String,
    pub(super) rated: bool,
    pub(super) region: Option<String>,
    pub(super) capacity: i16,
    pub(super) backfill: bool,
    pub(super) accept_until: Option<DateTime<Utc>>,
    pub(super) status: String,
    pub(super) lease_epoch: i64,
    pub(super) outcome: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) details: Option<String>,
    pub(super) winner: Option<Uuid>,
    pub(super) ticks: Option<i64>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) ready_at: Option<DateTime<Utc>>,
    pub(super) started_at: Option<DateTime<Utc>>,
    pub(super) ended_at: Option<DateTime<Utc>>,
    pub(super) slots: Json<Vec<SlotRow>>,
    pub(super) substitutes: Option<Json<Vec<SubstituteRow>>>,
    pub(super) open_slots: Option<Vec<i16>>,
}

/// A row of `match_slots` with the player's name, as [`MatchRow`] holds it.
#[derive(Debug, Deserialize)]
pub(super) struct SlotRow {
    slot: u8,
    player_id: Uuid,
    username: String,
    team: Option<u8>,
    placement: Option<u8>,
    result_team: Option<u8>,
    score: Option<i32>,
    statistics: Option<Vec<(String, i32)>>,
    rating_before: Option<f64>,
    uncertainty_before: Option<f64>,
    rating_after: Option<f64>,
    uncertainty_after: Option<f64>,
}

/// A row of `match_substitutes` with the player's name.
#[derive(Debug, Deserialize)]
pub(super) struct SubstituteRow {
    pub(super) slot: i16,
    pub(super) team: Option<i16>,
    pub(super) player_id: Uuid,
    pub(super) username: String,
    pub(super) ticket_id: Uuid,
    pub(super) status: String,
}

impl TryFrom<SubstituteRow> for Substitute {
    type Error = StoreError;

    fn try_from(row: SubstituteRow) -> StoreResult<Self> {
        Ok(Self {
            slot: within("slot", row.slot)?,
            team: row.team.map(|team| within("team", team)).transpose()?,
            player_id: row.player_id,
            username: row.username,
            ticket_id: row.ticket_id,
            confirmed: row.status != "placing",
        })
    }
}

impl TryFrom<MatchRow> for Match {
    type Error = StoreError;

    fn try_from(row: MatchRow) -> StoreResult<Self> {
        let slots: Vec<MatchSlot> = row.slots.0.into_iter().map(MatchSlot::from).collect();
        let capacity = within("number of slots", row.capacity)?;
        let substitutes = row.substitutes.map_or_else(Vec::new, |rows| rows.0);
        let substitutes = substitutes.into_iter().map(Substitute::try_from);
        let open = row.open_slots.unwrap_or_default();
        let open = open.into_iter().map(|slot| within("slot", slot));
        let mut found = Self {
            id: row.id,
            game: row.game_id,
            mode: row.mode,
            room: row.room_id,
            room_sid: row.room_sid,
            module_sha256: row.module_sha256,
            teams: within("number of teams", row.teams)?,
            options: row.options,
            authority_mode: row.authority_mode,
            rated: row.rated,
            region: row.region,
            capacity: capacity_of(capacity, &slots),
            backfill: row.backfill,
            accept_until: row.accept_until,
            status: MatchStatus::parse(row.status)?,
            slots,
            substitutes: Vec::new(),
            open: open.collect::<StoreResult<_>>()?,
            epoch: row.lease_epoch.unsigned_abs(),
            outcome: row.outcome.map(Outcome::parse).transpose()?,
            reason: row.reason,
            details: row.details,
            winner: row.winner,
            ticks: row
                .ticks
                .map(|n| within("number of ticks", n))
                .transpose()?,
            created_at: row.created_at,
            ready_at: row.ready_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
        };
        found.set_substitutes(substitutes.collect::<StoreResult<_>>()?);
        Ok(found)
    }
}

impl From<SlotRow> for MatchSlot {
    fn from(row: SlotRow) -> Self {
        let result = row.placement.map(|placement| SlotOutcome {
            slot: row.slot,
            placement,
            team: row.result_team,
            score: row.score.unwrap_or_default(),
            statistics: row.statistics.unwrap_or_default(),
        });
        let before = rating(row.rating_before, row.uncertainty_before);
        let after = rating(row.rating_after, row.uncertainty_after);
        Self {
            slot: row.slot,
            player_id: row.player_id,
            username: row.username,
            team: row.team,
            substitute: None,
            result,
            rating: before.zip(after),
        }
    }
}

/// A number that a narrower type holds than the column's.
pub(super) fn within<T: TryFrom<N>, N: Copy + ToString>(
    what: &'static str,
    value: N,
) -> StoreResult<T> {
    T::try_from(value).map_err(|_| StoreError::Corrupt {
        what,
        value: value.to_string(),
    })
}
