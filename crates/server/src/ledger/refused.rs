//! Calls that were refused before anything was asked cost a count. The first of a key in a minute have rows,
//! to see what was wrong; the rest is added up here and goes into the sums by day, so that a client that is
//! refused a thousand times a second writes nothing a thousand times a second.
//!
//! A count is in memory until the store has it: a crash may lose it, and it is about nothing that cost money.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tagrail::{Money, Outcome};
use tagrail_store::{Counted, OTHER};
use tokio::sync::Notify;

/// Rows of a key in a minute.
const ROWS: u32 = 20;

/// Sums that wait for the store. Of further ones, only the number of calls is kept.
const SUMS: usize = 10_000;

/// Lengths of windows, in seconds.
const MINUTE: u64 = 60;
const DAY: u64 = 86_400;

/// Which names the configuration knows: others are not summed by.
type IsKnown = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// Counts of all cores.
pub(crate) struct Refused {
    is_known: IsKnown,
    state: Mutex<State>,
    news: Notify,
}

#[derive(Default)]
struct State {
    minute: u64,
    /// Rows that were written in this minute, by key.
    rows: HashMap<String, u32>,
    /// By what they are about, with no calls in it.
    sums: HashMap<Counted, u64>,
}

impl Refused {
    pub(crate) fn new(is_known: impl Fn(&str) -> bool + Send + Sync + 'static) -> Refused {
        Refused { is_known: Box::new(is_known), state: Mutex::default(), news: Notify::new() }
    }

    /// Counts a call, if it was refused and has no row.
    pub(crate) fn counts(&self, outcome: &Outcome<'_>) -> bool {
        if !is_refusal(outcome) {
            return false;
        }
        let seconds = outcome.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let identity = &outcome.caller.identity;
        let mut state = self.state();
        if state.minute != seconds / MINUTE {
            state.minute = seconds / MINUTE;
            state.rows.clear();
        }
        let rows = match state.rows.get_mut(&identity.key) {
            Some(rows) => rows,
            None => state.rows.entry(identity.key.clone()).or_default(),
        };
        if *rows < ROWS {
            *rows += 1;
            return false;
        }
        let is_known = (self.is_known)(outcome.model);
        let of = Counted {
            key: identity.key.clone(),
            team_id: identity.team.clone(),
            user_id: identity.user.clone(),
            model_group: if is_known { outcome.model.to_owned() } else { String::new() },
            day: i64::try_from(seconds / DAY).unwrap_or_default(),
            calls: 0,
        };
        state.add(of, 1);
        drop(state);
        self.news.notify_one();
        true
    }

    /// What waits, which then waits no more.
    pub(crate) fn take(&self) -> Vec<Counted> {
        let sums = std::mem::take(&mut self.state().sums);
        let mut all: Vec<Counted> = sums.into_iter().map(|(of, calls)| Counted { calls, ..of }).collect();
        all.sort_unstable();
        all
    }

    /// The store did not take it.
    pub(crate) fn put_back(&self, counted: Vec<Counted>) {
        let mut state = self.state();
        for of in counted {
            let calls = of.calls;
            state.add(Counted { calls: 0, ..of }, calls);
        }
    }

    /// Waits until a call was counted.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, mut of: Counted, calls: u64) {
        if self.sums.len() >= SUMS && !self.sums.contains_key(&of) {
            of = Counted { key: OTHER.to_owned(), day: of.day, ..Counted::default() };
        }
        *self.sums.entry(of).or_default() += calls;
    }
}

/// Nothing was asked, and nothing can have cost anything.
pub(crate) fn is_refusal(outcome: &Outcome<'_>) -> bool {
    !outcome.asked && outcome.status >= 400 && !outcome.cost.is_some_and(Money::is_positive)
}
