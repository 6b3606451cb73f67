//! `GET /match/status`: how far a ticket has come, and what it waits for.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use gs_store::{Ticket, TicketStatus};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::view::{self, Waiting};
use super::{no_such_ticket, own_ticket};
use crate::body::{Params, parse_id};
use crate::caller::Caller;
use crate::openapi::tag;
use crate::problem::{FieldError, NotFound, Problem};
use crate::room_token::{is_joinable, mint};
use crate::statistics::rounded;
use crate::timestamp::Timestamp;
use crate::{Background, Shared};

/// A ticket's status
///
/// Asking is the ticket's heartbeat. With `wait` it answers as soon as the status changes, or the
/// number of those who have accepted.
#[utoipa::path(get, path = STATUS_PATH, tag = tag::MATCHMAKING, security(("bearer" = [])),
    operation_id = "match_status", params(StatusParams),
    responses(
        (status = OK, description = "How far it has come", body = TicketDocument),
        (status = NOT_FOUND, response = NotFound),
    ))]
pub(crate) async fn status(
    State(shared): State<Shared>,
    caller: Caller,
    Params(params): Params<StatusParams>,
) -> Result<Response, Problem> {
    let wait = Duration::from_secs(params.wait.unwrap_or(0));
    if wait > MAX_WAIT {
        let message = format!("has to be 0 to {} seconds", MAX_WAIT.as_secs());
        return Err(Problem::invalid(vec![FieldError::new("wait", message)]));
    }
    let mut ticket = match params.ticket_id {
        Some(id) => own_ticket(&shared, caller, parse_id(&id, "ticket")?).await?,
        None => match shared.store().newest_ticket(caller.player_id).await? {
            Some(ticket) => ticket,
            None => return Err(Problem::not_found("you have no ticket: queue first")),
        },
    };
    shared.store().touch_ticket(ticket.id, shared.now()).await?;
    if !wait.is_zero() && !ticket.status.is_final() {
        ticket = changed_ticket(&shared, ticket, wait).await?;
        shared.store().touch_ticket(ticket.id, shared.now()).await?;
    }
    let answer = describe(&shared, &ticket).await?;
    Ok(([(CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StatusParams {
    /// Which ticket; the caller's newest where absent.
    #[param(format = Uuid)]
    ticket_id: Option<String>,
    /// Seconds to wait for a change, 0 to 25.
    #[param(maximum = 25)]
    wait: Option<u64>,
}

/// How far a ticket has come.
#[derive(Serialize, ToSchema)]
#[schema(as = Ticket)]
pub(crate) struct TicketDocument {
    ticket_id: Uuid,
    /// `queued`, `accepting`, `placing`, `matched`, `cancelled`, `timed_out` or `failed`.
    #[schema(example = "matched")]
    status: &'static str,
    /// How long the player has waited, or waited until the end.
    waited_ms: u64,
    /// Why the player still waits, why the ticket failed or timed out, or that the match is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The party that queued.
    #[serde(skip_serializing_if = "Option::is_none")]
    party_id: Option<Uuid>,
    /// Whether a match fell apart, through others, before it began, so that the player waits again.
    returned: bool,
    /// What the player waits for, while queued.
    #[serde(flatten)]
    waiting: Option<Waiting>,
    /// What the player is asked, while the status is `accepting`.
    #[serde(skip_serializing_if = "Option::is_none")]
    accept: Option<Asked>,
    /// What it takes to join, while the match can be joined.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    joinable: Option<JoinableMatch>,
    /// The match that the ticket was in, once it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    match_id: Option<Uuid>,
}

/// A match that its players are asked to accept.
#[derive(Serialize, ToSchema)]
pub(crate) struct Asked {
    /// Until when.
    until: Timestamp,
    /// In how long that is, for clocks that are wrong.
    in_ms: u64,
    /// How many have accepted.
    accepted: usize,
    /// How many are asked.
    players: usize,
    /// What the player has answered.
    you: Option<bool>,
}

/// What a player needs to join a match.
#[derive(Serialize, ToSchema)]
pub(crate) struct JoinableMatch {
    match_id: Uuid,
    game: String,
    mode: String,
    /// `full`, `validated` or `observer`.
    authority_mode: String,
    /// LiveKit's name of the room.
    #[schema(example = "arena-4f2a91c3")]
    room: String,
    /// Where LiveKit is.
    #[schema(example = "wss://livekit.example.org")]
    url: String,
    /// The LiveKit token.
    token: String,
    /// The player's identity in the room.
    identity: Uuid,
    /// The region that is best for the players, where the mode's rules know regions.
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    players: Vec<Opponent>,
}

/// Who plays in a match.
#[derive(Serialize, ToSchema)]
pub(crate) struct Opponent {
    player_id: Uuid,
    username: String,
    team: Option<u8>,
    /// How good the player is held to be in this game and mode; 1500 is where everyone starts.
    #[schema(example = 1500)]
    rating: i32,
}

/// The ticket as soon as its status is another, at the latest after `wait`.
async fn changed_ticket(
    shared: &Shared,
    ticket: Ticket,
    wait: Duration,
) -> Result<Ticket, Problem> {
    let Ok(_place) = shared.waiters.try_acquire() else {
        return Ok(ticket);
    };
    let deadline = Instant::now() + wait;
    let before = accepted(shared, &ticket).await?;
    let mut changes = shared.store().changes();
    let mut background = shared.background.subscribe();
    loop {
        changes.mark_unchanged();
        let current = shared
            .store()
            .ticket(ticket.id)
            .await?
            .ok_or_else(no_such_ticket)?;
        let stopping = *background.borrow_and_update() == Background::Stopped;
        let changed =
            current.status != ticket.status || accepted(shared, &current).await? != before;
        if changed || Instant::now() >= deadline || stopping {
            return Ok(current);
        }
        let poll = deadline.min(Instant::now() + POLL_INTERVAL);
        tokio::select! {
            // A store that is gone reports no more changes; then only time passes.
            Ok(()) = changes.changed() => {}
            Ok(()) = background.changed() => {}
            () = tokio::time::sleep_until(poll) => {}
        }
    }
}

/// How many have accepted the match that a ticket is asked to accept.
async fn accepted(shared: &Shared, ticket: &Ticket) -> Result<usize, Problem> {
    let asked = ticket
        .match_id
        .filter(|_| ticket.status == TicketStatus::Accepting);
    let Some(match_id) = asked else { return Ok(0) };
    let tickets = shared.store().tickets_of_match(match_id).await?;
    Ok(tickets.iter().filter(|t| t.accepted == Some(true)).count())
}

async fn describe(shared: &Shared, ticket: &Ticket) -> Result<TicketDocument, Problem> {
    let until = if ticket.status.is_final() {
        ticket.changed_at
    } else {
        shared.now()
    };
    let waited = (until - ticket.queued_at).num_milliseconds().max(0);
    let mut answer = TicketDocument {
        ticket_id: ticket.id,
        status: ticket.status.as_str(),
        waited_ms: waited.unsigned_abs(),
        reason: ticket.reason.clone(),
        party_id: ticket.party_id,
        returned: ticket.returned,
        waiting: None,
        accept: None,
        joinable: None,
        match_id: None,
    };
    if ticket.status == TicketStatus::Queued
        && let Some(waiting) = view::waiting(shared, ticket).await?
    {
        answer.reason = Some(waiting.sentence());
        answer.waiting = Some(waiting);
    }
    if ticket.status == TicketStatus::Accepting {
        answer.accept = asked(shared, ticket).await?;
    }
    if ticket.status == TicketStatus::Matched {
        answer.joinable = describe_match(shared, ticket.player_id, ticket.match_id).await?;
        if answer.joinable.is_none() {
            answer.reason = Some("the match is over".to_owned());
            answer.match_id = ticket.match_id;
        }
    }
    Ok(answer)
}

async fn asked(shared: &Shared, ticket: &Ticket) -> Result<Option<Asked>, Problem> {
    let Some(id) = ticket.match_id else {
        return Ok(None);
    };
    let store = shared.store();
    let (found, tickets) = (
        store.match_by_id(id).await?,
        store.tickets_of_match(id).await?,
    );
    Ok(found
        .and_then(|found| found.accept_until)
        .map(|until| Asked {
            until: Timestamp(until),
            in_ms: (until - shared.now())
                .num_milliseconds()
                .max(0)
                .unsigned_abs(),
            accepted: tickets.iter().filter(|t| t.accepted == Some(true)).count(),
            players: tickets.len(),
            you: ticket.accepted,
        }))
}

/// What a player needs to join; none once the match is over.
async fn describe_match(
    shared: &Shared,
    player_id: Uuid,
    match_id: Option<Uuid>,
) -> Result<Option<JoinableMatch>, Problem> {
    let found = match match_id {
        None => None,
        Some(id) => shared.store().match_by_id(id).await?,
    };
    let Some(found) = found.filter(is_joinable) else {
        return Ok(None);
    };
    let token = mint(shared, &found, player_id)?.token;
    let playing = found.playing();
    let ids: Vec<Uuid> = playing.iter().map(|player| player.player_id).collect();
    let (store, now) = (shared.store(), shared.now());
    let ratings = store.ratings(&found.game, &found.mode, &ids, now).await?;
    let players = playing.into_iter().zip(ratings);
    let players = players.map(|(player, rating)| Opponent {
        player_id: player.player_id,
        username: player.username,
        team: player.team,
        rating: rounded(rating.value),
    });
    Ok(Some(JoinableMatch {
        match_id: found.id,
        game: found.game,
        mode: found.mode,
        authority_mode: found.authority_mode,
        room: found.room,
        region: found.region,
        url: shared.parts.livekit_url.clone(),
        token,
        identity: player_id,
        players: players.collect(),
    }))
}

/// The one call that waits.
pub(crate) const STATUS_PATH: &str = "/match/status";
/// Below the half minute after which proxies commonly give up on an answer.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(25);
/// How late a change may be seen that another process made.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
