//! `/parties`: players who queue together.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use gs_store::{CreateParty, JoinParty, LeaveParty, MAX_PARTY, NewParty, Party, TicketStatus};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Shared;
use crate::body::{Body, Segments, parse_id};
use crate::caller::{Caller, Origin};
use crate::environment::{Environment, new_id, random};
use crate::openapi::tag;
use crate::problem::{Conflict, FieldError, NotFound, Problem, TooManyRequests};
use crate::room_token::is_joinable;

/// Make a party
///
/// Friends join it by its code. A player is in one party at a time; 409 names it in `party_id`.
#[utoipa::path(post, path = "/parties", tag = tag::MATCHMAKING, operation_id = "create_party",
    security(("bearer" = [])),
    responses(
        (status = CREATED, description = "Made", body = PartyDocument),
        (status = CONFLICT, response = Conflict),
        (status = TOO_MANY_REQUESTS, response = TooManyRequests),
    ))]
pub(crate) async fn create(
    State(shared): State<Shared>,
    origin: Origin,
    caller: Caller,
) -> Result<Response, Problem> {
    shared
        .limiter
        .queue(caller.player_id, origin.0, shared.now())?;
    for _ in 0..MAX_CODES {
        let new = NewParty {
            id: new_id(shared.environment()),
            code: code(shared.environment()),
            leader: caller.player_id,
            created_at: shared.now(),
        };
        match shared.store().create_party(new).await? {
            CreateParty::Created(party) => {
                let document = describe(&shared, caller, party).await?;
                return Ok((StatusCode::CREATED, document).into_response());
            }
            CreateParty::AlreadyIn(id) => return Err(already_in(id)),
            CreateParty::CodeTaken => {}
        }
    }
    tracing::error!("{MAX_CODES} codes for a party were taken");
    Err(Problem::internal())
}

/// Join a party
///
/// By the code that its members see. What the party waits for is cancelled: it was without the
/// newcomer.
#[utoipa::path(post, path = "/parties/join", tag = tag::MATCHMAKING, operation_id = "join_party",
    request_body = JoinBody, security(("bearer" = [])),
    responses(
        (status = OK, description = "Joined", body = PartyDocument),
        (status = NOT_FOUND, response = NotFound),
        (status = CONFLICT, response = Conflict),
        (status = TOO_MANY_REQUESTS, response = TooManyRequests),
    ))]
pub(crate) async fn join(
    State(shared): State<Shared>,
    origin: Origin,
    caller: Caller,
    Body(body): Body<JoinBody>,
) -> Result<Response, Problem> {
    // Each is also a guess at a code.
    shared
        .limiter
        .queue(caller.player_id, origin.0, shared.now())?;
    let code = body.code.trim().to_ascii_uppercase();
    if code.len() != CODE_CHARS || !code.bytes().all(|b| ALPHABET.contains(&b)) {
        let message = format!("has to be a party's code, {CODE_CHARS} letters and digits");
        return Err(Problem::invalid(vec![FieldError::new("code", message)]));
    }
    let store = shared.store();
    match store
        .join_party(&code, caller.player_id, shared.now())
        .await?
    {
        JoinParty::Joined(party) => Ok(describe(&shared, caller, party).await?.into_response()),
        JoinParty::AlreadyIn(id) => Err(already_in(id)),
        JoinParty::Full => Err(Problem::conflict(
            "party-full",
            &format!("a party has at most {MAX_PARTY} members"),
        )),
        JoinParty::NoSuchCode => Err(Problem::not_found("no party has this code")),
    }
}

/// A party
///
/// For its members.
#[utoipa::path(get, path = "/parties/{party_id}", tag = tag::MATCHMAKING, operation_id = "party",
    security(("bearer" = [])),
    params(("party_id" = Uuid, Path, description = "The party")),
    responses(
        (status = OK, description = "As it is", body = PartyDocument),
        (status = NOT_FOUND, response = NotFound),
    ))]
pub(crate) async fn one(
    State(shared): State<Shared>,
    caller: Caller,
    Segments(id): Segments<String>,
) -> Result<Response, Problem> {
    let party = own_party(&shared, caller, parse_id(&id, "party")?).await?;
    Ok(describe(&shared, caller, party).await?.into_response())
}

/// Leave a party, or take somebody out of it
///
/// Everybody can leave; the leader can take others out. What the party waits for is cancelled. Where
/// the leader leaves, whoever joined first of the others leads; an empty party is gone.
#[utoipa::path(delete, path = "/parties/{party_id}/members/{player_id}", tag = tag::MATCHMAKING,
    operation_id = "leave_party", security(("bearer" = [])),
    params(
        ("party_id" = Uuid, Path, description = "The party"),
        ("player_id" = Uuid, Path, description = "The member"),
    ),
    responses(
        (status = NO_CONTENT, description = "Out of it"),
        (status = NOT_FOUND, response = NotFound),
    ))]
pub(crate) async fn leave(
    State(shared): State<Shared>,
    caller: Caller,
    Segments((party, member)): Segments<(String, String)>,
) -> Result<StatusCode, Problem> {
    let member = parse_id(&member, "player")?;
    let party = own_party(&shared, caller, parse_id(&party, "party")?).await?;
    if member != caller.player_id && party.leader != caller.player_id {
        return Err(Problem::forbidden(
            "only the leader takes others out of a party",
        ));
    }
    match shared
        .store()
        .leave_party(party.id, member, shared.now())
        .await?
    {
        LeaveParty::Left(_) => Ok(StatusCode::NO_CONTENT),
        LeaveParty::NotThere => Err(Problem::not_found("this player is not in the party")),
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"code": "K7WQ2M"}))]
pub(crate) struct JoinBody {
    /// The party's code; lower case is as good.
    code: String,
}

/// Players who queue together.
#[derive(Serialize, ToSchema)]
#[schema(as = Party)]
pub(crate) struct PartyDocument {
    party_id: Uuid,
    /// What others join by.
    #[schema(example = "K7WQ2M")]
    code: String,
    /// Who queues it.
    leader: Uuid,
    /// In the order in which they joined.
    members: Vec<PartyMemberDocument>,
    /// What the party waits for or plays, where its leader has queued it.
    #[serde(flatten)]
    ticket: Option<PartyTicket>,
}

/// The caller's part of what a party waits for.
#[derive(Serialize, ToSchema)]
struct PartyTicket {
    /// The caller's own ticket: ask for its status.
    ticket_id: Uuid,
    #[schema(example = "arena")]
    game: String,
    #[schema(example = "default")]
    mode: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PartyMember)]
pub(crate) struct PartyMemberDocument {
    player_id: Uuid,
    username: String,
}

/// A party that the caller is in. One of others answers like one that does not exist.
pub(crate) async fn own_party(shared: &Shared, caller: Caller, id: Uuid) -> Result<Party, Problem> {
    let party = shared.store().party(id).await?;
    let party = party.filter(|p| p.members.iter().any(|m| m.player_id == caller.player_id));
    party.ok_or_else(|| Problem::not_found("you are in no such party"))
}

async fn describe(
    shared: &Shared,
    caller: Caller,
    party: Party,
) -> Result<impl IntoResponse, Problem> {
    let member = |member: gs_store::PartyMember| PartyMemberDocument {
        player_id: member.player_id,
        username: member.username,
    };
    let ticket = own_ticket(shared, caller, &party).await?;
    let document = PartyDocument {
        party_id: party.id,
        code: party.code,
        leader: party.leader,
        members: party.members.into_iter().map(member).collect(),
        ticket,
    };
    Ok(([(CACHE_CONTROL, "no-store")], Json(document)))
}

/// The ticket that the caller has through the party, until what comes of it is over.
async fn own_ticket(
    shared: &Shared,
    caller: Caller,
    party: &Party,
) -> Result<Option<PartyTicket>, Problem> {
    let store = shared.store();
    let newest = store.newest_ticket(caller.player_id).await?;
    let Some(ticket) = newest.filter(|ticket| ticket.party_id == Some(party.id)) else {
        return Ok(None);
    };
    let lives = match (ticket.status, ticket.match_id) {
        (TicketStatus::Matched, Some(id)) => {
            let found = store.match_by_id(id).await?;
            found.is_some_and(|found| is_joinable(&found))
        }
        (status, _) => !status.is_final(),
    };
    Ok(lives.then_some(PartyTicket {
        ticket_id: ticket.id,
        game: ticket.game,
        mode: ticket.mode,
    }))
}

fn already_in(party: Uuid) -> Problem {
    Problem::conflict("already-in-party", "leave your party first")
        .with("party_id", party.to_string())
}

fn code(environment: &dyn Environment) -> String {
    let bytes: [u8; CODE_CHARS] = random(environment);
    // 256 is a multiple of 32, so that every letter is as likely.
    let letter = |byte: &u8| char::from(ALPHABET[usize::from(byte % 32)]);
    bytes.iter().map(letter).collect()
}

/// Thirty-two that nobody takes for each other, as in Crockford's Base32.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// A billion codes: with ten thousand parties, and a guess a second, one is found in a day.
const CODE_CHARS: usize = 6;
/// With a million parties, a second try is rare; beyond this, something else is wrong.
const MAX_CODES: usize = 16;
