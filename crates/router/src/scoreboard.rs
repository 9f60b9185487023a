//! What has been observed of every deployment: failures, cooldowns, calls in flight. Kept by
//! deployment id, so it survives a change of configuration; read through [`Signals`].
//!
//! A failure that its caller's choices explain does not come here (`choices.rs`). What is left may still be one
//! caller's doing: failures of a single caller cool nothing that answers others, and behind a wildcard those of a
//! name that never was answered count only against that name.
//!
//! Two rules say when a deployment cools down (contract: retries and fallbacks, §3): LiteLLM's
//! default, by class of error and share of failures in a minute; and `allowed_fails`, by number of
//! failures within a cooldown window.

mod callers;
mod models;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tagrail_config::{AllowedFails, DeploymentSettings, RouterSettings};
use tagrail_providers::{ErrorKind, UpstreamError};
use tagrail_routing::{DeploymentIndex, Moment, Observed, Rules, Signals};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use self::callers::Callers;
use self::models::Models;

/// Failures of a single deployment count only in this quantity (`SINGLE_DEPLOYMENT_TRAFFIC_FAILURE_THRESHOLD`).
const SINGLE_DEPLOYMENT_REQUESTS: u64 = 1000;
/// `DEFAULT_FAILURE_THRESHOLD_MINIMUM_REQUESTS`.
const MINIMUM_REQUESTS: u64 = 5;
/// No upstream may send a deployment away for longer with one `Retry-After`.
const LONGEST_COOLDOWN: Duration = Duration::from_secs(3600);

/// All states, by deployment id.
pub(crate) struct Scoreboard {
    epoch: Instant,
    states: Mutex<HashMap<String, Arc<State>>>,
}

/// What is known of one deployment.
pub(crate) struct State {
    /// Moment in ms; 0 is never.
    cooling_until: AtomicU64,
    /// Concrete models behind a wildcard (row D8).
    models: Models,
    /// Who had answers and who had failures lately.
    callers: Callers,
    /// Requests of the running minute: minute, successes and failures in one word.
    minute: AtomicU64,
    /// Failures of the running `allowed_fails` window: its start and their number.
    window: Mutex<(u64, u32)>,
    /// `max_parallel_requests`: calls beyond it wait.
    max_parallel: Option<u32>,
    pub(crate) permits: Option<Arc<Semaphore>>,
}

/// A failure, with what decides whether it cools the deployment.
pub(crate) struct Failure<'a> {
    pub(crate) error: &'a UpstreamError,
    pub(crate) settings: &'a DeploymentSettings,
    pub(crate) router: &'a RouterSettings,
    pub(crate) rules: &'a Rules,
    /// Number of deployments in its group.
    pub(crate) group_size: usize,
    /// The concrete model, behind a wildcard.
    pub(crate) captured: Option<&'a str>,
    /// Whose call it was; see [`crate::choices::caller_mark`].
    pub(crate) caller: u32,
}

impl Scoreboard {
    pub(crate) fn new() -> Scoreboard {
        Scoreboard { epoch: Instant::now(), states: Mutex::default() }
    }

    /// Now, on the clock of all cooldowns. Starts at 1, so that 0 can mean never.
    pub(crate) fn now(&self) -> Moment {
        self.moment(Instant::now())
    }

    /// A time as a moment of this clock.
    pub(crate) fn moment(&self, time: Instant) -> Moment {
        let past = time.saturating_duration_since(self.epoch).as_millis();
        Moment(u64::try_from(past).unwrap_or(u64::MAX).saturating_add(1))
    }

    /// The state of a deployment, made at its first appearance.
    pub(crate) fn state(&self, id: &str, max_parallel: Option<u32>) -> Arc<State> {
        let mut states = locked(&self.states);
        if let Some(known) = states.get(id)
            && known.max_parallel == max_parallel
        {
            return known.clone();
        }
        let mut state = State::new(max_parallel);
        if let Some(known) = states.get(id) {
            state.learn(known);
        }
        let state = Arc::new(state);
        states.insert(id.to_owned(), state.clone());
        state
    }

    /// Forgets deployments that are no longer configured.
    pub(crate) fn retain(&self, keep: impl Fn(&str) -> bool) {
        locked(&self.states).retain(|id, _| keep(id));
    }
}

impl State {
    fn new(max_parallel: Option<u32>) -> State {
        State {
            cooling_until: AtomicU64::new(0),
            models: Models::default(),
            callers: Callers::default(),
            minute: AtomicU64::new(0),
            window: Mutex::default(),
            max_parallel,
            permits: max_parallel.map(|limit| Arc::new(Semaphore::new(limit as usize))),
        }
    }

    /// Takes over what was observed under another `max_parallel_requests`.
    fn learn(&mut self, known: &State) {
        let copy = |count: &AtomicU64| AtomicU64::new(count.load(Ordering::Relaxed));
        self.cooling_until = copy(&known.cooling_until);
        self.minute = copy(&known.minute);
        self.models = known.models.copy();
        self.callers = known.callers.copy();
        self.window = Mutex::new(*locked(&known.window));
    }

    /// Until when it cools, for a model.
    pub(crate) fn cooling_until(&self, captured: Option<&str>) -> Option<Moment> {
        let whole = self.cooling_until.load(Ordering::Relaxed);
        let model = captured.map_or(0, |model| self.models.cooling_until(model));
        let until = whole.max(model);
        (until > 0).then_some(Moment(until))
    }

    /// A call of this caller went well.
    pub(crate) fn succeeded(&self, now: Moment, caller: u32, captured: Option<&str>) {
        count(&self.minute, now, true);
        self.callers.answered(caller, now);
        if let Some(model) = captured {
            self.models.answered(model);
        }
    }

    /// A call failed; says for how long the deployment cools, if it does.
    pub(crate) fn failed(&self, failure: &Failure<'_>, now: Moment) -> Option<Duration> {
        let is_stranger = failure.captured.is_some_and(|model| self.models.is_stranger(model));
        let (successes, failures) = if is_stranger { (0, 1) } else { count(&self.minute, now, false) };
        let is_alone = self.callers.fails_alone(failure.caller, now);
        if failure.router.disable_cooldowns || (failure.captured.is_some() && !failure.rules.wildcards_cool) {
            return None;
        }
        let time = cooldown_time(failure);
        if time.is_zero() || never_cools(failure.error.kind, failure.error.status) {
            return None;
        }
        let cools = match allowed_fails(failure) {
            Some(allowed) if is_stranger => allowed == 0,
            Some(allowed) => self.fails_in_window(now, time) > allowed && !is_alone,
            None => cools_by_default(failure, successes, failures, is_alone),
        };
        cools.then(|| {
            let until = Moment(now.0 + u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 2));
            self.cool(failure, until, now, is_stranger);
            time
        })
    }

    fn fails_in_window(&self, now: Moment, length: Duration) -> u32 {
        let mut window = locked(&self.window);
        if u128::from(now.0.saturating_sub(window.0)) >= length.as_millis() {
            *window = (now.0, 0);
        }
        window.1 = window.1.saturating_add(1);
        window.1
    }

    /// Behind a wildcard only the concrete model cools, but a refused key refuses every model: unless others
    /// are answered, and it is the name that is refused.
    fn cool(&self, failure: &Failure<'_>, until: Moment, now: Moment, is_stranger: bool) {
        let extended = |end| deadline(end, until.0, now.0, failure.rules);
        match failure.captured {
            Some(model) if is_stranger || failure.error.kind != ErrorKind::Authentication => {
                self.models.cool(model, now.0, extended);
            }
            _ => {
                let cooling = &self.cooling_until;
                let _ = cooling.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |end| Some(extended(end)));
            }
        }
    }
}

/// D9: deadlines extend; LiteLLM keeps the earlier one while it lasts.
fn deadline(known: u64, new: u64, now: u64, rules: &Rules) -> u64 {
    if known <= now || rules.allowed_fails_as_written { known.max(new) } else { known.min(new) }
}

/// A `Retry-After` of the failing reply overrides all; then the deployment's own time.
fn cooldown_time(failure: &Failure<'_>) -> Duration {
    let own = failure.settings.cooldown_time;
    if own.is_some_and(|time| time.is_zero()) {
        return Duration::ZERO;
    }
    match failure.error.retry_after {
        Some(seconds) if seconds.is_finite() && seconds > 0.0 => {
            Duration::from_secs_f64(seconds.min(LONGEST_COOLDOWN.as_secs_f64()))
        }
        _ => own.unwrap_or(failure.router.cooldown_time),
    }
}

fn never_cools(kind: ErrorKind, status: u16) -> bool {
    match kind {
        ErrorKind::BadRequest
        | ErrorKind::ContextWindow
        | ErrorKind::ContentPolicy
        | ErrorKind::PermissionDenied
        | ErrorKind::Unprocessable
        | ErrorKind::Connection => true,
        ErrorKind::Other => status < 500,
        _ => false,
    }
}

/// The number of failures that the settings allow; `None` leaves the default rule. LiteLLM takes 3
/// for its own default and ignores it; here what is written counts (row D9).
fn allowed_fails(failure: &Failure<'_>) -> Option<u32> {
    let of = |fails: &AllowedFails| fails.by_kind.get(&failure.error.kind).copied().or(fails.all);
    let allowed =
        failure.settings.allowed_fails.as_ref().and_then(of).or_else(|| of(&failure.router.allowed_fails))?;
    (failure.rules.allowed_fails_as_written || allowed != 3).then_some(allowed)
}

fn cools_by_default(failure: &Failure<'_>, successes: u64, failures: u64, is_alone: bool) -> bool {
    let requests = successes + failures;
    let single = failure.group_size < 2;
    let hopeless = successes == 0 && requests >= SINGLE_DEPLOYMENT_REQUESTS;
    match failure.error.kind {
        ErrorKind::Authentication => true,
        ErrorKind::NotFound => !is_alone,
        ErrorKind::RateLimit if !single => true,
        _ if is_alone => false,
        _ if single => hopeless,
        _ => requests >= MINIMUM_REQUESTS && failures * 2 > requests,
    }
}

/// Counts into the minute of `now`; gives (successes, failures) of that minute. One word: 24 bits of
/// minute, 20 of each count (saturating), so no lock is held on the way of a call.
fn count(word: &AtomicU64, now: Moment, success: bool) -> (u64, u64) {
    const FULL: u64 = (1 << 20) - 1;
    let minute = (now.0 / 60_000) & 0xFF_FFFF;
    let step = |word: u64| {
        let (mut ok, mut bad) =
            if word >> 40 == minute { ((word >> 20) & FULL, word & FULL) } else { (0, 0) };
        if success {
            ok = (ok + 1).min(FULL);
        } else {
            bad = (bad + 1).min(FULL);
        }
        (ok, bad)
    };
    let packed = |(ok, bad): (u64, u64)| minute << 40 | ok << 20 | bad;
    match word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| Some(packed(step(word)))) {
        Ok(before) | Err(before) => step(before),
    }
}

/// A lock whose data stays usable when a holder panicked: every update of it is one assignment.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The states of one snapshot's deployments, in its order.
pub(crate) struct Board(pub(crate) Vec<Arc<State>>);

impl Signals for Board {
    fn observe(&self, deployment: DeploymentIndex, captured: Option<&str>) -> Observed {
        Observed { cooling_until: self.0[deployment.slot()].cooling_until(captured) }
    }
}
