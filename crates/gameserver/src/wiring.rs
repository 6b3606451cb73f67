//! The parts of a process, put together from a configuration, and run until it is told to end.
//!
//! `dev`, `api` and `authority` differ in which parts they have; all of it is here, once.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use gs_api::{Api, ApiParts, CorsOrigins, Limits, Rate, Settings, SystemEnvironment};
use gs_authority::{Authority, AuthorityConfig};
use gs_sandbox::Sandbox;
use gs_store::{EmbeddedStore, PostgresOptions, PostgresStore, Store};
use livekit_rooms::{LiveKitRooms, RoomTokens, Webhooks};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::catalog::{Catalog, Watch};
use crate::config::{Config, LiveKitConfig, ServerConfig, ServicesConfig};
use crate::http_server::{self, Bounds, ServerMetrics};
use crate::metrics::{AuthorityMetrics, PoolMetrics, RuntimeDelay, RuntimeMetrics};
use crate::{authority_health, metrics, pages, process};

/// What a process is made of.
pub(crate) struct Parts {
    /// The checked file.
    pub(crate) config: Config,
    /// Where everything is kept.
    pub(crate) store: OpenStore,
    /// The LiveKit server.
    pub(crate) livekit: LiveKit,
    /// The games, and who notices that they change.
    pub(crate) games: (Catalog, Watch),
    /// What the process does.
    pub(crate) roles: Roles,
    /// How long requests under way may take after the process was told to end.
    pub(crate) grace: Duration,
}

/// What a process does.
pub(crate) struct Roles {
    /// Serves the HTTP API and forms matches.
    pub(crate) api: Option<ApiRole>,
    /// Runs matches, as this name.
    pub(crate) authority: Option<String>,
}

/// How a process serves the API.
pub(crate) struct ApiRole {
    /// With the demo's pages beside it.
    pub(crate) demo: bool,
}

/// A store that is open.
#[derive(Clone)]
pub(crate) enum OpenStore {
    /// In files of this process.
    Embedded(Arc<EmbeddedStore>),
    /// On PostgreSQL and Redis.
    Postgres(Arc<PostgresStore>),
}

impl OpenStore {
    /// Connects to PostgreSQL and Redis.
    pub(crate) async fn connect(services: &ServicesConfig) -> anyhow::Result<Self> {
        let postgres = &services.postgres;
        let options = PostgresOptions {
            database_url: postgres.url.expose().to_owned(),
            redis_url: services.redis_url.expose().to_owned(),
            max_connections: postgres.max_connections,
        };
        let store = PostgresStore::connect(&options).await.with_context(|| {
            format!(
                "PostgreSQL at {} or Redis at {} cannot be used; `gameserver doctor` says more",
                postgres.shown, services.redis_shown
            )
        })?;
        Ok(Self::Postgres(Arc::new(store)))
    }

    /// What the parts call.
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Embedded(store) => store.clone(),
            Self::Postgres(store) => store.clone(),
        }
    }
}

/// A LiveKit server, and what it is asked with.
#[derive(Clone)]
pub(crate) struct LiveKit {
    /// Where it is.
    pub(crate) config: LiveKitConfig,
    /// Its room service.
    pub(crate) rooms: Arc<LiveKitRooms>,
    /// Mints tokens for it.
    pub(crate) tokens: RoomTokens,
}

impl LiveKit {
    pub(crate) fn new(config: LiveKitConfig) -> Self {
        let secret = config.api_secret.expose();
        Self {
            rooms: Arc::new(LiveKitRooms::new(&config.host, &config.api_key, secret)),
            tokens: RoomTokens::new(&config.api_key, secret),
            config,
        }
    }

    fn webhooks(&self) -> Webhooks {
        Webhooks::new(&self.config.api_key, self.config.api_secret.expose())
    }
}

/// Runs modules as a configuration says.
pub(crate) fn sandbox(config: &Config) -> anyhow::Result<Sandbox> {
    let mut limits = gs_sandbox::Limits::default();
    if let Some(rate) = config.default_tick_rate {
        limits.default_tick_rate = rate;
    }
    Ok(Sandbox::new(limits)?)
}

/// Runs a process on a listener until `shutdown`, and answers once all of it has ended in order.
pub(crate) async fn run(
    parts: Parts,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    process::raise_file_limit();
    let address = listener.local_addr()?;
    let (catalog, watch) = parts.games;
    let catalog = Arc::new(catalog);
    let tasks = TaskTracker::new();
    let mut registry = Registry::default();
    let server_metrics = ServerMetrics::default();
    server_metrics.register(&mut registry);
    registry.register_collector(Box::new(RuntimeMetrics(tokio::runtime::Handle::current())));
    let delay = RuntimeDelay::register(&mut registry);
    if let OpenStore::Postgres(store) = &parts.store {
        registry.register_collector(Box::new(PoolMetrics(store.clone())));
    }
    let store = parts.store.store();

    let authority = match parts.roles.authority {
        Some(holder) => {
            let mut config = AuthorityConfig::new(parts.livekit.config.websocket_url(), holder);
            config.max_rooms = parts.config.authority.max_rooms;
            let authority = Authority::new(
                config,
                store.clone(),
                parts.livekit.rooms.clone(),
                parts.livekit.tokens.clone(),
                catalog.clone(),
            )?;
            registry.register_collector(Box::new(AuthorityMetrics(authority.clone())));
            Some(authority)
        }
        None => None,
    };
    let api = match &parts.roles.api {
        Some(_) => {
            let api = Api::new(ApiParts {
                store: store.clone(),
                catalog: catalog.clone(),
                rooms: parts.livekit.rooms.clone(),
                room_tokens: parts.livekit.tokens.clone(),
                livekit_url: parts.livekit.config.players_url(),
                environment: Arc::new(SystemEnvironment),
                settings: settings(&parts.config.server, &parts.livekit),
            })
            .await?;
            api.register_metrics(&mut registry);
            Some(api)
        }
        None => None,
    };

    let until = |task| {
        let shutdown = shutdown.clone();
        tasks.spawn(async move { shutdown.run_until_cancelled(task).await });
    };
    until(boxed(delay.watch()));
    tasks.spawn(watch.run(catalog, shutdown.clone()));
    if let Some(api) = api.clone() {
        let ending = shutdown.clone();
        tasks.spawn(async move { api.run_background(ending.cancelled()).await });
        let store = store.clone();
        until(boxed(async move { store.maintain().await }));
    }
    if let Some(authority) = authority {
        tasks.spawn(authority.run(shutdown.clone()));
    }

    let beside = metrics::router(registry);
    let router = match (api, &parts.roles.api) {
        (Some(api), Some(ApiRole { demo: true })) => {
            api.router_beside(pages::router().merge(beside))
        }
        (Some(api), _) => api.router_beside(beside),
        (None, _) => {
            let rooms = parts.livekit.rooms.clone();
            authority_health::router(store, rooms, shutdown.clone()).merge(beside)
        }
    };
    let served = serve(
        listener,
        router,
        &parts.config.server,
        server_metrics,
        &shutdown,
        parts.grace,
    );
    process::print_when_ready(address, &shutdown).await?;

    shutdown.cancelled().await;
    process::wait_for(&tasks, SHUTDOWN_TIMEOUT).await;
    // Whoever has not finished a request by then was cut off.
    served.await?;
    Ok(())
}

fn serve(
    listener: TcpListener,
    router: Router,
    config: &ServerConfig,
    metrics: ServerMetrics,
    shutdown: &CancellationToken,
    grace: Duration,
) -> tokio::task::JoinHandle<()> {
    let bounds = Bounds {
        connections: process::bound_by_files(config.max_connections),
        per_address: config.max_connections_per_address,
        trusted_proxies: config.trusted_proxies.clone(),
    };
    tokio::spawn(http_server::serve(
        listener,
        router,
        bounds,
        metrics,
        shutdown.clone(),
        grace,
    ))
}

fn settings(server: &ServerConfig, livekit: &LiveKit) -> Settings {
    let each_minute = |times| Rate {
        burst: times,
        interval: Duration::from_secs(60) / times,
    };
    Settings {
        limits: Limits {
            address: each_minute(server.sign_ins_per_minute),
            queue_address: each_minute(server.tickets_per_minute),
            ..Limits::default()
        },
        cors_origins: match &server.cors_origins {
            Some(origins) => CorsOrigins::List(origins.clone()),
            None => CorsOrigins::Any,
        },
        trusted_proxies: server.trusted_proxies.clone(),
        admin_key: server
            .admin_key
            .as_ref()
            .map(|key| gs_api::Secret::new(key.expose())),
        webhooks: Some(livekit.webhooks()),
        ..Settings::default()
    }
}

type Task = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn boxed(task: impl Future<Output = ()> + Send + 'static) -> Task {
    Box::pin(task)
}

/// Where a process serves HTTP that others reach.
pub(crate) fn public_host(config: &Config) -> std::net::IpAddr {
    let every = std::net::Ipv4Addr::UNSPECIFIED.into();
    config.server.host.unwrap_or(every)
}

/// Ending rooms takes a moment each; what is not done by then would hold up Ctrl-C, and
/// supervisors commonly kill after ten seconds.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);
