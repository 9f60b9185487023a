//! Where the store is, and the thread that it lives on.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tagrail::routing::Reservations;
use tagrail_store::{Journal, Store, StoreError};
use tokio::runtime::Handle;

use super::books::Books;
use super::{LedgerParts, follower};
use crate::shutdown::Shutdown;
use crate::supervise::{BEAT, Vitals, keep};

/// How long the start waits for a store that others run. Then calls are taken, and keys are 503 until
/// it is there.
const FIRST_ANSWER: Duration = Duration::from_secs(5);

type Opened = Pin<Box<dyn Future<Output = Result<Arc<dyn Store>, StoreError>> + Send>>;

/// How the store is opened.
pub struct Opening {
    open: Box<dyn Fn() -> Opened + Send + Sync>,
    /// Others run it, so it may be gone and come back.
    patient: bool,
}

/// Why there is no ledger.
#[derive(Debug)]
pub enum OpeningError {
    /// The journal's directory.
    Journal(PathBuf, std::io::Error),
    /// The store.
    Store(StoreError),
    /// No thread could be started for it.
    Thread(std::io::Error),
}

impl Opening {
    /// By asking this, on the store's runtime: once, and again and again where the store may come
    /// later.
    pub fn with<F>(open: impl Fn() -> F + Send + Sync + 'static, may_come_later: bool) -> Opening
    where
        F: Future<Output = Result<Arc<dyn Store>, StoreError>> + Send + 'static,
    {
        Opening { open: Box::new(move || Box::pin(open())), patient: may_come_later }
    }

    /// Once.
    pub(super) fn attempt(&self) -> impl Future<Output = Result<Arc<dyn Store>, StoreError>> + Send + use<> {
        (self.open)()
    }
}

/// The thread with the store's runtime.
pub(super) struct StoreThread {
    handle: Handle,
    end: tokio::sync::oneshot::Sender<Last>,
    thread: JoinHandle<()>,
}

/// What is done last.
type Last = Pin<Box<dyn Future<Output = ()> + Send>>;

impl StoreThread {
    fn start(shutdown: Shutdown) -> std::io::Result<StoreThread> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = tokio::sync::oneshot::channel::<Last>();
        let thread = std::thread::Builder::new().name("store".to_owned()).spawn(move || {
            let run = || {
                // An error: the ledger was dropped without being closed.
                if let Ok(last) = runtime.block_on(ended) {
                    runtime.block_on(last);
                }
            };
            if catch_unwind(AssertUnwindSafe(run)).is_err() {
                shutdown.fail("the store's thread has panicked".to_owned());
            }
        })?;
        Ok(StoreThread { handle, end, thread })
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Does what is to be done last, and ends the thread.
    pub(super) fn finish(self, last: impl Future<Output = ()> + Send + 'static) {
        if self.end.send(Box::pin(last)).is_ok() && self.thread.join().is_err() {
            tracing::error!("the store's thread panicked");
        }
    }
}

/// Opens journal and store.
pub(super) fn open(parts: LedgerParts, vitals: &Vitals) -> Result<(Arc<Books>, StoreThread), OpeningError> {
    let sync = parts.router.snapshot().general.journal_sync;
    let journal = Journal::open(&parts.journal, sync)
        .map_err(|error| OpeningError::Journal(parts.journal.clone(), error))?;
    let thread = StoreThread::start(vitals.shutdown.clone()).map_err(OpeningError::Thread)?;
    parts.router.reserve(Reservations::Unknown);
    let patient = parts.store.patient;
    let books = Arc::new(Books::new(parts, journal));
    let (told, first) = mpsc::sync_channel(1);
    let opening = books.clone();
    thread.handle().spawn(async move {
        // Nobody waits any more when this is late; the follower tries again.
        let _ = told.send(opening.begin().await);
    });
    match first.recv_timeout(FIRST_ANSWER) {
        Ok(Ok(())) => books.set_connected(true),
        Ok(Err(StoreError::Unavailable(why))) if patient => {
            tracing::warn!(why, "the database cannot be reached; keys are answered with 503 until it can");
        }
        Ok(Err(error)) => return Err(OpeningError::Store(error)),
        Err(_) if patient => tracing::warn!("the database has not answered yet"),
        Err(_) => {
            let why = StoreError::Unavailable("no answer".to_owned());
            return Err(OpeningError::Store(why));
        }
    }
    let followed = books.clone();
    thread.handle().spawn(keep("follower", move || follower::follow(followed.clone())));
    let (watched, vitals) = (books.clone(), vitals.clone());
    let pulse = vitals.pulses.add("store".to_owned());
    thread.handle().spawn(keep("watch", move || {
        let (books, shutdown, pulse) = (watched.clone(), vitals.shutdown.clone(), pulse.clone());
        async move {
            loop {
                pulse.beat();
                // It holds rows that were read and the locks of their files, so it is not started a second time
                // beside what is left of the first: the next process settles what is in the journal.
                if books.has_lost_drain() && !shutdown.has_begun() {
                    shutdown.fail("the task that settles spend has ended".to_owned());
                }
                tokio::time::sleep(BEAT).await;
            }
        }
    }));
    Ok((books, thread))
}

impl fmt::Display for OpeningError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpeningError::Journal(path, error) => {
                write!(f, "the journal of spend cannot be kept in {}: {error}", path.display())
            }
            OpeningError::Store(error) => error.fmt(f),
            OpeningError::Thread(error) => write!(f, "no thread can be started: {error}"),
        }
    }
}

impl std::error::Error for OpeningError {}
