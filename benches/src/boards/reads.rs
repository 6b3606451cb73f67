//! Ranks and pages of a large board.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use gs_store::{ALL_TIME, BoardKey, BoardStart, Store};
use redis::aio::ConnectionManager;
use uuid::Uuid;

use crate::load::{Load, Until};
use crate::services::{PLAYER_ID, SCORE, Services, player_id};

/// What was measured on one board.
#[derive(Default)]
pub(super) struct Reads {
    /// Rank, score and total of a random player.
    pub(super) standing: Both,
    /// The first hundred, with names.
    pub(super) top: Both,
    /// A hundred around a random player, with names.
    pub(super) around: Both,
    /// The peer's rank of a random player.
    pub(super) zrevrank: Both,
    /// The peer's first hundred, with scores.
    pub(super) zrevrange: Both,
    /// Entries a second that Redis took over from the record.
    pub(super) rebuilt_per_second: f64,
}

/// A read by many callers and by one.
#[derive(Default)]
pub(super) struct Both {
    /// [`CALLERS`] at once.
    pub(super) together: Load,
    /// One.
    pub(super) alone: Load,
}

impl Both {
    fn by(&mut self, callers: usize) -> &mut Load {
        match callers {
            1 => &mut self.alone,
            _ => &mut self.together,
        }
    }
}

/// Fills a board of so many entries and reads it, in turns with the peer.
pub(super) async fn measure(
    services: &Services,
    store: Arc<dyn Store>,
    entries: u64,
    quick: bool,
) -> anyhow::Result<Reads> {
    let board = BoardKey {
        game: format!("bench-{entries}"),
        board: "default".to_owned(),
        season: ALL_TIME.to_owned(),
    };
    let shown = fill(services, &board, entries)?;
    let mut reads = Reads {
        rebuilt_per_second: rebuild(&*store, &board, entries).await?,
        ..Reads::default()
    };
    let redis = services.redis().await?;
    let key: Arc<str> = format!("lb:{}", board.game).into();
    check(&*store, &board, redis.clone(), &key, entries).await?;

    let board = Arc::new(board);
    let (rounds, time) = if quick { (3, 400) } else { (6, 1_500) };
    let time = Duration::from_millis(time);
    for round in 1..=rounds {
        eprintln!("reads, round {round}/{rounds}");
        for (count, time) in [(CALLERS, time), (1, time / 3)] {
            let until = Until::Time(time);
            let mut stores = vec![(store.clone(), board.clone()); count];
            let mut peers = vec![(redis.clone(), key.clone()); count];
            let shown = shown.clone();
            let around = move |caller, _| {
                page(
                    caller,
                    BoardStart::Around(shown[rand::random_range(0..shown.len())]),
                )
            };
            let (standing, zrevrank) = (
                move |caller, _| standing(caller, entries),
                move |caller, _| zrevrank(caller, entries),
            );
            let (top, zrevrange) = (
                |caller, _| page(caller, BoardStart::Top),
                |caller, _| zrevrange(caller),
            );
            reads
                .standing
                .by(count)
                .round(&mut stores, until, standing)
                .await?;
            reads
                .zrevrank
                .by(count)
                .round(&mut peers, until, zrevrank)
                .await?;
            reads.top.by(count).round(&mut stores, until, top).await?;
            reads
                .zrevrange
                .by(count)
                .round(&mut peers, until, zrevrange)
                .await?;
            reads
                .around
                .by(count)
                .round(&mut stores, until, around)
                .await?;
        }
    }
    Ok(reads)
}

type StoreCaller = (Arc<dyn Store>, Arc<BoardKey>);
type RedisCaller = (ConnectionManager, Arc<str>);

async fn standing((store, board): StoreCaller, entries: u64) -> anyhow::Result<StoreCaller> {
    let player = player_id(rand::random_range(1..=entries));
    let found = store.standing(&board, player).await?;
    let found = found.with_context(|| format!("{player} is not on the board"))?;
    ensure!(
        found.total == entries,
        "the board has {} entries",
        found.total
    );
    Ok((store, board))
}

async fn page((store, board): StoreCaller, start: BoardStart) -> anyhow::Result<StoreCaller> {
    let page = store.board_page(&board, start, PAGE).await?;
    ensure!(
        page.entries.len() == PAGE as usize,
        "a page has {} entries",
        page.entries.len()
    );
    Ok((store, board))
}

async fn zrevrank((mut redis, key): RedisCaller, entries: u64) -> anyhow::Result<RedisCaller> {
    let player = player_id(rand::random_range(1..=entries));
    let mut command = redis::cmd("ZREVRANK");
    command.arg(&*key).arg(player.to_string());
    let rank: Option<u64> = command.query_async(&mut redis).await?;
    ensure!(rank.is_some(), "{player} is not in {key}");
    Ok((redis, key))
}

async fn zrevrange((mut redis, key): RedisCaller) -> anyhow::Result<RedisCaller> {
    let mut command = redis::cmd("ZREVRANGE");
    command.arg(&*key).arg(0).arg(PAGE - 1).arg("WITHSCORES");
    let entries: Vec<(String, f64)> = command.query_async(&mut redis).await?;
    ensure!(
        entries.len() == PAGE as usize,
        "{key} has {} entries",
        entries.len()
    );
    Ok((redis, key))
}

/// Fills the record, and answers players whose neighbours have names.
fn fill(services: &Services, board: &BoardKey, entries: u64) -> anyhow::Result<Arc<[Uuid]>> {
    let (game, season) = (&board.game, &board.season);
    let id = services.count(&format!(
        "INSERT INTO boards (game_id, board, season) VALUES ('{game}', '{}', '{season}') RETURNING id",
        board.board
    ))?;
    // Sorting once is sooner done than keeping an order that does not fit in memory.
    let orders = services.sql(
        "SELECT string_agg(indexdef, ';'), string_agg('DROP INDEX ' || indexname, ';')
         FROM pg_indexes WHERE tablename = 'board_entries' AND indexname NOT LIKE '%_pkey'",
    );
    let (create, drop) = orders.split_once('|').context("the board has no order")?;
    services.sql(&format!(
        "{drop};
         -- Most entries' players have no row: nobody asks for their names.
         SET session_replication_role = replica;
         INSERT INTO board_entries (board_id, player_id, score, reached_at)
         SELECT {id}, {PLAYER_ID}, {SCORE}, timestamptz '2026-01-01' + n * interval '1 ms'
         FROM generate_series(1, {entries}) n;
         {create}"
    ));
    let stretches = format!(
        "SELECT player_id, row_number() OVER (PARTITION BY stretch) AS place
         FROM generate_series(1, {STRETCHES}) stretch, LATERAL (
             SELECT player_id FROM board_entries
             WHERE board_id = {id} AND score <= stretch * 1048575 / {STRETCHES}
             ORDER BY score DESC, reached_at, player_id LIMIT {STRETCH}) entry"
    );
    services.sql(&format!("CREATE TABLE shown_{entries} AS {stretches}"));
    services.sql(&format!(
        "INSERT INTO players (id, username, username_key, username_skeleton, created_at)
         SELECT player_id, name, name, name, now()
         FROM (SELECT DISTINCT player_id, 'p' || right(player_id::text, 12) AS name FROM shown_{entries}) named
         ON CONFLICT DO NOTHING"
    ));
    services.sql("VACUUM ANALYZE");
    services.sql("CHECKPOINT");
    let shown = services.sql(&format!(
        "SELECT DISTINCT player_id FROM shown_{entries} WHERE place BETWEEN {PAGE} AND {STRETCH} - {PAGE}"
    ));
    let shown: Result<Arc<[Uuid]>, _> = shown.lines().map(Uuid::parse_str).collect();
    shown.context("a player's id is none")
}

/// Has Redis take the board over from the record; answers entries a second.
async fn rebuild(store: &dyn Store, board: &BoardKey, entries: u64) -> anyhow::Result<f64> {
    let started = Instant::now();
    let request = store.request_rebuild(&board.game, None).await?;
    loop {
        let rebuild = store
            .rebuild(request)
            .await?
            .context("the rebuild is unknown")?;
        if rebuild.done {
            break;
        }
        ensure!(
            started.elapsed() < REBUILD_TIMEOUT,
            "the rebuild has come no further than {}",
            rebuild.entries
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(entries as f64 / started.elapsed().as_secs_f64())
}

/// Whether the ranks that are measured are right, and come from Redis.
async fn check(
    store: &dyn Store,
    board: &BoardKey,
    mut redis: ConnectionManager,
    key: &str,
    entries: u64,
) -> anyhow::Result<()> {
    let held: u64 = redis::cmd("ZCARD").arg(key).query_async(&mut redis).await?;
    ensure!(held == entries, "Redis has {held} entries of {entries}");
    let page = store.board_page(board, BoardStart::Top, PAGE).await?;
    for entry in &page.entries {
        let standing = store.standing(board, entry.player_id).await?;
        let standing = standing.context("a player of the page is not on the board")?;
        ensure!(
            standing.rank == entry.rank,
            "the page and the standing differ in a rank"
        );
    }
    Ok(())
}

/// Who ask at once.
pub(super) const CALLERS: usize = 64;
const PAGE: u32 = 100;
/// Stretches of the board, of which players are shown.
const STRETCHES: u32 = 64;
/// Entries of a stretch.
const STRETCH: u32 = 600;
const REBUILD_TIMEOUT: Duration = Duration::from_secs(600);
