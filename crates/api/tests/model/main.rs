//! Random calls against the HTTP service and against a plain reference in memory: whatever players,
//! operators and authorities do, in whatever order, the two answer alike.
//!
//! `SEED=n cargo test -p gs-api --test model` repeats the run that a failure names.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod driver;
mod reference;
mod server;

use std::sync::Arc;

use gs_store::{EmbeddedStore, PostgresOptions, PostgresStore};
use gs_test_services::{Postgres, Redis};

/// Seeds that are always run, beside a fresh one.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=3;
/// Calls a seed: enough for seasons to turn and sessions to run out.
const STEPS: usize = 400;

#[tokio::test]
async fn over_the_embedded_store() {
    for seed in driver::seeds(SEEDS) {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(EmbeddedStore::open(directory.path()).await.unwrap());
        driver::drive(store, seed, STEPS).await;
    }
}

#[tokio::test]
async fn over_postgresql_and_redis() {
    for seed in driver::seeds(SEEDS) {
        let start = || (Postgres::shared().database(), Redis::start());
        let (database_url, redis) = tokio::task::spawn_blocking(start).await.unwrap();
        PostgresStore::migrate(&database_url).await.unwrap();
        let options = PostgresOptions {
            database_url,
            redis_url: redis.url(),
            max_connections: 5,
        };
        let store = Arc::new(PostgresStore::connect(&options).await.unwrap());
        driver::drive(store, seed, STEPS).await;
    }
}
