//! The OpenAPI document. It is made of the same list as the routes, so the two cannot differ.

use std::sync::LazyLock;

use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Ref, RefOr, Response};
use utoipa::{Modify, OpenApi, ToResponse};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt as _};
use utoipa_axum::routes;

use crate::problem::{
    BodyTooLarge, Conflict, Forbidden, Internal, Invalid, Malformed, NotFound, ProblemDocument,
    TooManyRequests, Unauthorized, Unavailable, UnsupportedMediaType,
};
use crate::{
    Shared, account, admin, auth, boards, games, health, matches, parties, queue, room_token,
    statistics, webhooks,
};

/// Every call of the contract.
pub(crate) fn routes() -> OpenApiRouter<Shared> {
    let mut routes = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(auth::register))
        .routes(routes!(auth::login))
        .routes(routes!(auth::guest))
        .routes(routes!(auth::refresh))
        .routes(routes!(auth::logout))
        .routes(routes!(auth::change_password))
        .routes(routes!(account::export))
        .routes(routes!(account::erase))
        .routes(routes!(room_token::room_token))
        .routes(routes!(queue::enqueue))
        .routes(routes!(queue::cancel))
        .routes(routes!(queue::status::status))
        .routes(routes!(queue::accept))
        .routes(routes!(parties::create))
        .routes(routes!(parties::join))
        .routes(routes!(parties::one))
        .routes(routes!(parties::leave))
        .routes(routes!(games::list))
        .routes(routes!(games::module))
        .routes(routes!(matches::one))
        .routes(routes!(matches::of_player))
        .routes(routes!(boards::page))
        .routes(routes!(statistics::of_player))
        .routes(routes!(statistics::ratings::of_player))
        .routes(routes!(webhooks::livekit).layer(DefaultBodyLimit::max(webhooks::MAX_BODY_BYTES)))
        .routes(routes!(admin::ban, admin::lift_ban))
        .routes(routes!(admin::bans))
        .routes(routes!(admin::queues::queues))
        .routes(routes!(admin::queues::queued))
        .routes(routes!(health::alive))
        .routes(routes!(health::ready));
    add_common_answers(routes.get_openapi_mut());
    routes
}

/// `GET /openapi.json`.
pub(crate) async fn document() -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "public, max-age=3600"),
    ];
    (headers, DOCUMENT.clone())
}

/// Written once: it takes longer than a request should.
static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
    let document = routes().into_openapi();
    let text = serde_json::to_vec(&document).expect("the document has only texts as keys");
    Bytes::from(text)
});

/// The groups that calls are listed in.
pub(crate) mod tag {
    pub(crate) const ACCOUNTS: &str = "accounts";
    pub(crate) const ADMINISTRATION: &str = "administration";
    pub(crate) const GAMES: &str = "games";
    pub(crate) const HISTORY: &str = "history";
    pub(crate) const LEADERBOARDS: &str = "leaderboards";
    pub(crate) const MATCHMAKING: &str = "matchmaking";
    pub(crate) const SERVER: &str = "server";
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "GameServer",
        description = "Accounts, matchmaking, tokens for LiveKit rooms, leaderboards, statistics \
            and match history.\n\n\
            - JSON in `snake_case`; times in RFC 3339, UTC; ids are UUIDs.\n\
            - An error is a problem document (RFC 9457) whose `type` a program can tell apart; one \
            about fields names them in `errors`. A field or a query parameter that a call does not \
            know is refused.\n\
            - Lists come in pages: `next_cursor` of an answer is `cursor` of the next call, until \
            it is null.\n\
            - Every answer has an `X-Request-Id`, which the server's log has too.",
        license(name = "MIT", identifier = "MIT"),
    ),
    tags(
        (name = tag::ACCOUNTS, description = "Registering, signing in, and what is held of a player"),
        (name = tag::MATCHMAKING, description = "The queue, and the way into a match's room"),
        (name = tag::GAMES, description = "What can be played here"),
        (name = tag::LEADERBOARDS, description = "Boards and statistics"),
        (name = tag::HISTORY, description = "Matches that were played"),
        (name = tag::ADMINISTRATION, description = "Operators' calls, with the server's own key"),
        (name = tag::SERVER, description = "For probes, and for LiveKit"),
    ),
    components(
        schemas(ProblemDocument),
        responses(
            BodyTooLarge, Conflict, Forbidden, Internal, Invalid, Malformed, NotFound,
            TooManyRequests, Unauthorized, Unavailable, UnsupportedMediaType,
        ),
    ),
    modifiers(&Bearer),
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = Http::builder()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A player's access token, as signing in answers it."))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(BEARER, SecurityScheme::Http(scheme));
        let scheme = Http::builder()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "The server's own key, `server.admin_key` of its configuration.",
            ))
            .build();
        components.add_security_scheme(ADMIN_KEY, SecurityScheme::Http(scheme));
        document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    }
}

/// Adds what every call of a kind can answer, so that no call forgets it.
fn add_common_answers(document: &mut utoipa::openapi::OpenApi) {
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            let signs_in = operation.security.is_some();
            let has_body = operation.request_body.is_some();
            let has_query = operation
                .parameters
                .iter()
                .flatten()
                .any(|p| matches!(p, RefOr::T(p) if p.parameter_in == ParameterIn::Query));
            if signs_in {
                add::<Unauthorized>(operation, StatusCode::UNAUTHORIZED);
                add::<Forbidden>(operation, StatusCode::FORBIDDEN);
            }
            if has_body {
                add::<Malformed>(operation, StatusCode::BAD_REQUEST);
                add::<BodyTooLarge>(operation, StatusCode::PAYLOAD_TOO_LARGE);
                add::<UnsupportedMediaType>(operation, StatusCode::UNSUPPORTED_MEDIA_TYPE);
            }
            if has_body || has_query {
                add::<Invalid>(operation, StatusCode::UNPROCESSABLE_ENTITY);
            }
            add::<Internal>(operation, StatusCode::INTERNAL_SERVER_ERROR);
            add::<Unavailable>(operation, StatusCode::SERVICE_UNAVAILABLE);
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
    ]
    .into_iter()
    .flatten()
}

fn add<'r, T: ToResponse<'r>>(operation: &mut Operation, status: StatusCode) {
    let answer: RefOr<Response> = Ref::from_response_name(T::response().0).into();
    operation
        .responses
        .responses
        .entry(status.as_u16().to_string())
        .or_insert(answer);
}

/// The scheme of calls that a player makes.
const BEARER: &str = "bearer";
const ADMIN_KEY: &str = "admin_key";
