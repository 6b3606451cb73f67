//! The store in one SQLite file, for a single process.

mod acceptance;
mod accounts;
mod backfill;
mod bans;
mod boards;
mod keys;
mod matches;
mod parties;
mod presence;
mod rows;
mod statistics;
mod tickets;

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Row, Sqlite, Transaction};
use tokio::sync::watch;

use self::presence::Memory;
use crate::{Store, StoreError, StoreResult, username_skeleton};

/// A store in the file `gameserver.db` of a data directory. It survives restarts and crashes: a
/// call that answered is on the disk. Presence is in memory, and starts empty.
///
/// A rank is counted along an index whenever it is asked for, in O(n): about a millisecond for each
/// ten thousand players on a board. One machine without services has no more than that; whoever has
/// keeps boards in PostgreSQL and Redis.
#[derive(Debug)]
pub struct EmbeddedStore {
    /// One connection, because SQLite has one writer at a time: writers queue here, in order,
    /// rather than for its lock.
    writer: SqlitePool,
    readers: SqlitePool,
    changes: watch::Sender<u64>,
    memory: Mutex<Memory>,
}

impl EmbeddedStore {
    /// Opens the store in this directory, which is made where it is missing, and brings its schema
    /// up to date. The file holds secrets, so only its owner may read it.
    pub async fn open(directory: &Path) -> StoreResult<Self> {
        let path = directory.join(FILE_NAME);
        let unusable = |source| StoreError::Directory {
            path: path.display().to_string(),
            source,
        };
        std::fs::create_dir_all(directory).map_err(unusable)?;
        let mut create = OpenOptions::new();
        create.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut create, 0o600);
        create.open(&path).map_err(unusable)?;

        let options = SqliteConnectOptions::new()
            .filename(&path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options.clone())
            .await?;
        sqlx::migrate!("migrations/sqlite").run(&writer).await?;
        fill_skeletons(&writer).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.read_only(true))
            .await?;
        Ok(Self {
            writer,
            readers,
            changes: watch::Sender::new(0),
            memory: Mutex::default(),
        })
    }

    /// Waits for the calls under way and closes the file. Later calls fail.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    async fn write(&self) -> StoreResult<Transaction<'static, Sqlite>> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// A transaction too, so that several reads see one moment.
    async fn read(&self) -> StoreResult<Transaction<'static, Sqlite>> {
        Ok(self.readers.begin().await?)
    }

    fn changed(&self) {
        self.changes.send_modify(|n| *n += 1);
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Each change of it is whole before anything can panic.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl Store for EmbeddedStore {
    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    async fn missing(&self) -> Vec<&'static str> {
        match sqlx::query("SELECT 1").execute(&self.readers).await {
            Ok(_) => Vec::new(),
            Err(_) => vec!["store"],
        }
    }

    /// Never ends: there is nothing to do beside calls.
    async fn maintain(&self) {
        std::future::pending().await
    }
}

/// Gives players the form of their name in which no two look alike, where they lack it: those from
/// before it was kept. Of two who look alike, the one who came first gets it.
async fn fill_skeletons(writer: &SqlitePool) -> StoreResult<()> {
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    let rows = sqlx::query(
        "SELECT id, username FROM players WHERE username_skeleton IS NULL ORDER BY created_at, id",
    )
    .fetch_all(&mut *tx)
    .await?;
    for row in rows {
        let (id, username): (String, String) = (row.try_get("id")?, row.try_get("username")?);
        sqlx::query("UPDATE OR IGNORE players SET username_skeleton = ? WHERE id = ?")
            .bind(username_skeleton(&username))
            .bind(id)
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    Ok(())
}

const FILE_NAME: &str = "gameserver.db";
/// Beyond this, readers wait for each other; the disk is slower than four of them anyway.
const READERS: u32 = 4;
/// Only another process, such as a backup, can hold the lock; it is done by then.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
