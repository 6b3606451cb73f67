//! How long calls hold the threads that all calls share.
//!
//! The API runs in this process for it, on a runtime of its own and over the same store. Each poll
//! of a call's future, and of the tasks beside calls, is timed by the processor time of its thread:
//! on a busy machine the clock would mostly count how long a thread waited for a core. What the
//! libraries' own tasks do (HTTP's framing, the connections to PostgreSQL and Redis) is in the second
//! figure: all that a thread does between two sleeps while one caller calls.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use cpu_time::ThreadTime;
use gs_api::{
    Api, ApiParts, GameCatalog, GameInfo, GameMode, Limits, Rate, Settings, SystemEnvironment,
};
use gs_store::{
    BoardInfo, BoardRule, DEFAULT_BOARD, PostgresOptions, PostgresStore, Season, Store,
};
use livekit_rooms::{LiveKitRooms, RoomTokens};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::{
    CALLERS, Caller, GAME, World, around_me, board_top, login, rebuild, refresh, register, stats,
};
use crate::load::{Load, Until};
use crate::report::{Latencies, Report};
use crate::services::Services;

/// What was measured.
#[derive(Default)]
pub(super) struct Polls {
    /// Processor time of each poll.
    polls: Latencies,
    /// How many took over [`LONG`].
    long: u64,
    /// The longest by what was polled.
    longest: BTreeMap<String, Duration>,
    /// The longest time that a thread was busy without a pause, one caller alone.
    longest_stretch: Duration,
}

/// Has players do a bit of everything, many of them and then one, and times the threads.
pub(super) async fn measure(
    services: &Services,
    world: &mut World,
    quick: bool,
) -> anyhow::Result<Polls> {
    let time = Duration::from_secs(if quick { 3 } else { 10 });
    let polls: Arc<Mutex<Polls>> = Arc::default();
    let stretch = Arc::new(AtomicU64::new(0));
    let runtime = runtime(stretch.clone())?;
    let served = runtime.spawn(serve(services.options(), polls.clone()));
    world.move_to(served.await??).await?;
    // Ranks come from Redis once this process keeps it up with the record.
    rebuild(&services.store().await?).await?;

    *polls.lock().unwrap_or_else(PoisonError::into_inner) = Polls::default();
    let (mut reading, mut signing_in) = (Load::default(), Load::default());
    tokio::try_join!(
        reading.round(&mut world.callers, Until::Time(time), read),
        signing_in.round(&mut world.signing_in, Until::Time(time), sign_in),
    )?;
    let mut measured = std::mem::take(&mut *polls.lock().unwrap_or_else(PoisonError::into_inner));
    stretch.store(0, Ordering::Relaxed);
    let mut one = world.callers.split_off(CALLERS - 1);
    Load::default()
        .round(&mut one, Until::Time(time / 3), read)
        .await?;
    measured.longest_stretch = Duration::from_nanos(stretch.load(Ordering::Relaxed));
    runtime.shutdown_background();
    Ok(measured)
}

impl Polls {
    pub(super) fn report(&self, report: &mut Report) {
        let [p50, p99, p999] = self.polls.quantiles_ns().map(|ns| ns as f64 / 1e3);
        let count = self.polls.count();
        let longest = self.longest.values().max().copied().unwrap_or_default();
        report.metrics["polls"] = json!(count);
        report.metrics["polls_over_1_ms"] = json!(self.long);
        report.metrics["poll_p99_us"] = json!(p99);
        report.metrics["poll_p999_us"] = json!(p999);
        report.metrics["poll_longest_us"] = json!(longest.as_micros() as u64);
        report.metrics["thread_busy_longest_us"] = json!(self.longest_stretch.as_micros() as u64);
        report.lines.push(format!(
            "async threads: {count} polls, p50 {p50:.1} µs  p99 {p99:.1} µs  p99.9 {p999:.1} µs  longest {} µs; \
             {} took over 1 ms (aim: none); with one caller a thread was busy for {} µs at most",
            longest.as_micros(),
            self.long,
            self.longest_stretch.as_micros(),
        ));
        let each = self
            .longest
            .iter()
            .map(|(what, time)| format!("{what} {} µs", time.as_micros()));
        report.lines.push(format!(
            "longest poll: {}",
            each.collect::<Vec<_>>().join(", ")
        ));
    }

    fn add(&mut self, what: &str, took: Duration) {
        self.polls.add(Some(took));
        self.long += u64::from(took > LONG);
        match self.longest.get_mut(what) {
            Some(longest) => *longest = (*longest).max(took),
            None => drop(self.longest.insert(what.to_owned(), took)),
        }
    }
}

/// What a player who is signed in does.
async fn read(caller: Caller, number: u64) -> anyhow::Result<Caller> {
    match number % 4 {
        0 => board_top(caller).await,
        1 => around_me(caller).await,
        2 => stats(caller).await,
        _ => refresh(caller).await,
    }
}

async fn sign_in(caller: Caller, number: u64) -> anyhow::Result<Caller> {
    match number % 2 {
        0 => login(caller, CALLERS as u64 + 1 + number).await,
        _ => register(caller, format!("late-{number}")).await,
    }
}

/// Serves the API on a free port until the runtime ends; answers where.
async fn serve(options: PostgresOptions, polls: Arc<Mutex<Polls>>) -> anyhow::Result<SocketAddr> {
    let store: Arc<dyn Store> = Arc::new(PostgresStore::connect(&options).await?);
    let unlimited = Rate {
        burst: 1_000_000,
        interval: Duration::from_millis(1),
    };
    let api = Api::new(ApiParts {
        store: store.clone(),
        catalog: Arc::new(OneGame(Arc::new(game()))),
        // No match is formed, so nobody asks for a room.
        rooms: Arc::new(LiveKitRooms::new(LIVEKIT, "bench", "bench")),
        room_tokens: RoomTokens::new("bench", "bench"),
        livekit_url: LIVEKIT.to_owned(),
        environment: Arc::new(SystemEnvironment),
        settings: Settings {
            limits: Limits {
                address: unlimited,
                account: unlimited,
                queue: unlimited,
                queue_address: unlimited,
            },
            ..Settings::default()
        },
    })
    .await?;
    let (background, maintained) = (api.clone(), polls.clone());
    tokio::spawn({
        let polls = polls.clone();
        async move {
            timed(
                "background",
                &polls,
                background.run_background(std::future::pending()),
            )
            .await
        }
    });
    tokio::spawn(async move { timed("store's work", &maintained, store.maintain()).await });
    let router = api
        .router()
        .layer(from_fn(move |request: Request, next: Next| {
            let polls = polls.clone();
            async move {
                let path = request.uri().path();
                // Without ids, which would be names without end.
                let what = path.split('/').take(3).collect::<Vec<_>>().join("/");
                timed(&what, &polls, next.run(request)).await
            }
        }));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    Ok(address)
}

/// Waits for the future, and notes how long each of its polls kept the thread at work.
async fn timed<F: Future>(what: &str, polls: &Mutex<Polls>, future: F) -> F::Output {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        let started = ThreadTime::now();
        let polled = future.as_mut().poll(context);
        let took = started.elapsed();
        polls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add(what, took);
        polled
    })
    .await
}

/// A runtime that notes the longest time for which one of its threads was at work without a pause,
/// in nanoseconds.
fn runtime(longest: Arc<AtomicU64>) -> std::io::Result<Runtime> {
    thread_local!(static WOKE: Cell<Option<ThreadTime>> = const { Cell::new(None) });
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .on_thread_unpark(|| WOKE.set(Some(ThreadTime::now())))
        .on_thread_park(move || {
            if let Some(woke) = WOKE.take() {
                longest.fetch_max(woke.elapsed().as_nanos() as u64, Ordering::Relaxed);
            }
        })
        .build()
}

struct OneGame(Arc<GameInfo>);

impl GameCatalog for OneGame {
    fn games(&self) -> Vec<Arc<GameInfo>> {
        vec![self.0.clone()]
    }

    fn game(&self, id: &str) -> Option<Arc<GameInfo>> {
        (id == GAME).then(|| self.0.clone())
    }

    fn module(&self, _game: &str, _sha256: &str) -> Option<axum::body::Bytes> {
        None
    }
}

fn game() -> GameInfo {
    GameInfo {
        id: GAME.to_owned(),
        title: "Arena".to_owned(),
        version: "1".to_owned(),
        abi: 1,
        tick_rate: 60,
        min_players: 2,
        max_players: 16,
        teams: 0,
        modes: vec![GameMode {
            name: "default".to_owned(),
            players: 2,
            rules: Arc::new(gs_matchmaker::Rules::for_players(2, 0)),
            authority_mode: "full".to_owned(),
            rated: true,
        }],
        boards: vec![BoardInfo {
            id: DEFAULT_BOARD.to_owned(),
            rule: BoardRule::Best,
            statistic: None,
            modes: Vec::new(),
            season: Season::Never,
        }],
        module_sha256: "00".repeat(32),
        module_bytes: 0,
        manifest: json!({}),
        options: "{}".to_owned(),
    }
}

/// What no poll may take.
const LONG: Duration = Duration::from_millis(1);
/// Where no LiveKit server is.
const LIVEKIT: &str = "http://127.0.0.1:9";
