//! One service is away at a time: said quickly, with nothing wrong and nothing lost, and over as
//! soon as the service is back.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use gs_test_services::{Durability, Persistence, Postgres};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::audit::sorted_set;
use crate::cluster::{Cluster, choose_cryptography, eventually, get};
use crate::player::{Apis, Played, Player};

#[test]
fn without_postgresql_every_call_says_so_quickly_and_works_again_when_it_is_back() {
    let cluster = Cluster::start(
        Postgres::start_with(Durability::Memory),
        Persistence::None,
        1,
        1,
    );
    let caller = Caller::new(&cluster);
    caller.all_succeed();
    let ways: [Way<'_>; 2] = [
        (
            &|| cluster.postgres.kill(),
            &|| cluster.postgres.restart(),
            QUICKLY,
        ),
        (
            &|| cluster.postgres.pause(),
            &|| cluster.postgres.resume(),
            HANGING,
        ),
    ];
    for (away, back, limit) in ways {
        away();
        for answer in caller.all() {
            let Answer { call, took, .. } = &answer;
            assert_eq!(answer.status, 503, "{call}: {}", answer.body);
            let seconds = answer.retry_after.as_deref().map(str::parse::<u32>);
            assert!(
                matches!(seconds, Some(Ok(1..=60))),
                "{call}: Retry-After {seconds:?}"
            );
            assert!(*took < limit, "{call} took {took:?}");
            assert!(
                !answer.body.contains("postgres://"),
                "{call}: {}",
                answer.body
            );
        }
        assert_eq!(caller.get("/healthz").0, 200);
        let (status, body) = caller.get("/readyz");
        assert!(
            status == 503 && body.contains("PostgreSQL"),
            "{status} {body}"
        );
        back();
        eventually("it is ready again", BACK, || caller.get("/readyz").0 == 200);
        caller.all_succeed();
    }
    assert!(
        cluster.nodes().all(|node| node.server.runs()),
        "a process ended"
    );
}

#[test]
fn without_redis_only_ranks_may_be_refused_and_none_is_wrong() {
    let cluster = Cluster::start(
        Postgres::start_with(Durability::Memory),
        Persistence::None,
        1,
        1,
    );
    let caller = Caller::new(&cluster);
    let ways: [Way<'_>; 2] = [
        (
            &|| cluster.redis.kill(),
            &|| cluster.redis.restart(),
            QUICKLY,
        ),
        (
            &|| cluster.redis.pause(),
            &|| cluster.redis.resume(),
            QUICKLY,
        ),
    ];
    for (away, back, limit) in ways {
        away();
        for answer in caller.all() {
            let Answer { call, took, .. } = &answer;
            let ranks = call.contains("/leaderboard") || call.contains("/stats");
            let refused = ranks && answer.status == 503 && answer.retry_after.is_some();
            assert!(
                answer.succeeded() || refused,
                "{call}: {} {}",
                answer.status,
                answer.body
            );
            assert!(*took < limit, "{call} took {took:?}");
        }
        let (status, body) = caller.get("/readyz");
        assert!(status == 503 && body.contains("Redis"), "{status} {body}");
        back();
        eventually("it is ready again", BACK, || caller.get("/readyz").0 == 200);
        caller.all_succeed();
    }
    assert!(
        cluster.nodes().all(|node| node.server.runs()),
        "a process ended"
    );
}

#[test]
fn redis_is_lost_and_filled_again_while_ranks_are_read() {
    let cluster = Cluster::start(
        Postgres::start_with(Durability::Memory),
        Persistence::Snapshots,
        2,
        1,
    );
    let players = fill_board(&cluster);
    let record = || {
        let entries = cluster.sql("SELECT player_id, score FROM board_entries");
        let row = |line: &str| {
            let (player, score) = line.split_once('|').expect("two columns");
            (player.to_owned(), score.parse::<i64>().unwrap())
        };
        entries.lines().map(row).collect()
    };
    let has_the_board = || sorted_set(&cluster, "lb:sum") == record();
    cluster.run(&["board", "rebuild", "sum"]);
    eventually("Redis has the board", BACK, has_the_board);

    let (stop, right, refused) = (AtomicBool::new(false), AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for (n, api) in cluster.apis.iter().enumerate() {
            let (url, players) = (api.url.clone(), &players);
            let counts = (&stop, &right, &refused);
            scope.spawn(move || read_ranks(&url, n, players, counts));
        }
        // A failed expectation must not leave the readers reading.
        let _stop = StopOnDrop(&stop);
        let some_more = || {
            let before = right.load(Relaxed);
            eventually("ranks are read", BACK, || {
                right.load(Relaxed) >= before + READS
            });
        };
        some_more();
        cluster.redis.command("FLUSHALL");
        some_more();
        eventually("Redis has the board after FLUSHALL", BACK, has_the_board);

        // It comes back as it was before a match.
        assert_eq!(cluster.redis.command("SAVE"), "+OK");
        let entries = players.len() + 2;
        play_one(&cluster, "sum");
        eventually("the match counts", BACK, || record().len() == entries);
        eventually("Redis has the match", BACK, has_the_board);
        cluster.redis.kill();
        some_more();
        cluster.redis.restart();
        some_more();
        eventually("Redis has what it had forgotten", BACK, has_the_board);
        assert!(
            refused.load(Relaxed) <= right.load(Relaxed),
            "most are refused: {refused:?}"
        );
    });
}

#[test]
fn a_full_disk_refuses_what_it_cannot_keep_and_loses_nothing() {
    let Some(postgres) = Postgres::start_on_disk_of(160) else {
        eprintln!("not tested: a disk to fill can be mounted by root alone");
        return;
    };
    let cluster = Cluster::start(postgres, Persistence::None, 1, 1);
    let caller = Caller::new(&cluster);
    let mut kept = Vec::new();
    let mut guest = || {
        let answer = caller.ask(Method::POST, "/auth/guest", None, Some(json!({})));
        match answer.status {
            201 => {
                let body: Value = serde_json::from_str(&answer.body).unwrap();
                kept.push(body["player_id"].as_str().unwrap().to_owned());
            }
            503 => assert!(answer.retry_after.is_some(), "{}", answer.body),
            other => panic!("{other}: {}", answer.body),
        }
        answer.status == 201
    };
    assert!(guest());
    cluster.postgres.fill_disk();
    eventually("the disk is full", FULL, || !guest());
    cluster.postgres.free_disk();
    eventually("accounts are kept again", BACK, || {
        // PostgreSQL ends where it cannot even recover; whoever runs it starts it again.
        if !cluster.postgres.runs() {
            cluster.postgres.restart();
        }
        guest()
    });
    for player in &kept {
        let found = cluster.sql(&format!(
            "SELECT count(*) FROM players WHERE id = '{player}'"
        ));
        assert_eq!(found, "1", "{player} of {} is lost", kept.len());
    }
}

/// How a service goes away, how it comes back, and how soon calls have to say that it is away.
type Way<'a> = (&'a dyn Fn(), &'a dyn Fn(), Duration);

/// Somebody who makes every call that a client makes.
struct Caller {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    url: String,
    calls: Vec<(Method, String, Option<String>, Option<Value>)>,
}

struct Answer {
    call: String,
    status: u16,
    retry_after: Option<String>,
    body: String,
    took: Duration,
}

impl Answer {
    fn succeeded(&self) -> bool {
        // A name that is taken or a ticket that is there are answers of a server that is well.
        (200..300).contains(&self.status) || self.status == 409
    }
}

impl Caller {
    /// Plays a match, so that there is something to ask for.
    fn new(cluster: &Cluster) -> Self {
        choose_cryptography();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let client = reqwest::Client::builder()
            .timeout(CALL_TIMEOUT)
            .build()
            .unwrap();
        let mut caller = Self {
            runtime,
            client,
            url: cluster.apis[0].url.clone(),
            calls: Vec::new(),
        };
        let account = json!({ "username": "somebody", "password": "correct horse battery" });
        let made = caller.ask(Method::POST, "/auth/register", None, Some(account.clone()));
        assert_eq!(made.status, 201, "{}", made.body);
        let made: Value = serde_json::from_str(&made.body).unwrap();
        let (id, token) = (&made["player_id"], &made["access_token"]);
        let (id, token) = (id.as_str().unwrap(), token.as_str().unwrap());
        let played = play_one(cluster, "sum");
        let mine = Some(token.to_owned());
        let call = |method: Method, path: String, bearer: Option<String>, body| {
            (method, path, bearer, body)
        };
        let queue = json!({ "game": "sum", "code": "alone" });
        let ticket = caller.ask(
            Method::POST,
            "/match/queue",
            Some(token),
            Some(queue.clone()),
        );
        assert_eq!(ticket.status, 202, "{}", ticket.body);
        caller.calls = vec![
            call(
                Method::POST,
                "/auth/register".into(),
                None,
                Some(account.clone()),
            ),
            call(Method::POST, "/auth/login".into(), None, Some(account)),
            call(Method::POST, "/auth/guest".into(), None, Some(json!({}))),
            call(
                Method::POST,
                "/match/queue".into(),
                mine.clone(),
                Some(queue),
            ),
            call(Method::GET, "/account/export".into(), mine.clone(), None),
            call(Method::GET, "/match/status".into(), mine.clone(), None),
            call(Method::GET, format!("/matches/{played}"), None, None),
            call(Method::GET, format!("/players/{id}/matches"), None, None),
            call(Method::GET, format!("/stats/sum/{id}"), None, None),
            call(Method::GET, "/leaderboard/sum".into(), None, None),
            call(Method::GET, "/leaderboard/sum?around=me".into(), mine, None),
        ];
        caller
    }

    /// Makes all calls at once.
    fn all(&self) -> Vec<Answer> {
        let asked = self.calls.iter().map(|(method, path, bearer, body)| {
            self.answer(method.clone(), path, bearer.as_deref(), body.clone())
        });
        self.runtime.block_on(futures_util::future::join_all(asked))
    }

    /// Every call is well, at the latest after a moment.
    fn all_succeed(&self) {
        let deadline = Instant::now() + BACK;
        loop {
            let failed = self.all().into_iter().find(|answer| !answer.succeeded());
            let Some(failed) = failed else { return };
            let Answer {
                call, status, body, ..
            } = failed;
            assert!(
                Instant::now() < deadline,
                "not within {BACK:?}: {call}: {status} {body}"
            );
            std::thread::sleep(RETRY);
        }
    }

    fn get(&self, path: &str) -> (u16, String) {
        let answer = self.ask(Method::GET, path, None, None);
        (answer.status, answer.body)
    }

    fn ask(&self, method: Method, path: &str, bearer: Option<&str>, body: Option<Value>) -> Answer {
        self.runtime
            .block_on(self.answer(method, path, bearer, body))
    }

    async fn answer(
        &self,
        method: Method,
        path: &str,
        bearer: Option<&str>,
        body: Option<Value>,
    ) -> Answer {
        let call = format!("{method} {path}");
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(bearer) = bearer {
            request = request.bearer_auth(bearer);
        }
        if let Some(body) = &body {
            request = request.json(body);
        }
        let began = Instant::now();
        let answer: Response = request
            .send()
            .await
            .unwrap_or_else(|error| panic!("{call}: {error}"));
        let retry_after = answer.headers().get("retry-after");
        Answer {
            status: answer.status().as_u16(),
            retry_after: retry_after.map(|value| value.to_str().unwrap().to_owned()),
            body: answer.text().await.unwrap(),
            took: began.elapsed(),
            call,
        }
    }
}

/// Two guests play a match; its id.
fn play_one(cluster: &Cluster, game: &str) -> String {
    let apis = Apis::new(cluster.apis.iter().map(|api| api.url.clone()));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let deadline = Instant::now() + BACK;
    runtime.block_on(async {
        loop {
            let (mut ann, mut bob) = tokio::join!(Player::guest(&apis), Player::guest(&apis));
            let (played, _) = tokio::join!(ann.play(game, "one"), bob.play(game, "one"));
            match played {
                Played::Over { id, outcome, .. } if outcome == "finished" => return id,
                // LiveKit's server has the same Redis, and looks for it again in its own time.
                Played::None(reason) if reason.contains("LiveKit") && Instant::now() < deadline => {
                }
                other => panic!("{other:?}"),
            }
        }
    })
}

/// Puts players on the board of `sum`, far above what a match brings; their ids and ranks.
fn fill_board(cluster: &Cluster) -> Vec<(String, u64)> {
    cluster.sql(&format!(
        "INSERT INTO players (id, username, username_key, username_skeleton) \
         SELECT gen_random_uuid(), 'p' || n, 'p' || n, 'p' || n FROM generate_series(1, {ENTRIES}) n; \
         INSERT INTO boards (game_id, board, season) VALUES ('sum', 'default', 'all'); \
         INSERT INTO board_entries (board_id, player_id, score, reached_at) \
         SELECT b.id, p.id, 1000000 + substr(p.username, 2)::bigint / 3, now() \
         FROM boards b, players p"
    ));
    let ranks =
        cluster.sql("SELECT player_id, rank() OVER (ORDER BY score DESC) FROM board_entries");
    let row = |line: &str| {
        let (player, rank) = line.split_once('|').expect("two columns");
        (player.to_owned(), rank.parse().unwrap())
    };
    ranks.lines().map(row).collect()
}

/// Asks for ranks again and again: each is right or refused.
fn read_ranks(
    url: &str,
    first: usize,
    players: &[(String, u64)],
    (stop, right, refused): (&AtomicBool, &AtomicU32, &AtomicU32),
) {
    let mut n = first;
    while !stop.load(Relaxed) {
        // A prime, so that all are asked for in an order that is no order.
        n = (n + 7_919) % players.len();
        let (player, rank) = &players[n];
        let asked = get(&format!("{url}/leaderboard/sum?around={player}&limit=5"));
        let (status, body) = asked.expect("it answers in time");
        if status == 503 {
            refused.fetch_add(1, Relaxed);
            std::thread::sleep(Duration::from_millis(20));
            continue;
        }
        assert_eq!(status, 200, "{body}");
        let page: Value = serde_json::from_str(&body).unwrap();
        let entries = page["entries"].as_array().unwrap();
        let entry = entries.iter().find(|entry| entry["player_id"] == **player);
        let found = entry.expect("the player is on the page")["rank"].as_u64();
        assert_eq!(found, Some(*rank), "{player}: {body}");
        let total = page["total"].as_u64().unwrap();
        assert!(total == ENTRIES || total == ENTRIES + 2, "{body}");
        right.fetch_add(1, Relaxed);
    }
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Within which a call has to say that it cannot be answered.
const QUICKLY: Duration = Duration::from_secs(2);
/// The same where PostgreSQL has taken the query and says nothing, as it does with a slow one.
const HANGING: Duration = Duration::from_secs(7);
/// Few enough logins for the limit of an account.
const RETRY: Duration = Duration::from_millis(500);
const CALL_TIMEOUT: Duration = Duration::from_secs(40);
/// Within which all is well after a service is back.
const BACK: Duration = Duration::from_secs(20);
/// What PostgreSQL has set aside is used up first.
const FULL: Duration = Duration::from_secs(60);
const ENTRIES: u64 = 5_000;
/// Ranks that are read between one fault and the next.
const READS: u32 = 100;
