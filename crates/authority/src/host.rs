//! Claims matches and runs them until each has its result.
//!
//! Whoever holds a match's lease in the store runs it, under an epoch that every packet and every
//! write to the store carries. A lease lasts [`LEASE`] and is renewed each [`RENEW`]; a holder that
//! hears of a newer one stops at once, and one that is evicted from the LiveKit room asks the store
//! whether there is one. Otherwise a store that cannot be reached stops nobody. A match that is not
//! run any more is given back, for the store gives no holder what it already holds.

mod attendance;
mod backfill;
mod bans;
mod connection;
mod lease;
mod results;
mod room_task;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError, mpsc as std_mpsc};
use std::time::Duration;

use chrono::{DateTime, Utc};
use gs_engine::simulation::Simulation;
use gs_sandbox::{GameModule, ModuleError};
use gs_store::{CountsOn, Store};
use livekit_rooms::{RoomTokens, Rooms};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::driver::{Command, RoomGauges};
use crate::inbox::Inbox;
use crate::room::{Patience, RoomCounters};
use crate::ticker::{TaskStats, Ticker, TickerStats};

use attendance::Attendance;
pub use lease::{LEASE, RENEW};

/// How an authority runs.
#[derive(Clone, Debug)]
pub struct AuthorityConfig {
    /// The LiveKit server: `ws://` or `wss://`.
    pub livekit_url: String,
    /// A name for this process, for people who look at leases. The authority adds something to it
    /// that no other has, not even the same process after a restart.
    pub holder: String,
    /// How long rooms wait for their players.
    pub patience: Patience,
    /// Tick threads; at least one.
    pub threads: usize,
    /// Most rooms at a time.
    pub max_rooms: usize,
    /// How long the LiveKit server may be away until a match is given up.
    pub outage: Duration,
}

impl AuthorityConfig {
    /// The usual: default patience, as many tick threads as the machine is good for, 256 rooms,
    /// and a minute for the LiveKit server to come back.
    pub fn new(livekit_url: impl Into<String>, holder: impl Into<String>) -> Self {
        Self {
            livekit_url: livekit_url.into(),
            holder: holder.into(),
            patience: Patience::default(),
            threads: Ticker::default_threads(),
            max_rooms: 256,
            outage: Duration::from_secs(60),
        }
    }
}

/// Where an authority gets its games from.
pub trait Modules: Send + Sync {
    /// Makes an instance of a game for one match. Called on a thread that may block.
    ///
    /// # Errors
    /// [`LoadError`] says what players are told.
    fn load(&self, game: &str, sha256: &str) -> Result<LoadedGame, LoadError>;

    /// The boards that a rated match of this game and mode counts on which ended at that time.
    /// Called where nothing may block.
    fn counts_on(&self, _game: &str, _mode: &str, _ended_at: DateTime<Utc>) -> Vec<CountsOn> {
        Vec::new()
    }
}

/// An instance of a game, for one match.
pub struct LoadedGame {
    /// The game.
    pub simulation: Box<dyn Simulation + Send>,
    /// Its manifest as it wrote it, JSON.
    pub manifest_json: String,
}

impl LoadedGame {
    /// An instance of a module.
    ///
    /// # Errors
    /// [`ModuleError`] where no more instances are allowed.
    pub fn of_module(module: &GameModule) -> Result<Self, ModuleError> {
        let simulation = Box::new(module.instantiate()?);
        Ok(Self {
            simulation,
            manifest_json: module.manifest_json().to_owned(),
        })
    }
}

/// Why a game could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No game of that name and hash is served here.
    #[error("game {game} with module {sha256} is not served here; deploy it, or end its matches")]
    Unknown {
        /// The game's name.
        game: String,
        /// The module's hash.
        sha256: String,
    },
    /// The module does not give an instance.
    #[error(transparent)]
    Module(#[from] ModuleError),
}

/// Runs matches.
pub struct Authority {
    config: AuthorityConfig,
    holder: String,
    store: Arc<dyn Store>,
    rooms: Arc<dyn Rooms>,
    tokens: RoomTokens,
    modules: Arc<dyn Modules>,
    ticker: Ticker,
    running: Mutex<Running>,
    attendance: Arc<Attendance>,
}

#[derive(Default)]
struct Running {
    rooms: BTreeMap<Uuid, RunningRoom>,
    /// What the rooms counted that are not among them any more.
    past: RoomCounters,
}

/// What is shown of a room that runs.
struct RunningRoom {
    room: String,
    game: String,
    players: Vec<Uuid>,
    /// Those of them that the room was told of.
    banned: BTreeSet<Uuid>,
    commands: std_mpsc::Sender<Command>,
    gauges: Arc<RoomGauges>,
    inbox: Arc<Inbox>,
    cost: Arc<TaskStats>,
}

impl RunningRoom {
    fn counters(&self) -> RoomCounters {
        RoomCounters {
            inbox_dropped: self.inbox.dropped(),
            unsent: self.gauges.unsent.load(Relaxed),
            ..self.gauges.counters()
        }
    }
}

/// A room that runs, as operators see it.
#[derive(Clone, Debug)]
pub struct RoomStatus {
    /// The match.
    pub match_id: Uuid,
    /// LiveKit's name of the room.
    pub room: String,
    /// Which game.
    pub game: String,
    /// Its last tick.
    pub tick: u32,
    /// What it counted, up to a few ticks ago.
    pub counters: RoomCounters,
    /// Packets that came faster than the room took them, and were dropped.
    pub inbox_dropped: u64,
    /// Packets that the connection did not take.
    pub unsent: u64,
    /// Time spent in its ticks.
    pub busy: Duration,
    /// Its longest tick.
    pub longest_tick: Duration,
    /// Ticks that ran, those of waiting included.
    pub ticks: u64,
    /// Ticks that were given up because the room was behind.
    pub skipped_ticks: u64,
}

impl Authority {
    /// Starts the tick threads. Nothing is claimed until [`Authority::run`].
    ///
    /// # Errors
    /// Where the system gives no threads.
    pub fn new(
        config: AuthorityConfig,
        store: Arc<dyn Store>,
        rooms: Arc<dyn Rooms>,
        tokens: RoomTokens,
        modules: Arc<dyn Modules>,
    ) -> io::Result<Arc<Self>> {
        let ticker = Ticker::start(config.threads)?;
        let running = Mutex::default();
        // A lease that ran out is free to every name but its own.
        let holder = format!("{}/{:016x}", config.holder, rand::random::<u64>());
        Ok(Arc::new(Self {
            config,
            holder,
            store,
            rooms,
            tokens,
            modules,
            ticker,
            running,
            attendance: Arc::default(),
        }))
    }

    /// Claims matches and runs them, until `shutdown`. Then it claims no more, ends the matches
    /// that run as void, and returns when their results are stored or [`SHUTDOWN`] is over.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        // Ends with this, whatever way that is.
        let mut upkeep = JoinSet::new();
        upkeep.spawn({
            let authority = self.clone();
            async move {
                tokio::join!(authority.tell_presence(), authority.enforce_bans());
            }
        });
        let tasks = TaskTracker::new();
        let permits = Arc::new(Semaphore::new(self.config.max_rooms));
        let mut changes = self.store.changes();
        let mut store_fails = false;
        while !shutdown.is_cancelled() {
            let permit = tokio::select! {
                permit = permits.clone().acquire_owned() => permit,
                () = shutdown.cancelled() => break,
            };
            changes.mark_unchanged();
            let claimed = self
                .store
                .claim_match(&self.holder, Utc::now(), LEASE)
                .await;
            let pause = match claimed {
                Ok(Some(claim)) => {
                    store_fails = false;
                    let (authority, shutdown) = (self.clone(), shutdown.clone());
                    tasks.spawn(async move {
                        authority.hold_match(claim, shutdown).await;
                        drop(permit);
                    });
                    continue;
                }
                Ok(None) => {
                    store_fails = false;
                    POLL
                }
                Err(error) => {
                    if !store_fails {
                        tracing::error!(%error, "no matches can be claimed; trying on");
                    }
                    store_fails = true;
                    // A store that was away finds leases that have run out. Their holders are the
                    // first to speak then.
                    LEASE
                }
            };
            drop(permit);
            tokio::select! {
                // A store that is gone reports nothing any more; then only the poll is left.
                Ok(()) = changes.changed(), if !store_fails => {}
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => {}
            }
        }
        tasks.close();
        if tokio::time::timeout(SHUTDOWN, tasks.wait()).await.is_err() {
            let left = tasks.len();
            tracing::error!(
                rooms = left,
                "shutting down although results are not stored"
            );
        }
        self.tell_last_presence().await;
    }

    /// The rooms that run, by match.
    pub fn rooms(&self) -> Vec<RoomStatus> {
        let running = self.running();
        let status = |(match_id, room): (&Uuid, &RunningRoom)| RoomStatus {
            match_id: *match_id,
            room: room.room.clone(),
            game: room.game.clone(),
            tick: room.gauges.tick.load(Relaxed),
            counters: room.counters(),
            inbox_dropped: room.inbox.dropped(),
            unsent: room.gauges.unsent.load(Relaxed),
            busy: Duration::from_nanos(room.cost.busy_ns.load(Relaxed)),
            longest_tick: Duration::from_nanos(room.cost.longest_ns.load(Relaxed)),
            ticks: room.cost.ticks.load(Relaxed),
            skipped_ticks: room.cost.skipped.load(Relaxed),
        };
        running.rooms.iter().map(status).collect()
    }

    /// What all rooms counted since the start: those that run, up to a few ticks ago, and those
    /// that ended. No counter ever goes down, as a monitoring system expects of a sum.
    pub fn totals(&self) -> RoomCounters {
        let running = self.running();
        let mut totals = running.past;
        for room in running.rooms.values() {
            totals += room.counters();
        }
        totals
    }

    /// Shows a room no more, and adds what it counted to that of the others that ended.
    fn forget_room(&self, match_id: Uuid) {
        self.attendance.close(match_id);
        let mut running = self.running();
        if let Some(room) = running.rooms.remove(&match_id) {
            running.past += room.counters();
        }
    }

    /// How well the tick threads keep their deadlines.
    pub fn tick_stats(&self) -> &Arc<TickerStats> {
        self.ticker.stats()
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often a store that reports no changes is asked for matches: a lease that runs out is no
/// change, and another process's store may report late.
const POLL: Duration = Duration::from_millis(500);
/// How long a shutdown waits for results to be stored: below the ten seconds after which
/// supervisors commonly kill.
pub const SHUTDOWN: Duration = Duration::from_secs(8);
