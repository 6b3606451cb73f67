//! `/admin`: operators' calls, with the server's own key.

pub(crate) mod queues;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderName};
use axum::http::request::Parts;
use chrono::{DateTime, Utc};
use gs_store::Ban;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::Shared;
use crate::body::{Body, Params, Segments, page_limit, parse_id};
use crate::caller::Origin;
use crate::cursor;
use crate::openapi::tag;
use crate::problem::{FieldError, NotFound, Problem, TooManyRequests};
use crate::security::TARGET;
use crate::timestamp::Timestamp;

/// Text that nobody may read in a log.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Keeps the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether it is this text, in a time that does not tell how much of it is right.
    fn is(&self, text: &str) -> bool {
        let hash = |text: &str| Sha256::digest(text.as_bytes());
        hash(&self.0).ct_eq(&hash(text)).into()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Somebody with the server's key.
pub(crate) struct Operator;

impl FromRequestParts<Shared> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        let Some(key) = &shared.parts.settings.admin_key else {
            return Err(Problem::not_found("there is nothing at this path"));
        };
        let Ok(origin) = Origin::from_request_parts(parts, shared).await;
        let given = parts
            .headers
            .get(AUTHORIZATION)
            .and_then(|header| header.to_str().ok())
            .and_then(|header| header.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, key)| key.trim());
        if given.is_some_and(|given| key.is(given)) {
            return Ok(Self);
        }
        shared.limiter.address(origin.0, shared.now())?;
        tracing::warn!(
            target: TARGET,
            event = "admin_key_refused",
            "an operator's key is refused"
        );
        Err(Problem::unauthorized(
            "this call needs `Authorization: Bearer` with the server's admin key",
        ))
    }
}

/// Ban a player
///
/// Ends all of the player's sessions, takes the player out of the queues and out of running
/// matches. A ban that stands is replaced.
#[utoipa::path(put, path = "/admin/bans/{player_id}", tag = tag::ADMINISTRATION,
    request_body = BanBody, security(("admin_key" = [])),
    params(("player_id" = Uuid, Path, description = "The player")),
    responses(
        (status = OK, description = "Banned", body = BanDocument),
        (status = NOT_FOUND, response = NotFound),
        (status = TOO_MANY_REQUESTS, response = TooManyRequests),
    ))]
pub(crate) async fn ban(
    State(shared): State<Shared>,
    _operator: Operator,
    Segments(player_id): Segments<String>,
    Body(body): Body<BanBody>,
) -> Result<NotKept<BanDocument>, Problem> {
    let player_id = parse_id(&player_id, "player")?;
    let now = shared.now();
    let mut errors = Vec::new();
    let length = body.reason.chars().count();
    if !(1..=MAX_REASON_CHARS).contains(&length) || body.reason.chars().any(char::is_control) {
        let message =
            format!("has to have 1 to {MAX_REASON_CHARS} characters, none of them for control");
        errors.push(FieldError::new("reason", message));
    }
    if body.until.is_some_and(|until| until <= now) {
        errors.push(FieldError::new("until", "is past"));
    }
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let ban = Ban {
        player_id,
        reason: body.reason,
        banned_at: now,
        until: body.until,
    };
    if !shared.store().ban(ban.clone()).await? {
        return Err(Problem::not_found("there is no such player"));
    }
    tracing::warn!(
        target: TARGET,
        event = "ban_set",
        player.id = %player_id,
        until = ?ban.until,
        "a player is banned"
    );
    Ok(([(CACHE_CONTROL, "no-store")], Json(ban.into())))
}

/// Lift a ban
#[utoipa::path(delete, path = "/admin/bans/{player_id}", tag = tag::ADMINISTRATION,
    security(("admin_key" = [])),
    params(("player_id" = Uuid, Path, description = "The player")),
    responses(
        (status = NO_CONTENT, description = "Lifted"),
        (status = NOT_FOUND, response = NotFound),
        (status = TOO_MANY_REQUESTS, response = TooManyRequests),
    ))]
pub(crate) async fn lift_ban(
    State(shared): State<Shared>,
    _operator: Operator,
    Segments(player_id): Segments<String>,
) -> Result<StatusCode, Problem> {
    let player_id = parse_id(&player_id, "player")?;
    if !shared.store().lift_ban(player_id, shared.now()).await? {
        return Err(Problem::not_found("this player is not banned"));
    }
    tracing::warn!(
        target: TARGET,
        event = "ban_lifted",
        player.id = %player_id,
        "a ban is lifted"
    );
    Ok(StatusCode::NO_CONTENT)
}

/// List the bans that stand
#[utoipa::path(get, path = "/admin/bans", tag = tag::ADMINISTRATION,
    security(("admin_key" = [])), params(BansParams),
    responses(
        (status = OK, description = "A page of them", body = BanPage),
        (status = NOT_FOUND, response = NotFound),
        (status = TOO_MANY_REQUESTS, response = TooManyRequests),
    ))]
pub(crate) async fn bans(
    State(shared): State<Shared>,
    _operator: Operator,
    Params(params): Params<BansParams>,
) -> Result<NotKept<BanPage>, Problem> {
    let limit = page_limit(params.limit)?;
    let after = match &params.cursor {
        None => None,
        Some(cursor) => Some(Uuid::from_bytes(cursor::read(&CURSORS, cursor)?)),
    };
    let bans = shared.store().bans(after, limit, shared.now()).await?;
    let full = bans.len() == limit as usize;
    let last = bans.last().filter(|_| full);
    tracing::info!(target: TARGET, event = "bans_listed", "an operator lists bans");
    let page = BanPage {
        next_cursor: last.map(|ban| cursor::write(&CURSORS, ban.player_id.as_bytes())),
        bans: bans.into_iter().map(BanDocument::from).collect(),
    };
    Ok(([(CACHE_CONTROL, "no-store")], Json(page)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "aim bot", "until": "2027-01-01T00:00:00Z"}))]
pub(crate) struct BanBody {
    /// Why; the player is told. 1–200 characters.
    reason: String,
    /// Until when; for good where absent.
    until: Option<DateTime<Utc>>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct BansParams {
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// Most bans of a page, 1–100.
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct BanPage {
    /// Ascending by player.
    bans: Vec<BanDocument>,
    next_cursor: Option<String>,
}

/// A ban.
#[derive(Serialize, ToSchema)]
pub(crate) struct BanDocument {
    player_id: Uuid,
    /// Why, as the player is told.
    reason: String,
    /// Since when.
    banned_at: Timestamp,
    /// Until when; for good where null.
    until: Option<Timestamp>,
}

impl From<Ban> for BanDocument {
    fn from(ban: Ban) -> Self {
        Self {
            player_id: ban.player_id,
            reason: ban.reason,
            banned_at: Timestamp(ban.banned_at),
            until: ban.until.map(Timestamp),
        }
    }
}

/// An answer that no cache keeps.
type NotKept<T> = ([(HeaderName, &'static str); 1], Json<T>);

const CURSORS: [&str; 1] = ["bans"];
/// Room for a sentence.
const MAX_REASON_CHARS: usize = 200;
