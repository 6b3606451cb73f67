//! `gameserver match simulate`: what rules would do to a stream of tickets, before any player waits
//! by them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use gs_matchmaker::Rules;

use super::plot;
use super::report::{Figures, Report, StreamFacts};
use super::simulation::{self, Outcome};
use super::stream::{self, Arrival};
use super::synthetic::{Population, Weighted};
use crate::config::Matchmaking;

#[derive(Args)]
pub(crate) struct SimulateArguments {
    /// A file with rules, as `games.ID.matchmaking` names it.
    rules: PathBuf,
    /// Another, to hold it against.
    other: Option<PathBuf>,
    /// Players of a match, where the rules leave it to the module.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    players: u8,
    /// Teams, where the rules leave it to the module; 0: everyone for themselves.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=64))]
    teams: u8,
    /// A stream that `gameserver match record` wrote. Default: one is made up.
    #[arg(long, conflicts_with_all = MADE_UP)]
    tickets: Option<PathBuf>,
    /// The mode whose tickets are played, where the stream has several.
    #[arg(long, requires = "tickets")]
    mode: Option<String>,
    /// How many players come to the queue in a minute.
    #[arg(long, default_value_t = 30.0)]
    players_per_minute: f64,
    /// For how long.
    #[arg(long, default_value_t = 4.0)]
    hours: f64,
    /// How many of a hundred groups are parties.
    #[arg(long, default_value_t = 20.0)]
    parties: f64,
    /// Players of the largest party. Default: as many as the rules take, at most 5.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=16))]
    largest_party: Option<u8>,
    /// How many of a hundred players are in their placement matches.
    #[arg(long, default_value_t = 10.0)]
    new_players: f64,
    /// Where players live, each with a weight. Default: evenly in the rules' regions.
    #[arg(long, value_name = "NAME:WEIGHT,…")]
    regions: Option<String>,
    /// What players say of themselves, each with a weight; may be repeated.
    #[arg(long = "attribute", value_name = "NAME=VALUE:WEIGHT,…")]
    attributes: Vec<String>,
    /// After how many seconds players give up, on the average. Default: they do not.
    #[arg(long)]
    patience: Option<f64>,
    /// Everything that is made up follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Report as JSON, on one line.
    #[arg(long)]
    json: bool,
    /// Draw a picture into this file.
    #[arg(long)]
    svg: Option<PathBuf>,
}

/// Simulates, and prints the report.
///
/// # Errors
/// Rules, streams and figures that cannot be, and files that cannot be read or written.
#[allow(
    clippy::print_stdout,
    reason = "the report is what the command answers"
)]
pub(crate) fn simulate(arguments: &SimulateArguments) -> anyhow::Result<()> {
    let files = [Some(&arguments.rules), arguments.other.as_ref()];
    let files: Vec<&PathBuf> = files.into_iter().flatten().collect();
    let otherwise = Rules::for_players(arguments.players, arguments.teams);
    let read = |file: &&PathBuf| Matchmaking::read(file)?.over_rules(otherwise.clone());
    let rules: Vec<Rules> = files.iter().map(read).collect::<Result<_, _>>()?;
    let (arrivals, end_ms, source) = match &arguments.tickets {
        Some(file) => {
            let arrivals = recorded(file, arguments.mode.as_deref())?;
            let end_ms = stream::end_ms(&arrivals);
            (arrivals, end_ms, file.display().to_string())
        }
        None => {
            let population = population(arguments, &rules)?;
            let source = format!("made up from seed {}", arguments.seed);
            (population.arrivals(), population.end_ms(), source)
        }
    };
    let names = names(&files);
    let mut progress = Progress::new(rules.len());
    let mut outcomes: Vec<Outcome> = Vec::new();
    for rules in &rules {
        let done = outcomes.len();
        let mut told = |share: f64| progress.show(done as f64 + share);
        outcomes.push(simulation::play(&arrivals, end_ms, rules, &mut told));
    }
    progress.clear();

    let pairs: Vec<(&str, &Outcome)> = names.iter().map(String::as_str).zip(&outcomes).collect();
    let figures = pairs
        .iter()
        .map(|(name, outcome)| Figures::new(name, outcome));
    let report = Report {
        stream: StreamFacts {
            source,
            players: arrivals.iter().map(|arrival| arrival.members.len()).sum(),
            groups: arrivals.len(),
            hours: end_ms as f64 / 3_600_000.0,
            seed: arguments.tickets.is_none().then_some(arguments.seed),
        },
        rules: figures.collect(),
    };
    if let Some(file) = &arguments.svg {
        std::fs::write(file, plot::draw(&pairs)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}

fn recorded(file: &Path, mode: Option<&str>) -> anyhow::Result<Vec<Arrival>> {
    let shown = file.display();
    let opened = File::open(file).with_context(|| format!("cannot read {shown}"))?;
    stream::read(BufReader::new(opened), mode).with_context(|| format!("{shown} cannot be played"))
}

/// What is asked for, held against what the rules know.
fn population(arguments: &SimulateArguments, rules: &[Rules]) -> anyhow::Result<Population> {
    let within = |name: &str, value: f64, least: f64, most: f64| {
        if value >= least && value <= most {
            return Ok(value);
        }
        bail!("--{name} {value}: expected {least} to {most}")
    };
    let share =
        |name: &str, value: f64| Ok::<_, anyhow::Error>(within(name, value, 0.0, 100.0)? / 100.0);
    let hours = within("hours", arguments.hours, 0.01, 168.0)?;
    let rate = arguments.players_per_minute;
    let players_per_minute = within("players-per-minute", rate, 0.01, 100_000.0)?;
    let players = players_per_minute * 60.0 * hours;
    if players > MAX_PLAYERS {
        bail!(
            "{players:.0} players are too many: at most {MAX_PLAYERS}; give fewer --hours or \
             --players-per-minute"
        );
    }
    let taken = rules.iter().map(Rules::largest_party).max().unwrap_or(1);
    let patience = arguments.patience;
    let patience = patience.map(|seconds| within("patience", seconds, 1.0, 86_400.0));
    let known: BTreeSet<&String> = rules
        .iter()
        .filter_map(|rules| rules.latency.as_ref())
        .flat_map(|latency| &latency.regions)
        .collect();
    let regions = match &arguments.regions {
        Some(text) => weighted("regions", text)?,
        None => (known.into_iter())
            .map(|name| Weighted {
                name: name.clone(),
                weight: 1.0,
            })
            .collect(),
    };
    Ok(Population {
        seed: arguments.seed,
        players_per_minute,
        hours,
        parties: share("parties", arguments.parties)?,
        largest_party: arguments.largest_party.unwrap_or(taken.min(LARGEST_PARTY)),
        new_players: share("new-players", arguments.new_players)?,
        regions,
        attributes: attributes(&arguments.attributes, rules)?,
        patience: patience.transpose()?,
    })
}

fn attributes(
    given: &[String],
    rules: &[Rules],
) -> anyhow::Result<BTreeMap<String, Vec<Weighted>>> {
    let all = || rules.iter().flat_map(|rules| &rules.attributes);
    let mut attributes = BTreeMap::new();
    for text in given {
        let Some((name, values)) = text.split_once('=') else {
            bail!("--attribute {text}: expected NAME=VALUE:WEIGHT,… such as map=dust:3,ice:1");
        };
        if !all().any(|rule| rule.name == name) {
            bail!("--attribute {text}: no rules ask for `{name}`");
        }
        attributes.insert(name.to_owned(), weighted("attribute", values)?);
    }
    match all().find(|rule| rule.required && !attributes.contains_key(&rule.name)) {
        Some(rule) => bail!(
            "everybody has to give `{}`: say what they give, such as --attribute {}=VALUE:1",
            rule.name,
            rule.name
        ),
        None => Ok(attributes),
    }
}

/// `eu:3,us:1`; without a weight, it is 1.
fn weighted(argument: &str, text: &str) -> anyhow::Result<Vec<Weighted>> {
    let one = |part: &str| {
        let (name, weight) = match part.rsplit_once(':') {
            Some((name, weight)) => (name, weight.parse().ok()),
            None => (part, Some(1.0)),
        };
        let weight = weight.filter(|weight: &f64| *weight > 0.0 && *weight <= 1e6);
        match weight {
            Some(weight) if !name.is_empty() => Ok(Weighted {
                name: name.to_owned(),
                weight,
            }),
            _ => bail!("--{argument}: expected NAME:WEIGHT with a weight above 0, found `{part}`"),
        }
    };
    text.split(',').map(one).collect()
}

/// The files' names, with their folders where they are the same.
fn names(files: &[&PathBuf]) -> Vec<String> {
    let short = |file: &Path| {
        file.file_name()
            .map(|name| name.to_string_lossy().into_owned())
    };
    let same = files.len() > 1 && short(files[0]) == short(files[1]);
    let name = |file: &&PathBuf| match short(file).filter(|_| !same) {
        Some(name) => name,
        None => file.display().to_string(),
    };
    files.iter().map(name).collect()
}

/// How far it is: at once on a terminal, else now and then.
struct Progress {
    runs: usize,
    terminal: bool,
    shown: Option<u64>,
    shown_at: Instant,
}

impl Progress {
    fn new(runs: usize) -> Self {
        Self {
            runs,
            terminal: std::io::stderr().is_terminal(),
            shown: None,
            shown_at: Instant::now(),
        }
    }

    fn show(&mut self, done: f64) {
        let percent = (100.0 * done / self.runs as f64) as u64;
        if self.shown == Some(percent) {
            return;
        }
        // That the progress cannot be seen is no reason to stop.
        if self.terminal {
            let _ = write!(std::io::stderr(), "\rsimulating … {percent} %");
        } else if self.shown_at.elapsed() >= NOW_AND_THEN {
            let _ = writeln!(std::io::stderr(), "simulating … {percent} %");
            self.shown_at = Instant::now();
        }
        self.shown = Some(percent);
    }

    fn clear(&self) {
        if self.terminal {
            let _ = write!(std::io::stderr(), "\r                    \r");
        }
    }
}

/// What only a stream that is made up has.
const MADE_UP: [&str; 9] = [
    "players_per_minute",
    "hours",
    "parties",
    "largest_party",
    "new_players",
    "regions",
    "attributes",
    "patience",
    "seed",
];
/// Larger ones are rare wherever parties are counted.
const LARGEST_PARTY: u8 = 5;
/// Half a gigabyte of tickets.
const MAX_PLAYERS: f64 = 1_000_000.0;
const NOW_AND_THEN: Duration = Duration::from_secs(5);
