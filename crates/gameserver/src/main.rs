//! The `gameserver` binary: sub-commands, configuration and wiring.
//!
//! - [`config`] reads `config.yaml`.
//! - [`wiring`] puts the parts of a process together and runs them; [`process`] is what any process
//!   does, [`http_server`] serves HTTP.
//! - [`dev`] runs everything in one process, with a LiveKit server of its own; [`services`] are the
//!   processes of a deployment.
//! - [`migrate`], [`doctor`], [`board`] and [`keys`] are for its operator.
//! - [`catalog`] holds the games that are served, reloaded when a module is rebuilt.
//! - [`livekit_server`] supervises a LiveKit server; [`livekit_check`] says whether one will do.
//! - [`metrics`], [`pages`] and [`authority_health`] are served beside the API, or without.
//! - [`matchmaking`] tries rules of matchmaking out, and records what to try them on.
//! - [`new_game`] makes a game's crate, and [`check`] says whether its module is deterministic.

mod authority_health;
mod board;
mod catalog;
mod check;
mod config;
mod dev;
mod doctor;
mod http_server;
mod keys;
mod livekit_check;
mod livekit_server;
mod matchmaking;
mod metrics;
mod migrate;
mod new_game;
mod pages;
mod process;
mod services;
mod wiring;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use gs_api::GameCatalog;
use tracing_subscriber::EnvFilter;

use config::Config;

#[derive(Parser)]
#[command(
    name = "gameserver",
    version,
    about = "A multiplayer game backend on LiveKit"
)]
struct Arguments {
    /// How the log on standard error is written.
    #[arg(
        long,
        global = true,
        env = "GAMESERVER_LOG_FORMAT",
        default_value = "text"
    )]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// Lines for people.
    Text,
    /// An object a line, for programs.
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything in one process: LiveKit server, API, authority, demo, embedded store.
    Dev(dev::DevArguments),
    /// Serve the HTTP API, on PostgreSQL and Redis.
    Api(services::ApiArguments),
    /// Run matches, on PostgreSQL and Redis.
    Authority(services::ConfigArguments),
    /// Bring PostgreSQL's schema up to what this version needs.
    Migrate(migrate::MigrateArguments),
    /// Look at configuration, LiveKit, PostgreSQL and Redis, and say how to mend them.
    Doctor(doctor::DoctorArguments),
    /// Look after leaderboards.
    #[command(subcommand)]
    Board(board::BoardCommand),
    /// Look after the keys that sign access tokens.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Print the OpenAPI document of the HTTP API.
    Openapi,
    /// Look at a configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Try rules of matchmaking out before players wait by them.
    #[command(subcommand)]
    Match(matchmaking::MatchCommand),
    /// Say whether a game's module is deterministic, keeps its limits, and how fast it is.
    Check(check::CheckArguments),
    /// Make a game: a crate that builds, plays and has a test.
    New {
        /// Its name, and its id on the server: a-z, 0-9 and -, at most 32 characters.
        name: String,
        /// The folder to make it in.
        #[arg(long = "in", default_value = ".")]
        folder: PathBuf,
        /// The folder of game-sdk; looked for above the new crate where absent.
        #[arg(long)]
        sdk: Option<PathBuf>,
    },
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Say whether a file is good, and what would be used.
    Check {
        /// The file.
        #[arg(default_value = "config.yaml")]
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .expect("nothing else in this program installs one");
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[allow(
    clippy::print_stdout,
    reason = "what a command answers goes to standard output"
)]
fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments {
        log_format,
        command,
    } = arguments;
    match command {
        Command::Dev(arguments) => serving(log_format, dev::run(arguments)),
        Command::Api(arguments) => serving(log_format, services::api(arguments)),
        Command::Authority(arguments) => serving(log_format, services::authority(arguments)),
        Command::Migrate(arguments) => asking(log_format, migrate::run(arguments)),
        Command::Doctor(arguments) => asking(log_format, doctor::run(arguments)),
        Command::Board(board::BoardCommand::Rebuild(arguments)) => {
            asking(log_format, board::rebuild(arguments))
        }
        Command::Keys(keys::KeysCommand::Rotate(arguments)) => {
            asking(log_format, keys::rotate(arguments))
        }
        Command::Openapi => {
            println!("{}", gs_api::Api::openapi().to_pretty_json()?);
            Ok(())
        }
        Command::Config(ConfigCommand::Check { file }) => {
            let config = Config::read(&file)?;
            let games = dev::check_games(&config)?;
            println!("{}: good", file.display());
            print!("{}", config.summary());
            for game in games.games() {
                for mode in &game.modes {
                    println!("game {}, mode {}:", game.id, mode.name);
                    for rule in matchmaking::words::in_words(&mode.rules) {
                        println!("  {rule}");
                    }
                }
            }
            Ok(())
        }
        Command::Match(matchmaking::MatchCommand::Simulate(arguments)) => {
            matchmaking::simulate(&arguments)
        }
        Command::Match(matchmaking::MatchCommand::Record(arguments)) => {
            asking(log_format, matchmaking::record(arguments))
        }
        Command::Check(arguments) => check::run(&arguments),
        Command::New { name, folder, sdk } => {
            let made = new_game::create(&name, &folder, sdk.as_deref())?;
            println!(
                "made {}; its README.md says what to do next",
                made.display()
            );
            Ok(())
        }
    }
}

/// Runs a command that goes on until it is told to end.
fn serving(
    format: LogFormat,
    command: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    run_async(format, "info", command)
}

/// Runs a command that answers something, whose log would be in the way.
fn asking(
    format: LogFormat,
    command: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    run_async(format, "error", command)
}

fn run_async(
    format: LogFormat,
    level: &str,
    command: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    log_to_standard_error(format, level);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(command)
}

/// Writes the log by `RUST_LOG`, else from this level on.
fn log_to_standard_error(format: LogFormat, level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}
