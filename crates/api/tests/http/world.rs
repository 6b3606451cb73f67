//! A server without a socket, and callers.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode};
use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use gs_api::{Api, ApiParts, Environment, GameCatalog, GameInfo, GameMode, Limits, Rate, Settings};
use gs_matchmaker::Rules;
use gs_store::{
    BoardInfo, BoardRule, EmbeddedStore, MatchOutcome, Outcome, Season, SlotOutcome, Store,
    StoreOutcome,
};
use livekit_rooms::{RoomError, RoomTokens, Rooms, Webhooks};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tower::ServiceExt;

pub(crate) const LIVEKIT_KEY: &str = "devkey";
pub(crate) const LIVEKIT_SECRET: &str = "a-secret-of-at-least-32-characters!!";
pub(crate) const LIVEKIT_URL: &str = "ws://127.0.0.1:7880";
pub(crate) const MODULE: &[u8] = b"\0asm\x01\0\0\0";
pub(crate) const SHA256: &str = "93a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476";
pub(crate) const TTL: Duration = Duration::from_millis(1500);

pub(crate) struct World {
    pub(crate) api: Api,
    pub(crate) router: Router,
    pub(crate) store: Arc<EmbeddedStore>,
    pub(crate) rooms: Arc<RecordingRooms>,
    pub(crate) clock: Arc<TestClock>,
    catalog: Catalog,
    background: Option<(oneshot::Sender<()>, tokio::task::JoinHandle<()>)>,
    _directory: tempfile::TempDir,
}

impl World {
    /// A server whose limits nobody meets.
    pub(crate) async fn new() -> Self {
        Self::with(Self::settings()).await
    }

    pub(crate) async fn with_limits(limits: Limits) -> Self {
        Self::with(Settings {
            limits,
            ..Self::settings()
        })
        .await
    }

    /// Settings whose limits nobody meets.
    pub(crate) fn settings() -> Settings {
        let rate = Rate {
            burst: 1_000,
            interval: Duration::from_millis(1),
        };
        Settings {
            limits: Limits {
                address: rate,
                account: rate,
                queue: rate,
                queue_address: rate,
            },
            webhooks: Some(Webhooks::new(LIVEKIT_KEY, LIVEKIT_SECRET)),
            queue_view_age: Duration::ZERO,
            room_patience: Duration::from_millis(500),
            pass_interval: Duration::ZERO,
            ..Default::default()
        }
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let anybody = Rules {
            skill: None,
            ..Rules::for_players(2, 0)
        };
        Self::with_catalog(settings, Catalog::new(anybody)).await
    }

    /// A server whose arena is matched by these rules.
    pub(crate) async fn with_rules(rules: Rules) -> Self {
        Self::with_settings_and_rules(Self::settings(), rules).await
    }

    pub(crate) async fn with_settings_and_rules(settings: Settings, rules: Rules) -> Self {
        Self::with_catalog(settings, Catalog::new(rules)).await
    }

    async fn with_catalog(settings: Settings, catalog: Catalog) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(EmbeddedStore::open(directory.path()).await.unwrap());
        let rooms = Arc::new(RecordingRooms::default());
        let clock = Arc::new(TestClock::default());
        let api = api(&store, &rooms, &clock, &catalog, settings).await;
        let (stop, stopped) = oneshot::channel();
        let router = api.router();
        let running = api.clone();
        let task = tokio::spawn(async move {
            running
                .run_background(async {
                    stopped.await.ok();
                })
                .await;
        });
        let background = Some((stop, task));
        Self {
            api,
            router,
            store,
            rooms,
            clock,
            catalog,
            background,
            _directory: directory,
        }
    }

    /// What another process over the same store serves.
    pub(crate) async fn another_process(&self) -> Router {
        self.another_api().await.router()
    }

    /// Another process over the same store, which runs no background task yet.
    pub(crate) async fn another_api(&self) -> Api {
        api(
            &self.store,
            &self.rooms,
            &self.clock,
            &self.catalog,
            Self::settings(),
        )
        .await
    }

    /// Runs another process until this is told, or dropped.
    pub(crate) async fn run_another(&self) -> oneshot::Sender<()> {
        let (stop, stopped) = oneshot::channel();
        let api = self.another_api().await;
        tokio::spawn(async move {
            let stopped = async {
                stopped.await.ok();
            };
            api.run_background(stopped).await;
        });
        stop
    }

    /// A match of the default mode for these tickets, as a process would form it.
    pub(crate) fn new_match(&self, tickets: &[(&str, &Account)]) -> gs_store::NewMatch {
        let game = &self.catalog.games()[0];
        let slot = |(ticket, account): &(&str, &Account)| gs_store::NewSlot {
            ticket_id: ticket.parse().unwrap(),
            player_id: account.id.parse().unwrap(),
            team: None,
        };
        gs_store::NewMatch {
            id: uuid::Uuid::now_v7(),
            room: "arena-0000abcd".to_owned(),
            game: game.id.clone(),
            mode: "default".to_owned(),
            module_sha256: game.module_sha256.clone(),
            teams: game.teams,
            options: game.options.clone(),
            authority_mode: "validated".to_owned(),
            rated: true,
            region: None,
            capacity: 2,
            backfill: false,
            accept_until: None,
            lead: None,
            slots: tickets.iter().map(slot).collect(),
            created_at: self.clock.now(),
        }
    }

    /// Bans a player, as an operator would.
    pub(crate) async fn ban(&self, account: &Account) {
        use gs_store::Accounts as _;
        let ban = gs_store::Ban {
            player_id: account.id.parse().unwrap(),
            reason: "aim bot".to_owned(),
            banned_at: self.clock.now(),
            until: None,
        };
        assert!(self.store.ban(ban).await.unwrap());
    }

    /// Ends the background task, as if the process died: it gives nothing back.
    pub(crate) async fn kill(&mut self) {
        let (_stop, task) = self.background.take().unwrap();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }

    /// Ends the background task, as a server that shuts down.
    pub(crate) async fn stop(&mut self) {
        let (stop, task) = self.background.take().unwrap();
        stop.send(()).unwrap();
        task.await.unwrap();
    }

    /// What the service counts, as Prometheus reads it.
    pub(crate) fn metrics(&self) -> String {
        let mut registry = prometheus_client::registry::Registry::default();
        self.api.register_metrics(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    }

    pub(crate) async fn call(&self, request: Request<Body>) -> Answer {
        send(self.router.clone(), request).await
    }

    pub(crate) async fn get(&self, path: &str, token: Option<&str>) -> Answer {
        self.call(request("GET", path, token, None)).await
    }

    pub(crate) async fn post(&self, path: &str, token: Option<&str>, body: Value) -> Answer {
        self.call(request("POST", path, token, Some(body))).await
    }

    pub(crate) async fn delete(&self, path: &str, token: Option<&str>) -> Answer {
        self.call(request("DELETE", path, token, None)).await
    }

    /// Registers a player with the password `correct horse`.
    pub(crate) async fn register(&self, username: &str) -> Account {
        let body = json!({"username": username, "password": "correct horse"});
        Account::of(
            self.post("/auth/register", None, body)
                .await
                .expect(StatusCode::CREATED),
        )
    }

    pub(crate) async fn guest(&self) -> Account {
        let answer = self.post("/auth/guest", None, json!({})).await;
        Account::of(answer.expect(StatusCode::CREATED))
    }

    /// Queues for the arena and answers the ticket's id.
    pub(crate) async fn enqueue(&self, account: &Account) -> String {
        let answer = self
            .post(
                "/match/queue",
                Some(&account.access),
                json!({"game": "arena"}),
            )
            .await;
        text(&answer.expect(StatusCode::ACCEPTED)["ticket_id"])
    }

    pub(crate) async fn status(&self, account: &Account, query: &str) -> Value {
        let answer = self
            .get(&format!("/match/status?{query}"), Some(&account.access))
            .await;
        answer.expect(StatusCode::OK)
    }

    /// Asks again and again until the caller's newest ticket has this status.
    pub(crate) async fn wait_for(&self, account: &Account, status: &str) -> Value {
        let wait = async {
            loop {
                let answer = self.status(account, "wait=1").await;
                if answer["status"] == status {
                    return answer;
                }
            }
        };
        tokio::time::timeout(DEADLINE, wait)
            .await
            .unwrap_or_else(|_| panic!("the ticket never became {status}"))
    }

    /// Asks until the server says that this is missing; its answer.
    pub(crate) async fn until_missing(&self, what: &str) -> Value {
        let wait = async {
            loop {
                let answer = self.get("/readyz", None).await;
                if answer.status == StatusCode::SERVICE_UNAVAILABLE {
                    let json = answer.expect(StatusCode::SERVICE_UNAVAILABLE);
                    if json["missing"].as_array().unwrap().contains(&json!(what)) {
                        return json;
                    }
                }
                tokio::task::yield_now().await;
            }
        };
        let missing = tokio::time::timeout(DEADLINE, wait).await;
        missing.unwrap_or_else(|_| panic!("{what} was never missing"))
    }

    /// Lets two players have a match in the default mode, which ends with these scores; the higher
    /// one wins. Its id.
    pub(crate) async fn play(&self, players: [&Account; 2], scores: [i32; 2]) -> uuid::Uuid {
        use gs_store::Matches as _;
        for player in players {
            self.enqueue(player).await;
            // Whoever comes in the same millisecond may be put first.
            self.clock.advance_ms(1);
        }
        let (id, epoch) = self.authority_is_ready().await;
        let now = self.clock.now();
        let slots = [0, 1].map(|slot| SlotOutcome {
            slot,
            placement: 1 + u8::from(scores[usize::from(slot)] < scores[usize::from(1 - slot)]),
            team: None,
            score: scores[usize::from(slot)],
            statistics: vec![("kills".to_owned(), scores[usize::from(slot)] / 10)],
        });
        let outcome = MatchOutcome {
            outcome: Outcome::Finished,
            reason: None,
            details: None,
            slots: slots.to_vec(),
            boards: gs_store::counts_on(&self.catalog.games()[0].boards, "default", now),
            started_at: Some(now),
            ended_at: now,
            ticks: 60,
        };
        let stored = self.store.store_result(id, epoch, outcome, now).await;
        assert_eq!(stored.unwrap(), StoreOutcome::Stored);
        id
    }

    /// Takes the next match as an authority and gets it ready; its epoch and id.
    pub(crate) async fn authority_is_ready(&self) -> (uuid::Uuid, u64) {
        use gs_store::Matches as _;
        let mut changes = self.store.changes();
        let claim = async {
            loop {
                let now = self.clock.now();
                if let Some(claim) = self.store.claim_match("test", now, TTL).await.unwrap() {
                    return claim;
                }
                changes.changed().await.unwrap();
            }
        };
        let claim = tokio::time::timeout(DEADLINE, claim)
            .await
            .expect("no match to claim");
        let (id, epoch) = (claim.details.id, claim.epoch);
        self.store
            .match_ready(id, epoch, self.clock.now())
            .await
            .unwrap();
        (id, epoch)
    }
}

async fn api(
    store: &Arc<EmbeddedStore>,
    rooms: &Arc<RecordingRooms>,
    clock: &Arc<TestClock>,
    catalog: &Catalog,
    settings: Settings,
) -> Api {
    Api::new(ApiParts {
        store: store.clone(),
        catalog: Arc::new(catalog.clone()),
        rooms: rooms.clone(),
        room_tokens: RoomTokens::new(LIVEKIT_KEY, LIVEKIT_SECRET),
        livekit_url: LIVEKIT_URL.to_owned(),
        environment: clock.clone(),
        settings,
    })
    .await
    .unwrap()
}

pub(crate) fn request(
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<Value>,
) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    match body {
        None => request.body(Body::empty()).unwrap(),
        Some(body) => request
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap(),
    }
}

/// The same, from another address.
pub(crate) fn from_address(mut request: Request<Body>, address: &str) -> Request<Body> {
    let address: SocketAddr = address.parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(address));
    request
}

pub(crate) async fn send(router: Router, request: Request<Body>) -> Answer {
    let response = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, 1 << 22).await.unwrap();
    Answer {
        status: parts.status,
        headers: parts.headers,
        bytes,
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
}

impl Answer {
    /// The JSON of an answer with this status; of an error, after checking its form.
    #[track_caller]
    pub(crate) fn expect(self, status: StatusCode) -> Value {
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        assert_eq!(self.status, status, "{text}");
        if self.bytes.is_empty() {
            return Value::Null;
        }
        let json: Value = serde_json::from_slice(&self.bytes).expect(&text);
        if status.is_client_error() || (status.is_server_error() && json["missing"].is_null()) {
            assert_eq!(
                self.headers["content-type"], "application/problem+json",
                "{text}"
            );
            assert_eq!(json["status"], status.as_u16(), "{text}");
            for member in ["type", "title", "detail"] {
                assert!(
                    json[member].as_str().is_some_and(|m| !m.is_empty()),
                    "{member}: {text}"
                );
            }
        }
        assert!(
            self.headers.contains_key("x-request-id"),
            "{:?}",
            self.headers
        );
        json
    }

    /// The field that the answer refuses.
    #[track_caller]
    pub(crate) fn refused_field(self) -> String {
        let problem = self.expect(StatusCode::UNPROCESSABLE_ENTITY);
        let errors = problem["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 1, "{problem}");
        assert!(errors[0]["message"].is_string(), "{problem}");
        text(&errors[0]["field"])
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) username: String,
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl Account {
    pub(crate) fn of(json: Value) -> Self {
        assert_eq!(json["expires_in"], 900);
        Self {
            id: text(&json["player_id"]),
            username: text(&json["username"]),
            access: text(&json["access_token"]),
            refresh: text(&json["refresh_token"]),
        }
    }
}

#[track_caller]
pub(crate) fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
        .to_owned()
}

/// Room service that keeps its rooms in memory.
#[derive(Default)]
pub(crate) struct RecordingRooms {
    pub(crate) created: Mutex<Vec<(String, String)>>,
    pub(crate) deleted: Mutex<Vec<String>>,
    pub(crate) unreachable: std::sync::atomic::AtomicBool,
    /// How many more rooms cannot be made.
    pub(crate) unreachable_for: std::sync::atomic::AtomicUsize,
    pub(crate) pings: std::sync::atomic::AtomicUsize,
}

#[async_trait::async_trait]
impl Rooms for RecordingRooms {
    async fn create_room(&self, name: &str, game: &str) -> Result<String, RoomError> {
        let fewer = |n: usize| n.checked_sub(1);
        let counted = self
            .unreachable_for
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, fewer);
        if counted.is_ok() || self.unreachable.load(Ordering::SeqCst) {
            let (url, reason) = (
                "ws://secret-host".to_owned(),
                "connection refused".to_owned(),
            );
            return Err(RoomError::Unreachable { url, reason });
        }
        let mut created = self.created.lock().unwrap();
        created.push((name.to_owned(), game.to_owned()));
        Ok(format!("RM_{}", created.len()))
    }

    async fn delete_room(&self, name: &str) -> Result<(), RoomError> {
        self.deleted.lock().unwrap().push(name.to_owned());
        Ok(())
    }

    async fn remove_participant(&self, _: &str, _: &str) -> Result<(), RoomError> {
        Ok(())
    }

    async fn mute(&self, _: &str, _: &str) -> Result<(), RoomError> {
        Ok(())
    }

    async fn ping(&self) -> Result<(), RoomError> {
        self.pings.fetch_add(1, Ordering::SeqCst);
        if self.unreachable.load(Ordering::SeqCst) {
            let (url, reason) = (String::new(), String::new());
            return Err(RoomError::Unreachable { url, reason });
        }
        Ok(())
    }
}

/// The system's clock, some time ahead.
#[derive(Default)]
pub(crate) struct TestClock {
    ahead_ms: AtomicI64,
}

impl TestClock {
    pub(crate) fn advance(&self, seconds: i64) {
        self.advance_ms(seconds * 1000);
    }

    pub(crate) fn advance_ms(&self, ms: i64) {
        self.ahead_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Environment for TestClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now() + TimeDelta::milliseconds(self.ahead_ms.load(Ordering::SeqCst))
    }

    fn fill(&self, bytes: &mut [u8]) {
        gs_api::SystemEnvironment.fill(bytes);
    }
}

fn board(id: &str, rule: BoardRule, statistic: Option<&str>, season: Season) -> BoardInfo {
    BoardInfo {
        id: id.to_owned(),
        rule,
        statistic: statistic.map(str::to_owned),
        modes: Vec::new(),
        season,
    }
}

#[derive(Clone)]
struct Catalog {
    rules: Arc<Rules>,
}

impl Catalog {
    fn new(rules: Rules) -> Self {
        let rules = Arc::new(rules);
        Self { rules }
    }
}

impl GameCatalog for Catalog {
    fn games(&self) -> Vec<Arc<GameInfo>> {
        vec![Arc::new(GameInfo {
            id: "arena".to_owned(),
            title: "Arena".to_owned(),
            version: "0.1.0".to_owned(),
            abi: 1,
            tick_rate: 60,
            min_players: 2,
            max_players: 16,
            teams: self.rules.team_count(),
            modes: vec![
                GameMode {
                    name: "default".to_owned(),
                    players: self.rules.players.max,
                    rules: self.rules.clone(),
                    authority_mode: "validated".to_owned(),
                    rated: true,
                },
                GameMode {
                    name: "four".to_owned(),
                    players: 4,
                    rules: Arc::new(Rules::for_players(4, 0)),
                    authority_mode: "observer".to_owned(),
                    rated: false,
                },
            ],
            boards: vec![
                board("default", BoardRule::Best, None, Season::Never),
                board(
                    "kills",
                    BoardRule::Sum,
                    Some("kills"),
                    Season::Daily { at: NaiveTime::MIN },
                ),
            ],
            module_sha256: SHA256.to_owned(),
            module_bytes: MODULE.len(),
            manifest: json!({"abi": 1, "name": "arena"}),
            options: "{}".to_owned(),
        })]
    }

    fn game(&self, id: &str) -> Option<Arc<GameInfo>> {
        self.games().into_iter().find(|g| g.id == id)
    }

    fn module(&self, game: &str, sha256: &str) -> Option<Bytes> {
        (game == "arena" && sha256 == SHA256).then(|| Bytes::from_static(MODULE))
    }
}

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
