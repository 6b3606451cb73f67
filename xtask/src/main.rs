//! The project's tasks: `cargo xtask dev`, `test`, `build`, `lint`, `bench`, `fuzz`, `generate`,
//! `setup`.
//!
//! Each sets up what it needs on a bare machine, says what it does while it does it, and stops at
//! the first failure with the command that mends it.

mod bench;
mod client;
mod fuzz;
mod generate;
mod module;
mod queries;
mod setup;
mod steps;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::Context;
use clap::{Parser, Subcommand};
use gs_test_services::{Postgres, Redis};
use steps::{Steps, run};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "The project's tasks",
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build everything, start `gameserver dev`, and rebuild a game when its source changes.
    Dev {
        /// Passed on to `gameserver dev`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Build the games, the pages and target/release/gameserver.
    Build,
    /// Get what the tests need and run all of them: Rust, TypeScript, browser.
    Test,
    /// Formatting, lints, licences, generated code.
    Lint,
    /// Build one game, or all: `games/NAME` or a folder of your own, to target/games/NAME.wasm.
    Game {
        /// A name under games/, or a path. All of games/ where absent.
        game: Option<PathBuf>,
    },
    /// Build the browser's client to web/sdk/src/client/, which npm's scripts need.
    Client,
    /// Measure something; docs/performance.md says what.
    Bench {
        /// `boards`, `feel`, `http`, `latency`, `replication`, `rollback`, `rooms`, `snapshots` or
        /// `tick`.
        name: String,
        /// Take under a minute.
        #[arg(long)]
        quick: bool,
        /// Put the figures into docs/performance.md.
        #[arg(long)]
        record: bool,
        /// For `snapshots`: another recording to measure on, `.xz` or not.
        #[arg(long)]
        data: Option<PathBuf>,
    },
    /// Give random input to whatever reads bytes of others, in search of panics and endless loops.
    Fuzz {
        /// A file under fuzz/fuzz_targets/. All of them, one after the other, where absent.
        target: Option<String>,
        /// How long each one runs, in seconds.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Generate what is committed and comes from something else.
    Generate {
        /// What; all of it where absent.
        what: Option<Generated>,
        /// Fail when it is stale, and change nothing.
        #[arg(long)]
        check: bool,
    },
    /// Get what building and running need: LiveKit server, wasm target, npm packages.
    Setup,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Generated {
    /// The code of the wire's messages, from proto/.
    Messages,
    /// What the store's queries on PostgreSQL take and answer, from a PostgreSQL server.
    Queries,
}

#[allow(
    clippy::print_stdout,
    reason = "what a task answers goes to standard output"
)]
fn main() -> anyhow::Result<()> {
    let root = root();
    match Arguments::parse().task {
        Task::Dev { arguments } => dev(&root, &arguments),
        Task::Build => build(&root, &mut Steps::new(BUILD_STEPS)),
        Task::Test => test(&root),
        Task::Lint => lint(&root),
        Task::Game { game: Some(game) } => {
            let folder = if game.is_dir() {
                game
            } else {
                root.join("games").join(game)
            };
            let file = module::build(&root, &folder, &root.join("target/games"))?;
            println!("{}", file.display());
            Ok(())
        }
        Task::Game { game: None } => games(&root),
        Task::Client => client::build(&root),
        Task::Bench {
            name,
            quick,
            record,
            data,
        } => bench::run_bench(&root, &name, quick, record, data.as_deref()),
        Task::Fuzz { target, seconds } => fuzz::run_fuzz(&root, target.as_deref(), seconds),
        Task::Generate { what, check } => {
            if what != Some(Generated::Queries) {
                generate::run(&root, check)?;
            }
            if what != Some(Generated::Messages) {
                setup::databases(&mut Steps::new(1))?;
                queries::run_queries(&root, check)?;
            }
            Ok(())
        }
        Task::Setup => {
            let mut steps = Steps::new(SETUP_STEPS);
            setup::tools(&root, &mut steps)
        }
    }
}

/// Builds all, runs the server, and rebuilds games whose source changes until it ends.
fn dev(root: &Path, arguments: &[String]) -> anyhow::Result<()> {
    build(root, &mut Steps::new(BUILD_STEPS))?;
    let mut command = Command::new(root.join("target/release/gameserver"));
    command
        .arg("dev")
        .args(["--games", "target/games"])
        .args(arguments)
        .current_dir(root);
    // In a group of its own: signals reach it through us alone, each once.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut server = command
        .spawn()
        .context("cannot start target/release/gameserver")?;
    let server_id = server.id();
    ctrlc::set_handler(move || interrupt(server_id))?;
    let mut seen = newest_sources(root);
    loop {
        if let Some(status) = server.try_wait()? {
            std::process::exit(status.code().unwrap_or(1));
        }
        std::thread::sleep(WATCH_INTERVAL);
        let now = newest_sources(root);
        for (folder, changed) in &now {
            if seen.iter().any(|(f, c)| f == folder && c >= changed) {
                continue;
            }
            eprintln!("{} changed; building it", folder.display());
            match module::build(root, folder, &root.join("target/games")) {
                Ok(_) => eprintln!("built; the next match plays it"),
                Err(error) => {
                    eprintln!("{error:#}\nthe games go on with the last module that built")
                }
            }
        }
        seen = now;
    }
}

/// Asks the server to end, as Ctrl-C would.
fn interrupt(process: u32) {
    #[cfg(unix)]
    if let Some(process) = i32::try_from(process)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
    {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(process, rustix::process::Signal::INT);
    }
    #[cfg(not(unix))]
    let _ = process;
}

fn build(root: &Path, steps: &mut Steps) -> anyhow::Result<()> {
    setup::tools(root, steps)?;
    steps.next("building the games to WebAssembly");
    games(root)?;
    steps.next("building the browser's client to WebAssembly");
    client::build(root)?;
    steps.next("building the pages");
    pages(root)?;
    steps.next("building the server (the first time takes some ten minutes)");
    run(cargo(root).args(["build", "--release", "--package", "gameserver"]))?;
    steps.done();
    Ok(())
}

fn test(root: &Path) -> anyhow::Result<()> {
    let mut steps = Steps::new(TEST_STEPS);
    setup::tools(root, &mut steps)?;
    setup::browser(&mut steps)?;
    setup::python(root, &mut steps)?;
    setup::databases(&mut steps)?;
    steps.next("building the games to WebAssembly");
    games(root)?;
    steps.next("building the browser's client to WebAssembly");
    client::build(root)?;
    steps.next("building the pages, and their unit tests");
    pages(root)?;
    run(npm(root).args(["test"]))?;
    steps.next("Rust tests, on real LiveKit, PostgreSQL and Redis servers");
    let livekit = setup::livekit_server(root)?;
    run(cargo(root)
        .args(["test", "--workspace", "--no-fail-fast"])
        .env("LIVEKIT_SERVER", &livekit)
        .env("CHROMIUM", setup::chromium()?))?;
    steps.next("livekit-data with its other cryptography");
    // Not in one build with the rest, which would switch both on.
    run(cargo(root)
        .args(["test", "--package", "livekit-data", "--no-default-features"])
        .args(["--features", "tokio,rust-crypto", "--lib"])
        .args(["--test", "real_livekit", "--"])
        .args(["join::", "channels::", "crypto::", "fuzz::"])
        .env("LIVEKIT_SERVER", &livekit))?;
    steps.next("random input for whatever reads bytes of others");
    fuzz::run_fuzz(root, None, FUZZ_SECONDS)?;
    steps.next("browser tests");
    let chromium = setup::chromium()?;
    let browser_tests = || {
        let mut command = npm(root);
        command
            .args(["run", "e2e"])
            .env("LIVEKIT_SERVER", &livekit)
            .env("GAMESERVER_BIN", root.join("target/debug/gameserver"))
            .env("CHROMIUM", &chromium);
        command
    };
    run(&mut browser_tests())?;
    steps
        .next("the browser test of a whole match on PostgreSQL and Redis, then in processes apart");
    let (postgres, redis) = (Postgres::start(), Redis::start());
    for setup in ["services", "processes"] {
        run(browser_tests()
            .args(["--", "test/play.test.ts"])
            .env("GAMESERVER_SETUP", setup)
            .env("GAMESERVER_DATABASE_URL", postgres.database())
            .env("GAMESERVER_REDIS_URL", redis.url()))?;
        redis.command("FLUSHALL");
    }
    steps.done();
    Ok(())
}

fn lint(root: &Path) -> anyhow::Result<()> {
    let mut steps = Steps::new(LINT_STEPS);
    steps.next("formatting");
    run(cargo(root).args(["fmt", "--all", "--check"]))?;
    steps.next("licences and sources of the dependencies");
    setup::cargo_deny()?;
    run(cargo(root).args([
        "deny",
        "--all-features",
        "check",
        "bans",
        "licenses",
        "sources",
    ]))?;
    steps.next("npm packages");
    setup::npm_packages(root)?;
    steps.next("building the browser's client to WebAssembly");
    client::build(root)?;
    steps.next("TypeScript: types, lints, formatting, generated code");
    run(npm(root).args(["run", "lint"]))?;
    run(npm(root).args(["run", "gen:check"]))?;
    setup::databases(&mut steps)?;
    steps.next("Rust: generated code");
    generate::run(root, true)?;
    queries::run_queries(root, true)?;
    steps.next("Rust lints");
    run(cargo(root).args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ]))?;
    steps.done();
    Ok(())
}

fn games(root: &Path) -> anyhow::Result<()> {
    for folder in game_folders(root)? {
        module::build(root, &folder, &root.join("target/games"))?;
    }
    Ok(())
}

/// Builds the pages where a source is newer: a new build is a new binary, since they are in it.
fn pages(root: &Path) -> anyhow::Result<()> {
    let web = root.join("web");
    let changed = PAGE_SOURCES
        .iter()
        .filter_map(|path| newest(&web.join(path)))
        .max();
    let built = ["sdk/dist", "demo/dist"].map(|dist| newest(&web.join(dist)));
    // What was never built is older than anything.
    if built.into_iter().all(|built| built >= changed) {
        return Ok(());
    }
    run(npm(root).args(["run", "build"]))
}

fn game_folders(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let games = root.join("games");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&games)
        .with_context(|| format!("cannot list {}", games.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|folder| folder.join("Cargo.toml").is_file())
        .collect();
    folders.sort();
    Ok(folders)
}

/// When each game's source last changed.
fn newest_sources(root: &Path) -> Vec<(PathBuf, SystemTime)> {
    let mut changed = Vec::new();
    for folder in game_folders(root).unwrap_or_default() {
        let at = newest(&folder.join("src")).max(newest(&folder.join("Cargo.toml")));
        changed.extend(at.map(|at| (folder, at)));
    }
    changed
}

/// When a file, or the newest file below a folder, last changed.
fn newest(path: &Path) -> Option<SystemTime> {
    let metadata = path.metadata().ok()?;
    if !metadata.is_dir() {
        return metadata.modified().ok();
    }
    std::fs::read_dir(path)
        .ok()?
        .flatten()
        .filter_map(|entry| newest(&entry.path()))
        .max()
}

fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    command.current_dir(root);
    command
}

fn npm(root: &Path) -> Command {
    let mut command = Command::new("npm");
    command.current_dir(root.join("web"));
    command
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent()
        .expect("xtask is a folder of the workspace")
        .to_owned()
}

const SETUP_STEPS: u32 = 3;
const BUILD_STEPS: u32 = SETUP_STEPS + 4;
const TEST_STEPS: u32 = SETUP_STEPS + 11;
const LINT_STEPS: u32 = 8;

/// For each target: enough to see that it runs. Who looks for something takes `cargo xtask fuzz`.
const FUZZ_SECONDS: u32 = 5;

/// What the pages are built from, within web/.
const PAGE_SOURCES: &[&str] = &[
    "package-lock.json",
    "sdk/package.json",
    "sdk/src",
    "demo/index.html",
    "demo/package.json",
    "demo/public",
    "demo/src",
    "demo/vite.config.ts",
];
const WATCH_INTERVAL: std::time::Duration = std::time::Duration::from_millis(500);
