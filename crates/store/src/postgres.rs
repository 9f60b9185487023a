//! PostgreSQL: what several replicas share.
//!
//! It may be away when the gateway starts, and at any moment after: whoever asks then is told so at
//! once, and the next one who asks tries again, the migration of the tables included.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Executor as _, PgPool};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::StoreError;
use crate::migrate::migrate;
use crate::sql::{Database, Failure, Session, SqlStore};

mod address;
mod listening;

use listening::Listening;

/// How long a connection is waited for where a call waits behind it.
const LOOKUP: Duration = Duration::from_millis(200);
/// How long elsewhere.
const QUEUE: Duration = Duration::from_secs(3);
/// How long a start waits for the database before it goes on without.
const START: Duration = Duration::from_secs(5);

/// Connections that write, and that read lists.
const CONNECTIONS: u32 = 5;
/// Connections for lookups, which so never queue behind writers.
const LOOKUPS: u32 = 4;

/// What a session relies on, whatever the server's defaults are. A replica that vanished in the middle of
/// a transaction must not hold the others up, and what is acknowledged is on disk.
const SESSION: &str = "
    SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED;
    SET lock_timeout = '10s';
    SET idle_in_transaction_session_timeout = '30s';
    SELECT set_config('synchronous_commit', 'on', false)
        WHERE current_setting('synchronous_commit') = 'off'";

/// A store in a PostgreSQL database.
pub type PostgresStore = SqlStore<Postgres>;

/// A database.
pub struct Postgres {
    pool: PgPool,
    lookups: PgPool,
    ready: AtomicBool,
    migrating: Mutex<Option<JoinHandle<Result<(), StoreError>>>>,
    listening: Listening,
}

impl SqlStore<Postgres> {
    /// Opens the database at this address, and brings its tables up to date. When it is not there, that is
    /// tried again whenever something is asked.
    ///
    /// # Errors
    /// `Broken`: the address is none, or the database must not be used.
    pub async fn open(url: &str) -> Result<PostgresStore, StoreError> {
        let options = address::read(url)
            .map_err(|error| StoreError::Broken(format!("the address of the database: {error}")))?;
        let options = options.application_name("tagrail").disable_statement_logging();
        let postgres = Postgres {
            pool: pool(&options, CONNECTIONS),
            lookups: pool(&options, LOOKUPS),
            ready: AtomicBool::new(false),
            migrating: Mutex::new(None),
            listening: Listening::new(options),
        };
        match postgres.ready(START).await {
            Ok(()) => {}
            Err(StoreError::Unavailable(why)) => {
                tracing::warn!("the database cannot be reached ({why}); it is tried again");
            }
            Err(error) => return Err(error),
        }
        Ok(SqlStore::over(postgres))
    }
}

fn pool(options: &PgConnectOptions, most: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(QUEUE)
        .after_connect(|connection, _| {
            Box::pin(async move { connection.execute(sqlx::raw_sql(SESSION)).await.map(|_| ()) })
        })
        .connect_lazy_with(options.clone())
}

fn told(error: sqlx::Error) -> StoreError {
    Failure::from(error).told()
}

fn late(limit: Duration) -> StoreError {
    StoreError::Unavailable(format!("no connection within {} ms", limit.as_millis()))
}

async fn prepare(pool: PgPool) -> Result<(), StoreError> {
    let session = Session::postgres(pool.acquire().await.map_err(told)?);
    migrate(session.begin().await.map_err(told)?).await.map_err(Failure::told)
}

impl Postgres {
    /// Sees to it that the tables are there. The migration goes on by itself when the one who waits for it
    /// has no more time, or it could never end while only lookups come.
    async fn ready(&self, limit: Duration) -> Result<(), StoreError> {
        if self.ready.load(Ordering::Acquire) {
            return Ok(());
        }
        let prepared = timeout(limit, async {
            let mut migrating = self.migrating.lock().await;
            if self.ready.load(Ordering::Acquire) {
                return Ok(());
            }
            let task = migrating.get_or_insert_with(|| tokio::spawn(prepare(self.pool.clone())));
            let prepared = task.await.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())));
            *migrating = None;
            self.ready.store(prepared.is_ok(), Ordering::Release);
            prepared
        });
        prepared.await.unwrap_or_else(|_| Err(late(limit)))
    }
}

#[async_trait]
impl Database for Postgres {
    fn name(&self) -> &'static str {
        "postgresql"
    }

    async fn lookup(&self) -> Result<Session, Failure> {
        self.ready(LOOKUP).await?;
        // A task, because a connection to a distant server may take longer than anybody waits here: it is
        // made all the same, and the next lookup has it.
        match timeout(LOOKUP, tokio::spawn(self.lookups.acquire())).await {
            Ok(Ok(connection)) => Ok(Session::postgres(connection?)),
            Ok(Err(error)) => Err(StoreError::Unavailable(error.to_string()).into()),
            Err(_) => Err(late(LOOKUP).into()),
        }
    }

    async fn read(&self) -> Result<Session, Failure> {
        self.ready(QUEUE).await?;
        Ok(Session::postgres(self.pool.acquire().await?))
    }

    async fn begin(&self) -> Result<Session, Failure> {
        self.ready(QUEUE).await?;
        Ok(Session::postgres(self.pool.acquire().await?).begin().await?)
    }

    async fn notified(&self) {
        self.listening.notified().await;
    }

    async fn close(&self) {
        self.listening.stop();
        self.pool.close().await;
        self.lookups.close().await;
    }
}
