//! The store in PostgreSQL, with Redis beside it, for any number of processes.
//!
//! PostgreSQL is the record, and what was acknowledged is committed there. Redis holds what can be
//! made anew from it or may be lost: ranks, presence, wake-ups.
//!
//! Transactions lock in one order, so that they never wait for each other in a circle: players,
//! matches, tickets, statistics, boards, entries; several rows of a table in the order of their
//! keys. Where one is chosen as a deadlock's victim all the same, it is tried again.

mod acceptance;
mod accounts;
mod backfill;
mod boards;
mod changes;
mod follower;
mod matches;
mod parties;
mod presence;
mod queues;
mod ranks;
mod results;
mod rows;
mod statistics;
mod tickets;

use std::io;
use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::{Migrate, MigrateError, Migration, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};
use tokio::sync::watch;

use crate::{Store, StoreError, StoreResult};

/// A store in PostgreSQL and Redis, shared by all processes that connect to the same two.
///
/// Either may go away and come back: calls fail within about a second meanwhile, and those that need
/// PostgreSQL alone do not mind Redis.
#[derive(Debug)]
pub struct PostgresStore {
    pool: PgPool,
    redis: changes::Redis,
    results: results::Writer,
}

/// Where a [`PostgresStore`] is.
#[derive(Clone)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:port/database`, with libpq's parameters.
    pub database_url: String,
    /// `redis://` or `rediss://`, with user and password where needed.
    pub redis_url: String,
    /// Most connections to PostgreSQL that this process holds, at least 2.
    pub max_connections: u32,
}

/// What a store's connections to PostgreSQL are doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStatus {
    /// How many there are.
    pub connections: u32,
    /// How many of them have nothing to do.
    pub idle: u32,
    /// How many there may be.
    pub max: u32,
}

impl std::fmt::Debug for PostgresOptions {
    /// Without the addresses, which hold passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Connects to a database whose schema [`PostgresStore::migrate`] made. A schema older than this
    /// version needs is [`StoreError::Outdated`]; a newer one is fine. Redis need not be there.
    pub async fn connect(options: &PostgresOptions) -> StoreResult<Self> {
        let connect_options = connect_options(&options.database_url)?;
        let redis = changes::Redis::open(&options.redis_url)?;
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections.max(MIN_CONNECTIONS))
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
            .before_acquire(|connection, used| {
                Box::pin(async move {
                    Ok(used.idle_for < TRUSTED_FOR || connection.ping().await.is_ok())
                })
            })
            .connect_lazy_with(connect_options);
        let missing = missing_names(&mut *pool.acquire().await?).await?;
        if !missing.is_empty() {
            return Err(StoreError::Outdated(missing));
        }
        Ok(Self {
            results: results::Writer::start(pool.clone(), redis.clone()),
            pool,
            redis,
        })
    }

    /// Brings a database's schema up to what this version needs; answers the names of the migrations
    /// that were applied. Several processes may do so at once: one works, the others wait for it.
    pub async fn migrate(database_url: &str) -> StoreResult<Vec<String>> {
        // No limits: a migration of a large table takes as long as it takes.
        let options = parse_url(database_url)?.application_name("gameserver migrate");
        let mut connection = options.connect().await?;
        connection.lock().await?;
        connection.ensure_migrations_table(MIGRATIONS_TABLE).await?;
        if let Some(version) = connection.dirty_version(MIGRATIONS_TABLE).await? {
            return Err(MigrateError::Dirty(version).into());
        }
        let migrator = migrator();
        let mut names = Vec::new();
        for migration in missing_migrations(&mut connection, &migrator).await? {
            connection.apply(MIGRATIONS_TABLE, migration).await?;
            names.push(name(migration));
        }
        connection.unlock().await?;
        connection.close().await?;
        Ok(names)
    }

    /// The names of the migrations that this version needs and the database lacks.
    pub async fn pending(database_url: &str) -> StoreResult<Vec<String>> {
        let mut connection = connect_options(database_url)?.connect().await?;
        let names = missing_names(&mut connection).await?;
        connection.close().await?;
        Ok(names)
    }

    /// What the connections to PostgreSQL are doing now.
    pub fn pool(&self) -> PoolStatus {
        PoolStatus {
            connections: self.pool.size(),
            idle: u32::try_from(self.pool.num_idle()).unwrap_or(u32::MAX),
            max: self.pool.options().get_max_connections(),
        }
    }

    /// Waits for the calls under way and closes the connections to PostgreSQL. Later calls fail.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// A call for which nobody else sets a limit: on a connection whose other end is gone without a
    /// word, it would wait for as long as TCP tries.
    async fn limited<T>(
        &self,
        call: impl Future<Output = StoreResult<T>> + Send,
    ) -> StoreResult<T> {
        match tokio::time::timeout(CALL_TIMEOUT, call).await {
            Ok(answer) => answer,
            Err(_) => Err(silent()),
        }
    }

    fn changed(&self) {
        self.redis.changed();
    }
}

#[async_trait::async_trait]
impl Store for PostgresStore {
    fn changes(&self) -> watch::Receiver<u64> {
        self.redis.subscribe()
    }

    async fn missing(&self) -> Vec<&'static str> {
        let database = sqlx::query_scalar!(r#"SELECT 1 AS "one!""#).fetch_one(&self.pool);
        let (database, redis) = tokio::join!(database, self.redis.reachable());
        let mut missing = Vec::new();
        if database.is_err() {
            missing.push("PostgreSQL");
        }
        if !redis {
            missing.push("Redis");
        }
        missing
    }

    async fn maintain(&self) {
        follower::run(self).await;
    }
}

/// The database did not answer at all.
fn silent() -> StoreError {
    StoreError::Unavailable(sqlx::Error::Io(io::ErrorKind::TimedOut.into()))
}

fn migrator() -> Migrator {
    sqlx::migrate!("migrations/postgres")
}

async fn missing_names(connection: &mut PgConnection) -> StoreResult<Vec<String>> {
    let migrator = migrator();
    let missing = missing_migrations(connection, &migrator).await?;
    Ok(missing.into_iter().map(name).collect())
}

/// The migrations that the database lacks. What a newer version added there is no concern of this
/// one's, but what it changed is.
async fn missing_migrations<'a>(
    connection: &mut PgConnection,
    migrator: &'a Migrator,
) -> StoreResult<Vec<&'a Migration>> {
    let applied = match connection.list_applied_migrations(MIGRATIONS_TABLE).await {
        Ok(applied) => applied,
        Err(MigrateError::Execute(error)) if is_undefined_table(&error) => Vec::new(),
        Err(MigrateError::Execute(error)) => return Err(error.into()),
        Err(error) => return Err(error.into()),
    };
    let mut missing = Vec::new();
    for migration in migrator.iter() {
        match applied.iter().find(|a| a.version == migration.version) {
            None => missing.push(migration),
            Some(applied) if applied.checksum == migration.checksum => {}
            Some(_) => return Err(MigrateError::VersionMismatch(migration.version).into()),
        }
    }
    Ok(missing)
}

fn name(migration: &Migration) -> String {
    let description = migration.description.replace(' ', "_");
    format!("{:04}_{description}", migration.version)
}

fn is_undefined_table(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|e| e.code());
    code.as_deref() == Some("42P01")
}

fn connect_options(database_url: &str) -> StoreResult<PgConnectOptions> {
    Ok(parse_url(database_url)?
        .application_name("gameserver")
        .options([
            ("statement_timeout", STATEMENT_TIMEOUT),
            ("lock_timeout", LOCK_TIMEOUT),
            ("idle_in_transaction_session_timeout", TRANSACTION_TIMEOUT),
        ]))
}

fn parse_url(database_url: &str) -> StoreResult<PgConnectOptions> {
    // The parser's own words may repeat the password.
    PgConnectOptions::from_str(database_url).map_err(|_| {
        let expected = "postgres://user:password@host:port/database";
        StoreError::Invalid(format!("the database's URL is not like {expected}"))
    })
}

/// sqlx's own name.
const MIGRATIONS_TABLE: &str = "_sqlx_migrations";
/// One writes results, which others must not wait for.
const MIN_CONNECTIONS: u32 = 2;
/// A caller learns within a second that the database is away.
const ACQUIRE_TIMEOUT: Duration = Duration::from_millis(800);
/// A connection that was in use so recently is not asked whether it still works: under load that
/// spares a round trip a call, and a server that hangs is found out soon.
const TRUSTED_FOR: Duration = Duration::from_millis(100);
/// A call that takes longer than its statements may has lost its server without a word.
const CALL_TIMEOUT: Duration = Duration::from_secs(6);
/// No statement takes near as long; one that does must not hold its locks and its connection.
const STATEMENT_TIMEOUT: &str = "5s";
/// Less, so that it is known what a statement waited for; more than a deadlock takes to be seen.
const LOCK_TIMEOUT: &str = "3s";
/// A process that stopped within a transaction holds its locks no longer.
const TRANSACTION_TIMEOUT: &str = "10s";
