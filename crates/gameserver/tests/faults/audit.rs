//! Recounts everything from the history of matches, and compares.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cluster::{Cluster, eventually};
use crate::game::RULES;

/// Everything that was counted is what the history says, each result once.
pub(crate) fn everything_adds_up(cluster: &Cluster) {
    eventually("every match is over", SETTLE, || {
        cluster.sql("SELECT count(*) FROM matches WHERE status IN ('forming', 'open', 'running')")
            == "0"
    });
    for (what, sql) in MISTAKES {
        let sql = sql.replace("$RATED", RATED);
        let found = cluster.sql(&sql);
        assert_eq!(found, "", "{what}:\n{found}\n{sql}");
    }
    eventually("the boards' changes are taken over", SETTLE, || {
        cluster.sql("SELECT count(*) FROM board_changes") == "0"
    });
    for rule in RULES {
        let entries = format!(
            "SELECT e.player_id, e.score FROM board_entries e JOIN boards b ON b.id = e.board_id \
             WHERE b.game_id = '{rule}' AND b.board = 'default' AND b.season = 'all'"
        );
        let entries = cluster.sql(&entries);
        let row = |line: &str| {
            let (player, score) = line.split_once('|').expect("two columns");
            (player.to_owned(), score.parse().unwrap())
        };
        let recorded: BTreeMap<String, i64> = entries.lines().map(row).collect();
        assert!(!recorded.is_empty(), "nobody is on the board of {rule}");
        let mut cached = BTreeMap::new();
        eventually("Redis has the board", SETTLE, || {
            cached = sorted_set(cluster, &format!("lb:{rule}"));
            cached == recorded
        });
    }
}

/// Members and scores of a sorted set.
pub(crate) fn sorted_set(cluster: &Cluster, key: &str) -> BTreeMap<String, i64> {
    let answer = cluster
        .redis
        .command(&format!("ZRANGE {key} 0 -1 WITHSCORES"));
    // What begins so says how long the rest is.
    let texts: Vec<&str> = answer
        .lines()
        .filter(|line| !line.starts_with(['*', '$']))
        .collect();
    let pair = |pair: &[&str]| (pair[0].to_owned(), pair[1].parse().unwrap());
    texts.chunks_exact(2).map(pair).collect()
}

/// Slots of matches that count.
const RATED: &str = "(SELECT m.id, m.game_id, m.mode, m.ended_at, s.player_id, s.placement, s.score, \
    s.statistics, (SELECT min(o.placement) FROM match_slots o \
        WHERE o.match_id = m.id AND o.slot <> s.slot) AS others \
    FROM matches m JOIN match_slots s ON s.match_id = m.id \
    WHERE m.rated AND m.outcome IN ('finished', 'abandoned') AND s.placement IS NOT NULL)";

/// Queries that find what does not add up: nothing, where all is well.
const MISTAKES: &[(&str, &str)] = &[
    (
        "matches that are over without an outcome, or void or failed without a reason",
        "SELECT id, status, outcome FROM matches WHERE coalesce(outcome, 'void') <> 'finished' \
         AND coalesce(reason, '') = ''",
    ),
    (
        "finished matches without both results",
        "SELECT m.id FROM matches m WHERE m.outcome = 'finished' AND 2 <> \
         (SELECT count(s.score) FROM match_slots s WHERE s.match_id = m.id)",
    ),
    (
        "results that are not among the scores, or scores that are no result",
        "SELECT * FROM (SELECT id, game_id, mode, player_id, score FROM $RATED r) a \
         FULL JOIN (SELECT match_id, game_id, mode, player_id, score FROM scores) b \
         ON a.id = b.match_id AND a.player_id = b.player_id AND a.score = b.score \
            AND a.game_id = b.game_id AND a.mode = b.mode \
         WHERE a.id IS NULL OR b.match_id IS NULL",
    ),
    (
        "scores that were counted twice",
        "SELECT match_id, player_id FROM scores GROUP BY 1, 2 HAVING count(*) > 1",
    ),
    (
        "statistics that are not a recount",
        "SELECT * FROM (SELECT player_id, game_id, mode, count(*) AS matches, \
             count(*) FILTER (WHERE placement = 1 AND others > 1) AS wins, \
             count(*) FILTER (WHERE placement = 1 AND others = 1) AS draws, \
             count(*) FILTER (WHERE placement > 1) AS losses, \
             max(score) AS best_score, sum(score) AS total_score, max(ended_at) AS last_played_at \
             FROM $RATED r GROUP BY 1, 2, 3) a \
         FULL JOIN player_statistics b USING (player_id, game_id, mode) \
         WHERE (a.matches, a.wins, a.draws, a.losses, a.best_score, a.total_score, a.last_played_at) \
            IS DISTINCT FROM \
            (b.matches, b.wins, b.draws, b.losses, b.best_score, b.total_score, b.last_played_at)",
    ),
    (
        "players with matches and without a rating",
        "SELECT player_id FROM player_statistics WHERE matches > 0 AND (rating IS NULL \
         OR rating_uncertainty IS NULL)",
    ),
    (
        "board entries that are not a recount",
        "SELECT * FROM (SELECT game_id, player_id, CASE game_id WHEN 'best' THEN max(score) \
             WHEN 'sum' THEN sum(score) \
             ELSE (array_agg(score ORDER BY ended_at DESC))[1] END::bigint AS score \
             FROM $RATED r GROUP BY 1, 2) a \
         FULL JOIN (SELECT b.game_id, e.player_id, e.score FROM board_entries e \
             JOIN boards b ON b.id = e.board_id) b USING (game_id, player_id) \
         WHERE a.score IS DISTINCT FROM b.score",
    ),
];

/// Leases that ran out are taken over, matches are ended, and the follower follows.
const SETTLE: Duration = Duration::from_secs(60);
