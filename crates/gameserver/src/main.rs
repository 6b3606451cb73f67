//! The `gameserver` binary: sub-commands, configuration and wiring.
//!
//! - [`config`] reads `config.yaml`.
//! - [`dev`] runs everything in one process, with the embedded store and a LiveKit server of its own.
//! - [`catalog`] holds the games that are served, reloaded when a module is rebuilt.
//! - [`livekit_server`] supervises a LiveKit server; [`livekit_check`] says whether one will do.
//! - [`metrics`] and [`pages`] are served beside the API.
//! - [`new_game`] makes a game's crate, and [`check`] says whether its module is deterministic.

mod catalog;
mod check;
mod config;
mod dev;
mod livekit_check;
mod livekit_server;
mod metrics;
mod new_game;
mod pages;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use config::Config;

#[derive(Parser)]
#[command(
    name = "gameserver",
    version,
    about = "A multiplayer game backend on LiveKit"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything in one process: LiveKit server, API, authority, demo, embedded store.
    Dev(DevArguments),
    /// Look at a configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
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

#[derive(Args)]
struct DevArguments {
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
    match arguments.command {
        Command::Dev(arguments) => {
            log_to_standard_error();
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()?;
            runtime.block_on(dev::run(arguments))
        }
        Command::Config(ConfigCommand::Check { file }) => {
            let config = Config::read(&file)?;
            dev::check_games(&config)?;
            println!("{}: good", file.display());
            print!("{}", config.summary());
            Ok(())
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

fn log_to_standard_error() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}
