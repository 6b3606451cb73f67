//! The database goes away: callers learn soon, and nothing that was acknowledged is lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gs_store::{Accounts as _, Matches as _, PostgresStore, StoreError, StoreOutcome};
use gs_test_services::Postgres;

use crate::world::{at, blocking, options, outcome, players};

/// A second, and what a busy machine adds.
const SOON: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_learn_soon_that_the_database_is_away_and_it_comes_back() {
    let postgres = Arc::new(blocking(Postgres::start).await);
    let server = postgres.clone();
    let url = blocking(move || server.database()).await;
    PostgresStore::migrate(&url).await.unwrap();
    let store = Arc::new(PostgresStore::connect(&options(&url)).await.unwrap());
    let ids = players(&store, 4).await;
    let server = postgres.clone();
    blocking(move || server.kill()).await;

    let began = Instant::now();
    let away = store.player(ids[0]).await.unwrap_err();
    assert!(matches!(away, StoreError::Unavailable(_)), "{away:?}");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    // More than fit into a batch: those who wait for their turn learn as soon.
    let began = Instant::now();
    let calls: Vec<_> = (0..300)
        .map(|_| {
            let (store, id) = (store.clone(), uuid::Uuid::now_v7());
            tokio::spawn(async move { store.store_result(id, 1, outcome(2, 1), at(9)).await })
        })
        .collect();
    for call in calls {
        let away = call.await.unwrap().unwrap_err();
        assert!(matches!(away, StoreError::Unavailable(_)), "{away:?}");
    }
    assert!(began.elapsed() < 2 * SOON, "{:?}", began.elapsed());
    assert!(matches!(
        PostgresStore::connect(&options(&url)).await.unwrap_err(),
        StoreError::Unavailable(_)
    ));

    let server = postgres.clone();
    blocking(move || server.restart()).await;
    for id in ids {
        assert!(store.player(id).await.unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_learn_soon_that_the_database_hangs_and_it_goes_on() {
    let postgres = Arc::new(blocking(Postgres::start).await);
    let server = postgres.clone();
    let url = blocking(move || server.database()).await;
    PostgresStore::migrate(&url).await.unwrap();
    let store = PostgresStore::connect(&options(&url)).await.unwrap();
    let ids = players(&store, 1).await;
    let server = postgres.clone();
    blocking(move || server.pause()).await;
    // A call on a connection that was in use just now may wait for longer; the next ones do not.
    let early = tokio::time::timeout(Duration::from_millis(500), store.player(ids[0])).await;
    assert!(!matches!(early, Ok(Ok(_))), "{early:?}");
    for _ in 0..3 {
        let began = Instant::now();
        let hung = store.player(ids[0]).await.unwrap_err();
        assert!(matches!(hung, StoreError::Unavailable(_)), "{hung:?}");
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    }
    let began = Instant::now();
    let id = uuid::Uuid::now_v7();
    let hung = store.store_result(id, 1, outcome(2, 1), at(9)).await;
    let hung = hung.unwrap_err();
    assert!(matches!(hung, StoreError::Unavailable(_)), "{hung:?}");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());

    let server = postgres.clone();
    blocking(move || server.resume()).await;
    assert!(store.player(ids[0]).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_are_counted_once_over_crashes_of_the_database() {
    let postgres = Arc::new(blocking(Postgres::start).await);
    let server = postgres.clone();
    let url = blocking(move || server.database()).await;
    PostgresStore::migrate(&url).await.unwrap();
    let store = Arc::new(PostgresStore::connect(&options(&url)).await.unwrap());
    let ids = players(&store, 2).await;
    let matches = 40;
    let insert = (0..matches).map(|n| {
        format!(
            "INSERT INTO matches (id, game_id, mode, room_id, module_sha256, teams, options,
                 authority_mode, rated, players, status, created_at, ready_at, lease_epoch)
             VALUES (gen_random_uuid(), 'arena', 'default', 'r{n}', '', 0, '{{}}', 'full', true,
                 ARRAY['{}', '{}']::uuid[], 'running', now(), now(), 1);",
            ids[0], ids[1]
        )
    });
    let insert: String = insert.collect();
    let (server, database) = (postgres.clone(), url.clone());
    let listed = blocking(move || {
        server.sql(&database, &insert);
        server.sql(&database, "SELECT id FROM matches")
    })
    .await;

    // Each is told again and again until it is acknowledged, while the server dies three times.
    let tellers: Vec<_> = listed
        .lines()
        .map(|id| {
            let (store, id) = (store.clone(), id.parse().unwrap());
            tokio::spawn(async move {
                loop {
                    match store.store_result(id, 1, outcome(2, 5), at(9)).await {
                        Ok(stored) => break stored,
                        Err(StoreError::Unavailable(_)) => tokio::task::yield_now().await,
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    let server = postgres.clone();
    blocking(move || {
        for _ in 0..3 {
            server.kill();
            server.restart();
        }
    })
    .await;
    for teller in tellers {
        assert_ne!(teller.await.unwrap(), StoreOutcome::StaleEpoch);
    }
    let (server, database) = (postgres.clone(), url.clone());
    let sums = blocking(move || {
        server.sql(
            &database,
            "SELECT (SELECT count(*) FROM scores), (SELECT sum(matches) FROM player_statistics),
                 (SELECT sum(score) FROM board_entries JOIN boards ON boards.id = board_id
                  WHERE board = 'sum')",
        )
    })
    .await;
    assert_eq!(
        sums,
        format!("{}|{}|{}", 2 * matches, 2 * matches, 2 * matches * 5)
    );
}
