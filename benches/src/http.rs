//! `http`: how many calls a second `gameserver dev` answers over PostgreSQL and Redis, in turns with
//! what each of them rests on: bare Argon2id, the server's own `/healthz`, a bare `ZREVRANGE`.

mod client;
mod polls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use argon2::{Argon2, PasswordVerifier};
use gs_store::{Boards, PostgresStore};
use redis::aio::ConnectionManager;
use serde_json::{Map, Value, json};

use crate::load::{Load, Until, round};
use crate::report::Report;
use crate::server::{Seat, Server, root, seats};
use crate::services::{PLAYER_ID, SCORE, Services, player_id};
use client::Connection;

/// Runs it.
pub(crate) async fn run(quick: bool) -> anyhow::Result<Report> {
    let services = Services::start().await?;
    let config = json!({
        "server": { "sign_ins_per_minute": 60_000 },
        "database": { "url": services.database_url },
        "redis": { "url": services.redis_url },
        "games": { GAME: {
            "module": root().join("target/games/arena.wasm"), "players": 2,
            "authority_mode": "full",
        }},
    });
    let server = Server::start_with(&root(), &config).await?;
    let address: SocketAddr = server
        .url
        .strip_prefix("http://")
        .and_then(|address| address.parse().ok())
        .with_context(|| format!("{} is no address", server.url))?;
    let hash = password_hash(&services, address).await?;
    fill(&services, &hash).await?;

    let mut world = World::new(&services, address, hash).await?;
    let (rounds, time) = if quick { (3, 600) } else { (6, 3_000) };
    let mut measured = Measured::default();
    for round in 1..=rounds {
        eprintln!("calls, round {round}/{rounds}");
        let seats = seats(&server.url, &format!("bench-{round}"), 2).await?;
        let time = Duration::from_millis(time);
        measured.round(&mut world, &seats, round, time).await?;
    }
    server.stop().await?;
    eprintln!("time on the async threads");
    let polls = polls::measure(&services, &mut world, quick).await?;

    let mut report = Report::new(
        "http",
        "bare Argon2id, GET /healthz of the same server, bare ZREVRANGE",
    );
    measured.report(&mut report);
    polls.report(&mut report);
    Ok(report)
}

/// What was measured, by call.
#[derive(Default)]
struct Measured {
    register: Load,
    login: Load,
    refresh: Load,
    token: Load,
    board_top: Load,
    board_around: Load,
    stats: Load,
    argon2: Load,
    healthz: Load,
    zrevrange: Load,
}

impl Measured {
    async fn round(
        &mut self,
        world: &mut World,
        seats: &[Seat],
        round: u64,
        time: Duration,
    ) -> anyhow::Result<()> {
        let until = Until::Time(time);
        // First, while the match still waits for its players.
        let rooms: Arc<[(String, String)]> = seats
            .iter()
            .map(|seat| {
                (
                    format!("/auth/token?room={}", seat.room),
                    seat.bearer.clone(),
                )
            })
            .collect();
        let token = move |caller, number| {
            let (path, bearer) = rooms[number as usize % rooms.len()].clone();
            get(caller, path, Some(bearer))
        };
        self.token.round(&mut world.callers, until, token).await?;

        let healthz = |caller, _| get(caller, "/healthz".to_owned(), None);
        self.healthz
            .round(&mut world.callers, until, healthz)
            .await?;
        self.board_top
            .round(&mut world.callers, until, |caller, _| board_top(caller))
            .await?;
        self.zrevrange
            .round(&mut world.redis, until, |redis, _| zrevrange(redis))
            .await?;
        self.board_around
            .round(&mut world.callers, until, |caller, _| around_me(caller))
            .await?;
        self.stats
            .round(&mut world.callers, until, |caller, _| stats(caller))
            .await?;
        self.refresh
            .round(&mut world.callers, until, |caller, _| refresh(caller))
            .await?;

        // Longer, since each takes some 20 ms of a core.
        let until = Until::Time(time * 2);
        let login = |caller, number| login(caller, CALLERS as u64 + 1 + number);
        self.login
            .round(&mut world.signing_in, until, login)
            .await?;
        let hash: Arc<str> = world.hash.as_str().into();
        let verify = move |(), _| verify(hash.clone());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.argon2
            .round(&mut vec![(); cores], until, verify)
            .await?;
        let register = move |caller, number| register(caller, format!("new-{round}-{number}"));
        self.register
            .round(&mut world.signing_in, until, register)
            .await
    }

    fn report(&self, report: &mut Report) {
        let ours = [
            ("register", &self.register),
            ("login", &self.login),
            ("refresh", &self.refresh),
            ("token", &self.token),
            ("board_top", &self.board_top),
            ("board_around", &self.board_around),
            ("stats", &self.stats),
        ];
        let peers = [
            ("argon2_verify", &self.argon2),
            ("healthz", &self.healthz),
            ("redis_zrevrange", &self.zrevrange),
        ];
        let figures = |loads: &[(&str, &Load)]| -> Value {
            let mut figures = Map::new();
            for (name, load) in loads {
                figures.insert(format!("{name}_per_s"), json!(round(load.per_second())));
                figures.insert(format!("{name}_p99_ms"), json!(load.p99_ms()));
            }
            figures.into()
        };
        report.metrics = figures(&ours);
        report.peer_metrics(figures(&peers));
        report
            .lines
            .extend(ours.map(|(name, load)| load.line(name)));
        report
            .lines
            .extend(peers.map(|(name, load)| load.line(&format!("peer: {name}"))));
        let share = |ours: &Load, peer: &Load| peer.per_second() / ours.per_second();
        report.lines.push(format!(
            "to a bare Argon2id, login takes {:.2} ×, register {:.2} ×; to /healthz, refresh {:.2} ×, token {:.2} ×, \
             stats {:.2} ×, board top {:.2} ×, around {:.2} ×; to a bare ZREVRANGE, board top {:.2} ×, around {:.2} ×",
            share(&self.login, &self.argon2),
            share(&self.register, &self.argon2),
            share(&self.refresh, &self.healthz),
            share(&self.token, &self.healthz),
            share(&self.stats, &self.healthz),
            share(&self.board_top, &self.healthz),
            share(&self.board_around, &self.healthz),
            share(&self.board_top, &self.zrevrange),
            share(&self.board_around, &self.zrevrange),
        ));
    }
}

/// Who calls.
struct World {
    /// Signed-in players, each on the board.
    callers: Vec<Caller>,
    /// Those who sign in, no more than the server lets wait for a thread to hash on.
    signing_in: Vec<Caller>,
    /// As many callers of Redis.
    redis: Vec<ConnectionManager>,
    /// The password's hash, which has the server's parameters.
    hash: String,
}

impl World {
    async fn new(services: &Services, address: SocketAddr, hash: String) -> anyhow::Result<Self> {
        let mut world = Self {
            callers: Vec::new(),
            signing_in: Vec::new(),
            redis: vec![services.redis().await?; CALLERS],
            hash,
        };
        for n in 0..CALLERS as u64 {
            world
                .callers
                .push(login(Caller::open(address).await?, n + 1).await?);
        }
        for _ in 0..SIGNING_IN {
            world.signing_in.push(Caller::open(address).await?);
        }
        Ok(world)
    }

    /// Has everybody call another server over the same store.
    async fn move_to(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        for caller in self.callers.iter_mut().chain(&mut self.signing_in) {
            caller.connection = Connection::open(address).await?;
        }
        Ok(())
    }
}

/// A connection, and the session of whoever uses it.
struct Caller {
    connection: Connection,
    access_token: String,
    refresh_token: String,
}

impl Caller {
    async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self {
            connection: Connection::open(address).await?,
            access_token: String::new(),
            refresh_token: String::new(),
        })
    }

    /// Takes the session over from an answer.
    fn sign_in(&mut self, answer: &[u8]) -> anyhow::Result<()> {
        let answer: Value = serde_json::from_slice(answer)?;
        let text = |key: &str| {
            let text = answer[key].as_str();
            text.with_context(|| format!("no `{key}` in the answer"))
                .map(str::to_owned)
        };
        (self.access_token, self.refresh_token) = (text("access_token")?, text("refresh_token")?);
        Ok(())
    }
}

async fn get(mut caller: Caller, path: String, bearer: Option<String>) -> anyhow::Result<Caller> {
    caller.connection.get(&path, bearer.as_deref()).await?;
    Ok(caller)
}

async fn board_top(mut caller: Caller) -> anyhow::Result<Caller> {
    let path = format!("/leaderboard/{GAME}?limit={PAGE}");
    caller.connection.get(&path, None).await?;
    Ok(caller)
}

async fn around_me(mut caller: Caller) -> anyhow::Result<Caller> {
    let path = format!("/leaderboard/{GAME}?around=me&limit={PAGE}");
    caller
        .connection
        .get(&path, Some(&caller.access_token))
        .await?;
    Ok(caller)
}

async fn stats(mut caller: Caller) -> anyhow::Result<Caller> {
    let player = player_id(rand::random_range(1..=PLAYERS));
    let path = format!("/stats/{GAME}/{player}");
    caller
        .connection
        .get(&path, Some(&caller.access_token))
        .await?;
    Ok(caller)
}

async fn refresh(mut caller: Caller) -> anyhow::Result<Caller> {
    let body = json!({ "refresh_token": caller.refresh_token });
    let answer = caller
        .connection
        .post("/auth/refresh", &body)
        .await?
        .to_owned();
    caller.sign_in(&answer)?;
    Ok(caller)
}

/// Signs player `n` in.
async fn login(mut caller: Caller, n: u64) -> anyhow::Result<Caller> {
    let username = format!("player-{}", (n - 1) % PLAYERS + 1);
    let body = json!({ "username": username, "password": PASSWORD });
    let answer = caller
        .connection
        .post("/auth/login", &body)
        .await?
        .to_owned();
    caller.sign_in(&answer)?;
    Ok(caller)
}

async fn register(mut caller: Caller, username: String) -> anyhow::Result<Caller> {
    let body = json!({ "username": username, "password": PASSWORD });
    caller.connection.post("/auth/register", &body).await?;
    Ok(caller)
}

async fn verify(hash: Arc<str>) -> anyhow::Result<()> {
    let verified = tokio::task::spawn_blocking(move || {
        let verified: Result<(), _> =
            Argon2::default().verify_password(PASSWORD.as_bytes(), &*hash);
        verified
    });
    verified.await?.ok().context("the password is wrong")
}

async fn zrevrange(mut redis: ConnectionManager) -> anyhow::Result<ConnectionManager> {
    let mut command = redis::cmd("ZREVRANGE");
    command
        .arg(format!("lb:{GAME}"))
        .arg(0)
        .arg(PAGE - 1)
        .arg("WITHSCORES");
    let entries: Vec<(String, f64)> = command.query_async(&mut redis).await?;
    ensure!(
        entries.len() == PAGE as usize,
        "the board has {} entries",
        entries.len()
    );
    Ok(redis)
}

/// A hash of [`PASSWORD`] by the server itself.
async fn password_hash(services: &Services, address: SocketAddr) -> anyhow::Result<String> {
    let caller = Caller::open(address).await?;
    register(caller, "first".to_owned()).await?;
    let hash = services.sql(
        "SELECT password_hash FROM credentials JOIN players ON id = player_id WHERE username = 'first'",
    );
    ensure!(
        hash.starts_with("$argon2id$"),
        "the server keeps passwords as something else"
    );
    Ok(hash)
}

/// Fills accounts, statistics and the board, and has the running server rank it.
async fn fill(services: &Services, hash: &str) -> anyhow::Result<()> {
    services.add_players(PLAYERS, Some(hash));
    services.sql(&format!(
        "INSERT INTO player_statistics (player_id, game_id, mode, matches, wins, losses, best_score,
             total_score, statistics, rating, rating_uncertainty, last_played_at)
         SELECT {PLAYER_ID}, '{GAME}', 'default', 10, 4, 6, {SCORE}, 5 * {SCORE},
             '{{\"kills\": 120, \"deaths\": 70}}', 1500 + n % 100, 90, now()
         FROM generate_series(1, {PLAYERS}) n"
    ));
    services.sql(&format!(
        "WITH board AS (
             INSERT INTO boards (game_id, board, season) VALUES ('{GAME}', 'default', 'all') RETURNING id
         )
         INSERT INTO board_entries (board_id, player_id, score, reached_at)
         SELECT board.id, {PLAYER_ID}, {SCORE}, timestamptz '2026-01-01' + n * interval '1 ms'
         FROM board, generate_series(1, {PLAYERS}) n"
    ));
    services.sql("VACUUM ANALYZE");
    rebuild(&services.store().await?).await
}

/// Has the running server take the board's ranks over from the record.
async fn rebuild(store: &PostgresStore) -> anyhow::Result<()> {
    let request = store.request_rebuild(GAME, None).await?;
    let started = Instant::now();
    while !store
        .rebuild(request)
        .await?
        .context("the rebuild is unknown")?
        .done
    {
        ensure!(
            started.elapsed() < REBUILD_TIMEOUT,
            "the server does not rebuild the board"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

const GAME: &str = "arena";
const PASSWORD: &str = "staple-9471-orchard-moss";
/// Players with an account, statistics and a place on the board.
const PLAYERS: u64 = 10_000;
/// Entries of a page.
const PAGE: u32 = 100;
/// Who read at once.
const CALLERS: usize = 32;
/// Who sign in at once: enough for every core, and far below what the server lets wait.
const SIGNING_IN: usize = 16;
const REBUILD_TIMEOUT: Duration = Duration::from_secs(30);
