//! `/account`: what is held of a player, and its end.

use axum::body::{Body as ResponseBody, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use gs_store::{AccountData, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Shared;
use crate::admin::BanDocument;
use crate::auth::verify_own_password;
use crate::body::Body;
use crate::caller::{Caller, Origin};
use crate::matches::MatchDocument;
use crate::openapi::tag;
use crate::problem::{FieldError, Forbidden, Problem, TooManyRequests};
use crate::security::TARGET;
use crate::timestamp::Timestamp;

/// Everything held of the player
///
/// The account, its sessions, tickets, statistics, board entries, ban and all its matches.
#[utoipa::path(get, path = "/account/export", tag = tag::ACCOUNTS, security(("bearer" = [])),
    responses(
        (status = OK, description = "A JSON document", body = Export),
        (status = TOO_MANY_REQUESTS, response = TooManyRequests),
    ))]
pub(crate) async fn export(
    State(shared): State<Shared>,
    origin: Origin,
    caller: Caller,
) -> Result<Response, Problem> {
    // It may be long to read.
    shared.limiter.address(origin.0, shared.now())?;
    let Some(data) = shared.store().account_data(caller.player_id).await? else {
        return Err(Problem::unauthorized("this player is gone"));
    };
    tracing::info!(target: TARGET, event = "exported", "a player exports the account");
    let mut head = describe(data).to_string();
    // The matches follow as they are read, so that no history is too long.
    head.pop();
    head.push_str(",\"matches\":[");
    let matches = matches(shared, caller.player_id);
    let body = stream::once(async move { Ok(Bytes::from(head)) })
        .chain(matches)
        .chain(stream::once(async { Ok(Bytes::from_static(b"]}")) }));
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_DISPOSITION, "attachment; filename=\"account.json\""),
    ];
    Ok((headers, ResponseBody::from_stream(body)).into_response())
}

/// Erase the player
///
/// Name, address, password and sessions go for good. Results stay, without the name.
#[utoipa::path(delete, path = "/account", tag = tag::ACCOUNTS, request_body = EraseBody,
    security(("bearer" = [])),
    responses(
        (status = NO_CONTENT, description = "Erased"),
        (status = FORBIDDEN, response = Forbidden),
        (status = TOO_MANY_REQUESTS, response = TooManyRequests),
    ))]
pub(crate) async fn erase(
    State(shared): State<Shared>,
    origin: Origin,
    caller: Caller,
    Body(body): Body<EraseBody>,
) -> Result<StatusCode, Problem> {
    shared.limiter.address(origin.0, shared.now())?;
    let Some(player) = shared.store().player(caller.player_id).await? else {
        return Err(Problem::unauthorized("this player is gone"));
    };
    if !player.guest {
        let Some(password) = body.password else {
            let missing = FieldError::new("password", "is missing: it is asked for once more");
            return Err(Problem::invalid(vec![missing]));
        };
        verify_own_password(&shared, origin, &player, password).await?;
    }
    shared.store().erase_player(player.id, shared.now()).await?;
    tracing::info!(target: TARGET, event = "erased", "a player erased the account");
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"password": "correct horse battery"}))]
pub(crate) struct EraseBody {
    /// The player's password; a guest has none.
    password: Option<String>,
}

/// Everything held of a player.
#[derive(Serialize, ToSchema)]
pub(crate) struct Export {
    player: Value,
    /// When the newest refresh token of each session expires.
    sessions: Vec<Timestamp>,
    tickets: Vec<Value>,
    statistics: Vec<Value>,
    board_entries: Vec<Value>,
    ban: Option<BanDocument>,
    /// All that ended, newest first.
    matches: Vec<MatchDocument>,
}

fn describe(data: AccountData) -> Value {
    let player = &data.player;
    let tickets = data.tickets.iter().map(|ticket| {
        json!({
            "ticket_id": ticket.id,
            "game": ticket.game,
            "mode": ticket.mode,
            "code": ticket.code,
            "status": ticket.status.as_str(),
            "match_id": ticket.match_id,
            "queued_at": Timestamp(ticket.queued_at),
        })
    });
    let statistics = data.statistics.iter().map(|(game, mode, of)| {
        json!({
            "game": game,
            "mode": mode,
            "matches": of.matches,
            "wins": of.wins,
            "losses": of.losses,
            "draws": of.draws,
            "best_score": of.best_score,
            "total_score": of.total_score,
            "statistics": of.statistics,
            "rating": of.rating.value,
            "rating_uncertainty": of.rating.uncertainty,
            "last_played_at": of.last_played_at.map(Timestamp),
        })
    });
    let entries = data.entries.iter().map(|(board, score, at)| {
        json!({
            "game": board.game,
            "board": board.board,
            "season": board.season,
            "score": score,
            "at": Timestamp(*at),
        })
    });
    json!({
        "player": {
            "player_id": player.id,
            "username": player.username,
            "email": player.email,
            "guest": player.guest,
            "created_at": Timestamp(player.created_at),
        },
        "sessions": data.sessions.iter().copied().map(Timestamp).collect::<Vec<_>>(),
        "tickets": tickets.collect::<Vec<_>>(),
        "statistics": statistics.collect::<Vec<_>>(),
        "board_entries": entries.collect::<Vec<_>>(),
        "ban": data.ban.clone().map(BanDocument::from),
    })
}

/// The player's matches as the elements of a JSON array, page by page.
fn matches(
    shared: Shared,
    player_id: Uuid,
) -> impl Stream<Item = Result<Bytes, ExportError>> + Send + 'static {
    stream::try_unfold(Some(None), move |place: Option<Option<Uuid>>| {
        let shared = shared.clone();
        async move {
            let Some(before) = place else { return Ok(None) };
            let page = shared.store().matches_of(player_id, before, PAGE).await?;
            let next = page.last().filter(|_| page.len() == PAGE as usize);
            let next = next.map(|last| Some(last.id));
            let mut text = String::new();
            for (index, found) in page.into_iter().enumerate() {
                if index > 0 || before.is_some() {
                    text.push(',');
                }
                text.push_str(&serde_json::to_string(&MatchDocument::of(found))?);
            }
            Ok(Some((Bytes::from(text), next)))
        }
    })
}

/// Why an export broke off. The caller sees a body that has no end.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// Matches read at once.
const PAGE: u32 = 100;
