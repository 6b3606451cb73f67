//! The store in one SQLite file, for a single process.

mod accounts;
mod matches;
mod rows;
mod tickets;

use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Sqlite, Transaction};
use tokio::sync::watch;

use crate::{Store, StoreError, StoreResult};

/// A store in the file `gameserver.db` of a data directory. It survives restarts and crashes: a
/// call that answered is on the disk.
#[derive(Debug)]
pub struct EmbeddedStore {
    /// One connection, because SQLite has one writer at a time: writers queue here, in order,
    /// rather than for its lock.
    writer: SqlitePool,
    readers: SqlitePool,
    changes: watch::Sender<u64>,
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
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.read_only(true))
            .await?;
        Ok(Self {
            writer,
            readers,
            changes: watch::Sender::new(0),
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
}

#[async_trait::async_trait]
impl Store for EmbeddedStore {
    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    async fn ping(&self) -> StoreResult<()> {
        sqlx::query("SELECT 1").execute(&self.readers).await?;
        Ok(())
    }
}

const FILE_NAME: &str = "gameserver.db";
/// Beyond this, readers wait for each other; the disk is slower than four of them anyway.
const READERS: u32 = 4;
/// Only another process, such as a backup, can hold the lock; it is done by then.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
