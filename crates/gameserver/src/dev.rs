//! `gameserver dev`: LiveKit server, store, API, authority and demo in one process.

use std::fs::{File, TryLockError};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use gs_api::{Api, ApiParts, Limits, Rate, Settings, SystemEnvironment};
use gs_authority::{Authority, AuthorityConfig};
use gs_sandbox::Sandbox;
use gs_store::{EmbeddedStore, Store};
use livekit_rooms::{LiveKitRooms, RoomTokens};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::DevArguments;
use crate::catalog::Catalog;
use crate::config::Config;
use crate::livekit_server::LiveKitServer;
use crate::{livekit_check, metrics, pages};

/// Runs until Ctrl-C or a request to terminate.
pub(crate) async fn run(arguments: DevArguments) -> anyhow::Result<()> {
    let config = match &arguments.config {
        Some(file) => Config::read(file)?,
        None => Config::default(),
    };
    for section in &config.unused_by_dev {
        tracing::info!("`{section}` in the configuration is not used: `dev` has an embedded store");
    }
    // The port first: whoever starts the server twice learns of it before anything else happens.
    let listener = listen(arguments.port.unwrap_or(config.http_port)).await?;
    let address = listener.local_addr()?;
    make_private(&arguments.data_dir)?;
    let _lock = lock(&arguments.data_dir)?;
    let folder = games_folder(&arguments, &config)?;
    let catalog = Catalog::load(sandbox(&config)?, &config, folder);
    let (catalog, watch) = catalog?;
    if catalog.len() == 0 {
        bail!(
            "no games to serve; build some with `cargo xtask game`, or name one under `games:` in a configuration"
        );
    }
    let catalog = Arc::new(catalog);

    let shutdown = CancellationToken::new();
    end_on_signal(shutdown.clone())?;
    // Children and rooms go last: the authority still tells its players that it ends.
    let livekit_shutdown = CancellationToken::new();
    let (access, livekit) = match config.livekit {
        Some(access) => (access, None),
        None => {
            let pid_file = arguments.data_dir.join("livekit.pid");
            let program = arguments.livekit_server.as_deref();
            let server = LiveKitServer::start(program, pid_file, livekit_shutdown.clone()).await?;
            (server.access.clone(), Some(server))
        }
    };
    let rooms = Arc::new(LiveKitRooms::new(
        &access.host,
        &access.api_key,
        &access.api_secret,
    ));
    let tokens = RoomTokens::new(&access.api_key, &access.api_secret);
    livekit_check::check(&access.host, &*rooms, &tokens, livekit.is_some()).await?;

    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(&arguments.data_dir).await?);
    let authority = Authority::new(
        AuthorityConfig::new(
            websocket_url(&access.host),
            format!("dev-{}", uuid::Uuid::new_v4()),
        ),
        store.clone(),
        rooms.clone(),
        tokens.clone(),
        catalog.clone(),
    )?;
    let api = Api::new(ApiParts {
        store,
        catalog: catalog.clone(),
        rooms,
        room_tokens: tokens,
        livekit_url: websocket_url(&access.host),
        environment: Arc::new(SystemEnvironment),
        settings: Settings {
            limits: sign_in_limits(config.sign_ins_per_minute),
            ..Settings::default()
        },
    })
    .await?;

    let tasks = TaskTracker::new();
    tasks.spawn(watch.run(catalog, shutdown.clone()));
    tasks.spawn({
        let (api, shutdown) = (api.clone(), shutdown.clone());
        async move { api.run_background(shutdown.cancelled()).await }
    });
    tasks.spawn({
        let (authority, shutdown) = (authority.clone(), shutdown.clone());
        async move { authority.run(shutdown).await }
    });
    let router = api.router_beside(pages::router().merge(metrics::router(authority)));
    let serve = axum::serve(
        listener,
        router.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let served = tokio::spawn({
        let shutdown = shutdown.clone();
        async move {
            if let Err(error) = serve.await {
                tracing::error!(%error, "the HTTP server failed");
            }
            shutdown.cancel();
        }
    });
    wait_until_ready(address, &shutdown).await?;

    shutdown.cancelled().await;
    tasks.close();
    if tokio::time::timeout(SHUTDOWN_TIMEOUT, tasks.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            "some work did not end within {} s and is dropped",
            SHUTDOWN_TIMEOUT.as_secs()
        );
    }
    // Whoever has not finished a request by now is cut off.
    let _ = tokio::time::timeout(HTTP_GRACE, served).await;
    livekit_shutdown.cancel();
    if let Some(livekit) = livekit {
        livekit.ended().await;
    }
    Ok(())
}

/// Reads the games that a configuration names, as a start would.
pub(crate) fn check_games(config: &Config) -> anyhow::Result<()> {
    Catalog::load(sandbox(config)?, config, None).map(drop)
}

async fn listen(port: u16) -> anyhow::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => anyhow::anyhow!(
            "port {port} is taken by another program; end it, or choose another port with --port"
        ),
        _ => anyhow::anyhow!("cannot listen on port {port}: {error}"),
    })
}

/// Makes a directory that only its owner may read: it holds keys.
fn make_private(directory: &Path) -> anyhow::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory).with_context(|| {
        format!(
            "cannot make {}; choose another place with --data-dir",
            directory.display()
        )
    })
}

/// Two servers on one directory would end each other's LiveKit server.
fn lock(directory: &Path) -> anyhow::Result<File> {
    let path = directory.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(
            "{} is in use by another gameserver; end it, or choose another place with --data-dir",
            directory.display()
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

fn sandbox(config: &Config) -> anyhow::Result<Sandbox> {
    let default_tick_rate = config.default_tick_rate;
    Ok(Sandbox::new(gs_sandbox::Limits {
        default_tick_rate,
        ..Default::default()
    })?)
}

/// `--games`, else target/games where the configuration names no game.
fn games_folder(
    arguments: &DevArguments,
    config: &Config,
) -> anyhow::Result<Option<std::path::PathBuf>> {
    match &arguments.games {
        Some(folder) if !folder.is_dir() => bail!("no folder at {} (--games)", folder.display()),
        Some(folder) => Ok(Some(folder.clone())),
        None if config.games.is_empty() => Ok(Some("target/games".into())),
        None => Ok(None),
    }
}

fn sign_in_limits(per_minute: u32) -> Limits {
    let address = Rate {
        burst: per_minute,
        interval: Duration::from_secs(60) / per_minute,
    };
    Limits {
        address,
        ..Limits::default()
    }
}

/// LiveKit's address as browsers want it.
fn websocket_url(host: &str) -> String {
    host.replacen("http", "ws", usize::from(host.starts_with("http")))
}

/// Asks the API itself, so that the line is printed when all of it answers.
#[allow(
    clippy::print_stdout,
    reason = "scripts wait for this line on standard output"
)]
async fn wait_until_ready(address: SocketAddr, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let url = format!("http://{address}");
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(2))
        .build()?;
    let ready = async {
        loop {
            let answer = client.get(format!("{url}/readyz")).send().await;
            if answer.is_ok_and(|r| r.status().is_success()) {
                return;
            }
            tokio::time::sleep(READY_POLL).await;
        }
    };
    tokio::select! {
        () = ready => println!("ready {url}"),
        () = tokio::time::sleep(READY_TIMEOUT) => {
            shutdown.cancel();
            bail!("the API did not get ready within {} s; {url}/readyz names what is not", READY_TIMEOUT.as_secs());
        }
        () = shutdown.cancelled() => {}
    }
    Ok(())
}

/// Ends in order at the first signal, and at once at the second.
fn end_on_signal(shutdown: CancellationToken) -> anyhow::Result<()> {
    #[cfg(unix)]
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::spawn(async move {
        loop {
            #[cfg(unix)]
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            #[cfg(not(unix))]
            let _ = tokio::signal::ctrl_c().await;
            if shutdown.is_cancelled() {
                std::process::exit(1);
            }
            tracing::info!("ending; once more ends at once");
            shutdown.cancel();
        }
    });
    Ok(())
}

const HTTP_GRACE: Duration = Duration::from_secs(1);
const READY_POLL: Duration = Duration::from_millis(20);
const READY_TIMEOUT: Duration = Duration::from_secs(10);
/// Ending rooms takes a moment each; what is not done by then would hold up Ctrl-C.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);
