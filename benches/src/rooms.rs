//! `rooms`: how late ticks start, and what a room costs, with 1, 5, 10, 20 … rooms of ten players
//! at 60 Hz; the CPU split between authority, LiveKit server and the bench's own players.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use gs_engine::schema::Schema;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::bot::Bot;
use crate::report::Report;
use crate::server::{Server, cpu_seconds, memory_bytes, root, seats};

/// Runs it.
pub(crate) async fn run(quick: bool, schema: Arc<Schema>) -> anyhow::Result<Report> {
    let server = Server::start(&root(), PLAYERS as u8).await?;
    let (authority, livekit) = server.processes()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    let (settle, window) = if quick { (1, 4) } else { (3, 15) };
    let empty = memory_bytes(authority)?;

    let mut bots = JoinSet::new();
    let mut curve: Vec<Level> = Vec::new();
    let mut rooms = 0;
    for target in LEVELS {
        while rooms < *target {
            let seats = seats(&server.url, &format!("room-{rooms}"), PLAYERS).await?;
            for (player, seat) in seats.iter().enumerate() {
                let bot = Bot::join(seat, schema.clone(), None).await?;
                bots.spawn(play(bot, (rooms * PLAYERS + player) as u64));
            }
            rooms += 1;
        }
        tokio::time::sleep(Duration::from_secs(settle)).await;
        let before = (
            Instant::now(),
            cpu_seconds(authority)?,
            cpu_seconds(livekit)?,
            own_cpu()?,
            lateness(&server.url).await?,
        );
        tokio::time::sleep(Duration::from_secs(window)).await;
        let elapsed = before.0.elapsed().as_secs_f64();
        let percent = |now: f64, then: f64| (now - then) / elapsed * 100.0;
        let level = Level {
            rooms,
            lateness: lateness(&server.url).await?.since(&before.4),
            authority_pct: percent(cpu_seconds(authority)?, before.1),
            livekit_pct: percent(cpu_seconds(livekit)?, before.2),
            bots_pct: percent(own_cpu()?, before.3),
            memory: memory_bytes(authority)?.saturating_sub(empty) / rooms as u64,
        };
        eprintln!("{}", level.line(cores));
        let busy = level.busy_share(cores);
        curve.push(level);
        if busy > BUSY {
            break;
        }
    }
    bots.shutdown().await;
    server.stop().await?;

    let mut report = Report::new("rooms", "none: the split names what each process takes");
    let within = curve
        .iter()
        .rev()
        .find(|level| level.busy_share(cores) <= BUSY);
    let chosen = within.or(curve.first()).context("no level was measured")?;
    report.lines = curve.iter().map(|level| level.line(cores)).collect();
    report.metrics = chosen.json();
    report.metrics["curve"] = curve.iter().map(Level::json).collect();
    Ok(report)
}

/// Sends an input a tick, at a phase of its own, until it is stopped.
async fn play(bot: Bot, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    tokio::time::sleep(TICK.mul_f64(random.random())).await;
    let mut ticks = tokio::time::interval(TICK);
    loop {
        ticks.tick().await;
        if bot.send_input(random.random_range(-3.0..3.0)).is_err() {
            return;
        }
    }
}

/// What was measured at one number of rooms.
struct Level {
    rooms: usize,
    lateness: Lateness,
    authority_pct: f64,
    livekit_pct: f64,
    bots_pct: f64,
    memory: u64,
}

impl Level {
    fn busy_share(&self, cores: f64) -> f64 {
        (self.authority_pct + self.livekit_pct + self.bots_pct) / (100.0 * cores)
    }

    fn line(&self, cores: f64) -> String {
        let [p50, p99, p999] = self.lateness.quantiles_us();
        let rooms = self.rooms as f64;
        format!(
            "{:3} rooms: late p50 {p50:5} µs  p99 {p99:5} µs  p99.9 {p999:5} µs; CPU of one core: authority {:5.1} %, \
             LiveKit {:5.1} %, players {:5.1} % ({:.2} + {:.2} a room); machine {:3.0} % busy; {} kB a room",
            self.rooms,
            self.authority_pct,
            self.livekit_pct,
            self.bots_pct,
            self.authority_pct / rooms,
            self.livekit_pct / rooms,
            self.busy_share(cores) * 100.0,
            self.memory / 1000,
        )
    }

    fn json(&self) -> Value {
        let [p50, p99, p999] = self.lateness.quantiles_us();
        let rooms = self.rooms as f64;
        json!({
            "rooms": self.rooms, "players_per_room": PLAYERS,
            "lateness_p50_us": p50, "lateness_p99_us": p99, "lateness_p999_us": p999,
            "authority_cpu_pct_per_room": round(self.authority_pct / rooms),
            "livekit_cpu_pct_per_room": round(self.livekit_pct / rooms),
            "bots_cpu_pct_per_room": round(self.bots_pct / rooms),
            "memory_bytes_per_room": self.memory,
        })
    }
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// How often ticks were how late: counts up to and including each bound, in nanoseconds.
struct Lateness(BTreeMap<u64, u64>);

impl Lateness {
    fn since(&self, before: &Lateness) -> Lateness {
        let difference = |(bound, count): (&u64, &u64)| (*bound, count - before.up_to(*bound));
        Lateness(self.0.iter().map(difference).collect())
    }

    fn up_to(&self, bound: u64) -> u64 {
        self.0
            .range(..=bound)
            .next_back()
            .map_or(0, |(_, count)| *count)
    }

    fn quantiles_us(&self) -> [u64; 3] {
        let total = self.0.values().max().copied().unwrap_or(0) as f64;
        [0.5, 0.99, 0.999].map(|share| {
            let found = self
                .0
                .iter()
                .find(|(_, count)| **count as f64 >= total * share);
            found.map_or(0, |(bound, _)| bound / 1_000)
        })
    }
}

/// The server's histogram of tick lateness, by `GET /metrics`.
async fn lateness(url: &str) -> anyhow::Result<Lateness> {
    let text = reqwest::get(format!("{url}/metrics"))
        .await?
        .error_for_status()?
        .text()
        .await?;
    let mut counts = BTreeMap::new();
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("gameserver_tick_lateness_seconds_bucket{le=\"") else {
            continue;
        };
        let (bound, count) = rest
            .split_once("\"} ")
            .context("a bucket without a count")?;
        let Ok(bound) = bound.parse::<f64>() else {
            continue;
        };
        if bound.is_finite() {
            counts.insert((bound * 1e9).round() as u64, count.parse()?);
        }
    }
    Ok(Lateness(counts))
}

fn own_cpu() -> anyhow::Result<f64> {
    cpu_seconds(std::process::id())
}

const PLAYERS: usize = 10;
const LEVELS: &[usize] = &[1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 60, 80, 120];
/// The share of the machine that may be busy at the level that is reported.
const BUSY: f64 = 0.7;
const TICK: Duration = Duration::from_nanos(16_666_667);
