//! SQLite in a file: the default, which needs nothing else.
//!
//! One connection writes, so that writers of this process queue here and not at the file; other
//! processes wait for the file's lock. Write-ahead log, synced at every commit.

use std::path::Path;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::StoreError;
use crate::migrate::migrate;
use crate::sql::{Database, Failure, Session, SqlStore};

/// How long a lock of another process is waited for.
const BUSY: Duration = Duration::from_secs(5);
/// How long a connection of this process is waited for.
const QUEUE: Duration = Duration::from_secs(10);
/// Connections that read lists and reports.
const READERS: u32 = 3;
/// Connections for lookups, which so never queue behind reports.
const LOOKUPS: u32 = 2;

/// A store in a file.
pub type SqliteStore = SqlStore<Sqlite>;

/// A file.
pub struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
    lookups: SqlitePool,
}

impl Sqlite {
    fn at(path: &Path) -> Sqlite {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY)
            .statement_cache_capacity(200);
        let pool = |most| {
            SqlitePoolOptions::new()
                .max_connections(most)
                .acquire_timeout(QUEUE)
                .test_before_acquire(false)
                .max_lifetime(None)
                .idle_timeout(None)
                .connect_lazy_with(options.clone())
        };
        Sqlite { writer: pool(1), readers: pool(READERS), lookups: pool(LOOKUPS) }
    }
}

impl SqlStore<Sqlite> {
    /// Opens the file, which is made if it is not there, and brings its tables up to date.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be written, `Broken` when it is no database or a newer release's.
    pub async fn open(path: impl AsRef<Path>) -> Result<SqliteStore, StoreError> {
        let path = path.as_ref();
        let told = |failure: Failure| named(failure.told(), path);
        private(path).map_err(|error| told(Failure::Sql(error.into())))?;
        let sqlite = Sqlite::at(path);
        prepare(&sqlite).await.map_err(told)?;
        Ok(SqlStore::over(sqlite))
    }
}

/// Migrates. Several processes that make one file at the same time may refuse each other for a moment:
/// turning the write-ahead log on does not wait for `busy_timeout`.
async fn prepare(sqlite: &Sqlite) -> Result<(), Failure> {
    let begun = Instant::now();
    loop {
        let prepared = match sqlite.begin().await {
            Ok(session) => migrate(session).await,
            Err(error) => Err(error.into()),
        };
        let locked = match &prepared {
            Err(Failure::Sql(sqlx::Error::Database(error))) => error.message().contains("locked"),
            Err(Failure::Store(StoreError::Unavailable(why))) => why.contains("locked"),
            _ => false,
        };
        if !locked || begun.elapsed() > BUSY {
            return prepared;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Makes the file for its owner alone.
fn private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Says which file.
fn named(error: StoreError, path: &Path) -> StoreError {
    let named = |why: String| format!("{}: {why}", path.display());
    match error {
        StoreError::Unavailable(why) => StoreError::Unavailable(named(why)),
        StoreError::Broken(why) => StoreError::Broken(named(why)),
        other => other,
    }
}

fn told(error: sqlx::Error) -> StoreError {
    Failure::from(error).told()
}

#[async_trait]
impl Database for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    async fn lookup(&self) -> Result<Session, StoreError> {
        Ok(Session::Sqlite(self.lookups.acquire().await.map_err(told)?))
    }

    async fn read(&self) -> Result<Session, StoreError> {
        Ok(Session::Sqlite(self.readers.acquire().await.map_err(told)?))
    }

    /// With the right to write from the first moment: a reader that turns writer can be refused.
    async fn begin(&self) -> Result<Session, StoreError> {
        let begun = self.writer.begin_with("BEGIN IMMEDIATE").await;
        Ok(Session::SqliteTransaction(begun.map_err(told)?))
    }

    async fn notified(&self) {
        std::future::pending().await
    }

    async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
        self.lookups.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lookup_waits_for_no_report() {
        let directory = tempfile::tempdir().unwrap();
        let sqlite = Sqlite::at(&directory.path().join("a.db"));
        let mut reports = Vec::new();
        for _ in 0..READERS {
            reports.push(sqlite.read().await.unwrap());
        }
        let lookup = tokio::time::timeout(Duration::from_secs(5), sqlite.lookup()).await;
        assert!(lookup.expect("it waits").is_ok());
    }
}
