//! `/match`: tickets.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use gs_store::{Cancel, Enqueue, NewGroup, NewTicket, Search, Ticket, TicketStatus};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::body::{Body, Params, Segments, parse_id};
use crate::caller::Caller;
use crate::environment::new_id;
use crate::openapi::tag;
use crate::problem::{Conflict, FieldError, NotFound, Problem, TooManyRequests};
use crate::room_token::{is_joinable, mint};
use crate::statistics::rounded;
use crate::timestamp::Timestamp;
use crate::{Background, Shared};

/// Queue for a match
///
/// Ask for the ticket's status from then on: that is its heartbeat. A player has one live ticket a
/// game; 409 names it in `ticket_id`.
#[utoipa::path(post, path = "/match/queue", tag = tag::MATCHMAKING, request_body = QueueBody,
    security(("bearer" = [])),
    responses(
        (status = ACCEPTED, description = "Queued", body = Queued),
        (status = NOT_FOUND, response = NotFound),
        (status = CONFLICT, response = Conflict),
        (status = TOO_MANY_REQUESTS, response = TooManyRequests),
    ))]
pub(crate) async fn enqueue(
    State(shared): State<Shared>,
    caller: Caller,
    Body(body): Body<QueueBody>,
) -> Result<Response, Problem> {
    shared.limiter.queue(caller.player_id, shared.now())?;
    let Some(game) = shared.parts.catalog.game(&body.game) else {
        return Err(Problem::not_found(
            "this server has no such game; `GET /games` lists them",
        ));
    };
    let mode = match body.mode {
        None => game
            .modes
            .first()
            .map(|m| m.name.clone())
            .unwrap_or_default(),
        Some(mode) => mode,
    };
    let mut errors = Vec::new();
    if !game.modes.iter().any(|m| m.name == mode) {
        let names: Vec<&str> = game.modes.iter().map(|m| m.name.as_str()).collect();
        errors.push(FieldError::new(
            "mode",
            format!("has to be one of: {}", names.join(", ")),
        ));
    }
    if body.party_id.is_some() {
        let message = "parties are not there yet: queue alone, or with friends by `code`";
        errors.push(FieldError::new("party_id", message));
    }
    check_attributes(body.attributes.as_ref(), &mut errors);
    check_latencies(body.latency_ms.as_ref(), &mut errors);
    if body.code.as_deref().is_some_and(|code| !is_code(code)) {
        let message = format!("has to have 1 to {MAX_CODE_CHARS} characters, none of control");
        errors.push(FieldError::new("code", message));
    }
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    if shared.store().player(caller.player_id).await?.is_none() {
        return Err(Problem::unauthorized("this player is gone"));
    }

    let ticket = NewTicket {
        id: new_id(shared.environment()),
        player_id: caller.player_id,
        search: Search::default(),
    };
    let new = NewGroup {
        code: body.code,
        ..NewGroup::alone(ticket, &game.id, &mode, shared.now())
    };
    match shared.store().enqueue(new).await? {
        Enqueue::PartyChanged => Err(Problem::internal()),
        Enqueue::AlreadyQueued { ticket_id: id, .. } => {
            let detail = "you are queued already: ask for that ticket, or cancel it first";
            Err(Problem::conflict("already-queued", detail).with("ticket_id", id.to_string()))
        }
        Enqueue::Queued(tickets) => {
            let ticket = tickets.into_iter().next().ok_or_else(Problem::internal)?;
            tracing::info!(ticket.id = %ticket.id, player.id = %caller.player_id,
                game.id = ticket.game, "a player is queued");
            let answer = Queued {
                ticket_id: ticket.id,
                status: ticket.status.as_str(),
                game: ticket.game,
                mode: ticket.mode,
                queued_at: Timestamp(ticket.queued_at),
            };
            Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
        }
    }
}

/// A ticket's status
///
/// Asking is the ticket's heartbeat. With `wait` it answers as soon as the status changes.
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
        Some(id) => own_ticket(&shared, caller, &id).await?,
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

/// Leave the queue
#[utoipa::path(delete, path = "/match/queue/{ticket_id}", tag = tag::MATCHMAKING,
    security(("bearer" = [])), operation_id = "cancel_ticket",
    params(("ticket_id" = Uuid, Path, description = "The ticket")),
    responses(
        (status = NO_CONTENT, description = "Left"),
        (status = NOT_FOUND, response = NotFound),
        (status = CONFLICT, response = Conflict),
    ))]
pub(crate) async fn cancel(
    State(shared): State<Shared>,
    caller: Caller,
    Segments(ticket_id): Segments<String>,
) -> Result<StatusCode, Problem> {
    let ticket = own_ticket(&shared, caller, &ticket_id).await?;
    match shared
        .store()
        .cancel_ticket(ticket.id, shared.now())
        .await?
    {
        Cancel::Cancelled => Ok(StatusCode::NO_CONTENT),
        Cancel::AlreadyMatched => Err(Problem::conflict(
            "already-matched",
            "the ticket is in a match already",
        )),
        Cancel::NotFound => Err(no_such_ticket()),
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"game": "arena"}))]
pub(crate) struct QueueBody {
    /// Its id, as `GET /games` lists it.
    game: String,
    /// One of the game's modes; its default mode where absent.
    mode: Option<String>,
    /// A private match with whoever gives the same code: 1 to 32 characters.
    #[schema(min_length = 1, max_length = 32)]
    code: Option<String>,
    /// Not there yet: any value is refused.
    party_id: Option<String>,
    /// What a game's rules may match by: at most 16 texts or numbers, with names of 1 to 32
    /// characters and texts of at most 64. Checked, and not used yet.
    #[schema(value_type = Option<BTreeMap<String, Value>>, example = json!({"map": "dust"}))]
    attributes: Option<Map<String, Value>>,
    /// Round trips to regions in milliseconds, 0 to 2000, at most 32 regions. Checked, and not used
    /// yet.
    #[schema(example = json!({"eu-west": 24}))]
    latency_ms: Option<BTreeMap<String, u32>>,
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

/// A ticket that was drawn.
#[derive(Serialize, ToSchema)]
pub(crate) struct Queued {
    ticket_id: Uuid,
    #[schema(example = "queued")]
    status: &'static str,
    game: String,
    mode: String,
    queued_at: Timestamp,
}

/// How far a ticket has come.
#[derive(Serialize, ToSchema)]
#[schema(as = Ticket)]
pub(crate) struct TicketDocument {
    ticket_id: Uuid,
    /// `queued`, `placing`, `matched`, `cancelled`, `timed_out` or `failed`.
    #[schema(example = "matched")]
    status: &'static str,
    /// How long the player has waited, or waited until the end.
    waited_ms: u64,
    /// Why it failed or timed out, or that the match is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What it takes to join, while the match can be joined.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    joinable: Option<JoinableMatch>,
    /// The match that the ticket was in, once it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    match_id: Option<Uuid>,
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

/// The caller's ticket. One of somebody else answers like one that does not exist.
async fn own_ticket(shared: &Shared, caller: Caller, id: &str) -> Result<Ticket, Problem> {
    let ticket = shared.store().ticket(parse_id(id, "ticket")?).await?;
    ticket
        .filter(|t| t.player_id == caller.player_id)
        .ok_or_else(no_such_ticket)
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
        if current.status != ticket.status || Instant::now() >= deadline || stopping {
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
        joinable: None,
        match_id: None,
    };
    if ticket.status == TicketStatus::Matched {
        answer.joinable = describe_match(shared, ticket.player_id, ticket.match_id).await?;
        if answer.joinable.is_none() {
            answer.reason = Some("the match is over".to_owned());
            answer.match_id = ticket.match_id;
        }
    }
    Ok(answer)
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
    let ids: Vec<Uuid> = found.slots.iter().map(|slot| slot.player_id).collect();
    let store = shared.store();
    let ratings = store
        .ratings(&found.game, &found.mode, &ids, shared.now())
        .await?;
    let players = found.slots.into_iter().zip(ratings);
    let players = players.map(|(slot, rating)| Opponent {
        player_id: slot.player_id,
        username: slot.username,
        team: slot.team,
        rating: rounded(rating.value),
    });
    Ok(Some(JoinableMatch {
        match_id: found.id,
        game: found.game,
        mode: found.mode,
        authority_mode: found.authority_mode,
        room: found.room,
        url: shared.parts.livekit_url.clone(),
        token,
        identity: player_id,
        players: players.collect(),
    }))
}

fn check_attributes(attributes: Option<&Map<String, Value>>, errors: &mut Vec<FieldError>) {
    let Some(attributes) = attributes else { return };
    if attributes.len() > MAX_ATTRIBUTES {
        let message = format!("has to have at most {MAX_ATTRIBUTES} entries");
        return errors.push(FieldError::new("attributes", message));
    }
    for (name, value) in attributes {
        if !is_name(name) {
            let message = format!("names have to have 1 to {MAX_NAME_CHARS} printable characters");
            return errors.push(FieldError::new("attributes", message));
        }
        let fits = match value {
            Value::Number(_) => true,
            Value::String(text) => {
                text.chars().count() <= MAX_TEXT_CHARS && !text.chars().any(char::is_control)
            }
            _ => false,
        };
        if !fits {
            let message =
                format!("has to be a number, or a text of at most {MAX_TEXT_CHARS} characters");
            errors.push(FieldError::new(&format!("attributes.{name}"), message));
        }
    }
}

fn check_latencies(latencies: Option<&BTreeMap<String, u32>>, errors: &mut Vec<FieldError>) {
    let Some(latencies) = latencies else { return };
    if latencies.len() > MAX_REGIONS {
        let message = format!("has to have at most {MAX_REGIONS} regions");
        return errors.push(FieldError::new("latency_ms", message));
    }
    for (region, latency) in latencies {
        if !is_name(region) {
            let message =
                format!("regions have to have 1 to {MAX_NAME_CHARS} printable characters");
            return errors.push(FieldError::new("latency_ms", message));
        }
        if *latency > MAX_LATENCY_MS {
            let message = format!("has to be 0 to {MAX_LATENCY_MS} ms");
            errors.push(FieldError::new(&format!("latency_ms.{region}"), message));
        }
    }
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_CHARS).contains(&name.chars().count()) && !name.chars().any(char::is_control)
}

fn is_code(code: &str) -> bool {
    (1..=MAX_CODE_CHARS).contains(&code.chars().count()) && !code.chars().any(char::is_control)
}

fn no_such_ticket() -> Problem {
    Problem::not_found("there is no such ticket")
}

/// The one call that waits.
pub(crate) const STATUS_PATH: &str = "/match/status";
/// Below the half minute after which proxies commonly give up on an answer.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(25);
/// How late a change may be seen that another process made.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Room for a word that friends agree on.
const MAX_CODE_CHARS: usize = 32;
/// What a game's rules could match by; each is looked at for every pair of tickets.
const MAX_ATTRIBUTES: usize = 16;
/// Room for a word.
const MAX_NAME_CHARS: usize = 32;
/// Room for a few words.
const MAX_TEXT_CHARS: usize = 64;
/// More regions than any provider of servers has.
const MAX_REGIONS: usize = 32;
/// Nobody plays over a slower line.
const MAX_LATENCY_MS: u32 = 2_000;
