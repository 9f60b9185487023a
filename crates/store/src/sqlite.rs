//! SQLite in a file: the default, which needs nothing else.
//!
//! One connection writes, so that writers of this process queue here and not at the file; other
//! processes wait for the file's lock. Write-ahead log, synced at every commit.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, SqlitePool};
use tokio::sync::RwLock;
use tokio::time::timeout;

use crate::StoreError;
use crate::migrate::migrate;
use crate::sql::{Database, Done, Failure, Session, SqlStore, store_id, values};

mod witness;

use witness::{Trouble, Witness, may_be};

/// How long a lock of another process is waited for.
const BUSY: Duration = Duration::from_secs(5);
/// How long a connection of this process is waited for.
const QUEUE: Duration = Duration::from_secs(10);
/// How long the end of connections is waited for before others are opened.
const CLOSING: Duration = Duration::from_secs(2);
/// Connections that read lists and reports.
const READERS: u32 = 3;
/// Connections for lookups, which so never queue behind reports.
const LOOKUPS: u32 = 2;

/// A store in a file.
pub type SqliteStore = SqlStore<Sqlite>;

/// A file.
pub struct Sqlite {
    path: PathBuf,
    /// As it was when it was opened first.
    store: Origin,
    state: RwLock<State>,
}

/// By what the file is known again.
struct Origin {
    id: String,
    application: i32,
}

/// Whether it is open.
enum State {
    Open(Opened),
    /// It is not the file that was opened, or has to be opened again: why, and what was open until then.
    Shut {
        why: String,
        last: Opened,
    },
    Closed,
}

struct Opened {
    pools: Arc<Pools>,
    witness: Witness,
}

/// Connections to one file.
struct Pools {
    writer: SqlitePool,
    readers: SqlitePool,
    lookups: SqlitePool,
    /// One of them met an error that all may have.
    suspect: Arc<AtomicBool>,
}

impl Pools {
    fn at(path: &Path) -> Pools {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
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
        let suspect = Arc::default();
        Pools { writer: pool(1), readers: pool(READERS), lookups: pool(LOOKUPS), suspect }
    }

    fn all(&self) -> [&SqlitePool; 3] {
        [&self.writer, &self.readers, &self.lookups]
    }

    async fn begin(&self) -> Result<Session, sqlx::Error> {
        self.session(self.writer.acquire().await?).begin().await
    }

    fn session(&self, connection: PoolConnection<sqlx::Sqlite>) -> Session {
        Session::sqlite(connection, self.suspect.clone())
    }

    /// Ends all connections, also when the caller does not wait for it.
    async fn close(&self) {
        let [one, two, three] = self.all().map(SqlitePool::close);
        tokio::join!(one, two, three);
    }
}

impl SqlStore<Sqlite> {
    /// Opens the file, which is made if it is not there, and brings its tables up to date.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be written, `Broken` when it is no database or a newer release's.
    pub async fn open(path: impl AsRef<Path>) -> Result<SqliteStore, StoreError> {
        let path = path.as_ref();
        let told = |failure: Failure| {
            let is_no_database = failure.is_no_database();
            match named(failure.told(), path) {
                StoreError::Unavailable(why) if is_no_database => StoreError::Broken(why),
                error => error,
            }
        };
        private(path).map_err(|error| told(Failure::Sql(error.into())))?;
        Ok(SqlStore::over(Sqlite::open(path).await.map_err(told)?))
    }
}

impl Sqlite {
    async fn open(path: &Path) -> Done<Sqlite> {
        let pools = Pools::at(path);
        prepare(&pools).await?;
        let mut session = pools.session(pools.writer.acquire().await?);
        let id = store_id(&mut session).await?.ok_or_else(Failure::no_row)?;
        let application = mark(&mut session, &id).await?;
        drop(session);
        let witness = Witness::of(path, application).map_err(sqlx::Error::from)?;
        let state = State::Open(Opened { pools: Arc::new(pools), witness });
        Ok(Sqlite { path: path.to_owned(), store: Origin { id, application }, state: RwLock::new(state) })
    }

    /// Connections to the file that was opened, as long as it is there.
    async fn pools(&self) -> Done<Arc<Pools>> {
        if let State::Open(opened) = &*self.state.read().await
            && opened.pools.is_sound()
            && opened.witness.look().is_ok()
        {
            return Ok(opened.pools.clone());
        }
        let mut state = self.state.write().await;
        if let State::Open(opened) = &*state {
            let why = match opened.witness.look() {
                Ok(()) if opened.pools.is_sound() => return Ok(opened.pools.clone()),
                Ok(()) => "it is opened again after an error".to_owned(),
                Err(trouble) => self.lost(&trouble, &opened.witness),
            };
            if let State::Open(last) = std::mem::replace(&mut *state, State::Closed) {
                *state = State::Shut { why, last };
            }
        }
        let State::Shut { why, last } = &mut *state else { return Err(sqlx::Error::PoolClosed.into()) };
        // Before anything else is opened: locks and shared memory belong to the file.
        if timeout(CLOSING, last.pools.close()).await.is_err() {
            return Err(Failure::Lost(why.clone()));
        }
        match self.again().await {
            Ok(opened) => {
                tracing::info!(file = %self.path.display(), "the database is open again");
                let pools = opened.pools.clone();
                *state = State::Open(opened);
                Ok(pools)
            }
            Err(Failure::Lost(_)) => Err(Failure::Lost(why.clone())),
            Err(failure) => Err(failure),
        }
    }

    /// Says what has become of the file; once, because it is asked no more until it is open again.
    fn lost(&self, trouble: &Trouble, witness: &Witness) -> String {
        let path = self.path.display();
        let what = match trouble {
            Trouble::Log => {
                tracing::warn!(file = %path, "the database's write-ahead log was deleted; opening it again");
                return "its write-ahead log was deleted".to_owned();
            }
            Trouble::File(what) => what,
            Trouble::Emptied => {
                witness.drop_log();
                "was emptied or overwritten"
            }
        };
        let why = format!(
            "{path} {what} while it was in use; put the file back, or restart the gateway to begin with \
             what is there now"
        );
        tracing::error!("the database {why}");
        why
    }

    /// Opens the file that is there now, if it is the store that was opened. `Lost` when it is not.
    async fn again(&self) -> Done<Opened> {
        let lost = || Failure::Lost("it is not the same store".to_owned());
        if !may_be(&self.path, self.store.application).map_err(|_| lost())? {
            return Err(lost());
        }
        // Another store's file is not touched.
        let looking = SqliteConnectOptions::new().filename(&self.path).read_only(true);
        let mut looking: SqliteConnection = looking.connect().await?;
        let id = "SELECT store_id FROM tagrail_store WHERE id = 1";
        let id: Result<Option<String>, _> = sqlx::query_scalar(id).fetch_optional(&mut looking).await;
        looking.close().await?;
        if id.map_err(|_| lost())?.as_ref() != Some(&self.store.id) {
            return Err(lost());
        }
        let pools = Pools::at(&self.path);
        migrate(pools.begin().await?).await?;
        let witness = Witness::of(&self.path, self.store.application).map_err(sqlx::Error::from)?;
        Ok(Opened { pools: Arc::new(pools), witness })
    }
}

impl Pools {
    fn is_sound(&self) -> bool {
        !self.suspect.load(Ordering::Acquire)
    }
}

/// Puts a number made of the store's id into the file's header, where it is seen without asking SQLite;
/// gives the number that is there.
async fn mark(session: &mut Session, id: &str) -> Done<i32> {
    let there = session.row("PRAGMA application_id", values![]).await?;
    let there = there.map_or(Ok(None), |row| row.int(0))?.unwrap_or_default();
    if there != 0 {
        return Ok(there as i32);
    }
    // Positive and never 0.
    let own = i64::from_str_radix(id.get(..7).unwrap_or_default(), 16).unwrap_or_default() | 1;
    session.raw(AssertSqlSafe(format!("PRAGMA application_id = {own}"))).await?;
    session.rows("PRAGMA wal_checkpoint(PASSIVE)", values![]).await?;
    Ok(own as i32)
}

/// Migrates. Several processes that make one file at the same time may refuse each other for a moment:
/// turning the write-ahead log on does not wait for `busy_timeout`.
async fn prepare(pools: &Pools) -> Done<()> {
    let begun = Instant::now();
    loop {
        let prepared = match pools.begin().await {
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

#[async_trait]
impl Database for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    async fn lookup(&self) -> Result<Session, Failure> {
        let pools = self.pools().await?;
        Ok(pools.session(pools.lookups.acquire().await?))
    }

    async fn read(&self) -> Result<Session, Failure> {
        let pools = self.pools().await?;
        Ok(pools.session(pools.readers.acquire().await?))
    }

    async fn begin(&self) -> Result<Session, Failure> {
        Ok(self.pools().await?.begin().await?)
    }

    /// What was written into a file that is not there any more is not kept.
    async fn committed(&self) -> Result<(), Failure> {
        self.pools().await.map(drop)
    }

    async fn notified(&self) {
        std::future::pending().await
    }

    async fn close(&self) {
        let mut state = self.state.write().await;
        if let State::Open(last) | State::Shut { last, .. } = std::mem::replace(&mut *state, State::Closed) {
            last.pools.close().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lookup_waits_for_no_report() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        private(&path).unwrap();
        let sqlite = Sqlite::open(&path).await.unwrap();
        let mut reports = Vec::new();
        for _ in 0..READERS {
            reports.push(sqlite.read().await.unwrap());
        }
        let lookup = tokio::time::timeout(Duration::from_secs(5), sqlite.lookup()).await;
        assert!(lookup.expect("it waits").is_ok());
    }
}
