//! `/auth`: accounts and sessions.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use gs_store::{
    CreatePlayer, NewPlayer, Player, RegisterGuest, Registration, Rotate, Rotation,
    USERNAME_LENGTH, username_key,
};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::body::Body;
use crate::caller::{Caller, Origin, standing_ban};
use crate::environment::{new_id, random};
use crate::openapi::tag;
use crate::problem::{Conflict, FieldError, Forbidden, Problem, TooManyRequests, Unauthorized};
use crate::security::TARGET;
use crate::tokens::{ACCESS_TTL, REFRESH_TTL, hash};
use crate::{Shared, security};

/// Register a player
///
/// With a guest's access token, the guest becomes the player and keeps its id and results.
#[utoipa::path(post, path = "/auth/register", tag = tag::ACCOUNTS, request_body = RegisterBody,
    security((), ("bearer" = [])),
    responses(
        (status = CREATED, description = "Registered and signed in", body = SignedIn),
        (status = CONFLICT, response = Conflict),
        (status = TOO_MANY_REQUESTS, response = TooManyRequests),
    ))]
pub(crate) async fn register(
    State(shared): State<Shared>,
    origin: Origin,
    caller: Option<Caller>,
    Body(body): Body<RegisterBody>,
) -> Result<Response, Problem> {
    shared.limiter.address(origin.0, shared.now())?;
    let errors = [
        check_username(&body.username),
        check_password("password", &body.password),
        body.email.as_deref().and_then(check_email),
    ];
    refuse(errors)?;
    let guest = match caller {
        None => None,
        Some(caller) => shared.store().player(caller.player_id).await?,
    };
    if guest.as_ref().is_some_and(|player| !player.guest) {
        let detail = "the access token is a registered player's: leave it out to register another";
        return Err(Problem::conflict("registered", detail));
    }
    let password_hash = shared
        .passwords
        .hash_new(
            "password",
            body.password,
            &body.username,
            shared.environment(),
        )
        .await?;
    let player = match guest {
        Some(guest) => {
            let registered = shared
                .store()
                .register_guest(Registration {
                    player_id: guest.id,
                    username: body.username,
                    email: body.email,
                    password_hash,
                })
                .await?;
            match registered {
                RegisterGuest::Registered(player) => player,
                RegisterGuest::UsernameTaken => return Err(username_taken()),
                RegisterGuest::EmailTaken => return Err(email_taken()),
                RegisterGuest::NotAGuest => {
                    return Err(Problem::conflict("registered", "this guest has registered"));
                }
            }
        }
        None => create_player(&shared, body.username, body.email, Some(password_hash)).await?,
    };
    security::is_from(player.id);
    tracing::info!(target: TARGET, event = "registered", "a player registered");
    signed_in(&shared, StatusCode::CREATED, &player).await
}

/// Sign in
///
/// An unknown name and a wrong password answer alike, in the same time.
#[utoipa::path(post, path = "/auth/login", tag = tag::ACCOUNTS, request_body = LoginBody,
    responses(
        (status = OK, description = "Signed in", body = SignedIn),
        (status = UNAUTHORIZED, response = Unauthorized),
        (status = FORBIDDEN, response = Forbidden),
        (status = TOO_MANY_REQUESTS, response = TooManyRequests),
    ))]
pub(crate) async fn login(
    State(shared): State<Shared>,
    origin: Origin,
    Body(body): Body<LoginBody>,
) -> Result<Response, Problem> {
    shared.limiter.address(origin.0, shared.now())?;
    if let Some(key) = username_key(&body.username) {
        shared.limiter.account(key, origin.0, shared.now())?;
    }
    let credentials = shared
        .store()
        .credentials_by_username(&body.username)
        .await?;
    let player_id = credentials.as_ref().map(|c| c.player_id);
    let password_hash = credentials.map(|c| c.password_hash);
    let verified = shared
        .passwords
        .verify(body.password, password_hash)
        .await?;
    let player = match player_id.filter(|_| verified) {
        None => None,
        Some(id) => shared.store().player(id).await?,
    };
    let Some(player) = player else {
        let known = player_id.is_some();
        tracing::info!(target: TARGET, event = "sign_in_failed", known, "a sign-in failed");
        return Err(Problem::unauthorized("the name or the password is wrong"));
    };
    security::is_from(player.id);
    if let Some(ban) = standing_ban(&shared, player.id).await? {
        return Err(Problem::banned(&ban));
    }
    tracing::info!(target: TARGET, event = "signed_in", "a player signed in");
    signed_in(&shared, StatusCode::OK, &player).await
}

/// Play as a guest
///
/// A guest has no password: it lasts as long as its session does.
#[utoipa::path(post, path = "/auth/guest", tag = tag::ACCOUNTS, request_body = GuestBody,
    responses(
        (status = CREATED, description = "Signed in", body = SignedIn),
        (status = CONFLICT, response = Conflict),
        (status = TOO_MANY_REQUESTS, response = TooManyRequests),
    ))]
pub(crate) async fn guest(
    State(shared): State<Shared>,
    origin: Origin,
    Body(body): Body<GuestBody>,
) -> Result<Response, Problem> {
    shared.limiter.address(origin.0, shared.now())?;
    let player = match body.username {
        Some(username) => {
            refuse([check_username(&username)])?;
            create_player(&shared, username, None, None).await?
        }
        None => {
            let number = u64::from_be_bytes(random(shared.environment()));
            create_player(&shared, format!("guest-{:014x}", number >> 8), None, None).await?
        }
    };
    security::is_from(player.id);
    tracing::info!(target: TARGET, event = "guest_created", "a guest came");
    signed_in(&shared, StatusCode::CREATED, &player).await
}

/// Get new tokens
///
/// A refresh token works once. A repeat within 10 s gets the same successor; a later one ends the
/// session.
#[utoipa::path(post, path = "/auth/refresh", tag = tag::ACCOUNTS, request_body = RefreshBody,
    responses(
        (status = OK, description = "Still signed in", body = SignedIn),
        (status = UNAUTHORIZED, response = Unauthorized),
        (status = TOO_MANY_REQUESTS, response = TooManyRequests),
    ))]
pub(crate) async fn refresh(
    State(shared): State<Shared>,
    origin: Origin,
    Body(body): Body<RefreshBody>,
) -> Result<Response, Problem> {
    let now = shared.now();
    shared.limiter.address(origin.0, now)?;
    let successor = shared.tokens.successor(&body.refresh_token);
    let rotation = Rotation {
        old_hash: hash(&body.refresh_token),
        new_hash: hash(&successor),
        now,
        expires_at: now + REFRESH_TTL,
    };
    let caller = match shared.store().rotate_session(rotation).await? {
        Rotate::Rotated { player_id, family } | Rotate::Repeated { player_id, family } => Caller {
            player_id,
            session: family,
        },
        Rotate::Reused { player_id } => {
            security::is_from(player_id);
            tracing::warn!(
                target: TARGET,
                event = "refresh_reused",
                "a refresh token was used twice: its session has ended"
            );
            let detail = "the refresh token was used before, so its session has ended: sign in";
            return Err(Problem::unauthorized(detail));
        }
        Rotate::Unknown | Rotate::Expired => {
            let detail = "the refresh token is unknown or too old: sign in";
            security::token_refused(detail);
            return Err(Problem::unauthorized(detail));
        }
    };
    let Some(player) = shared.store().player(caller.player_id).await? else {
        return Err(Problem::unauthorized("this player is gone"));
    };
    security::is_from(player.id);
    if let Some(ban) = standing_ban(&shared, player.id).await? {
        return Err(Problem::banned(&ban));
    }
    tracing::debug!(target: TARGET, event = "refreshed", "a session goes on");
    answer(&shared, StatusCode::OK, &player, caller.session, successor)
}

/// Sign out
///
/// Ends the session that the access token comes from.
#[utoipa::path(post, path = "/auth/logout", tag = tag::ACCOUNTS, security(("bearer" = [])),
    responses((status = NO_CONTENT, description = "Signed out")))]
pub(crate) async fn logout(
    State(shared): State<Shared>,
    caller: Caller,
) -> Result<StatusCode, Problem> {
    shared.store().end_session(caller.session).await?;
    tracing::info!(target: TARGET, event = "signed_out", "a player signed out");
    Ok(StatusCode::NO_CONTENT)
}

/// Change the password
///
/// Ends all sessions and answers with a new one.
#[utoipa::path(post, path = "/auth/password", tag = tag::ACCOUNTS, request_body = PasswordBody,
    security(("bearer" = [])),
    responses(
        (status = OK, description = "Changed and signed in", body = SignedIn),
        (status = FORBIDDEN, response = Forbidden),
        (status = TOO_MANY_REQUESTS, response = TooManyRequests),
    ))]
pub(crate) async fn change_password(
    State(shared): State<Shared>,
    origin: Origin,
    caller: Caller,
    Body(body): Body<PasswordBody>,
) -> Result<Response, Problem> {
    shared.limiter.address(origin.0, shared.now())?;
    refuse([check_password("new_password", &body.new_password)])?;
    let Some(player) = shared.store().player(caller.player_id).await? else {
        return Err(Problem::unauthorized("this player is gone"));
    };
    verify_own_password(&shared, origin, &player, body.current_password).await?;
    let password_hash = shared
        .passwords
        .hash_new(
            "new_password",
            body.new_password,
            &player.username,
            shared.environment(),
        )
        .await?;
    if !shared
        .store()
        .change_password(player.id, &password_hash)
        .await?
    {
        return Err(Problem::forbidden("a guest has no password: register"));
    }
    tracing::info!(target: TARGET, event = "password_changed", "a player changed the password");
    signed_in(&shared, StatusCode::OK, &player).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"username": "Ada", "password": "correct horse battery"}))]
pub(crate) struct RegisterBody {
    username: String,
    password: String,
    email: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"username": "Ada", "password": "correct horse battery"}))]
pub(crate) struct LoginBody {
    username: String,
    password: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
pub(crate) struct GuestBody {
    username: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshBody {
    refresh_token: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordBody {
    current_password: String,
    new_password: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct SignedIn {
    player_id: Uuid,
    username: String,
    /// For `Authorization: Bearer`.
    access_token: String,
    /// For `POST /auth/refresh`, once.
    refresh_token: String,
    /// Seconds that the access token lasts.
    expires_in: i64,
}

async fn create_player(
    shared: &Shared,
    username: String,
    email: Option<String>,
    password_hash: Option<String>,
) -> Result<Player, Problem> {
    let id = new_id(shared.environment());
    let new = NewPlayer {
        id,
        username,
        email,
        password_hash,
        created_at: shared.now(),
    };
    match shared.store().create_player(new).await? {
        CreatePlayer::Created(player) => Ok(player),
        CreatePlayer::UsernameTaken => Err(username_taken()),
        CreatePlayer::EmailTaken => Err(email_taken()),
    }
}

/// Checks a player's own password, as often as an account may be tried.
pub(crate) async fn verify_own_password(
    shared: &Shared,
    origin: Origin,
    player: &Player,
    password: String,
) -> Result<(), Problem> {
    if let Some(key) = username_key(&player.username) {
        shared.limiter.account(key, origin.0, shared.now())?;
    }
    let credentials = shared.store().credentials(player.id).await?;
    let password_hash = credentials.map(|c| c.password_hash);
    if shared.passwords.verify(password, password_hash).await? {
        return Ok(());
    }
    tracing::info!(
        target: TARGET,
        event = "password_refused",
        "a player's own password was wrong"
    );
    Err(Problem::forbidden(
        "the current password is wrong, or this is a guest",
    ))
}

/// Starts a session and answers with its tokens.
async fn signed_in(
    shared: &Shared,
    status: StatusCode,
    player: &Player,
) -> Result<Response, Problem> {
    let (session, refresh_token) = shared
        .tokens
        .open_session(player.id, shared.store(), shared.environment())
        .await?;
    answer(shared, status, player, session, refresh_token)
}

fn answer(
    shared: &Shared,
    status: StatusCode,
    player: &Player,
    session: Uuid,
    refresh_token: String,
) -> Result<Response, Problem> {
    let caller = Caller {
        player_id: player.id,
        session,
    };
    let body = SignedIn {
        player_id: player.id,
        username: player.username.clone(),
        access_token: shared.tokens.access_token(caller, shared.now())?,
        refresh_token,
        expires_in: ACCESS_TTL.num_seconds(),
    };
    Ok((status, [(CACHE_CONTROL, "no-store")], Json(body)).into_response())
}

fn refuse(errors: impl IntoIterator<Item = Option<FieldError>>) -> Result<(), Problem> {
    let errors: Vec<FieldError> = errors.into_iter().flatten().collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Problem::invalid(errors))
    }
}

fn check_username(username: &str) -> Option<FieldError> {
    let (least, most) = (USERNAME_LENGTH.start(), USERNAME_LENGTH.end());
    let Some(key) = username_key(username) else {
        let message =
            format!("has to be {least} to {most} of the characters A-Z, a-z, 0-9, _ and -");
        return Some(FieldError::new("username", message));
    };
    let reserved = RESERVED_NAMES.contains(&key.as_str())
        || RESERVED_BEGINNINGS.iter().any(|b| key.starts_with(b));
    reserved.then(|| FieldError::new("username", "is reserved: choose another"))
}

fn check_password(field: &str, password: &str) -> Option<FieldError> {
    let count = password.nfkc().count();
    let fits = (MIN_PASSWORD_CHARS..=MAX_PASSWORD_CHARS).contains(&count);
    if !fits {
        let message =
            format!("has to have {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters");
        return Some(FieldError::new(field, message));
    }
    let control = password.chars().any(char::is_control);
    control.then(|| FieldError::new(field, "has a control character"))
}

fn check_email(email: &str) -> Option<FieldError> {
    let plausible = email.len() <= MAX_EMAIL_BYTES
        && !email.chars().any(|c| c.is_whitespace() || c.is_control())
        && email.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty() && !host.is_empty() && !host.contains('@')
        });
    (!plausible).then(|| FieldError::new("email", "is no e-mail address"))
}

fn username_taken() -> Problem {
    Problem::conflict("username-taken", "somebody has this name")
}

fn email_taken() -> Problem {
    Problem::conflict("email-taken", "somebody has this address")
}

/// Names that pass for the server's own people.
const RESERVED_NAMES: [&str; 12] = [
    "admin",
    "administrator",
    "authority",
    "gameserver",
    "moderator",
    "official",
    "operator",
    "root",
    "server",
    "staff",
    "support",
    "system",
];
/// What begins the names that the server itself gives.
const RESERVED_BEGINNINGS: [&str; 2] = ["guest-", "deleted-"];
/// NIST SP 800-63B's least for a password that stands alone.
const MIN_PASSWORD_CHARS: usize = 8;
/// Room for any passphrase; more would only cost hashing time.
const MAX_PASSWORD_CHARS: usize = 128;
/// The longest path of SMTP (RFC 5321, 4.5.3.1.3), less its brackets.
const MAX_EMAIL_BYTES: usize = 254;
