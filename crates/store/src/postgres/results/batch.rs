use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{Connection as _, PgConnection, Postgres, Transaction};
use uuid::Uuid;

use super::{NewResult, boards, statistics};
use crate::postgres::backfill;
use crate::postgres::rows::{self, TicketRow, millis, select_tickets};
use crate::tally::{self, CountedSlot, Played, RatingStep};
use crate::{MatchOutcome, Search, SlotOutcome, StoreError, StoreOutcome, StoreResult, Ticket};

/// What became of a batch.
pub(super) struct Written {
    /// What became of each result.
    pub(super) answers: Vec<StoreResult<StoreOutcome>>,
    /// Whether anything was stored.
    pub(super) changed: bool,
    /// The tickets that changed with it.
    pub(super) tickets: Vec<Ticket>,
}

/// A result that is to be stored.
pub(super) struct Accepted<'a> {
    pub(super) stored: &'a StoredMatch,
    pub(super) outcome: &'a MatchOutcome,
    pub(super) now: DateTime<Utc>,
    pub(super) winner: Option<Uuid>,
    /// What of it counts.
    pub(super) counted: Vec<CountedSlot<'a>>,
}

/// A match whose row is locked.
pub(super) struct StoredMatch {
    pub(super) id: Uuid,
    pub(super) game_id: String,
    pub(super) mode: String,
    rated: bool,
    players: Vec<Uuid>,
    capacity: i16,
    backfill: bool,
    lease_epoch: i64,
    ready_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
}

/// The slots that substitutes were in, by match.
type Filled = HashMap<Uuid, Vec<u8>>;

/// Writes results in one transaction: those that can be stored, all or none.
pub(super) async fn write(
    connection: &mut PgConnection,
    board_ids: &mut boards::BoardIds,
    results: &[NewResult],
) -> StoreResult<Written> {
    let mut tx = connection.begin().await?;
    let matches = lock_matches(&mut tx, results).await?;
    let filled = filled_slots(&mut tx, &matches).await?;
    let mut accepted: Vec<Accepted<'_>> = Vec::new();
    let mut ending = HashSet::new();
    let answers = results.iter().map(|result| {
        let Some(stored) = matches.get(&result.match_id) else {
            let message = format!("there is no match {}", result.match_id);
            return Err(StoreError::Invalid(message));
        };
        // First, so that nobody takes another holder's result for its own.
        if stored.lease_epoch != result.epoch as i64 {
            return Ok(StoreOutcome::StaleEpoch);
        }
        if stored.ended_at.is_some() || ending.contains(&stored.id) {
            return Ok(StoreOutcome::AlreadyStored);
        }
        accepted.push(accept(stored, &filled, result)?);
        ending.insert(stored.id);
        Ok(StoreOutcome::Stored)
    });
    let answers = answers.collect();
    if accepted.is_empty() {
        tx.rollback().await?;
        return Ok(Written {
            answers,
            changed: false,
            tickets: Vec::new(),
        });
    }
    let mut tickets = settle_tickets(&mut tx, &accepted).await?;
    tickets.extend(end_backfill(&mut tx, &accepted).await?);
    end_matches(&mut tx, &accepted).await?;
    if accepted.iter().any(|result| !result.counted.is_empty()) {
        let ratings = statistics::count(&mut tx, &accepted).await?;
        store_slots(&mut tx, &accepted, &ratings).await?;
        store_scores(&mut tx, &accepted).await?;
        boards::count(&mut tx, board_ids, &accepted).await?;
    } else {
        store_slots(&mut tx, &accepted, &[]).await?;
    }
    tx.commit().await?;
    Ok(Written {
        answers,
        changed: true,
        tickets,
    })
}

fn accept<'a>(
    stored: &'a StoredMatch,
    filled: &Filled,
    result: &'a NewResult,
) -> StoreResult<Accepted<'a>> {
    let outcome = &result.outcome;
    let played = Played {
        id: stored.id,
        rated: stored.rated,
        players: &stored.players,
        capacity: rows::within("number of slots", stored.capacity)?,
        filled: filled.get(&stored.id).map_or(&[], Vec::as_slice),
    };
    tally::check(&played, outcome)?;
    if let Some(details) = &outcome.details {
        serde_json::from_str::<serde::de::IgnoredAny>(details).map_err(|error| {
            let id = stored.id;
            StoreError::Invalid(format!(
                "the details of {id}'s result are not JSON: {error}"
            ))
        })?;
    }
    Ok(Accepted {
        stored,
        outcome,
        now: millis(result.now),
        winner: tally::winner(&played, outcome),
        counted: tally::counted(&played, outcome),
    })
}

async fn lock_matches(
    tx: &mut Transaction<'_, Postgres>,
    results: &[NewResult],
) -> StoreResult<HashMap<Uuid, StoredMatch>> {
    let ids: Vec<Uuid> = results.iter().map(|result| result.match_id).collect();
    let rows = sqlx::query_as!(
        StoredMatch,
        "SELECT id, game_id, mode, rated, players, capacity, backfill, lease_epoch, ready_at, ended_at
         FROM matches WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE",
        &ids,
    );
    let rows = rows.fetch_all(&mut **tx).await?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

/// The slots of locked matches that substitutes were in. A statement of its own: one that waited for
/// a match would not see who came to it meanwhile.
async fn filled_slots(
    tx: &mut Transaction<'_, Postgres>,
    matches: &HashMap<Uuid, StoredMatch>,
) -> StoreResult<Filled> {
    let open = matches
        .values()
        .filter(|m| m.backfill && m.ended_at.is_none());
    let open: Vec<Uuid> = open.map(|m| m.id).collect();
    let mut filled = Filled::new();
    if open.is_empty() {
        return Ok(filled);
    }
    let rows = sqlx::query!(
        "SELECT DISTINCT match_id, slot FROM match_substitutes
         WHERE match_id = ANY($1) AND status <> 'placing'",
        &open,
    );
    for row in rows.fetch_all(&mut **tx).await? {
        let slots = filled.entry(row.match_id).or_default();
        slots.push(rows::within("slot", row.slot)?);
    }
    Ok(filled)
}

/// Ends what matches have to do with substitutes; answers the tickets that go back to the queue.
async fn end_backfill(
    tx: &mut Transaction<'_, Postgres>,
    accepted: &[Accepted<'_>],
) -> StoreResult<Vec<Ticket>> {
    let with = || accepted.iter().filter(|a| a.stored.backfill);
    let matches: Vec<Uuid> = with().map(|a| a.stored.id).collect();
    match with().map(|a| a.now).max() {
        Some(now) => backfill::end(tx, &matches, now).await,
        None => Ok(Vec::new()),
    }
}

/// A match that ends before it was ready leaves tickets behind that wait for it.
async fn settle_tickets(
    tx: &mut Transaction<'_, Postgres>,
    accepted: &[Accepted<'_>],
) -> StoreResult<Vec<Ticket>> {
    let unready = || accepted.iter().filter(|a| a.stored.ready_at.is_none());
    let matches: Vec<Uuid> = unready().map(|a| a.stored.id).collect();
    if matches.is_empty() {
        return Ok(Vec::new());
    }
    let reason = |a: &Accepted<'_>| a.outcome.reason.clone().unwrap_or(ENDED_EARLY.to_owned());
    let reasons: Vec<String> = unready().map(reason).collect();
    let times: Vec<DateTime<Utc>> = unready().map(|a| a.now).collect();
    let settled = select_tickets!(
        returning "WITH waiting AS (
             SELECT id FROM tickets WHERE match_id = ANY($1) AND status = 'placing'
             ORDER BY id FOR UPDATE)
         UPDATE tickets SET status = 'failed', reason = ended.reason, changed_at = ended.at
         FROM waiting, unnest($1::uuid[], $2::text[], $3::timestamptz[]) AS ended (id, reason, at)
         WHERE tickets.id = waiting.id AND tickets.match_id = ended.id",
        &matches,
        &reasons,
        &times,
    );
    rows::tickets(settled.fetch_all(&mut **tx).await?)
}

async fn end_matches(
    tx: &mut Transaction<'_, Postgres>,
    accepted: &[Accepted<'_>],
) -> StoreResult<()> {
    let ids: Vec<Uuid> = accepted.iter().map(|a| a.stored.id).collect();
    let outcomes: Vec<String> = accepted
        .iter()
        .map(|a| a.outcome.outcome.as_str().to_owned())
        .collect();
    let reasons: Vec<_> = accepted.iter().map(|a| a.outcome.reason.clone()).collect();
    let details: Vec<_> = accepted.iter().map(|a| a.outcome.details.clone()).collect();
    let winners: Vec<_> = accepted.iter().map(|a| a.winner).collect();
    let ticks: Vec<i64> = accepted.iter().map(|a| a.outcome.ticks.into()).collect();
    let started: Vec<_> = accepted
        .iter()
        .map(|a| a.outcome.started_at.map(millis))
        .collect();
    let ended: Vec<_> = accepted
        .iter()
        .map(|a| millis(a.outcome.ended_at))
        .collect();
    sqlx::query!(
        "UPDATE matches SET status = 'ended', outcome = r.outcome, reason = r.reason,
             metadata = r.details::jsonb, winner = r.winner, ticks = r.ticks,
             started_at = coalesce(matches.started_at, r.started_at), ended_at = r.ended_at,
             lease_expires_at = NULL, lease_holder = NULL
         FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::bigint[],
             $7::timestamptz[], $8::timestamptz[])
             AS r (id, outcome, reason, details, winner, ticks, started_at, ended_at)
         WHERE matches.id = r.id",
        &ids,
        &outcomes,
        reasons as _,
        details as _,
        winners as _,
        &ticks,
        started as _,
        &ended,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Stores how it ended for each slot, with what each of these results changed of ratings.
async fn store_slots(
    tx: &mut Transaction<'_, Postgres>,
    accepted: &[Accepted<'_>],
    ratings: &[Vec<RatingStep>],
) -> StoreResult<()> {
    let steps: HashMap<(Uuid, u8), &RatingStep> = accepted
        .iter()
        .zip(ratings)
        .flat_map(|(a, steps)| {
            steps
                .iter()
                .map(move |step| ((a.stored.id, step.slot), step))
        })
        .collect();
    let slots = || {
        let of = |a: &'_ Accepted<'_>| a.stored.id;
        accepted
            .iter()
            .flat_map(move |a| a.outcome.slots.iter().map(move |slot| (of(a), slot)))
    };
    let matches: Vec<Uuid> = slots().map(|(id, _)| id).collect();
    let numbers: Vec<i16> = slots().map(|(_, slot)| slot.slot.into()).collect();
    let placements: Vec<i16> = slots().map(|(_, slot)| slot.placement.into()).collect();
    let teams: Vec<Option<i16>> = slots().map(|(_, slot)| slot.team.map(i16::from)).collect();
    let scores: Vec<i32> = slots().map(|(_, slot)| slot.score).collect();
    let statistics: Result<Vec<String>, _> = slots()
        .map(|(_, slot)| serde_json::to_string(&slot.statistics))
        .collect();
    let statistics = statistics.map_err(|error| StoreError::Invalid(error.to_string()))?;
    let rating = |of: fn(&RatingStep) -> f64| -> Vec<Option<f64>> {
        let step = |(id, slot): (Uuid, &SlotOutcome)| steps.get(&(id, slot.slot)).copied();
        slots().map(|slot| step(slot).map(of)).collect()
    };
    sqlx::query!(
        "UPDATE match_slots SET placement = r.placement, result_team = r.team, score = r.score,
             statistics = r.statistics::jsonb, rating_before = r.rating_before,
             uncertainty_before = r.uncertainty_before, rating_after = r.rating_after,
             uncertainty_after = r.uncertainty_after
         FROM unnest($1::uuid[], $2::smallint[], $3::smallint[], $4::smallint[], $5::integer[],
             $6::text[], $7::double precision[], $8::double precision[], $9::double precision[],
             $10::double precision[])
             AS r (match_id, slot, placement, team, score, statistics, rating_before,
                 uncertainty_before, rating_after, uncertainty_after)
         WHERE match_slots.match_id = r.match_id AND match_slots.slot = r.slot",
        &matches,
        &numbers,
        &placements,
        teams as _,
        &scores,
        &statistics,
        rating(|step| step.before.value) as _,
        rating(|step| step.before.uncertainty) as _,
        rating(|step| step.after.value) as _,
        rating(|step| step.after.uncertainty) as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn store_scores(
    tx: &mut Transaction<'_, Postgres>,
    accepted: &[Accepted<'_>],
) -> StoreResult<()> {
    let slots = || {
        accepted
            .iter()
            .flat_map(|a| a.counted.iter().map(move |slot| (a, slot)))
            .filter(|(_, slot)| !slot.filled)
    };
    let ids: Vec<Uuid> = slots().map(|_| Uuid::now_v7()).collect();
    let matches: Vec<Uuid> = slots().map(|(a, _)| a.stored.id).collect();
    let games: Vec<String> = slots().map(|(a, _)| a.stored.game_id.clone()).collect();
    let modes: Vec<String> = slots().map(|(a, _)| a.stored.mode.clone()).collect();
    let players: Vec<Uuid> = slots().map(|(_, slot)| slot.player_id).collect();
    let scores: Vec<i32> = slots().map(|(_, slot)| slot.result.score).collect();
    let times: Vec<DateTime<Utc>> = slots().map(|(a, _)| a.now).collect();
    sqlx::query!(
        "INSERT INTO scores (id, game_id, mode, player_id, match_id, score, created_at)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::uuid[],
             $6::integer[], $7::timestamptz[])",
        &ids,
        &games,
        &modes,
        &players,
        &matches,
        &scores,
        &times,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What a player is told whose match ended without a reason of its own.
const ENDED_EARLY: &str = "the match ended before it was ready";
