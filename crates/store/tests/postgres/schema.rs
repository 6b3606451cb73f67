//! A schema is brought up to date once, and an older one is refused.

use gs_store::{PostgresStore, StoreError};
use gs_test_services::Postgres;

use crate::world::{blocking, options};

#[tokio::test]
async fn an_older_schema_is_refused_until_it_is_migrated() {
    let url = blocking(|| Postgres::shared().database()).await;
    let refused = PostgresStore::connect(&options(&url)).await.unwrap_err();
    let StoreError::Outdated(missing) = &refused else {
        panic!("{refused:?}");
    };
    assert_eq!(missing[0], "0001_initial");
    assert!(refused.to_string().contains("`gameserver migrate`"));
    assert_eq!(&PostgresStore::pending(&url).await.unwrap(), missing);

    assert_eq!(&PostgresStore::migrate(&url).await.unwrap(), missing);
    let store = PostgresStore::connect(&options(&url)).await.unwrap();
    let pool = store.pool();
    assert_eq!((pool.connections, pool.max), (1, 8));
    let again = PostgresStore::migrate(&url).await.unwrap();
    assert!(again.is_empty(), "{again:?}");
    assert!(PostgresStore::pending(&url).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_migrate_at_once_do_it_once() {
    let url = blocking(|| Postgres::shared().database()).await;
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { PostgresStore::migrate(&url).await.unwrap() })
        })
        .collect();
    let mut applied = Vec::new();
    for task in tasks {
        applied.push(task.await.unwrap());
    }
    applied.retain(|names| !names.is_empty());
    assert_eq!(applied.len(), 1, "{applied:?}");
}

#[tokio::test]
async fn a_newer_schema_is_none_of_an_older_versions_business() {
    let url = crate::world::database().await;
    let newer =
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'from the future', true, '', 0)";
    crate::world::sql(&url, newer).await;
    assert!(PostgresStore::migrate(&url).await.unwrap().is_empty());
    PostgresStore::connect(&options(&url)).await.unwrap();
}

#[tokio::test]
async fn a_malformed_address_is_refused_without_repeating_its_password() {
    let refused = PostgresStore::migrate("postgres://user:hunter2@:bad:/x").await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused, StoreError::Invalid(_)), "{refused:?}");
    assert!(!refused.to_string().contains("hunter2"), "{refused}");
    let shown = format!("{:?}", options("postgres://user:hunter2@localhost/x"));
    assert!(!shown.contains("hunter2"), "{shown}");
}
