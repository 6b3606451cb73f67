//! The HTTP service: accounts, tokens, the queue, games and match history, and the background
//! task that turns waiting tickets into matches with rooms.
//!
//! It is a library: the binary gives it a store, a catalogue of games and a LiveKit server, serves
//! [`Api::router`] and runs [`Api::run_background`] beside it. Every error is a problem document
//! (RFC 9457), and an unknown path is one too.

mod account;
mod admin;
mod auth;
mod boards;
mod body;
mod caller;
mod catalog;
mod cursor;
mod docs;
mod environment;
mod games;
mod health;
mod limits;
mod matches;
mod metrics;
mod observe;
mod openapi;
mod parties;
mod passwords;
mod placement;
mod presence;
mod problem;
mod queue;
mod room_token;
mod security;
mod statistics;
mod timestamp;
mod tokens;
mod webhooks;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware;
use axum::routing::get;
use gs_store::{Store, StoreError};
use ipnet::IpNet;
use livekit_rooms::{RoomTokens, Rooms, Webhooks};
use prometheus_client::registry::Registry;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower_http::cors::{AllowOrigin, CorsLayer};

pub use admin::Secret;
pub use catalog::{GameCatalog, GameInfo, GameMode};
pub use environment::{Environment, SystemEnvironment};
pub use limits::{Limits, Rate};
pub use passwords::PasswordError;
pub use tokens::rotate_signing_key;

use health::Probes;
use limits::Limiter;
use metrics::{HttpMetrics, MatchmakingMetrics};
use passwords::Passwords;
use presence::Seen;
use problem::Problem;
use queue::view::Views;
use tokens::Tokens;

/// The HTTP service and its background task.
#[derive(Clone)]
pub struct Api {
    shared: Shared,
}

impl Api {
    /// Makes the service. Fetches its secrets from the store, or makes them at the first start.
    pub async fn new(parts: ApiParts) -> Result<Self, ApiError> {
        let tokens = Tokens::new(&*parts.store, &*parts.environment).await?;
        let passwords = Passwords::new(&*parts.environment).await?;
        let shared = Shared(Arc::new(Inner {
            limiter: Limiter::new(parts.settings.limits),
            tokens,
            passwords,
            waiters: Semaphore::new(MAX_WAITERS),
            background: watch::Sender::new(Background::NotStarted),
            seen: Seen::new(),
            probes: Probes::default(),
            metrics: HttpMetrics::new(),
            matchmaking: MatchmakingMetrics::new(),
            views: Views::default(),
            process: environment::new_id(&*parts.environment).to_string(),
            parts,
        }));
        Ok(Self { shared })
    }

    /// All routes. Its fallback answers unknown paths with a problem document; whoever replaces it,
    /// to serve pages from the same address, takes that over.
    ///
    /// Limits by address need `into_make_service_with_connect_info::<SocketAddr>()`; without, all
    /// callers share one.
    pub fn router(&self) -> Router {
        self.router_beside(Router::new())
    }

    /// The same, with more routes from elsewhere, such as pages, whose errors are problem documents
    /// too.
    pub fn router_beside(&self, more: Router) -> Router {
        let cors = CorsLayer::new()
            .allow_origin(match &self.shared.parts.settings.cors_origins {
                CorsOrigins::Any => AllowOrigin::any(),
                CorsOrigins::List(origins) => AllowOrigin::list(origins.clone()),
            })
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
            .allow_headers([AUTHORIZATION, CONTENT_TYPE])
            .expose_headers([RETRY_AFTER, HeaderName::from_static(observe::REQUEST_ID)])
            .max_age(CORS_MAX_AGE);
        Router::from(openapi::routes())
            .route("/openapi.json", get(openapi::document))
            .merge(docs::router())
            .with_state(self.shared.clone())
            .merge(more)
            .fallback(|| async { Problem::not_found("there is nothing at this path") })
            .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
            .layer(middleware::from_fn(observe::limit_time))
            .layer(cors)
            .layer(middleware::from_fn_with_state(
                self.shared.metrics.clone(),
                observe::observe,
            ))
    }

    /// The contract of [`Api::router`], as `/openapi.json` answers it.
    pub fn openapi() -> utoipa::openapi::OpenApi {
        openapi::routes().into_openapi()
    }

    /// Adds what the service counts to a registry: `gameserver_http_…`, under their whole names.
    pub fn register_metrics(&self, registry: &mut Registry) {
        self.shared.metrics.register(registry);
        self.shared.matchmaking.register(registry);
        self.shared.passwords.register(registry);
    }

    /// Places matches, notes who is there, keeps the store up and tidies until `shutdown`; then it
    /// also ends all waiting calls, so that a server can stop. Run it once, beside the router.
    pub async fn run_background(&self, shutdown: impl Future<Output = ()>) {
        self.shared.background.send_replace(Background::Running);
        let mut tasks = JoinSet::new();
        tasks.spawn(placement::run(self.shared.clone()));
        tasks.spawn(presence::run(self.shared.clone()));
        tasks.spawn(tokens::keep_fresh(self.shared.clone()));
        tasks.spawn({
            let shared = self.shared.clone();
            async move { shared.store().maintain().await }
        });
        tokio::select! {
            Some(ended) = tasks.join_next() => {
                tracing::error!(?ended, "a background task has ended; the server is not ready");
            }
            () = shutdown => {}
        }
        tasks.shutdown().await;
        // Others need not wait until its leads run out.
        let given_up = self.shared.store().give_up_queues(&self.shared.process);
        if !matches!(
            tokio::time::timeout(GIVE_UP_TIME, given_up).await,
            Ok(Ok(()))
        ) {
            tracing::warn!("the leads of queues are left to run out");
        }
        self.shared.background.send_replace(Background::Stopped);
    }
}

/// What the service is made of.
pub struct ApiParts {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// The games served.
    pub catalog: Arc<dyn GameCatalog>,
    /// LiveKit's room service.
    pub rooms: Arc<dyn Rooms>,
    /// Mints LiveKit tokens.
    pub room_tokens: RoomTokens,
    /// Where players reach LiveKit: a `ws` or `wss` address.
    pub livekit_url: String,
    /// Clock and randomness.
    pub environment: Arc<dyn Environment>,
    /// What can be tuned.
    pub settings: Settings,
}

/// What can be tuned.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How often addresses and accounts may try to sign in, and players to queue.
    pub limits: Limits,
    /// How long a match waits for an authority before it fails.
    pub authority_deadline: Duration,
    /// How long making a match's room is tried, while LiveKit cannot be reached.
    pub room_patience: Duration,
    /// How old what players are told of the queue may be, in whole.
    pub queue_view_age: Duration,
    /// Least time between two looks at the queues.
    pub pass_interval: Duration,
    /// How long a ticket stays queued while nobody asks for its status.
    pub ticket_silence: Duration,
    /// Which pages of other origins may call, in browsers.
    pub cors_origins: CorsOrigins,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The key of `/admin`, at least 32 characters; there is no `/admin` where absent.
    pub admin_key: Option<Secret>,
    /// Verifies LiveKit's webhooks; none are taken where absent.
    pub webhooks: Option<Webhooks>,
}

/// Which pages of other origins may call, in browsers. No cookie is used, so a page that may call
/// can do no more than a program that calls.
#[derive(Clone, Debug, Default)]
pub enum CorsOrigins {
    /// All.
    #[default]
    Any,
    /// Those, such as `https://game.example.org`.
    List(Vec<HeaderValue>),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            authority_deadline: Duration::from_secs(15),
            room_patience: Duration::from_secs(10),
            queue_view_age: Duration::from_secs(1),
            pass_interval: Duration::from_millis(100),
            ticket_silence: Duration::from_secs(60),
            cors_origins: CorsOrigins::Any,
            trusted_proxies: Vec::new(),
            admin_key: None,
            webhooks: None,
        }
    }
}

/// Why the service could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Its secrets could not be read or stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Passwords cannot be hashed.
    #[error(transparent)]
    Passwords(#[from] PasswordError),
}

#[derive(Clone)]
struct Shared(Arc<Inner>);

impl std::ops::Deref for Shared {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

struct Inner {
    parts: ApiParts,
    limiter: Limiter,
    tokens: Tokens,
    passwords: Passwords,
    waiters: Semaphore,
    background: watch::Sender<Background>,
    seen: Seen,
    probes: Probes,
    metrics: HttpMetrics,
    matchmaking: MatchmakingMetrics,
    views: Views,
    /// Names this process where it leads queues.
    process: String,
}

impl Inner {
    fn store(&self) -> &dyn Store {
        &*self.parts.store
    }

    fn environment(&self) -> &dyn Environment {
        &*self.parts.environment
    }

    fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.parts.environment.now()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Background {
    NotStarted,
    Running,
    Stopped,
}

/// A store that takes longer is away; leads run out sooner than that matters.
const GIVE_UP_TIME: Duration = Duration::from_secs(1);
/// Far beyond any body that a call takes; the largest are some hundred bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Most calls that wait for a status at once: each holds a connection and wakes at every change.
/// Those beyond answer at once, as if they had not asked to wait.
const MAX_WAITERS: usize = 10_000;
/// Browsers keep the answer to a preflight no longer than this.
const CORS_MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);
