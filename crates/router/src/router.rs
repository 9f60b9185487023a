//! `Router::call`: admit, decide, attempt, record.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwap;
use tagrail_config::Resolved;
use tagrail_routing::{Chance, DeploymentIndex, Moment, Reservations};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::attempt::ReplyBudget;
use crate::scoreboard::Scoreboard;
use crate::sdk::Origin;
use crate::transport::{Transport, Way};
use crate::{Answer, Call, CallError, Recorder, Snapshot, attempt};

/// The most whole answers that are read on at a time after their client has left. Others end with their client,
/// and are charged for what was reserved.
const ABANDONED: usize = 64;
/// The most streams whose answer is there and that are read on for their count of tokens, for a few seconds each.
const TAILS: usize = 256;

/// Sends calls to deployments. Clones share configuration, scoreboard and connections; [`Router::core`]
/// makes one with connections of its own.
#[derive(Clone)]
pub struct Router {
    shared: Arc<Shared>,
    core: Arc<Core>,
}

/// What all cores see.
struct Shared {
    snapshot: ArcSwap<Snapshot>,
    scoreboard: Scoreboard,
    holdings: Mutex<Holdings>,
    /// Whole answers that are read on after their client has left, and ends of streams.
    readers: Arc<Semaphore>,
    tails: Arc<Semaphore>,
    replies: Arc<ReplyBudget>,
    /// The configuration as written, where there is one. Held while it is changed, before `holdings`.
    origin: Mutex<Option<Origin>>,
}

/// What is reserved, as text. Its lock orders [`Router::reserve`] and [`Router::replace`]: no table is
/// ever in use with other reservations than these.
#[derive(Default)]
struct Holdings {
    reservations: Reservations,
    /// Configurations that calls under way may still be using.
    former: Vec<Weak<Snapshot>>,
}

/// What one runtime has for itself.
struct Core {
    transport: Transport,
    recorder: Arc<dyn Recorder>,
    sequence: AtomicU64,
}

impl Router {
    /// A router over a configuration. Proxies are read from the environment, certificates at the
    /// first call over TLS.
    pub fn new(resolved: Resolved, recorder: Arc<dyn Recorder>) -> Router {
        let scoreboard = Scoreboard::new();
        let holdings = Mutex::<Holdings>::default();
        let snapshot = Snapshot::new(resolved, &scoreboard, &Reservations::default());
        let snapshot = ArcSwap::from_pointee(snapshot);
        let transport = Transport::new(Arc::new(Way::new()));
        let core = Core { transport, recorder, sequence: AtomicU64::new(0) };
        let readers = Arc::new(Semaphore::new(ABANDONED));
        let tails = Arc::new(Semaphore::new(TAILS));
        let (replies, origin) = (Arc::default(), Mutex::default());
        let shared = Shared { snapshot, scoreboard, holdings, readers, tails, replies, origin };
        Router { shared: Arc::new(shared), core: Arc::new(core) }
    }

    /// The same router with connections and a recorder of its own: one for every runtime.
    #[must_use]
    pub fn core(&self, recorder: Arc<dyn Recorder>) -> Router {
        let core = Core { transport: self.core.transport.fork(), recorder, sequence: AtomicU64::new(0) };
        Router { shared: self.shared.clone(), core: Arc::new(core) }
    }

    /// The configuration in use.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot.load_full()
    }

    /// Puts another configuration in use, at once and whole. Calls under way keep theirs; what is
    /// known of a deployment stays with its id. How this one was written is not known, so that its
    /// model list cannot be changed.
    pub fn replace(&self, resolved: Resolved) {
        let mut origin = self.origin();
        *origin = None;
        self.put(resolved);
    }

    /// The configuration as written.
    pub(crate) fn origin(&self) -> MutexGuard<'_, Option<Origin>> {
        self.shared.origin.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts another configuration in use.
    pub(crate) fn put(&self, resolved: Resolved) {
        let Shared { snapshot, scoreboard, holdings, .. } = &*self.shared;
        let mut holdings = holdings.lock().unwrap_or_else(PoisonError::into_inner);
        let next = Arc::new(Snapshot::new(resolved, scoreboard, &holdings.reservations));
        let former = Arc::downgrade(&snapshot.swap(next));
        holdings.former.retain(|known| known.strong_count() > 0);
        holdings.former.push(former);
    }

    /// Says which tags are reserved: at once, for calls under way too, and for every configuration to
    /// come. What a configuration's own `reserved_tags` say is added to it.
    pub fn reserve(&self, reservations: Reservations) {
        let Shared { snapshot, holdings, .. } = &*self.shared;
        let mut holdings = holdings.lock().unwrap_or_else(PoisonError::into_inner);
        snapshot.load().reserve(&reservations);
        for former in holdings.former.iter().filter_map(Weak::upgrade) {
            former.reserve(&reservations);
        }
        holdings.reservations = reservations;
    }

    /// Answers a call. Dropping the future ends the upstream call; where calls are counted, one for a whole
    /// answer is read to its end and charged.
    ///
    /// # Errors
    /// Says whose fault it was.
    pub async fn call(&self, call: &Call) -> Result<Answer, Box<CallError>> {
        let snapshot = self.snapshot();
        attempt::run(self, &snapshot, call).await
    }

    /// The same under a configuration that the caller has already looked at.
    ///
    /// # Errors
    /// Says whose fault it was.
    pub fn call_under<'a>(
        &'a self,
        snapshot: &'a Arc<Snapshot>,
        call: &'a Call,
    ) -> impl Future<Output = Result<Answer, Box<CallError>>> + Send {
        attempt::run(self, snapshot, call)
    }

    /// For how many milliseconds a deployment still cools as a whole, for health reports.
    pub fn cooling_ms(&self, deployment: DeploymentIndex) -> Option<u64> {
        let until = self.snapshot().state(deployment).cooling_until(None)?;
        Some(self.now().until(until)).filter(|left| *left > 0)
    }

    pub(crate) fn now(&self) -> Moment {
        self.shared.scoreboard.now()
    }

    pub(crate) fn moment(&self, time: Instant) -> Moment {
        self.shared.scoreboard.moment(time)
    }

    pub(crate) fn chance(&self) -> Chance {
        let sequence = self.core.sequence.fetch_add(1, Ordering::Relaxed);
        Chance { sequence, draw: fastrand::u64(..) }
    }

    /// What is left for long replies.
    pub(crate) fn replies(&self) -> &Arc<ReplyBudget> {
        &self.shared.replies
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.core.transport
    }

    /// Places for whole answers that are read on after their client has left.
    pub(crate) fn readers(&self) -> &Arc<Semaphore> {
        &self.shared.readers
    }

    /// Places for streams that are read on for their count of tokens.
    pub(crate) fn tails(&self) -> &Arc<Semaphore> {
        &self.shared.tails
    }

    pub(crate) fn recorder(&self) -> &Arc<dyn Recorder> {
        &self.core.recorder
    }
}

/// What is configured holds keys.
impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").field("snapshot", &self.snapshot()).finish_non_exhaustive()
    }
}
