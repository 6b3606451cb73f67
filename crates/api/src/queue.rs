//! `/match`: tickets.

pub(crate) mod search;
pub(crate) mod status;
pub(crate) mod view;

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use gs_store::{Accept, Cancel, Enqueue, NewGroup, NewTicket, Party, Ticket};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Shared;
use crate::body::{Body, Segments, parse_id};
use crate::caller::{Caller, Origin};
use crate::catalog::{GameInfo, GameMode, known_game, known_mode};
use crate::environment::new_id;
use crate::openapi::tag;
use crate::parties::own_party;
use crate::problem::{Conflict, FieldError, NotFound, Problem, TooManyRequests};
use crate::timestamp::Timestamp;

/// Queue for a match
///
/// Ask for the ticket's status from then on: that is its heartbeat. A player has one live ticket a
/// game; 409 names it in `ticket_id`, and in `player_id` whose it is. The leader of a party queues
/// all of it: each member has a ticket then, and asks for its own.
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
    origin: Origin,
    caller: Caller,
    Body(body): Body<QueueBody>,
) -> Result<Response, Problem> {
    shared
        .limiter
        .queue(caller.player_id, origin.0, shared.now())?;
    let game = known_game(&shared, &body.game)?;
    let mode = known_mode(&game, body.mode.as_deref())?;
    let party = match body.party_id {
        None => None,
        Some(id) => Some(led_party(&shared, caller, id).await?),
    };
    let mut errors = Vec::new();
    let attributes = search::attributes(body.attributes, &mode.rules, &mut errors);
    search::check_latencies(&body.latency_ms, &mut errors);
    if body.code.as_deref().is_some_and(|code| !is_code(code)) {
        let message = format!("has to have 1 to {MAX_CODE_CHARS} characters, none of control");
        errors.push(FieldError::new("code", message));
    }
    if let Some(party) = &party {
        check_party(party, mode, &mut errors);
    }
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let players = match &party {
        None => vec![caller.player_id],
        Some(party) => party.members.iter().map(|m| m.player_id).collect(),
    };
    if party.is_none() && shared.store().player(caller.player_id).await?.is_none() {
        return Err(Problem::unauthorized("this player is gone"));
    }
    let common = search::Common {
        attributes,
        latency_ms: body.latency_ms.unwrap_or_default(),
    };
    let searches = search::of_players(&shared, &game, mode, &players, common).await?;
    let tickets: Vec<NewTicket> = players
        .iter()
        .zip(searches)
        .map(|(&player_id, search)| NewTicket {
            id: new_id(shared.environment()),
            player_id,
            search,
        })
        .collect();
    let group = match (&party, tickets.first()) {
        (None, Some(only)) => only.id,
        _ => new_id(shared.environment()),
    };
    let new = NewGroup {
        id: group,
        party_id: party.map(|party| party.id),
        game: game.id.clone(),
        mode: mode.name.clone(),
        code: body.code,
        tickets,
        queued_at: shared.now(),
    };
    queue(&shared, caller, &game, new).await
}

async fn queue(
    shared: &Shared,
    caller: Caller,
    game: &GameInfo,
    new: NewGroup,
) -> Result<Response, Problem> {
    match shared.store().enqueue(new).await? {
        Enqueue::AlreadyQueued {
            player_id,
            ticket_id,
        } => {
            let detail = match player_id == caller.player_id {
                true => "you are queued already: ask for that ticket, or cancel it first",
                false => "a member of the party is queued already, and has to cancel that first",
            };
            let problem = Problem::conflict("already-queued", detail);
            Err(problem
                .with("ticket_id", ticket_id.to_string())
                .with("player_id", player_id.to_string()))
        }
        Enqueue::PartyChanged => Err(Problem::conflict(
            "party-changed",
            "somebody joined or left the party just now: look at it, and queue again",
        )),
        Enqueue::Queued(tickets) => {
            let players = tickets.len();
            let own = tickets
                .into_iter()
                .find(|t| t.player_id == caller.player_id);
            let ticket = own.ok_or_else(Problem::internal)?;
            tracing::info!(ticket.id = %ticket.id, player.id = %caller.player_id, players,
                game.id = game.id, "players are queued");
            let answer = Queued {
                ticket_id: ticket.id,
                status: ticket.status.as_str(),
                game: ticket.game,
                mode: ticket.mode,
                party_id: ticket.party_id,
                queued_at: Timestamp(ticket.queued_at),
            };
            Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
        }
    }
}

/// Leave the queue
///
/// With all of the party. While the players of a match are asked to accept it, this declines.
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
    let ticket_id = parse_id(&ticket_id, "ticket")?;
    let ticket = own_ticket(&shared, caller, ticket_id).await?;
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

/// Accept a match, or decline it
///
/// Where the mode asks. A match that somebody declines, or does not answer about in time, falls
/// apart; those who did accept wait on with the time that they have waited.
#[utoipa::path(post, path = "/match/accept", tag = tag::MATCHMAKING, request_body = AcceptBody,
    security(("bearer" = [])), operation_id = "accept_match",
    responses(
        (status = NO_CONTENT, description = "Noted"),
        (status = NOT_FOUND, response = NotFound),
        (status = CONFLICT, response = Conflict),
    ))]
pub(crate) async fn accept(
    State(shared): State<Shared>,
    caller: Caller,
    Body(body): Body<AcceptBody>,
) -> Result<StatusCode, Problem> {
    let ticket = own_ticket(&shared, caller, body.ticket_id).await?;
    let store = shared.store();
    match store.accept(ticket.id, body.accept, shared.now()).await? {
        Accept::Accepted | Accept::Complete(_) | Accept::Declined | Accept::Repeated => {
            Ok(StatusCode::NO_CONTENT)
        }
        Accept::Contradicts => Err(Problem::conflict(
            "already-answered",
            "you have answered otherwise before; to leave after all, cancel the ticket",
        )),
        Accept::NotAccepting => Err(Problem::conflict(
            "not-accepting",
            "the ticket is not asked to accept a match: ask for its status",
        )),
        Accept::NotFound => Err(no_such_ticket()),
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
    /// The party that queues, of which the caller is the leader.
    party_id: Option<Uuid>,
    /// What the mode's rules match by: texts, numbers, or lists of at most 64 texts. Texts have at
    /// most 64 characters. Names that the rules do not know are refused.
    #[schema(value_type = Option<BTreeMap<String, Value>>, example = json!({"map": "dust"}))]
    attributes: Option<Map<String, Value>>,
    /// Round trips to regions in milliseconds, 0 to 2000, at most 32 regions; those that the mode's
    /// rules do not know do not count.
    #[schema(example = json!({"eu-west": 24}))]
    latency_ms: Option<BTreeMap<String, u32>>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcceptBody {
    /// The caller's ticket, while its status is `accepting`.
    ticket_id: Uuid,
    /// Whether to play.
    accept: bool,
}

/// A ticket that was drawn.
#[derive(Serialize, ToSchema)]
pub(crate) struct Queued {
    ticket_id: Uuid,
    #[schema(example = "queued")]
    status: &'static str,
    game: String,
    mode: String,
    /// The party that queued.
    #[serde(skip_serializing_if = "Option::is_none")]
    party_id: Option<Uuid>,
    queued_at: Timestamp,
}

/// The caller's ticket. One of somebody else answers like one that does not exist.
async fn own_ticket(shared: &Shared, caller: Caller, id: Uuid) -> Result<Ticket, Problem> {
    let ticket = shared.store().ticket(id).await?;
    ticket
        .filter(|t| t.player_id == caller.player_id)
        .ok_or_else(no_such_ticket)
}

/// The party, which the caller leads.
async fn led_party(shared: &Shared, caller: Caller, id: Uuid) -> Result<Party, Problem> {
    let party = own_party(shared, caller, id).await?;
    if party.leader != caller.player_id {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "not-the-leader",
            "Not allowed",
            "only the leader queues a party",
        ));
    }
    Ok(party)
}

fn check_party(party: &Party, mode: &GameMode, errors: &mut Vec<FieldError>) {
    let (size, largest) = (party.members.len(), usize::from(mode.rules.largest_party()));
    if size > largest {
        let message = format!(
            "the party has {size} players, and a team of this mode at most {largest}: it stays \
             together"
        );
        errors.push(FieldError::new("party_id", message));
    }
}

fn is_code(code: &str) -> bool {
    (1..=MAX_CODE_CHARS).contains(&code.chars().count()) && !code.chars().any(char::is_control)
}

fn no_such_ticket() -> Problem {
    Problem::not_found("there is no such ticket")
}

/// Room for a word that friends agree on.
const MAX_CODE_CHARS: usize = 32;
