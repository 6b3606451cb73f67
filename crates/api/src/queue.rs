//! `/match`: tickets.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use chrono::SecondsFormat;
use gs_store::{Cancel, Enqueue, NewTicket, Ticket, TicketStatus};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use crate::body::{Body, Params, Segments, parse_id};
use crate::caller::Caller;
use crate::environment::new_id;
use crate::problem::{FieldError, Problem};
use crate::room_token::{is_joinable, mint};
use crate::{Background, Shared};

/// `POST /match/queue`.
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
    if body.party_id.is_some_and(|party| !party.is_null()) {
        errors.push(FieldError::new("party_id", "there is no such party"));
    }
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

    let new = NewTicket {
        id: new_id(shared.environment()),
        player_id: caller.player_id,
        game: game.id.clone(),
        mode,
        code: body.code,
        queued_at: shared.now(),
    };
    match shared.store().enqueue(new).await? {
        Enqueue::AlreadyQueued(id) => {
            let detail = "you are queued already: ask for that ticket, or cancel it first";
            Err(Problem::conflict("already-queued", detail).with("ticket_id", id.to_string()))
        }
        Enqueue::Queued(ticket) => {
            tracing::info!(ticket.id = %ticket.id, player.id = %caller.player_id,
                game.id = ticket.game, "a player is queued");
            let answer = json!({
                "ticket_id": ticket.id,
                "status": ticket.status.as_str(),
                "game": ticket.game,
                "mode": ticket.mode,
                "queued_at": ticket.queued_at.to_rfc3339_opts(SecondsFormat::Millis, true),
            });
            Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
        }
    }
}

/// `GET /match/status`. Asking is the ticket's heartbeat.
pub(crate) async fn status(
    State(shared): State<Shared>,
    caller: Caller,
    Params(params): Params<StatusParams>,
) -> Result<Response, Problem> {
    let wait = params.wait.unwrap_or(0);
    if wait > MAX_WAIT_SECONDS {
        let message = format!("has to be 0 to {MAX_WAIT_SECONDS} seconds");
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
    if wait > 0 && !ticket.status.is_final() {
        ticket = changed_ticket(&shared, ticket, Duration::from_secs(wait)).await?;
        shared.store().touch_ticket(ticket.id, shared.now()).await?;
    }
    let answer = describe(&shared, &ticket).await?;
    Ok(([(CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

/// `DELETE /match/queue/{ticket_id}`.
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

#[derive(Deserialize)]
pub(crate) struct QueueBody {
    game: String,
    mode: Option<String>,
    code: Option<String>,
    party_id: Option<Value>,
}

#[derive(Deserialize)]
pub(crate) struct StatusParams {
    ticket_id: Option<String>,
    wait: Option<u64>,
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

async fn describe(shared: &Shared, ticket: &Ticket) -> Result<Value, Problem> {
    let until = if ticket.status.is_final() {
        ticket.changed_at
    } else {
        shared.now()
    };
    let mut answer = json!({
        "ticket_id": ticket.id,
        "status": ticket.status.as_str(),
        "waited_ms": (until - ticket.queued_at).num_milliseconds().max(0),
    });
    if let Some(reason) = &ticket.reason {
        answer["reason"] = reason.as_str().into();
    }
    if ticket.status == TicketStatus::Matched {
        match describe_match(shared, ticket.player_id, ticket.match_id).await? {
            Some(found) => answer["match"] = found,
            None => {
                answer["reason"] = "the match is over".into();
                answer["match_id"] = json!(ticket.match_id);
            }
        }
    }
    Ok(answer)
}

/// What a player needs to join; none once the match is over.
async fn describe_match(
    shared: &Shared,
    player_id: Uuid,
    match_id: Option<Uuid>,
) -> Result<Option<Value>, Problem> {
    let found = match match_id {
        None => None,
        Some(id) => shared.store().match_by_id(id).await?,
    };
    let Some(found) = found.filter(is_joinable) else {
        return Ok(None);
    };
    let players: Vec<Value> = found
        .slots
        .iter()
        .map(|s| {
            json!({
                "player_id": s.player_id, "username": s.username,
                "team": s.team, "rating": null,
            })
        })
        .collect();
    Ok(Some(json!({
        "match_id": found.id,
        "game": found.game,
        "mode": found.mode,
        "authority_mode": found.authority_mode,
        "room": found.room,
        "url": shared.parts.livekit_url,
        "token": mint(shared, &found, player_id)?.token,
        "identity": player_id,
        "players": players,
    })))
}

fn is_code(code: &str) -> bool {
    (1..=MAX_CODE_CHARS).contains(&code.chars().count()) && !code.chars().any(char::is_control)
}

fn no_such_ticket() -> Problem {
    Problem::not_found("there is no such ticket")
}

/// Below the half minute after which proxies commonly give up on an answer.
const MAX_WAIT_SECONDS: u64 = 25;
/// How late a change may be seen that another process made.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Room for a word that friends agree on.
const MAX_CODE_CHARS: usize = 32;
