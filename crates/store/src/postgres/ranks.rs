//! Ranks, counted in Redis: a sorted set for each board, of player ids by score.
//!
//! `lb:{game}` is the board `default` of all time, `lb:{game}:{board}` another one of all time, and
//! `lb:{game}:{board}:{season}` one of a season. A set counts only while it is named in [`READY`],
//! which [`super::follower`] keeps; where it is not, or Redis is away, PostgreSQL counts, which
//! takes long on a large board and so is done for a few callers at a time.
//!
//! Scores are doubles in Redis, exact up to 2⁵³: some four million times the highest of a match.

use std::io;
use std::sync::LazyLock;

use redis::Script;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::PostgresStore;
use crate::{ALL_TIME, BoardKey, Standing, StoreError, StoreResult};

/// How many entries a board has, and how many of them have a higher score than each asked for.
#[derive(Debug, PartialEq)]
pub(super) struct Counts {
    pub(super) total: u64,
    pub(super) higher: Vec<u64>,
}

/// What Redis knows of a player on a board.
pub(super) enum Known {
    /// Everything.
    Standing(Standing),
    /// The board's set is good, and the player is not in it (yet).
    Nothing,
    /// The set cannot be relied on.
    Unknown,
}

/// The name of a board's sorted set.
pub(super) fn key(board: &BoardKey) -> String {
    let BoardKey {
        game,
        board,
        season,
    } = board;
    match (board.as_str(), season.as_str()) {
        ("default", ALL_TIME) => format!("lb:{game}"),
        (_, ALL_TIME) => format!("lb:{game}:{board}"),
        _ => format!("lb:{game}:{board}:{season}"),
    }
}

impl PostgresStore {
    /// A player's standing, in one round trip to Redis.
    pub(super) async fn known_standing(&self, board: &BoardKey, player_id: Uuid) -> Known {
        let answer: redis::RedisResult<(i64, f64, u64, u64)> = STANDING
            .key(key(board))
            .key(READY)
            .arg(player_id.to_string())
            .invoke_async(&mut self.redis.connection())
            .await;
        match answer {
            Ok((2, score, higher, total)) => Known::Standing(Standing {
                rank: higher + 1,
                score: score as i64,
                total,
            }),
            Ok((1, ..)) => Known::Nothing,
            Ok(_) => Known::Unknown,
            Err(error) => {
                tracing::debug!(%error, "Redis does not tell a rank");
                Known::Unknown
            }
        }
    }

    /// Counts in Redis, else in PostgreSQL.
    pub(super) async fn counts(&self, board: &BoardKey, scores: &[i64]) -> StoreResult<Counts> {
        let mut invocation = COUNTS.prepare_invoke();
        invocation.key(key(board)).key(READY);
        for score in scores {
            invocation.arg(*score);
        }
        let answer: redis::RedisResult<Vec<u64>> =
            invocation.invoke_async(&mut self.redis.connection()).await;
        if let Ok(counted) = answer
            && let Some((&total, higher)) = counted.split_first()
        {
            return Ok(Counts {
                total,
                higher: higher.to_vec(),
            });
        }
        self.recorded_counts(board, scores).await
    }

    async fn recorded_counts(&self, board: &BoardKey, scores: &[i64]) -> StoreResult<Counts> {
        static PLACES: Semaphore = Semaphore::const_new(MAX_COUNTING);
        let Ok(_place) = PLACES.try_acquire() else {
            let busy = "too many ranks are being counted while Redis is away";
            return Err(StoreError::Unavailable(sqlx::Error::Io(io::Error::other(
                busy,
            ))));
        };
        let rows = sqlx::query_scalar!(
            r#"WITH entries AS NOT MATERIALIZED (
                 SELECT score FROM board_entries WHERE board_id =
                     (SELECT id FROM boards WHERE game_id = $1 AND board = $2 AND season = $3))
             SELECT COUNT(*) AS "count!" FROM entries
             UNION ALL
             SELECT (SELECT COUNT(*) FROM entries WHERE entries.score > asked.score)
             FROM unnest($4::bigint[]) WITH ORDINALITY AS asked (score, number)"#,
            board.game,
            board.board,
            board.season,
            scores,
        )
        .fetch_all(&self.pool)
        .await?;
        let mut counts = rows.into_iter().map(i64::unsigned_abs);
        Ok(Counts {
            total: counts.next().unwrap_or_default(),
            higher: counts.collect(),
        })
    }
}

/// Names the sets that have all entries of their board. No board's own key: no game's name is empty.
pub(super) const READY: &str = "lb::ready";

/// Answers `{0}` where the set cannot be relied on, `{1}` where the player is not in it, else
/// `{2, score, higher, total}`; always four numbers.
static STANDING: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('SISMEMBER', KEYS[2], KEYS[1]) == 0 then return {0, '0', 0, 0} end
         local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
         if not score then return {1, '0', 0, 0} end
         return {2, score, redis.call('ZCOUNT', KEYS[1], '(' .. score, '+inf'),
             redis.call('ZCARD', KEYS[1])}",
    )
});

/// Answers the total and the number of higher scores for each argument; nothing where the set cannot
/// be relied on.
static COUNTS: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('SISMEMBER', KEYS[2], KEYS[1]) == 0 then return {} end
         local counts = {redis.call('ZCARD', KEYS[1])}
         for i, score in ipairs(ARGV) do
             counts[i + 1] = redis.call('ZCOUNT', KEYS[1], '(' .. score, '+inf')
         end
         return counts",
    )
});

/// Most that PostgreSQL counts at once: each reads a whole board, and others need it meanwhile.
const MAX_COUNTING: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_specifications() {
        let of = |board: &str, season: &str| {
            key(&BoardKey {
                game: "arena".to_owned(),
                board: board.to_owned(),
                season: season.to_owned(),
            })
        };
        assert_eq!(of("default", ALL_TIME), "lb:arena");
        assert_eq!(of("hits", ALL_TIME), "lb:arena:hits");
        assert_eq!(of("default", "2026-11-23"), "lb:arena:default:2026-11-23");
    }
}
