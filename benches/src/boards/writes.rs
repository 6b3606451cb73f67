//! Results of rated matches, acknowledged once they are on disk.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use chrono::Utc;
use gs_store::{
    ALL_TIME, BoardRule, CountsOn, MatchOutcome, Outcome, SlotOutcome, Store, StoreOutcome,
};
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::load::{Load, Until};
use crate::services::{CONNECTIONS, PLAYER_ID, Services, player_id};

/// What was measured.
#[derive(Default)]
pub(super) struct Writes {
    /// Results, many callers at once.
    pub(super) ours: Load,
    /// Scores, a transaction each, over as many connections as the store has.
    pub(super) peer: Load,
    /// Results, one caller.
    pub(super) ours_alone: Load,
    /// Scores, one connection.
    pub(super) peer_alone: Load,
    /// The longest time after a round's last result until Redis had all of it.
    pub(super) behind: Duration,
    /// How many scores the record has at the end, which is as many as were acknowledged.
    pub(super) scores: u64,
}

/// Writes results in turns with the peer, and checks that each counted once.
pub(super) async fn measure(
    services: &Services,
    store: Arc<dyn Store>,
    quick: bool,
) -> anyhow::Result<Writes> {
    let (rounds, results, inserts, alone) = if quick {
        (3, 1_000, 4_000, 50)
    } else {
        (6, 4_000, 16_000, 100)
    };
    services.add_players(PLAYERS, None);
    add_matches(services, rounds * (results + alone));
    services.sql("CREATE TABLE naive_scores (LIKE scores INCLUDING ALL)");
    services.sql("VACUUM ANALYZE");
    services.sql("CHECKPOINT");

    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(PgConnection::connect(&services.database_url).await?);
    }
    let mut callers = vec![(); CALLERS];
    let mut one = vec![()];
    let mut written = Writes::default();
    let mut first = 0;
    for round in 1..=rounds {
        eprintln!("results, round {round}/{rounds}");
        let insert = |connection, _| insert_score(connection);
        let mut last = connections.split_off(CONNECTIONS as usize - 1);
        let (peer, peer_alone) = (&mut written.peer, &mut written.peer_alone);
        peer_alone
            .round(&mut last, Until::Calls(alone), insert)
            .await?;
        connections.append(&mut last);
        peer.round(&mut connections, Until::Calls(inserts), insert)
            .await?;
        for (load, callers, calls) in [
            (&mut written.ours_alone, &mut one, alone),
            (&mut written.ours, &mut callers, results),
        ] {
            let store = store.clone();
            let call = move |(), number| store_result(store.clone(), first + number);
            load.round(callers, Until::Calls(calls), call).await?;
            first += calls;
            // The peer has the machine to itself.
            let behind = caught_up(services).await?;
            written.behind = written.behind.max(behind);
        }
    }
    written.scores = check(services, first)?;
    Ok(written)
}

async fn store_result(store: Arc<dyn Store>, number: u64) -> anyhow::Result<()> {
    let now = Utc::now();
    let slots = (0..SLOTS as u8).map(|slot| SlotOutcome {
        slot,
        placement: slot + 1,
        team: None,
        // Sometimes a player's best so far and mostly not, as in a game that is played for long.
        score: (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44) as i32 - i32::from(slot),
        statistics: vec![("kills".to_owned(), 12), ("deaths".to_owned(), 7)],
    });
    let outcome = MatchOutcome {
        outcome: Outcome::Finished,
        reason: None,
        details: None,
        slots: slots.collect(),
        boards: vec![CountsOn {
            board: "default".to_owned(),
            season: ALL_TIME.to_owned(),
            rule: BoardRule::Best,
            statistic: None,
        }],
        started_at: Some(now),
        ended_at: now,
        ticks: 3_600,
    };
    match store
        .store_result(match_id(number), 1, outcome, now)
        .await?
    {
        StoreOutcome::Stored => Ok(()),
        other => bail!("the result of match {number} was answered with {other:?}"),
    }
}

/// What the peer does for one score.
async fn insert_score(mut connection: PgConnection) -> anyhow::Result<PgConnection> {
    let player = player_id(rand::random_range(1..=PLAYERS));
    sqlx::query(
        "INSERT INTO naive_scores (id, game_id, mode, player_id, match_id, score, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(Uuid::now_v7())
    .bind(GAME)
    .bind("default")
    .bind(player)
    .bind(Uuid::now_v7())
    .bind(rand::random_range(0..1_000_000))
    .bind(Utc::now())
    .execute(&mut connection)
    .await?;
    Ok(connection)
}

/// Running matches of ten players each, and their tickets.
fn add_matches(services: &Services, count: u64) {
    let player = format!(
        "(SELECT {PLAYER_ID} FROM (SELECT (m * {SLOTS} + slot) * 7919::bigint % {PLAYERS} + 1 AS n) p)"
    );
    let slots = format!("generate_series(0, {}) slot", SLOTS - 1);
    services.sql(&format!(
        "INSERT INTO matches (id, game_id, mode, room_id, room_sid, module_sha256, teams, options,
             authority_mode, rated, players, status, created_at, ready_at, started_at,
             lease_holder, lease_epoch, lease_expires_at)
         SELECT {MATCH_ID}, '{GAME}', 'default', '{GAME}-' || m, 'RM_' || m, repeat('0', 64), 0, '{{}}',
             'full', true, ARRAY(SELECT {player} FROM {slots} ORDER BY slot), 'running', now(), now(),
             now(), 'bench', 1, now() + interval '1 day'
         FROM generate_series(0, {count} - 1) m"
    ));
    services.sql(&format!(
        "INSERT INTO match_slots (match_id, slot, player_id)
         SELECT {MATCH_ID}, slot, {player} FROM generate_series(0, {count} - 1) m, {slots}"
    ));
    services.sql(&format!(
        "INSERT INTO tickets (id, player_id, game_id, mode, status, match_id, queued_at, seen_at, changed_at)
         SELECT gen_random_uuid(), {player}, '{GAME}', 'default', 'matched', {MATCH_ID}, now(), now(), now()
         FROM generate_series(0, {count} - 1) m, {slots}"
    ));
}

/// Waits until Redis has all that was stored; answers how long that took.
async fn caught_up(services: &Services) -> anyhow::Result<Duration> {
    let started = Instant::now();
    while services.count("SELECT count(*) FROM board_changes")? > 0 {
        ensure!(
            started.elapsed() < CATCH_UP_TIMEOUT,
            "Redis does not catch up with the record"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(started.elapsed())
}

/// Whether everything that was acknowledged counted once; answers how many scores there are.
fn check(services: &Services, results: u64) -> anyhow::Result<u64> {
    let expected = results * SLOTS;
    let scores = services.count("SELECT count(*) FROM scores")?;
    ensure!(
        scores == expected,
        "{scores} scores were stored of {expected} acknowledged"
    );
    let matches = services.count("SELECT sum(matches) FROM player_statistics")?;
    ensure!(
        matches == expected,
        "players' statistics count {matches} matches, not {expected}"
    );
    let wrong = services.count(
        "SELECT count(*) FROM board_entries
         FULL JOIN (SELECT player_id, max(score) AS best FROM scores GROUP BY player_id) recount
         USING (player_id) WHERE score IS DISTINCT FROM best",
    )?;
    ensure!(
        wrong == 0,
        "{wrong} entries of the board differ from a recount"
    );
    let ended = services.count("SELECT count(*) FROM matches WHERE status = 'ended'")?;
    ensure!(
        ended == results,
        "{ended} matches have ended, not {results}"
    );
    Some(scores)
        .filter(|scores| *scores > 0)
        .context("nothing was stored")
}

fn match_id(number: u64) -> Uuid {
    Uuid::from_u128(0x0190_0000_0001_7000_8000_0000_0000_0000 | u128::from(number))
}

/// The same in SQL, of match `m`.
const MATCH_ID: &str = "('01900000-0001-7000-8000-' || lpad(to_hex(m), 12, '0'))::uuid";
const GAME: &str = "bench";
/// Players of a match, each with a score.
pub(super) const SLOTS: u64 = 10;
/// Players, all of whom have played before after the first rounds. 7919 does not divide it, so that
/// the players of neighbouring matches are different ones.
const PLAYERS: u64 = 10_000;
/// As many matches as end at once: enough that one batch fills while another is written.
pub(super) const CALLERS: usize = 128;
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(60);
