//! Teams, keys and spend, as the rest of the server sees them: the store behind a cache, counts of
//! what is used up, and the journal through which what calls cost reaches the store.
//!
//! The store has a thread and a runtime of its own, so that its connections belong to one reactor and
//! nothing of it ever waits on a core that serves calls.
//!
//! Map: `books.rs` all that is shared; `opening.rs` where the store is, and the thread that it lives on;
//! `follower.rs` what has changed, here or elsewhere; `pulse.rs` whether the store takes changes; `meters.rs` what is
//! used up, `shared.rs` by other processes too, `allowance.rs` what one caller may use up, `over.rs` the refusals;
//! `clock.rs`; `refused.rs` and `names.rs` what is summed instead of being written down call by call;
//! `recorder.rs`, `drain.rs` and `upkeep.rs` spend
//! on its way into the store and what is done with it there.

use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use tagrail::{Caller, Outcome, Recorder, Router};
use tagrail_store::{Identity, JournalHealth, Store, StoreError, Timestamp};
use tokio::runtime::Handle;

use crate::Metrics;
use crate::caller::Principal;
use crate::error::Problem;
use crate::supervise::Vitals;

mod allowance;
mod books;
mod clock;
mod drain;
mod follower;
mod meters;
mod names;
mod opening;
mod over;
mod pulse;
mod recorder;
mod refused;
#[cfg(test)]
mod settling_store;
mod shared;
mod upkeep;

pub use clock::Clock;
pub use opening::{Opening, OpeningError};

pub(crate) use allowance::Purse;
pub(crate) use books::hex;
pub(crate) use meters::{Meters, carried};
pub(crate) use pulse::StoreHealth;

use books::Books;
use opening::StoreThread;
use refused::is_refusal;

/// How long the store may take for one question of an admin's.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a call waits to learn whose its key is. Shorter than clients wait, so that they hear that it
/// was not their fault.
const LOOK_UP: Duration = Duration::from_secs(4);

/// The same while the store does not answer.
const LOOK_UP_AGAIN: Duration = Duration::from_millis(500);

/// How long is waited for what is still in the journal: at the end, after which the rest is read at the
/// next start, and for sums that are asked for.
const LAST_DRAIN: Duration = Duration::from_secs(5);

/// What a ledger is made of.
pub struct LedgerParts {
    /// Opens the store.
    pub store: Opening,
    /// The directory of the journal.
    pub journal: PathBuf,
    /// Is told which tags are reserved.
    pub router: Router,
    /// Counts refusals.
    pub metrics: Arc<Metrics>,
    /// The time of day: [`Clock::default`] but in tests.
    pub clock: Clock,
}

/// The books.
pub struct Ledger {
    open: Option<Open>,
    vitals: Vitals,
}

struct Open {
    books: Arc<Books>,
    handle: Handle,
    /// Taken when it is closed.
    thread: Mutex<Option<StoreThread>>,
}

impl Ledger {
    /// Without a store: the master key alone opens, and nothing is written down.
    pub fn none() -> Ledger {
        Ledger { open: None, vitals: Vitals::default() }
    }

    /// Opens journal and store, and starts the thread that they live on. The store's first answer is
    /// awaited, for some seconds at most; from then on the reservations hold. While it has not
    /// been read, [`tagrail::routing::Reservations::Unknown`] does.
    ///
    /// # Errors
    /// The journal cannot be opened, or the store is there and cannot be used; for a store that others
    /// run, not that it is gone.
    pub fn open(parts: LedgerParts) -> Result<Arc<Ledger>, OpeningError> {
        let vitals = Vitals::default();
        let (books, thread) = opening::open(parts, &vitals)?;
        let handle = thread.handle().clone();
        let open = Some(Open { books, handle, thread: Mutex::new(Some(thread)) });
        Ok(Arc::new(Ledger { open, vitals }))
    }

    /// What must live in this process: the store's thread, and the cores of the server on this ledger.
    pub(crate) fn vitals(&self) -> &Vitals {
        &self.vitals
    }

    /// Asks the store, on its own runtime.
    ///
    /// # Errors
    /// 503 when it cannot be asked, also when there is none; else the store's error as HTTP.
    pub(crate) async fn ask<T, F>(&self, ask: impl FnOnce(Arc<dyn Store>) -> F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let open = self.opened()?;
        let store = open.books.store().map_err(|error| Problem::of_store(&error))?;
        let asked = ask(store);
        open.run(async { in_time(PATIENCE, asked).await }).await
    }

    /// Asks the store for what may be long, and makes the answer's JSON there: neither reading nor writing it
    /// takes time of a core that serves calls, and only a few are made at a time.
    ///
    /// # Errors
    /// As [`Ledger::ask`].
    pub(crate) async fn show<T, F, V>(
        &self,
        ask: impl FnOnce(Arc<dyn Store>) -> F,
        show: impl FnOnce(T) -> V + Send + 'static,
    ) -> Result<Response, Problem>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
        V: serde::Serialize,
    {
        let json = move |found| serde_json::to_vec(&show(found)).unwrap_or_default();
        let bytes = self.report(ask, json).await?;
        Ok(([(CONTENT_TYPE, "application/json")], bytes).into_response())
    }

    /// The same for other bytes than JSON.
    ///
    /// # Errors
    /// As [`Ledger::ask`].
    pub(crate) async fn report<T, F>(
        &self,
        ask: impl FnOnce(Arc<dyn Store>) -> F,
        write: impl FnOnce(T) -> Vec<u8> + Send + 'static,
    ) -> Result<Vec<u8>, Problem>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let open = self.opened()?;
        let store = open.books.store().map_err(|error| Problem::of_store(&error))?;
        let (asked, reports) = (ask(store), open.books.reports.clone());
        let made = async move {
            let stopped = |error: String| StoreError::Unavailable(error);
            let turn = reports.acquire_owned().await.map_err(|error| stopped(error.to_string()))?;
            let found = asked.await?;
            let made = tokio::task::spawn_blocking(move || {
                // Held until the memory of what was found is free again.
                let _turn = turn;
                write(found)
            });
            made.await.map_err(|error| stopped(error.to_string()))
        };
        open.run(in_time(PATIENCE, made)).await
    }

    /// The same for what changes something: when it returns, this process has taken notice of it, in its
    /// caches and its reservations. A client that hangs up meanwhile stops neither.
    ///
    /// # Errors
    /// As [`Ledger::ask`].
    pub(crate) async fn change<T, F>(&self, ask: impl FnOnce(Arc<dyn Store>) -> F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let open = self.opened()?;
        let store = open.books.store().map_err(|error| Problem::of_store(&error))?;
        let (asked, books) = (ask(store), open.books.clone());
        let changed = async move {
            let changed = in_time(PATIENCE, asked).await;
            // Also after an error: what could not be acknowledged may have been committed.
            books.take_notice(changed.is_ok()).await;
            changed
        };
        open.run(changed).await
    }

    /// Waits until everything that was recorded before this was asked is in the store, so that sums
    /// which are read next hold it. Not for long: a store that is behind answers with what it has.
    pub(crate) async fn settled(&self) {
        if let Some(open) = &self.open {
            let books = open.books.clone();
            // What fails is told by what is asked next.
            let _ = open.run(async move { Ok(books.drained(LAST_DRAIN).await) }).await;
        }
    }

    /// Whose a key is, by its SHA-256; `None`: nobody's.
    ///
    /// # Errors
    /// 503: it is not known, and cannot be asked.
    pub(crate) async fn principal(&self, hash: &[u8; 32]) -> Result<Option<Arc<Principal>>, Problem> {
        let Some(open) = &self.open else { return Ok(None) };
        let books = &open.books;
        if let Some(known) = books.known.get(hash) {
            return Ok(known);
        }
        let load = || {
            let (books, hash) = (books.clone(), *hash);
            // What is known to be gone need not be waited for; it may have come back just now.
            let limit = if books.connected() { LOOK_UP } else { LOOK_UP_AGAIN };
            open.run_plain(async move { in_time(limit, books.look_up(&hash)).await })
        };
        books.known.find(hash, load).await.map_err(|_| unchecked())
    }

    /// The principal of a key that is known without asking; `None`: it has to be asked for.
    pub(crate) fn known(&self, hash: &[u8; 32]) -> Option<Option<Arc<Principal>>> {
        match &self.open {
            Some(open) => open.books.known.get(hash),
            None => Some(None),
        }
    }

    /// On whose behalf calls with a key are made.
    ///
    /// # Errors
    /// There is no store.
    pub(crate) fn caller_of(&self, identity: Identity) -> Result<Arc<Caller>, Problem> {
        Ok(Principal::new(identity, &self.opened()?.books.meters).known().caller)
    }

    /// The recorder of one core: into the journal, and on to the metrics.
    pub(crate) fn recorder(&self, core: usize, metrics: Arc<dyn Recorder>) -> Arc<dyn Recorder> {
        let Some(open) = &self.open else { return metrics };
        let recorder =
            recorder::recorder(open.books.journal.writer(core), open.books.refused.clone(), metrics);
        Arc::new(Counting { meters: open.books.meters.clone(), next: recorder })
    }

    /// The time of day.
    pub(crate) fn now(&self) -> Timestamp {
        self.open.as_ref().map_or_else(Timestamp::now, |open| open.books.clock.now())
    }

    /// How the store is; `None` where there is none.
    pub(crate) fn store_health(&self) -> Option<StoreHealth> {
        self.open.as_ref().map(|open| open.books.pulse.health(open.books.clock.now()))
    }

    /// How the journal is doing; `None` where there is none.
    pub(crate) fn journal_health(&self) -> Option<JournalHealth> {
        self.open.as_ref().map(|open| open.books.journal.health())
    }

    /// Settles what is left, as far as that is quick, and ends the store's thread. Blocks; the cores
    /// must have ended before.
    pub(crate) fn close(&self) {
        let Some(open) = &self.open else { return };
        let Some(thread) = open.thread.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let books = open.books.clone();
        thread.finish(async move { books.close(LAST_DRAIN).await });
    }

    fn opened(&self) -> Result<&Open, Problem> {
        let none = || {
            let message = "No connected db.";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, message).kind("no_db_connection")
        };
        self.open.as_ref().ok_or_else(none)
    }
}

impl Open {
    /// Runs on the store's runtime, to its end: whoever asked may go away.
    async fn run_plain<T: Send + 'static>(
        &self,
        asked: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        match self.handle.spawn(asked).await {
            Ok(answer) => answer,
            Err(error) => Err(StoreError::Unavailable(error.to_string())),
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        asked: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, Problem> {
        self.run_plain(asked).await.map_err(|error| Problem::of_store(&error))
    }
}

/// Bytes of tags that nothing knows, in a row.
const MADE_UP_TAGS: usize = 8 << 10;

/// The same in the row of a call that was refused before anything was asked.
const REFUSED_TAGS: usize = 1 << 10;

/// Tells the meters first: from then on what a call cost is pending, until it is in the store.
struct Counting {
    meters: Arc<Meters>,
    next: Arc<dyn Recorder>,
}

impl Recorder for Counting {
    fn record(&self, outcome: &Outcome<'_>) {
        // Tags are kept, limited and paid for by their names, as they are reserved.
        let named = self.meters.without_prefix(outcome.tags);
        let most = if is_refusal(outcome) { REFUSED_TAGS } else { MADE_UP_TAGS };
        let tags = named.as_deref().unwrap_or(outcome.tags);
        let named = self.meters.bounded(outcome, tags, most).or(named);
        let outcome = match &named {
            Some(tags) => &Outcome { tags, ..outcome.clone() },
            None => outcome,
        };
        self.meters.recorded(outcome);
        self.next.record(outcome);
    }

    fn cooled(&self, deployment: &str, until: Duration) {
        self.next.cooled(deployment, until);
    }

    fn wants_details(&self) -> bool {
        true
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("open", &self.open.is_some()).finish_non_exhaustive()
    }
}

/// The answer, or that it took too long.
async fn in_time<T>(
    limit: Duration,
    asked: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(limit, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(StoreError::Unavailable(format!("no answer within {} s", limit.as_secs()))),
    }
}

/// It cannot be said whether a key is valid: not the client's fault, and soon over.
fn unchecked() -> Problem {
    let message = "The key cannot be checked right now, because the database cannot be reached. Try again.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, message).kind("no_db_connection").retry_after(1)
}
