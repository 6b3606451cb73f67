//! `gameserver check GAME.wasm`: is a module fit to be predicted and rolled back?
//!
//! Loads it as the server would, plays matches of players who do anything that they may, and says
//! what was seen; the first difference by tick and field where there is one. The method is
//! [`gs_engine::sync_test`]'s.

mod hashes;
mod report;
mod timed;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use gs_engine::sync_test::{Settings, SyncTest};
use gs_sandbox::{Limits, Sandbox};

use hashes::Hashes;
use report::Report;
use timed::Timed;

#[derive(Args)]
pub(crate) struct CheckArguments {
    /// The module.
    module: PathBuf,
    /// Everything random follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many ticks to play; a match that ends is followed by another.
    #[arg(long, default_value_t = 3_600, value_parser = clap::value_parser!(u32).range(1..=MAX_TICKS))]
    ticks: u32,
    /// Players of each match. Default: the module's most.
    #[arg(long)]
    players: Option<u8>,
    /// The game's options, a JSON object.
    #[arg(long, default_value = "{}")]
    options: String,
    /// Report as JSON, on one line.
    #[arg(long)]
    json: bool,
    /// Write the logs that were played and the hash of each state to this file, for another runtime
    /// to be held against.
    #[arg(long)]
    hashes: Option<PathBuf>,
}

/// Checks a module and prints the report.
///
/// # Errors
/// Where the module is not taken, or fails.
#[allow(
    clippy::print_stdout,
    reason = "the report is what the command answers"
)]
pub(crate) fn run(arguments: &CheckArguments) -> anyhow::Result<()> {
    let bytes = std::fs::read(&arguments.module)
        .with_context(|| format!("cannot read {}", arguments.module.display()))?;
    let limits = Limits {
        max_instances: INSTANCES,
        step_deadline: STEP_DEADLINE,
        ..Limits::default()
    };
    let compile = |sandbox: Sandbox| {
        sandbox
            .compile(bytes.clone())
            .with_context(|| format!("{} is not taken", arguments.module.display()))
    };
    let module = compile(Sandbox::new(limits)?)?;
    let in_browser = compile(Sandbox::like_a_browser(limits)?)?;
    let manifest = module.manifest();
    let players = arguments.players.unwrap_or(manifest.max_players);
    if !(manifest.min_players..=manifest.max_players).contains(&players) {
        bail!(
            "--players {players}: `{}` is for {} to {}",
            manifest.name,
            manifest.min_players,
            manifest.max_players
        );
    }

    let mut main = Timed::new(module.instantiate()?);
    let (mut second, mut viewer) = (module.instantiate()?, module.instantiate()?);
    let mut browser = in_browser.instantiate()?;
    let settings = Settings {
        seed: arguments.seed,
        ticks: arguments.ticks,
        players,
        options: arguments.options.clone(),
    };
    let mut hashes = arguments
        .hashes
        .is_some()
        .then(|| Hashes::new(&module, &settings));
    let mut progress = Progress::new(arguments.ticks);

    let mut test = SyncTest::new(&mut main, settings.clone())?;
    test.peer("a second instance that never loaded", &mut second);
    test.peer(
        "an instance whose NaNs have any bits, as in a browser (save no NaN but one pattern)",
        &mut browser,
    );
    test.viewer(&mut viewer);
    let outcome = test.run(&mut |ran| {
        progress.show(ran.ticks);
        if let Some(hashes) = &mut hashes {
            hashes.add(&ran);
        }
    });
    progress.clear();

    if let (Some(file), Some(hashes), Ok(_)) = (&arguments.hashes, hashes, &outcome) {
        std::fs::write(file, hashes.into_json())
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let passed = outcome.is_ok();
    let report = Report {
        module: &module,
        settings: &settings,
        outcome,
        times: main.into_times(),
    };
    if arguments.json {
        println!("{}", report.to_json());
    } else {
        print!("{report}");
    }
    if !passed {
        bail!("{} failed the check", arguments.module.display());
    }
    Ok(())
}

/// How far it is, on a terminal.
struct Progress {
    ticks: u32,
    shown: Option<u64>,
    terminal: bool,
}

impl Progress {
    fn new(ticks: u32) -> Self {
        Self {
            ticks,
            shown: None,
            terminal: std::io::stderr().is_terminal(),
        }
    }

    fn show(&mut self, ran: u32) {
        let percent = u64::from(ran) * 100 / u64::from(self.ticks);
        if self.terminal && self.shown != Some(percent) {
            self.shown = Some(percent);
            // That the progress cannot be seen is no reason to stop.
            let _ = write!(std::io::stderr(), "\rchecking … {percent} %");
        }
    }

    fn clear(&self) {
        if self.terminal {
            let _ = write!(std::io::stderr(), "\r                  \r");
        }
    }
}

/// Instances of a module in one sandbox: three to play, and one that describes itself.
const INSTANCES: u32 = 4;
/// Far longer than the server bears: a busy machine is no fault of a module's, and the report says
/// what took how long. A call that never ends is found all the same.
const STEP_DEADLINE: Duration = Duration::from_secs(5);
/// Ten hours at 60 ticks a second.
const MAX_TICKS: i64 = 2_160_000;
