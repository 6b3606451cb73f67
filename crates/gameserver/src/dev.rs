//! `gameserver dev`: LiveKit server, store, API, authority and demo in one process.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use gs_store::{EmbeddedStore, PostgresStore};
use tokio_util::sync::CancellationToken;

use crate::catalog::Catalog;
use crate::config::Config;
use crate::livekit_check::{self, Depth};
use crate::livekit_server::LiveKitServer;
use crate::process;
use crate::wiring::{self, ApiRole, LiveKit, OpenStore, Parts, Roles};

#[derive(Args)]
pub(crate) struct DevArguments {
    /// Port of the API and the demo; 0 takes a free one. Default: the configuration's, else 8080.
    #[arg(long)]
    port: Option<u16>,
    /// Where accounts, matches and keys are kept.
    #[arg(long, default_value = ".gameserver")]
    data_dir: PathBuf,
    /// A configuration file; docs/configuration.md describes it.
    #[arg(long)]
    config: Option<PathBuf>,
    /// A folder whose .wasm files are all served, by file name. Default: target/games, where no
    /// configuration names games.
    #[arg(long)]
    games: Option<PathBuf>,
    /// The LiveKit server to run. Default: the one on PATH, else beside the binary.
    #[arg(long, env = "LIVEKIT_SERVER")]
    livekit_server: Option<PathBuf>,
}

/// Runs until Ctrl-C or a request to terminate.
pub(crate) async fn run(arguments: DevArguments) -> anyhow::Result<()> {
    let config = match &arguments.config {
        Some(file) => Config::read(file)?,
        None => Config::default(),
    };
    // The port first: whoever starts the server twice learns of it before anything else happens.
    let host = config.server.host.unwrap_or(Ipv4Addr::LOCALHOST.into());
    let port = arguments.port.unwrap_or(config.server.http_port);
    let listener = process::listen(host, port, "--port")?;
    let address = listener.local_addr()?;
    process::make_private(&arguments.data_dir)?;
    let _lock = process::lock(&arguments.data_dir)?;
    let folder = games_folder(&arguments, &config)?;
    let games = Catalog::load(wiring::sandbox(&config)?, &config, folder)?;
    if games.0.len() == 0 {
        bail!(
            "no games to serve; build some with `cargo xtask game`, or name one under `games:` in a configuration"
        );
    }
    let store = open_store(&arguments, &config).await?;

    let shutdown = CancellationToken::new();
    process::end_on_signal(shutdown.clone())?;
    // Children go last: the authority still tells its players that it ends.
    let livekit_shutdown = CancellationToken::new();
    let (access, server) = match &config.livekit {
        Some(access) => (access.clone(), None),
        None => {
            let pid_file = arguments.data_dir.join("livekit.pid");
            let program = arguments.livekit_server.as_deref();
            let webhook = process::local_url(address) + "/webhooks/livekit";
            let server =
                LiveKitServer::start(program, pid_file, webhook, livekit_shutdown.clone()).await?;
            (server.access.clone(), Some(server))
        }
    };
    let livekit = LiveKit::new(access);
    livekit_check::check(&livekit, Depth::Join, server.is_some()).await?;

    let parts = Parts {
        config,
        store,
        livekit,
        games,
        roles: Roles {
            api: Some(ApiRole { demo: true }),
            authority: Some("dev".to_owned()),
        },
        grace: GRACE,
    };
    wiring::run(parts, listener, shutdown).await?;
    livekit_shutdown.cancel();
    if let Some(server) = server {
        server.ended().await;
    }
    Ok(())
}

/// Reads the games that a configuration names, as a start would.
pub(crate) fn check_games(config: &Config) -> anyhow::Result<Catalog> {
    Ok(Catalog::load(wiring::sandbox(config)?, config, None)?.0)
}

/// PostgreSQL and Redis where they are configured, brought up to date; else files of its own.
async fn open_store(arguments: &DevArguments, config: &Config) -> anyhow::Result<OpenStore> {
    let Some(services) = &config.services else {
        let store = EmbeddedStore::open(&arguments.data_dir).await?;
        return Ok(OpenStore::Embedded(Arc::new(store)));
    };
    let shown = &services.postgres.shown;
    let migrated = PostgresStore::migrate(services.postgres.url.expose()).await;
    let applied = anyhow::Context::with_context(migrated, || {
        format!("PostgreSQL at {shown} cannot be brought up to date")
    })?;
    for name in applied {
        tracing::info!(name, "migrated the database");
    }
    OpenStore::connect(services).await
}

/// `--games`, else target/games where the configuration names no game.
fn games_folder(arguments: &DevArguments, config: &Config) -> anyhow::Result<Option<PathBuf>> {
    match &arguments.games {
        Some(folder) if !folder.is_dir() => bail!("no folder at {} (--games)", folder.display()),
        Some(folder) => Ok(Some(folder.clone())),
        None if config.games.is_empty() => Ok(Some("target/games".into())),
        None => Ok(None),
    }
}

/// How long requests under way may take after Ctrl-C, for which somebody waits.
const GRACE: Duration = Duration::from_secs(1);
