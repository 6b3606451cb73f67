//! What concerns the embedded store's file alone.

use std::borrow::Cow;

use chrono::TimeDelta;
use gs_store::{
    Accounts as _, CreatePlayer, EmbeddedStore, Matches as _, Outcome, StoreOutcome, Tickets as _,
};
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnectOptions;

use crate::world::{
    TTL, at, new_player, new_ticket, outcome, players, running_match, running_match_with,
};

#[tokio::test]
async fn the_embedded_store_survives_a_restart_and_keeps_its_file_private() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let store = EmbeddedStore::open(&data).await.unwrap();
    let secret = store.secret("key", b"first").await.unwrap();
    let ids = players(&store, 2).await;
    let id = running_match(&store, &ids, 1).await;
    let stored = store
        .store_result(id, 1, outcome(&[10, 5]), at(9))
        .await
        .unwrap();
    assert_eq!(stored, StoreOutcome::Stored);
    let before = store.match_by_id(id).await.unwrap();
    // The process dies here: nothing is closed in order.
    std::mem::forget(store);

    let store = EmbeddedStore::open(&data).await.unwrap();
    assert_eq!(store.match_by_id(id).await.unwrap(), before);
    assert_eq!(store.secret("key", b"second").await.unwrap(), secret);
    assert!(store.player(ids[0]).await.unwrap().is_some());
    let later = at(60) + TimeDelta::seconds(1);
    assert!(store.claim_match("b", later, TTL).await.unwrap().is_none());
    #[cfg(unix)]
    for entry in std::fs::read_dir(&data).unwrap() {
        use std::os::unix::fs::PermissionsExt;
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(
            mode & 0o077,
            0,
            "{:?} is open to others: {mode:o}",
            entry.file_name()
        );
    }
    store.close().await;
    assert!(store.player(ids[0]).await.is_err());
}

#[tokio::test]
async fn the_embedded_store_keeps_one_score_a_player_and_none_of_what_does_not_count() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path()).await.unwrap();
    let ids = players(&store, 2).await;
    let counted = running_match(&store, &ids, 1).await;
    for _ in 0..2 {
        let result = outcome(&[10, 5]);
        store.store_result(counted, 1, result, at(9)).await.unwrap();
    }
    let void = running_match(&store, &ids, 2).await;
    let mut result = outcome(&[20, 30]);
    result.outcome = Outcome::Void;
    store.store_result(void, 1, result, at(9)).await.unwrap();
    let unrated = running_match_with(&store, &ids, 3, |new| new.rated = false).await;
    let result = outcome(&[40, 50]);
    store.store_result(unrated, 1, result, at(9)).await.unwrap();
    let stored = store.match_by_id(unrated).await.unwrap().unwrap();
    assert_eq!(stored.slots[0].result.as_ref().unwrap().score, 40);
    store.close().await;

    let file = directory.path().join("gameserver.db");
    let pool = sqlx::SqlitePool::connect(&format!("sqlite://{}", file.display()))
        .await
        .unwrap();
    let scores: Vec<(String, String, i32)> =
        sqlx::query_as("SELECT match_id, player_id, score FROM scores ORDER BY score DESC")
            .fetch_all(&pool)
            .await
            .unwrap();
    let id = counted.to_string();
    let expected = [
        (id.clone(), ids[0].to_string(), 10),
        (id, ids[1].to_string(), 5),
    ];
    assert_eq!(scores, expected);
}

#[tokio::test]
async fn a_file_from_before_look_alikes_were_refused_is_brought_up_to_date() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gameserver.db");
    let options = SqliteConnectOptions::new()
        .filename(&file)
        .create_if_missing(true);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let all = sqlx::migrate!("migrations/sqlite");
    let migrations = all.migrations.iter().filter(|m| m.version <= 3).cloned();
    let before = Migrator {
        migrations: Cow::Owned(migrations.collect()),
        ..Migrator::DEFAULT
    };
    before.run(&pool).await.unwrap();
    let [bill, twin, ada] = ["Bill", "BiII", "Ada"].map(new_player);
    for player in [&bill, &twin, &ada] {
        sqlx::query(
            "INSERT INTO players (id, username, username_key, created_at) VALUES (?, ?, ?, ?)",
        )
        .bind(player.id.to_string())
        .bind(&player.username)
        .bind(player.username.to_ascii_lowercase())
        .bind(player.created_at.timestamp_millis())
        .execute(&pool)
        .await
        .unwrap();
    }
    pool.close().await;

    // Twice, because opening it a second time finds what the first one left.
    for _ in 0..2 {
        let store = EmbeddedStore::open(directory.path()).await.unwrap();
        for player in [&bill, &twin, &ada] {
            let found = store.player(player.id).await.unwrap().unwrap();
            assert_eq!(found.username, player.username);
        }
        for taken in ["b1ll", "BIII", "ADA"] {
            let created = store.create_player(new_player(taken)).await.unwrap();
            assert_eq!(created, CreatePlayer::UsernameTaken, "{taken}");
        }
        store.enqueue(new_ticket(twin.id, 0)).await.unwrap();
        store.close().await;
    }
    let store = EmbeddedStore::open(directory.path()).await.unwrap();
    assert!(store.erase_player(bill.id, at(1)).await.unwrap());
    let created = store.create_player(new_player("b1ll")).await.unwrap();
    assert!(matches!(created, CreatePlayer::Created(_)), "{created:?}");
}
