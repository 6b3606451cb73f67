//! Rows to domain types and back.

use chrono::{DateTime, Utc};
use gs_matchmaker::Rating;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use crate::{
    Ban, BoardEntry, Match, MatchSlot, MatchStatus, Outcome, Player, PlayerStatistics, Search,
    SlotOutcome, StoreError, StoreResult, Substitute, Ticket, TicketStatus,
};

/// A time as it is stored.
pub(super) fn millis(time: DateTime<Utc>) -> i64 {
    time.timestamp_millis()
}

pub(super) fn uuid(row: &SqliteRow, column: &'static str) -> StoreResult<Uuid> {
    let text: String = row.try_get(column)?;
    parse_uuid(text)
}

pub(super) fn player(row: &SqliteRow) -> StoreResult<Player> {
    Ok(Player {
        id: uuid(row, "id")?,
        username: row.try_get("username")?,
        email: row.try_get("email")?,
        guest: row.try_get("guest")?,
        created_at: time(row, "created_at")?,
    })
}

pub(super) fn ban(row: &SqliteRow) -> StoreResult<Ban> {
    Ok(Ban {
        player_id: uuid(row, "player_id")?,
        reason: row.try_get("reason")?,
        banned_at: time(row, "banned_at")?,
        until: optional_time(row, "until")?,
    })
}

pub(super) fn ticket(row: &SqliteRow) -> StoreResult<Ticket> {
    Ok(Ticket {
        id: uuid(row, "id")?,
        player_id: uuid(row, "player_id")?,
        game: row.try_get("game_id")?,
        mode: row.try_get("mode")?,
        code: row.try_get("code")?,
        status: TicketStatus::parse(row.try_get("status")?)?,
        reason: row.try_get("reason")?,
        match_id: optional_uuid(row, "match_id")?,
        group_id: uuid(row, "group_id")?,
        party_id: optional_uuid(row, "party_id")?,
        search: parse_search(row.try_get("search")?)?,
        returned: row.try_get("returned")?,
        accepted: row.try_get("accepted")?,
        queued_at: time(row, "queued_at")?,
        seen_at: time(row, "seen_at")?,
        changed_at: time(row, "changed_at")?,
    })
}

/// A match without its slots.
pub(super) fn game_match(row: &SqliteRow) -> StoreResult<Match> {
    let outcome: Option<String> = row.try_get("outcome")?;
    let epoch: i64 = row.try_get("lease_epoch")?;
    Ok(Match {
        id: uuid(row, "id")?,
        game: row.try_get("game_id")?,
        mode: row.try_get("mode")?,
        room: row.try_get("room_id")?,
        room_sid: row.try_get("room_sid")?,
        module_sha256: row.try_get("module_sha256")?,
        teams: row.try_get("teams")?,
        options: row.try_get("options")?,
        authority_mode: row.try_get("authority_mode")?,
        rated: row.try_get("rated")?,
        region: row.try_get("region")?,
        capacity: row.try_get("capacity")?,
        backfill: row.try_get("backfill")?,
        accept_until: optional_time(row, "accept_until")?,
        status: MatchStatus::parse(row.try_get("status")?)?,
        slots: Vec::new(),
        substitutes: Vec::new(),
        open: Vec::new(),
        epoch: epoch.unsigned_abs(),
        outcome: outcome.map(Outcome::parse).transpose()?,
        reason: row.try_get("reason")?,
        details: row.try_get("details")?,
        winner: optional_uuid(row, "winner")?,
        ticks: row.try_get("ticks")?,
        created_at: time(row, "created_at")?,
        ready_at: optional_time(row, "ready_at")?,
        started_at: optional_time(row, "started_at")?,
        ended_at: optional_time(row, "ended_at")?,
    })
}

pub(super) fn match_slot(row: &SqliteRow) -> StoreResult<MatchSlot> {
    let slot = row.try_get("slot")?;
    let placement: Option<u8> = row.try_get("placement")?;
    let result = match placement {
        None => None,
        Some(placement) => Some(SlotOutcome {
            slot,
            placement,
            team: row.try_get("result_team")?,
            score: row.try_get("score")?,
            statistics: parse_statistics(row.try_get("statistics")?)?,
        }),
    };
    Ok(MatchSlot {
        slot,
        player_id: uuid(row, "player_id")?,
        username: row.try_get("username")?,
        team: row.try_get("team")?,
        substitute: None,
        result,
        rating: rating_step(row)?,
    })
}

/// What a result changed of a rating: before and after.
pub(super) fn rating_step(row: &SqliteRow) -> StoreResult<Option<(Rating, Rating)>> {
    let rating = |value: &'static str, uncertainty: &'static str| -> StoreResult<_> {
        let value: Option<f64> = row.try_get(value)?;
        let uncertainty: Option<f64> = row.try_get(uncertainty)?;
        let both = value.zip(uncertainty);
        Ok(both.map(|(value, uncertainty)| Rating { value, uncertainty }))
    };
    let before = rating("rating_before", "uncertainty_before")?;
    Ok(before.zip(rating("rating_after", "uncertainty_after")?))
}

pub(super) fn substitute(row: &SqliteRow) -> StoreResult<Substitute> {
    let status: String = row.try_get("status")?;
    Ok(Substitute {
        slot: row.try_get("slot")?,
        team: row.try_get("team")?,
        player_id: uuid(row, "player_id")?,
        username: row.try_get("username")?,
        ticket_id: uuid(row, "ticket_id")?,
        confirmed: status != "placing",
    })
}

pub(super) fn statistics(row: &SqliteRow) -> StoreResult<PlayerStatistics> {
    let count = |column: &'static str| -> StoreResult<u64> {
        let count: i64 = row.try_get(column)?;
        Ok(count.unsigned_abs())
    };
    let sums: String = row.try_get("statistics")?;
    Ok(PlayerStatistics {
        matches: count("matches")?,
        wins: count("wins")?,
        losses: count("losses")?,
        draws: count("draws")?,
        best_score: row.try_get("best_score")?,
        total_score: row.try_get("total_score")?,
        statistics: serde_json::from_str(&sums).map_err(|_| StoreError::Corrupt {
            what: "sum of statistics",
            value: sums,
        })?,
        rating: rating(row)?,
        last_played_at: optional_time(row, "last_played_at")?,
    })
}

pub(super) fn rating(row: &SqliteRow) -> StoreResult<Rating> {
    Ok(Rating {
        value: row.try_get("rating")?,
        uncertainty: row.try_get("rating_uncertainty")?,
    })
}

/// An entry without its rank.
pub(super) fn board_entry(row: &SqliteRow) -> StoreResult<BoardEntry> {
    Ok(BoardEntry {
        rank: 0,
        player_id: uuid(row, "player_id")?,
        username: row.try_get("username")?,
        score: row.try_get("score")?,
        at: time(row, "reached_at")?,
    })
}

pub(super) fn time(row: &SqliteRow, column: &'static str) -> StoreResult<DateTime<Utc>> {
    parse_time(row.try_get(column)?)
}

fn optional_time(row: &SqliteRow, column: &'static str) -> StoreResult<Option<DateTime<Utc>>> {
    let millis: Option<i64> = row.try_get(column)?;
    millis.map(parse_time).transpose()
}

fn optional_uuid(row: &SqliteRow, column: &'static str) -> StoreResult<Option<Uuid>> {
    let text: Option<String> = row.try_get(column)?;
    text.map(parse_uuid).transpose()
}

fn parse_time(millis: i64) -> StoreResult<DateTime<Utc>> {
    DateTime::from_timestamp_millis(millis).ok_or_else(|| StoreError::Corrupt {
        what: "time",
        value: millis.to_string(),
    })
}

fn parse_uuid(text: String) -> StoreResult<Uuid> {
    Uuid::parse_str(&text).map_err(|_| StoreError::Corrupt {
        what: "id",
        value: text,
    })
}

fn parse_search(text: String) -> StoreResult<Search> {
    serde_json::from_str(&text).map_err(|_| StoreError::Corrupt {
        what: "search of a ticket",
        value: text,
    })
}

fn parse_statistics(text: String) -> StoreResult<Vec<(String, i32)>> {
    serde_json::from_str(&text).map_err(|_| StoreError::Corrupt {
        what: "list of statistics",
        value: text,
    })
}
