//! Ranks in Redis follow the record, whatever happens to those who carry them over and to Redis.

use std::collections::BTreeMap;
use std::sync::Arc;

use gs_store::{
    ALL_TIME, BoardKey, Boards as _, Matches as _, PostgresOptions, PostgresStore, Standing,
    Store as _, StoreOutcome,
};
use gs_test_services::Redis;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::world::{
    at, blocking, database, options, outcome, players, running_matches, sql, until,
};

mod held_up;

use held_up::HeldUp;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_lost_its_turn_writes_nothing_any_more() {
    let world = World::new().await;
    let writer = world.process().await;
    let ids = players(&writer.store, 2).await;
    let matches = running_matches(&world.url, &vec![ids.clone(); 3]).await;
    let line = HeldUp::start(world.redis.port()).await;
    let slow = world.process_at(format!("redis://127.0.0.1:{}", line.port()));
    let slow = slow.await.maintained();
    store(&writer, matches[0], 2, 5).await;
    until("the first takes the match over", async || {
        world.agrees_at_rest().await
    })
    .await;

    // What the first says of the second match does not arrive yet.
    line.hold_up(ids[0].to_string());
    store(&writer, matches[1], 2, 5).await;
    until("the first tells Redis of the match", async || line.holds()).await;
    let quick = world.process().await.maintained();
    store(&writer, matches[2], 2, 5).await;
    until("the second takes over", async || {
        world.agrees_at_rest().await && world.scores("lb:arena:sum").await[&ids[0]] == 15
    })
    .await;
    line.let_go();
    until("Redis answers the first", async || line.answered()).await;
    assert_eq!(world.scores("lb:arena:sum").await[&ids[0]], 15);
    world.assert_agrees().await;
    drop((slow, quick));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_goes_on_in_another_process_while_results_arrive() {
    let world = World::new().await;
    let [first, second] = [world.process().await, world.process().await];
    let [first, second] = [first.maintained(), second.maintained()];
    let ids = players(&first.store, 6).await;
    let matches = running_matches(&world.url, &vec![ids; 120]).await;
    let results = play(&[&first, &second], matches);
    for _ in 0..4 {
        let fence = world.fence().await;
        sql(
            &world.url,
            "SELECT pg_terminate_backend(pid) FROM pg_locks
             WHERE locktype = 'advisory' AND granted
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .await;
        until("a turn begins", async || world.fence().await != fence).await;
    }
    results.await.unwrap();
    until("all is taken over", async || world.agrees_at_rest().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_holder_before_did_not_come_to_is_made_anew() {
    let world = World::new().await;
    let process = world.process().await.maintained();
    let ids = players(&process.store, 3).await;
    let matches = running_matches(&world.url, &[ids]).await;
    store(&process, matches[0], 3, 5).await;
    until("the match counts", async || world.agrees_at_rest().await).await;
    drop(process);
    // As where it ended between two boards.
    for command in ["SREM lb::ready lb:arena:latest", "DEL lb:arena:latest"] {
        assert_eq!(world.command(command).await, ":1");
    }
    let next = world.process().await.maintained();
    until("the board is ready", async || {
        world.command("SISMEMBER lb::ready lb:arena:latest").await == ":1"
    })
    .await;
    world.assert_agrees().await;
    drop(next);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boards_are_rebuilt_while_results_arrive_and_lack_none() {
    let world = World::new().await;
    let process = world.process().await.maintained();
    let ids = players(&process.store, 6).await;
    // More than are read at once, so that results come between two pages.
    world.fill_board("sum", 7_000).await;
    let matches = running_matches(&world.url, &vec![ids; 200]).await;
    let results = play(&[&process], matches);
    let mut rebuilt = 0;
    while !results.is_finished() || rebuilt < 3 {
        let board = ["sum", "best"][rebuilt % 2];
        let id = process.store.request_rebuild("arena", Some(board)).await;
        let id = id.unwrap();
        let mut entries = 0;
        until("the rebuild", async || {
            let rebuild = process.store.rebuild(id).await.unwrap().unwrap();
            assert!(rebuild.entries >= entries, "{rebuild:?} after {entries}");
            entries = rebuild.entries;
            rebuild.done
        })
        .await;
        assert!(board == "best" || entries >= 7_000, "{entries}");
        rebuilt += 1;
    }
    results.await.unwrap();
    until("all is taken over", async || world.agrees_at_rest().await).await;
    assert_eq!(world.scores("lb:arena:sum").await.len(), 7_006);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_loses_everything_and_nothing_is_lost() {
    let world = World::new().await;
    let process = world.process().await.maintained();
    let ids = players(&process.store, 6).await;
    world.fill_board("best", 3_000).await;
    let board = BoardKey {
        game: "arena".to_owned(),
        board: "best".to_owned(),
        season: ALL_TIME.to_owned(),
    };
    // Below everybody who was there, so that no rank of theirs changes.
    let matches = running_matches(&world.url, &vec![ids.clone(); 150]).await;
    store(&process, matches[0], 6, -1).await;
    let results = play(&[&process], matches[1..].to_vec());
    let lowest = Standing {
        rank: 3_001,
        score: -1,
        total: 3_006,
    };
    let mut reads = 0;
    for loss in 0..4 {
        if loss < 3 {
            world.command("FLUSHALL").await;
        } else {
            let redis = world.redis.clone();
            blocking(move || redis.kill()).await;
            let asked = process.store.standing(&board, world.filler(2_999)).await;
            assert_eq!(asked.unwrap().unwrap().rank, 3_000);
            let redis = world.redis.clone();
            blocking(move || redis.restart()).await;
        }
        until("ranks are in Redis again", async || {
            let last = world.filler(2_999);
            let standing = process.store.standing(&board, last).await.unwrap();
            let standing = standing.expect("an entry");
            assert_eq!((standing.rank, standing.score), (3_000, 1));
            reads += 1;
            world.command("SISMEMBER lb::ready lb:arena:best").await == ":1"
        })
        .await;
    }
    assert!(reads >= 4);
    results.await.unwrap();
    until("all is taken over", async || world.agrees_at_rest().await).await;
    // Every later match had a higher score than the first, and a lower one than theirs.
    let standing = process.store.standing(&board, ids[0]).await.unwrap();
    assert_eq!(standing, Some(Standing { score: 0, ..lowest }));
}

/// A database and a Redis server.
struct World {
    url: String,
    redis: Arc<Redis>,
}

/// A process's store.
struct Process {
    store: Arc<PostgresStore>,
    maintenance: Option<JoinHandle<()>>,
}

impl World {
    async fn new() -> Self {
        let url = database().await;
        let redis = Arc::new(blocking(Redis::start).await);
        Self { url, redis }
    }

    async fn process(&self) -> Process {
        self.process_at(self.redis.url()).await
    }

    async fn process_at(&self, redis_url: String) -> Process {
        let options = PostgresOptions {
            redis_url,
            ..options(&self.url)
        };
        Process {
            store: Arc::new(PostgresStore::connect(&options).await.unwrap()),
            maintenance: None,
        }
    }

    async fn command(&self, line: &str) -> String {
        let (redis, line) = (self.redis.clone(), line.to_owned());
        blocking(move || redis.command(&line)).await
    }

    async fn fence(&self) -> String {
        let mut fence = String::new();
        until("there is a fence", async || {
            fence = self.command("GET lb::follower").await;
            fence != "$-1"
        })
        .await;
        fence
    }

    /// A sorted set.
    async fn scores(&self, set: &str) -> BTreeMap<Uuid, i64> {
        let answer = self.command(&format!("ZRANGE {set} 0 -1 WITHSCORES")).await;
        let words: Vec<&str> = answer
            .lines()
            .filter(|line| !line.starts_with(['*', '$']))
            .collect();
        let pair = |pair: &[&str]| (pair[0].parse().unwrap(), pair[1].parse().unwrap());
        words.chunks(2).map(pair).collect()
    }

    async fn recorded(&self, board: &str) -> BTreeMap<Uuid, i64> {
        let rows = sql(
            &self.url,
            &format!(
                "SELECT player_id, score FROM board_entries JOIN boards ON id = board_id
                 WHERE board = '{board}'"
            ),
        )
        .await;
        let row = |row: &str| {
            let (player, score) = row.split_once('|').unwrap();
            (player.parse().unwrap(), score.parse().unwrap())
        };
        rows.lines().map(row).collect()
    }

    /// Whether nothing is left to take over; then, the sets have to be as the record is.
    async fn agrees_at_rest(&self) -> bool {
        let left = sql(
            &self.url,
            "SELECT (SELECT count(*) FROM board_changes)
                 + (SELECT count(*) FROM board_rebuilds WHERE done_at IS NULL)",
        )
        .await;
        let ready = self.command("SCARD lb::ready").await;
        if left != "0" || ready != ":3" {
            return false;
        }
        self.assert_agrees().await;
        true
    }

    async fn assert_agrees(&self) {
        for board in ["best", "latest", "sum"] {
            let set = self.scores(&format!("lb:arena:{board}")).await;
            let record = self.recorded(board).await;
            assert!(!record.is_empty());
            assert_eq!(set, record, "{board}");
        }
    }

    /// Puts entries on a board, the `n`th with the score `count - n`, and has them taken over.
    async fn fill_board(&self, board: &str, count: usize) {
        let player = "('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid";
        sql(
            &self.url,
            &format!(
                "INSERT INTO boards (game_id, board, season) VALUES ('arena', '{board}', 'all');
                 INSERT INTO players (id, username, username_key, username_skeleton, created_at)
                 SELECT {player}, 'filler-' || n, 'filler-' || n, 'filler-' || n, now()
                 FROM generate_series(0, {count} - 1) AS n;
                 INSERT INTO board_entries (board_id, player_id, score, reached_at)
                 SELECT id, {player}, {count} - n, now()
                 FROM boards, generate_series(0, {count} - 1) AS n WHERE board = '{board}';
                 INSERT INTO board_changes (board_id, player_id, score)
                 SELECT board_id, player_id, score FROM board_entries"
            ),
        )
        .await;
    }

    /// Who has the `n`th entry of a board that was filled.
    fn filler(&self, n: usize) -> Uuid {
        format!("00000000-0000-4000-8000-{n:012}").parse().unwrap()
    }
}

impl Process {
    fn maintained(mut self) -> Self {
        let store = self.store.clone();
        self.maintenance = Some(tokio::spawn(async move { store.maintain().await }));
        self
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(task) = &self.maintenance {
            task.abort();
        }
    }
}

async fn store(process: &Process, id: Uuid, slots: usize, score: i32) {
    let stored = process
        .store
        .store_result(id, 1, outcome(slots, score), at(9));
    assert_eq!(stored.await.unwrap(), StoreOutcome::Stored);
}

/// Stores results of six slots one after the other, in turns through these processes.
fn play(processes: &[&Process], matches: Vec<Uuid>) -> JoinHandle<()> {
    let stores: Vec<_> = processes.iter().map(|p| p.store.clone()).collect();
    tokio::spawn(async move {
        for (n, id) in matches.into_iter().enumerate() {
            let store = &stores[n % stores.len()];
            let stored = store.store_result(id, 1, outcome(6, 0), at(9)).await;
            assert_eq!(stored.unwrap(), StoreOutcome::Stored);
        }
    })
}
