//! A PostgreSQL and a Redis server of the bench's own, with the schema in place.

use anyhow::{Context, bail};
use gs_store::{PostgresOptions, PostgresStore};
use gs_test_services::{Postgres, Redis};
use redis::aio::ConnectionManager;
use uuid::Uuid;

/// Running servers; they end with the value.
pub(crate) struct Services {
    /// The database's URL.
    pub(crate) database_url: String,
    /// Redis's URL.
    pub(crate) redis_url: String,
    postgres: Postgres,
    _redis: Redis,
}

impl Services {
    /// Starts both; commits wait for the disk.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let (postgres, redis) = tokio::task::block_in_place(|| (Postgres::start(), Redis::start()));
        let services = Self {
            database_url: postgres.database(),
            redis_url: redis.url(),
            postgres,
            _redis: redis,
        };
        PostgresStore::migrate(&services.database_url).await?;
        let durable = services
            .sql("SELECT current_setting('fsync') || current_setting('synchronous_commit')");
        if durable != "onon" {
            bail!(
                "commits would not wait for the disk: fsync and synchronous_commit are {durable}"
            );
        }
        // Filling a board with ten million entries would stop for checkpoints again and again.
        services.sql("ALTER SYSTEM SET max_wal_size = '8GB'");
        services.sql("ALTER SYSTEM SET maintenance_work_mem = '512MB'");
        services.sql("SELECT pg_reload_conf()");
        Ok(services)
    }

    /// Runs SQL that prepares or checks; answers the rows as text.
    pub(crate) fn sql(&self, sql: &str) -> String {
        tokio::task::block_in_place(|| self.postgres.sql(&self.database_url, sql))
    }

    /// The one number that a query answers.
    pub(crate) fn count(&self, sql: &str) -> anyhow::Result<u64> {
        let text = self.sql(sql);
        text.parse()
            .with_context(|| format!("{sql} answered {text:?} instead of a number"))
    }

    /// Where a store finds both.
    pub(crate) fn options(&self) -> PostgresOptions {
        PostgresOptions {
            database_url: self.database_url.clone(),
            redis_url: self.redis_url.clone(),
            max_connections: CONNECTIONS,
        }
    }

    /// The store over both.
    pub(crate) async fn store(&self) -> anyhow::Result<PostgresStore> {
        Ok(PostgresStore::connect(&self.options()).await?)
    }

    /// Redis by itself, through the library that the store uses.
    pub(crate) async fn redis(&self) -> anyhow::Result<ConnectionManager> {
        let client = redis::Client::open(self.redis_url.as_str())?;
        Ok(client.get_connection_manager().await?)
    }

    /// Adds players 1 to `count` with names, and the password of this hash where there is one.
    pub(crate) fn add_players(&self, count: u64, password_hash: Option<&str>) {
        self.sql(&format!(
            "INSERT INTO players (id, username, username_key, username_skeleton, created_at)
             SELECT {PLAYER_ID}, 'player-' || n, 'player-' || n, 'player-' || n, now()
             FROM generate_series(1, {count}) n"
        ));
        if let Some(hash) = password_hash {
            // A PHC string holds no quotes.
            self.sql(&format!(
                "INSERT INTO credentials (player_id, password_hash)
                 SELECT {PLAYER_ID}, '{hash}' FROM generate_series(1, {count}) n"
            ));
        }
    }
}

/// The id of player `n`, as [`PLAYER_ID`] makes it. Like real ones it grows with time.
pub(crate) fn player_id(n: u64) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 | u128::from(n))
}

/// The id of player `n` in SQL.
pub(crate) const PLAYER_ID: &str = "('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid";

/// A score of player `n` in SQL: 0 to 1,048,575, in no order.
pub(crate) const SCORE: &str = "(hashint8extended(n, 0) & 1048575)";

/// Connections to PostgreSQL, of the store as of its peer.
pub(crate) const CONNECTIONS: u32 = 16;
