//! The store of PostgreSQL and Redis on real servers: each test has a database and a Redis server
//! of its own.

use std::sync::Arc;

use gs_store::{PostgresOptions, PostgresStore, Store as _};
use gs_test_services::{Postgres, Redis};
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::stores::SharedStore;

/// What a store needs as long as it is used.
pub(crate) struct Services {
    maintenance: JoinHandle<()>,
    _redis: Arc<Redis>,
}

impl Drop for Services {
    fn drop(&mut self) {
        self.maintenance.abort();
    }
}

/// A store on an empty schema, and what maintains it.
pub(crate) async fn postgres() -> (SharedStore, Services) {
    let (database_url, redis) = servers().await;
    store(&database_url, redis).await
}

/// A new database with the schema, and a new Redis server.
pub(crate) async fn servers() -> (String, Arc<Redis>) {
    let runtime = Handle::current();
    // Neither may hold up the runtime's threads.
    let start = move || {
        let migrate = |url: &str| {
            let applied = runtime.block_on(PostgresStore::migrate(url)).unwrap();
            assert!(!applied.is_empty());
        };
        let database_url = Postgres::shared().database_from("migrated", migrate);
        (database_url, Arc::new(Redis::start()))
    };
    spawn_blocking(start).await.unwrap()
}

/// A process's store in these.
pub(crate) async fn store(database_url: &str, redis: Arc<Redis>) -> (SharedStore, Services) {
    let options = PostgresOptions {
        database_url: database_url.to_owned(),
        redis_url: redis.url(),
        max_connections: 5,
    };
    let store = Arc::new(PostgresStore::connect(&options).await.unwrap());
    let maintained = store.clone();
    let services = Services {
        maintenance: tokio::spawn(async move { maintained.maintain().await }),
        _redis: redis,
    };
    (store, services)
}
