//! Databases, players and matches for the tests.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use gs_store::{
    Accounts as _, BoardRule, CountsOn, CreatePlayer, MatchOutcome, NewPlayer, Outcome,
    PostgresOptions, PostgresStore, SlotOutcome,
};
use gs_test_services::Postgres;
use uuid::Uuid;

/// A fresh migrated database on the server that tests share.
pub(crate) async fn database() -> String {
    let url = blocking(|| Postgres::shared().database()).await;
    PostgresStore::migrate(&url).await.unwrap();
    url
}

/// A store, as one process has it. Nothing here needs Redis, so there is none.
pub(crate) async fn store(database_url: &str) -> PostgresStore {
    PostgresStore::connect(&options(database_url))
        .await
        .unwrap()
}

pub(crate) fn options(database_url: &str) -> PostgresOptions {
    PostgresOptions {
        database_url: database_url.to_owned(),
        redis_url: "redis://127.0.0.1:1".to_owned(),
        max_connections: 8,
    }
}

/// Asks a database of the shared server.
pub(crate) async fn sql(database_url: &str, sql: &str) -> String {
    let (url, sql) = (database_url.to_owned(), sql.to_owned());
    blocking(move || Postgres::shared().sql(&url, &sql)).await
}

pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap() + TimeDelta::seconds(seconds)
}

/// Adds `count` players and answers their ids.
pub(crate) async fn players(store: &PostgresStore, count: usize) -> Vec<Uuid> {
    let mut ids = Vec::new();
    for n in 0..count {
        let player = NewPlayer {
            id: Uuid::now_v7(),
            username: format!("player-{n}"),
            email: None,
            password_hash: None,
            created_at: at(0),
        };
        ids.push(player.id);
        let created = store.create_player(player).await.unwrap();
        assert!(matches!(created, CreatePlayer::Created(_)), "{created:?}");
    }
    ids
}

/// Adds rated matches that run under epoch 1, each of some of the players, straight to the tables.
pub(crate) async fn running_matches(database_url: &str, matches: &[Vec<Uuid>]) -> Vec<Uuid> {
    let mut ids = Vec::new();
    let mut statements = String::new();
    for players in matches {
        let id = Uuid::now_v7();
        let list: Vec<String> = players.iter().map(|p| format!("'{p}'")).collect();
        let list = list.join(", ");
        statements += &format!(
            "INSERT INTO matches (id, game_id, mode, room_id, module_sha256, teams, options,
                 authority_mode, rated, players, status, created_at, ready_at, lease_epoch)
             VALUES ('{id}', 'arena', 'default', '{id}', '', 0, '{{}}', 'full', true,
                 ARRAY[{list}]::uuid[], 'running', now(), now(), 1);
             INSERT INTO match_slots (match_id, slot, player_id)
             SELECT '{id}', ordinality - 1, p FROM unnest(ARRAY[{list}]::uuid[])
                 WITH ORDINALITY AS s (p);"
        );
        ids.push(id);
        // As long as an argument of psql may be.
        if statements.len() > 100_000 {
            sql(database_url, &std::mem::take(&mut statements)).await;
        }
    }
    sql(database_url, &statements).await;
    ids
}

/// A finished match in which every slot has this score, and that counts on a board of each rule.
pub(crate) fn outcome(slots: usize, score: i32) -> MatchOutcome {
    let board = |rule: BoardRule| CountsOn {
        board: rule.as_str().to_owned(),
        season: "all".to_owned(),
        rule,
        statistic: None,
    };
    let slot = |n: usize| SlotOutcome {
        slot: n as u8,
        placement: n as u8 + 1,
        team: None,
        score,
        statistics: vec![("hits".to_owned(), 2)],
    };
    MatchOutcome {
        outcome: Outcome::Finished,
        reason: None,
        details: None,
        slots: (0..slots).map(slot).collect(),
        boards: [BoardRule::Best, BoardRule::Latest, BoardRule::Sum]
            .map(board)
            .into(),
        started_at: Some(at(3)),
        ended_at: at(8),
        ticks: 300,
    }
}

/// Asks again until `done`, for as long as a slow machine may need.
pub(crate) async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), asking)
        .await
        .unwrap_or_else(|_| panic!("{what} did not happen"));
}
