//! `gameserver api` and `gameserver authority`: parts of a deployment, on PostgreSQL and Redis.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::catalog::Catalog;
use crate::config::{Config, LiveKitConfig, ServicesConfig};
use crate::livekit_check::{self, Depth};
use crate::process;
use crate::wiring::{self, ApiRole, LiveKit, OpenStore, Parts, Roles};

/// What a command is configured by.
#[derive(Args)]
pub(crate) struct ConfigArguments {
    /// The configuration file; docs/configuration.md describes it.
    #[arg(long, env = "GAMESERVER_CONFIG", default_value = "config.yaml")]
    pub(crate) config: PathBuf,
}

#[derive(Args)]
pub(crate) struct ApiArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Serve the demo's pages beside the API.
    #[arg(long)]
    demo: bool,
}

/// Serves the API until Ctrl-C or a request to terminate.
pub(crate) async fn api(arguments: ApiArguments) -> anyhow::Result<()> {
    let config = Config::read(&arguments.config.config)?;
    let port = config.server.http_port;
    let roles = Roles {
        api: Some(ApiRole {
            demo: arguments.demo,
        }),
        authority: None,
    };
    let setting = "server.http_port";
    serve(config, &arguments.config.config, (port, setting), roles).await
}

/// Runs matches until Ctrl-C or a request to terminate.
pub(crate) async fn authority(arguments: ConfigArguments) -> anyhow::Result<()> {
    let config = Config::read(&arguments.config)?;
    let port = config.authority.http_port;
    let name = std::env::var("HOSTNAME").unwrap_or_else(|_| "authority".to_owned());
    let roles = Roles {
        api: None,
        authority: Some(name),
    };
    let setting = "authority.http_port";
    serve(config, &arguments.config, (port, setting), roles).await
}

async fn serve(
    config: Config,
    file: &Path,
    (port, setting): (u16, &str),
    roles: Roles,
) -> anyhow::Result<()> {
    let services = needed_services(&config, file)?;
    let livekit = LiveKit::new(needed_livekit(&config, file)?.clone());
    // The port first: whoever starts the server twice learns of it before anything else happens.
    let listener = process::listen(wiring::public_host(&config), port, setting)?;
    let games = Catalog::load(wiring::sandbox(&config)?, &config, None)?;
    if games.0.len() == 0 {
        bail!(
            "{}: no games to serve; name them under `games:`",
            file.display()
        );
    }
    let store = OpenStore::connect(services).await?;
    let shutdown = CancellationToken::new();
    process::end_on_signal(shutdown.clone())?;
    let depth = match roles.authority {
        Some(_) => Depth::Join,
        None => Depth::Rooms,
    };
    livekit_check::check_or_wait(&livekit, depth, &shutdown).await?;
    let parts = Parts {
        config,
        store,
        livekit,
        games,
        roles,
        grace: GRACE,
    };
    wiring::run(parts, listener, shutdown).await
}

/// PostgreSQL and Redis, which all but `dev` need.
pub(crate) fn needed_services<'a>(
    config: &'a Config,
    file: &Path,
) -> anyhow::Result<&'a ServicesConfig> {
    config.services.as_ref().with_context(|| {
        format!(
            "{}: needs `database.url` and `redis.url`; give both, or use `gameserver dev`, which \
             keeps everything itself",
            file.display()
        )
    })
}

fn needed_livekit<'a>(config: &'a Config, file: &Path) -> anyhow::Result<&'a LiveKitConfig> {
    config.livekit.as_ref().with_context(|| {
        format!(
            "{}: needs `livekit.host`, `livekit.api_key` and `livekit.api_secret`; give them, or \
             use `gameserver dev`, which runs a LiveKit server of its own",
            file.display()
        )
    })
}

/// How long requests under way may take after the process was told to end: below the ten seconds
/// after which supervisors commonly kill.
const GRACE: Duration = Duration::from_secs(8);
