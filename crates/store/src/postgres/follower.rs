//! Keeps Redis up with the record.
//!
//! Results note in `board_changes` which entries they changed, in their own transaction. One process
//! at a time takes these over into the sorted sets: the holder of an advisory lock, for as long as
//! its connection lasts. It writes a fence into Redis first, and every write checks it, so that a
//! holder that was held up and comes back late writes nothing any more. The fence names Redis's run:
//! where it is gone, or is another run's, Redis may have lost anything, and every set is made anew.
//!
//! A set is made anew under another name while the old one is read, from one snapshot of the record;
//! what changed since is in `board_changes` still, and is taken over after it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::LazyLock;
use std::time::Duration;

use redis::Script;
use redis::aio::ConnectionManager;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::time::Instant;
use uuid::Uuid;

use super::PostgresStore;
use super::queues;
use super::ranks::{READY, key};
use crate::{BoardKey, StoreError};

/// Runs until it is dropped.
pub(super) async fn run(store: &PostgresStore) {
    let mut fails = false;
    loop {
        let begun = Instant::now();
        let error = match follow(store).await {
            Ok(never) => match never {},
            Err(error) => error,
        };
        // Once, and again when it went well meanwhile.
        if !fails || begun.elapsed() > WELL {
            tracing::warn!(%error, "ranks are not kept up for now; trying on");
        }
        fails = true;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Why a holder stops.
#[derive(Debug, thiserror::Error)]
enum Stop {
    /// Another process has taken over, or Redis has lost the fence.
    #[error("Redis has another fence, or none")]
    Fenced,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<redis::RedisError> for Stop {
    fn from(error: redis::RedisError) -> Self {
        Self::Store(error.into())
    }
}

/// Waits for its turn, then works until something fails.
async fn follow(store: &PostgresStore) -> Result<std::convert::Infallible, Stop> {
    let mut lock = take_turn(store).await?;
    let mut changes = store.redis.subscribe();
    let mut follower = Follower::take_over(store).await?;
    loop {
        changes.mark_unchanged();
        let mut busy = follower.rebuild_requested(&mut lock).await?;
        busy |= follower.take_changes(&mut lock, &[]).await? >= MAX_CHANGES as usize;
        if follower.queues_restored.elapsed() > QUEUES_RESTORED {
            queues::restore(store, &mut follower.connection).await?;
            follower.queues_restored = Instant::now();
        }
        if !busy {
            tokio::select! {
                Ok(()) = changes.changed() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
        follower.check(&mut lock).await?;
    }
}

/// A connection that holds the lock.
async fn take_turn(store: &PostgresStore) -> Result<PgConnection, Stop> {
    let options: PgConnectOptions = (*store.pool.connect_options()).clone().options([
        // A holder whose machine is gone must not keep the lock.
        ("tcp_keepalives_idle", "5"),
        ("tcp_keepalives_interval", "5"),
        ("tcp_keepalives_count", "2"),
    ]);
    let mut connection = options.connect().await?;
    loop {
        let locked = sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "locked!""#, LOCK);
        if locked.fetch_one(&mut connection).await? {
            return Ok(connection);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

struct Follower<'a> {
    store: &'a PostgresStore,
    connection: ConnectionManager,
    /// What the fence holds: Redis's run, and a word of this holder's own.
    fence: String,
    /// The sets that have all entries of their board.
    ready: HashSet<String>,
    queues_restored: Instant,
}

impl<'a> Follower<'a> {
    /// Puts up the fence. Where Redis has lost anything, nothing counts any more until it is rebuilt.
    async fn take_over(store: &'a PostgresStore) -> Result<Self, Stop> {
        let mut connection = store.redis.connection();
        let run = run_id(&mut connection).await?;
        let fence = format!("{run}/{}", Uuid::new_v4().simple());
        let ready: HashSet<String> = TAKE_OVER
            .key(FENCE)
            .key(READY)
            .arg(&fence)
            .arg(format!("{run}/"))
            .invoke_async(&mut connection)
            .await?;
        tracing::info!(kept = ready.len(), "this process keeps the ranks up");
        let mut follower = Self {
            store,
            connection,
            fence,
            ready,
            queues_restored: Instant::now(),
        };
        queues::restore(store, &mut follower.connection).await?;
        follower.rebuild_missing().await?;
        Ok(follower)
    }

    /// Whether the fence and the lock still stand.
    async fn check(&mut self, lock: &mut PgConnection) -> Result<(), Stop> {
        lock.ping().await?;
        let mut get = redis::cmd("GET");
        get.arg(FENCE);
        let fence: Option<String> = get.query_async(&mut self.connection).await?;
        let run = run_id(&mut self.connection).await?;
        let stands = fence.as_deref() == Some(&self.fence) && self.fence.starts_with(&run);
        if stands { Ok(()) } else { Err(Stop::Fenced) }
    }

    /// Makes the sets that cannot be relied on: all, where Redis has lost its data, or those that the
    /// holder before did not come to.
    async fn rebuild_missing(&mut self) -> Result<(), Stop> {
        for (id, board) in boards(self.store, None, None).await? {
            if !self.ready.contains(&key(&board)) {
                self.rebuild(id, &board, None).await?;
            }
        }
        Ok(())
    }

    /// Does the oldest rebuild that was asked for. Answers whether there was one.
    async fn rebuild_requested(&mut self, lock: &mut PgConnection) -> Result<bool, Stop> {
        let request = sqlx::query!(
            "SELECT id, game_id, board FROM board_rebuilds WHERE done_at IS NULL
             ORDER BY requested_at LIMIT 1"
        );
        let Some(request) = request.fetch_optional(&mut *lock).await? else {
            return Ok(false);
        };
        let boards = boards(self.store, Some(&request.game_id), request.board.as_deref()).await?;
        sqlx::query!(
            "UPDATE board_rebuilds SET entries = 0 WHERE id = $1",
            request.id
        )
        .execute(&mut *lock)
        .await?;
        for (id, board) in boards {
            self.rebuild(id, &board, Some((request.id, &mut *lock)))
                .await?;
        }
        sqlx::query!(
            "UPDATE board_rebuilds SET done_at = now() WHERE id = $1",
            request.id
        )
        .execute(&mut *lock)
        .await?;
        self.store.changed();
        Ok(true)
    }

    /// Makes a board's set anew. Meanwhile, other boards' changes are taken over, where the lock's
    /// connection is at hand.
    async fn rebuild(
        &mut self,
        id: i32,
        board: &BoardKey,
        mut request: Option<(Uuid, &mut PgConnection)>,
    ) -> Result<(), Stop> {
        let (set, building) = (key(board), format!("{}:building", key(board)));
        self.run(&CLEAR, &[&building], &[]).await?;
        let mut snapshot = self.store.pool.begin().await?;
        sqlx::query!("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            .execute(&mut *snapshot)
            .await?;
        let mut pending = 0;
        let mut others_served = Instant::now();
        let mut page = read_page(&mut snapshot, id, Uuid::nil()).await?;
        while let Some(&(after, _)) = page.last() {
            let (arguments, built_set) = (arguments(&page), [building.as_str()]);
            // Redis takes one page while PostgreSQL reads the next.
            let (next, built) = tokio::join!(
                read_page(&mut snapshot, id, after),
                self.run(&ENTER, &built_set, &arguments),
            );
            built?;
            pending += page.len() as i64;
            page = next?;
            if let Some((request, lock)) = request.as_mut()
                && (page.is_empty() || others_served.elapsed() > OTHERS_SERVED)
            {
                progress(lock, *request, pending).await?;
                pending = 0;
                self.take_changes(lock, &[id]).await?;
                others_served = Instant::now();
            }
        }
        snapshot.commit().await?;
        self.run(&PUT_UP, &[&building, &set, READY], &[]).await?;
        self.ready.insert(set);
        Ok(())
    }

    /// Takes over what results have changed, but on these boards. Answers how many changes.
    async fn take_changes(
        &mut self,
        lock: &mut PgConnection,
        without: &[i32],
    ) -> Result<usize, Stop> {
        let rows = sqlx::query!(
            r#"SELECT change.id, change.board_id, player_id, score, game_id, board, season
             FROM board_changes AS change JOIN boards ON boards.id = change.board_id
             WHERE change.board_id <> ALL($1) ORDER BY change.id LIMIT $2"#,
            without,
            MAX_CHANGES,
        )
        .fetch_all(&mut *lock)
        .await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        // An entry's last change is what counts.
        let mut boards: BTreeMap<i32, (BoardKey, HashMap<Uuid, i64>)> = BTreeMap::new();
        for row in rows {
            let board = || BoardKey {
                game: row.game_id,
                board: row.board,
                season: row.season,
            };
            let (_, entries) = boards
                .entry(row.board_id)
                .or_insert_with(|| (board(), HashMap::new()));
            entries.insert(row.player_id, row.score);
        }
        for (id, (board, entries)) in boards {
            let set = key(&board);
            if !self.ready.contains(&set) {
                // The snapshot has these changes, too.
                Box::pin(self.rebuild(id, &board, None)).await?;
                continue;
            }
            let pairs: Vec<(Uuid, i64)> = entries.into_iter().collect();
            self.run(&ENTER, &[&set], &arguments(&pairs)).await?;
        }
        sqlx::query!("DELETE FROM board_changes WHERE id = ANY($1)", &ids)
            .execute(&mut *lock)
            .await?;
        Ok(ids.len())
    }

    /// Runs a script that writes, behind the fence.
    async fn run(&mut self, script: &Script, keys: &[&str], rest: &[String]) -> Result<(), Stop> {
        let mut invocation = script.prepare_invoke();
        invocation.key(FENCE);
        keys.iter().for_each(|key| {
            invocation.key(*key);
        });
        invocation.arg(&self.fence);
        rest.iter().for_each(|argument| {
            invocation.arg(argument);
        });
        let done: bool = invocation.invoke_async(&mut self.connection).await?;
        if done { Ok(()) } else { Err(Stop::Fenced) }
    }
}

/// All boards, or those of a game, or one of its boards in all seasons.
async fn boards(
    store: &PostgresStore,
    game: Option<&str>,
    board: Option<&str>,
) -> Result<Vec<(i32, BoardKey)>, Stop> {
    let rows = sqlx::query!(
        "SELECT id, game_id, board, season FROM boards
         WHERE ($1::text IS NULL OR game_id = $1) AND ($2::text IS NULL OR board = $2)
         ORDER BY id",
        game,
        board,
    )
    .fetch_all(&store.pool)
    .await?;
    let boards = rows.into_iter().map(|row| {
        let key = BoardKey {
            game: row.game_id,
            board: row.board,
            season: row.season,
        };
        (row.id, key)
    });
    Ok(boards.collect())
}

async fn progress(lock: &mut PgConnection, request: Uuid, entries: i64) -> Result<(), Stop> {
    sqlx::query!(
        "UPDATE board_rebuilds SET entries = entries + $2 WHERE id = $1",
        request,
        entries,
    )
    .execute(lock)
    .await?;
    Ok(())
}

/// The entries of a board after this player, in the order of players.
async fn read_page(
    snapshot: &mut PgConnection,
    board_id: i32,
    after: Uuid,
) -> Result<Vec<(Uuid, i64)>, Stop> {
    let rows = sqlx::query!(
        "SELECT player_id, score FROM board_entries
         WHERE board_id = $1 AND player_id > $2 ORDER BY player_id LIMIT 2000",
        board_id,
        after,
    )
    .fetch_all(snapshot)
    .await?;
    Ok(rows.into_iter().map(|r| (r.player_id, r.score)).collect())
}

/// The word by which a run of Redis is told from the one before.
async fn run_id(connection: &mut ConnectionManager) -> Result<String, Stop> {
    let mut info = redis::cmd("INFO");
    info.arg("server");
    let text: String = info.query_async(connection).await?;
    let run = text.lines().find_map(|line| line.strip_prefix("run_id:"));
    Ok(run.unwrap_or_default().trim().to_owned())
}

fn arguments(pairs: &[(Uuid, i64)]) -> Vec<String> {
    let pair = |&(player, score): &(Uuid, i64)| [score.to_string(), player.to_string()];
    pairs.iter().flat_map(pair).collect()
}

/// Puts up the fence, and answers the sets that can be relied on: KEYS fence, ready sets; ARGV fence,
/// how fences of this run begin. Both in one, lest a holder that ends in between leaves sets of
/// another run behind a fence of this one.
static TAKE_OVER: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local before = redis.call('SET', KEYS[1], ARGV[1], 'GET')
         if not before or string.sub(before, 1, #ARGV[2]) ~= ARGV[2] then
             redis.call('DEL', KEYS[2])
         end
         return redis.call('SMEMBERS', KEYS[2])",
    )
});

/// Enters scores: KEYS fence, set; ARGV fence, then pairs of score and player. Lua passes on some
/// thousands of arguments at once, no more.
static ENTER: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
         for first = 2, #ARGV, 1000 do
             redis.call('ZADD', KEYS[2], unpack(ARGV, first, math.min(first + 999, #ARGV)))
         end
         return 1",
    )
});

/// Empties a set: KEYS fence, set.
static CLEAR: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
         redis.call('UNLINK', KEYS[2])
         return 1",
    )
});

/// Puts what was built in the old set's place: KEYS fence, built set, set, ready sets.
static PUT_UP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
         redis.call('UNLINK', KEYS[3])
         if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('RENAME', KEYS[2], KEYS[3]) end
         redis.call('SADD', KEYS[4], KEYS[3])
         return 1",
    )
});

/// No board's own key: no game's name is empty.
const FENCE: &str = "lb::follower";
/// Drawn by lot; nobody else's lock in this database.
const LOCK: i64 = 0x6761_6d65_6c62_7631;
/// Between two tries to take a turn, or to begin again.
const PAUSE: Duration = Duration::from_millis(500);
/// A turn that lasted so long did not fail at once.
const WELL: Duration = Duration::from_secs(10);
/// How late a change may be seen whose news were lost.
const POLL: Duration = Duration::from_secs(1);
/// How long the queues' keys may differ from the record.
const QUEUES_RESTORED: Duration = Duration::from_secs(30);
/// How long other boards' changes wait for a rebuild.
const OTHERS_SERVED: Duration = Duration::from_millis(500);
/// Most changes taken over in one go, and as many entries are read at once in a rebuild: Redis does
/// nothing else while it takes them, some two milliseconds.
const MAX_CHANGES: i64 = 2_000;
