//! All that is shared between the cores and the store's thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tagrail::Router;
use tagrail_store::{Cached, Found, Journal, KeyHash, Settled, Store, StoreError};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::drain::{Drain, DrainParts};
use super::follower::{self, Follower};
use super::names::Known as _;
use super::pulse::{self, Pulse};
use super::refused::Refused;
use super::upkeep::{Retention, Upkeep};
use super::{Clock, LedgerParts, Meters, Opening};
use crate::caller::Principal;
use crate::supervise::keep;

/// Keys that are remembered; who has more live ones at a time asks the store now and then.
const KEYS: usize = 100_000;

/// How many lists and reports are made at a time: what one takes of memory is bounded, and so is this.
const REPORTS: usize = 2;

/// Between two tries to read what this process itself has changed.
const AGAIN: Duration = Duration::from_millis(50);

/// The books, open.
pub(crate) struct Books {
    opening: Opening,
    store: OnceLock<Arc<dyn Store>>,
    connected: AtomicBool,
    pub(super) pulse: Pulse,
    pub(super) known: Cached<Principal>,
    pub(super) follower: Follower,
    /// What this process has recorded and the store may not have yet.
    pub(super) journal: Arc<Journal>,
    /// What this process counts instead of recording.
    pub(super) refused: Arc<Refused>,
    /// Turns of those who make lists and reports.
    pub(super) reports: Arc<Semaphore>,
    /// Brings it there, once the store is open.
    drain: OnceLock<Drain>,
    /// What callers use up.
    pub(crate) meters: Arc<Meters>,
    /// Whose settings say what is kept, and what is reserved besides.
    pub(crate) router: Router,
    pub(crate) clock: Clock,
}

impl Books {
    pub(super) fn new(parts: LedgerParts, journal: Journal) -> Books {
        let LedgerParts { store, router, metrics, clock, .. } = parts;
        let meters = Arc::new(Meters::new(router.clone(), metrics, clock.clone()));
        let of_refused = meters.clone();
        Books {
            refused: Arc::new(Refused::new(move |name| of_refused.has_model(name))),
            opening: store,
            store: OnceLock::new(),
            connected: AtomicBool::new(false),
            pulse: Pulse::new(clock.now()),
            known: Cached::new(KEYS),
            follower: Follower::default(),
            journal: Arc::new(journal),
            reports: Arc::new(Semaphore::new(REPORTS)),
            drain: OnceLock::new(),
            meters,
            router,
            clock,
        }
    }

    /// The store.
    ///
    /// # Errors
    /// It could not be opened yet.
    pub(crate) fn store(&self) -> Result<Arc<dyn Store>, StoreError> {
        let absent = || StoreError::Unavailable("it has not been reached since the start".to_owned());
        self.store.get().cloned().ok_or_else(absent)
    }

    /// Opens the store, if it is not open, and reads what must be known of it.
    pub(super) async fn begin(self: &Arc<Self>) -> Result<(), StoreError> {
        if self.store.get().is_none() {
            let store = self.opening.attempt().await?;
            // Two attempts at a time are possible; the first one stays.
            if self.store.set(store.clone()).is_ok() {
                self.work(store);
            }
        }
        follower::catch_up(self).await
    }

    /// Starts what is done in the store besides answering.
    fn work(self: &Arc<Self>, store: Arc<dyn Store>) {
        let runtime = Handle::current();
        let meters = self.meters.clone();
        let settled = Arc::new(move |settled: &Settled, own| meters.settled(settled, own));
        let (refused, names) = (self.refused.clone(), self.meters.clone());
        let parts =
            DrainParts { journal: self.journal.clone(), refused, names, store: store.clone(), settled };
        // Set once, as the store is.
        let _ = self.drain.set(Drain::start(&runtime, parts));
        let (router, clock, books) = (self.router.clone(), self.clock.clone(), Arc::downgrade(self));
        let retention = move || {
            let general = &router.snapshot().general;
            Retention {
                period: general.spend_retention,
                disabled: general.disable_spend_logs,
                daily: general.daily_spend_retention,
            }
        };
        let before_start = {
            let books = Arc::downgrade(self);
            move || books.upgrade().and_then(|books| books.pulse.before_start())
        };
        let reset = move |_| {
            if let Some(books) = books.upgrade() {
                books.follower.wake.notify_one();
            }
        };
        let (beating, beaten) = (self.clone(), store.clone());
        let upkeep = move || {
            let (store, retention, reset, clock) =
                (store.clone(), retention.clone(), reset.clone(), clock.clone());
            let upkeep = Upkeep {
                store,
                retention: Box::new(retention),
                reset: Box::new(reset),
                now: Box::new(move || clock.now()),
                before_start: Box::new(before_start.clone()),
            };
            upkeep.run()
        };
        runtime.spawn(keep("upkeep", upkeep));
        runtime.spawn(keep("heartbeat", move || pulse::beat(beating.clone(), beaten.clone())));
    }

    /// All that a key stands for, made ready for calls.
    pub(super) async fn look_up(&self, hash: &KeyHash) -> Result<Option<Found<Principal>>, StoreError> {
        let store = self.store()?;
        let identity = store.identity(&hex(hash)).await?;
        Ok(identity.map(|identity| {
            let (team, user) = (identity.key.team_id.clone(), identity.key.user_id.clone());
            let of_team = identity.team.iter().flat_map(|team| &team.tags);
            self.meters.hold_tags(&identity.key.tags.iter().chain(of_team).collect::<Vec<_>>());
            Found { value: Arc::new(Principal::new(identity, &self.meters)), team, user }
        }))
    }

    /// Takes notice of what may have been changed. When it has been, and cannot be read, nothing that it
    /// could be about is relied on; but since that turns callers away, a connection that was late once is no
    /// reason for it.
    pub(super) async fn take_notice(&self, is_certain: bool) {
        let read = async {
            while follower::catch_up(self).await.is_err() && is_certain {
                sleep(AGAIN).await;
            }
        };
        if timeout(follower::ANSWER, read).await.is_err() && is_certain {
            follower::doubt(self).await;
        }
    }

    /// Whether the task that settles spend has ended by itself.
    pub(super) fn has_lost_drain(&self) -> bool {
        self.drain.get().is_some_and(Drain::has_ended)
    }

    /// Waits until what was recorded so far is in the store, at most so long. Whether it is.
    pub(super) async fn drained(&self, within: Duration) -> bool {
        match self.drain.get() {
            Some(drain) => drain.flush(within).await,
            None => false,
        }
    }

    /// The store takes changes again.
    pub(super) fn retry(&self) {
        if let Some(drain) = self.drain.get() {
            drain.retry();
        }
    }

    /// Settles what there is, at most so long, and lets go of the store.
    pub(super) async fn close(&self, within: Duration) {
        match self.drain.get() {
            Some(drain) => {
                if !drain.stop(within).await {
                    tracing::warn!(
                        "what some calls cost is in the journal, and is settled at the next start"
                    );
                }
            }
            None => self.journal.seal(),
        }
        if let Ok(store) = self.store() {
            let _ = timeout(within, store.close()).await;
        }
    }

    pub(super) fn connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    pub(super) fn set_connected(&self, connected: bool) {
        self.pulse.set_readable(connected, self.clock.now());
        if self.connected.swap(connected, Ordering::Relaxed) != connected {
            if connected {
                tracing::info!("the database is connected");
            } else {
                tracing::warn!("the database cannot be reached; keys that are known keep working");
            }
        }
    }
}

/// Lower-case hex, as the store knows keys.
pub(crate) fn hex(hash: &KeyHash) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = hash.iter().flat_map(|byte| [byte >> 4, byte & 0xF]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}
