//! The service under test, its clock and its randomness, all of them repeatable.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{Request, StatusCode};
use chrono::{DateTime, NaiveTime, Utc, Weekday};
use gs_api::{Api, ApiParts, Environment, GameCatalog, GameInfo, GameMode, Limits, Rate, Settings};
use gs_store::{BoardInfo, BoardRule, Season, Store};
use livekit_rooms::{RoomError, RoomTokens, Rooms};
use rand_core::{Rng as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use serde_json::Value;
use tokio::task::JoinHandle;
use tower::ServiceExt as _;

pub(crate) struct Server {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) games: Arc<Games>,
    router: Router,
    maintenance: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn new(store: Arc<dyn Store>, seed: u64) -> Self {
        let clock = Arc::new(Clock::new(seed));
        let games = Arc::new(Games::new());
        let rate = Rate {
            burst: 1_000_000,
            interval: Duration::from_millis(1),
        };
        let limits = Limits {
            address: rate,
            account: rate,
            queue: rate,
            queue_address: rate,
        };
        let api = Api::new(ApiParts {
            store: store.clone(),
            catalog: games.clone(),
            rooms: Arc::new(NoRooms),
            room_tokens: RoomTokens::new("devkey", "a-secret-of-at-least-32-characters!!"),
            livekit_url: "ws://127.0.0.1:7880".to_owned(),
            environment: clock.clone(),
            settings: Settings {
                limits,
                ..Settings::default()
            },
        });
        let router = api.await.unwrap().router();
        // Without the service's own background task, which makes matches when it likes.
        let maintained = store.clone();
        let maintenance = tokio::spawn(async move { maintained.maintain().await });
        Self {
            store,
            clock,
            games,
            router,
            maintenance,
        }
    }

    /// Status and JSON of an answer; null where it has no body.
    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = match body {
            None => request.body(Body::empty()),
            Some(body) => request
                .header("content-type", "application/json")
                .body(Body::from(body.to_string())),
        };
        let response = self.router.clone().oneshot(request.unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 1 << 22).await.unwrap();
        let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        (parts.status, json)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.maintenance.abort();
    }
}

/// Time passes only when the test says so, and randomness comes from the seed.
pub(crate) struct Clock {
    ms: AtomicI64,
    random: Mutex<Pcg64Mcg>,
}

impl Clock {
    fn new(seed: u64) -> Self {
        let start: DateTime<Utc> = "2026-01-30T21:00:00Z".parse().unwrap();
        Self {
            ms: AtomicI64::new(start.timestamp_millis()),
            random: Mutex::new(Pcg64Mcg::seed_from_u64(seed)),
        }
    }

    pub(crate) fn advance(&self, ms: i64) {
        self.ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Environment for Clock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.ms.load(Ordering::SeqCst)).unwrap()
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.random.lock().unwrap().fill_bytes(bytes);
    }
}

/// Two games: one for everyone on their own, with boards of every rule and season, one in teams.
pub(crate) struct Games(Vec<Arc<GameInfo>>);

impl Games {
    fn new() -> Self {
        let mode = |name: &str, rated: bool| GameMode {
            name: name.to_owned(),
            players: 2,
            rules: Arc::new(gs_matchmaker::Rules::for_players(2, 0)),
            authority_mode: "full".to_owned(),
            rated,
        };
        let game = |id: &str, teams: u8, modes: Vec<GameMode>, boards: Vec<BoardInfo>| {
            Arc::new(GameInfo {
                id: id.to_owned(),
                title: id.to_owned(),
                version: "1".to_owned(),
                abi: 1,
                tick_rate: 60,
                min_players: 2,
                max_players: 4,
                teams,
                modes,
                boards,
                module_sha256: "00".repeat(32),
                module_bytes: 8,
                manifest: serde_json::json!({}),
                options: "{}".to_owned(),
            })
        };
        let board = |id: &str, rule, statistic: Option<&str>, modes: &[&str], season| BoardInfo {
            id: id.to_owned(),
            rule,
            statistic: statistic.map(str::to_owned),
            modes: modes.iter().map(|&m| m.to_owned()).collect(),
            season,
        };
        let at = NaiveTime::from_hms_opt(4, 30, 0).unwrap();
        let weekly = Season::Weekly {
            on: Weekday::Sat,
            at,
        };
        let arena = vec![
            board("default", BoardRule::Best, None, &[], Season::Never),
            board(
                "kills",
                BoardRule::Sum,
                Some("kills"),
                &[],
                Season::Daily { at },
            ),
            board("form", BoardRule::Latest, None, &["default"], weekly),
        ];
        let monthly = Season::Monthly { on: 31, at };
        let teams = vec![
            board("default", BoardRule::Sum, None, &[], monthly),
            board("falls", BoardRule::Best, Some("falls"), &[], Season::Never),
        ];
        Self(vec![
            game(
                "arena",
                0,
                vec![
                    mode("default", true),
                    mode("ranked", true),
                    mode("casual", false),
                ],
                arena,
            ),
            game("teams", 2, vec![mode("default", true)], teams),
        ])
    }
}

impl GameCatalog for Games {
    fn games(&self) -> Vec<Arc<GameInfo>> {
        self.0.clone()
    }

    fn game(&self, id: &str) -> Option<Arc<GameInfo>> {
        self.0.iter().find(|game| game.id == id).cloned()
    }

    fn module(&self, _: &str, _: &str) -> Option<Bytes> {
        None
    }
}

/// The test makes the matches.
struct NoRooms;

#[async_trait::async_trait]
impl Rooms for NoRooms {
    async fn create_room(&self, _: &str, _: &str) -> Result<String, RoomError> {
        Ok("RM_1".to_owned())
    }

    async fn delete_room(&self, _: &str) -> Result<(), RoomError> {
        Ok(())
    }

    async fn remove_participant(&self, _: &str, _: &str) -> Result<(), RoomError> {
        Ok(())
    }

    async fn mute(&self, _: &str, _: &str) -> Result<(), RoomError> {
        Ok(())
    }

    async fn ping(&self) -> Result<(), RoomError> {
        Ok(())
    }
}
