//! What must be done in the store from time to time: budgets begin anew, old rows go. Every process
//! does it; what another has done already is not there to be done again.

use std::sync::Arc;
use std::time::Duration;

use tagrail_store::{Change, Store, StoreError, Timestamp};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

/// How often budgets are looked at.
const BUDGETS: Duration = Duration::from_secs(1);

/// How often rows are pruned.
const PRUNING: Duration = Duration::from_secs(3600);

/// After the start: what a crash left in the journal is read first, and known by rows that are there.
const FIRST_PRUNING: Duration = Duration::from_secs(60);

/// How often resets that are too far ahead are looked for; and at once after a clock was put back.
const CORRECTING: Duration = Duration::from_secs(60);

/// Milliseconds. A clock that is put back by less is not noticed.
const PUT_BACK: i64 = -2000;

/// Milliseconds. A clock that is ahead by more than has passed may be wrong: what is older than it allows
/// may not be old.
const JUMP: i64 = 3_600_000;

/// How long nothing is pruned after that.
const DOUBT: Duration = Duration::from_secs(86_400);

/// Milliseconds without any gateway on the store, after which a start cannot tell a clock that is wrong.
const ABSENCE: i64 = 86_400_000;

/// How many rows go in one transaction: others write meanwhile.
const BATCH: u64 = 1000;

/// Between two of them.
const BREATH: Duration = Duration::from_millis(50);

/// A row stays so long in any case: it is what a row read again from the journal is known by.
const LEAST: Duration = Duration::from_secs(3600);

/// Which rows are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Retention {
    /// `maximum_spend_logs_retention_period`; `None` keeps them for ever.
    pub(crate) period: Option<Duration>,
    /// `disable_spend_logs`.
    pub(crate) disabled: bool,
    /// `maximum_daily_spend_retention_period`; `None` keeps sums of days for ever.
    pub(crate) daily: Option<Duration>,
}

/// Keeps the store in order.
pub(crate) struct Upkeep {
    /// The store.
    pub(crate) store: Arc<dyn Store>,
    /// Asked before every pruning, since a reload may change it.
    pub(crate) retention: Box<dyn Fn() -> Retention + Send + Sync>,
    /// Told whose budgets have begun anew.
    pub(crate) reset: Box<dyn Fn(Vec<Change>) + Send + Sync>,
    /// What time it is.
    pub(crate) now: Box<dyn Fn() -> Timestamp + Send + Sync>,
    /// When a gateway wrote to the store last, before this one began to.
    pub(crate) before_start: Box<dyn Fn() -> Option<Timestamp> + Send + Sync>,
}

/// How the clock has gone on since it was looked at last.
struct Course {
    seen: Timestamp,
    at: Instant,
}

/// What the clock has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Usual,
    Back,
    Ahead,
}

impl Course {
    fn step(&mut self, now: Timestamp) -> Step {
        let ahead = now.0 - self.seen.0 - i64::try_from(self.at.elapsed().as_millis()).unwrap_or(i64::MAX);
        *self = Course { seen: now, at: Instant::now() };
        match ahead {
            ..PUT_BACK => Step::Back,
            JUMP.. => Step::Ahead,
            _ => Step::Usual,
        }
    }
}

impl Retention {
    /// Rows that ended before go.
    fn before(self, now: Timestamp) -> Option<Timestamp> {
        let kept = if self.disabled { Some(LEAST) } else { self.period.map(|period| period.max(LEAST)) };
        let kept = i64::try_from(kept?.as_millis()).unwrap_or(i64::MAX);
        Some(now.plus_ms(kept.saturating_neg()))
    }
}

impl Retention {
    /// Sums of earlier days go.
    fn first_day(self, now: Timestamp) -> Option<String> {
        let kept = i64::try_from(self.daily?.as_millis()).unwrap_or(i64::MAX);
        Some(now.plus_ms(kept.saturating_neg()).day())
    }
}

impl Upkeep {
    /// Goes on for ever, on the store's runtime. A store that does not answer is asked again.
    pub(crate) async fn run(self) {
        let mut ticks = interval(BUDGETS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_pruning = Instant::now() + FIRST_PRUNING;
        let mut next_correcting = Instant::now();
        let mut course = Course { seen: (self.now)(), at: Instant::now() };
        let (mut pruning_failed, mut start_is_over) = (false, false);
        loop {
            ticks.tick().await;
            let now = (self.now)();
            match course.step(now) {
                Step::Usual => {}
                Step::Back => next_correcting = Instant::now(),
                Step::Ahead => {
                    tracing::warn!("the clock has jumped ahead; nothing is pruned for a day");
                    next_pruning = Instant::now() + DOUBT;
                }
            }
            self.reset(now, &mut next_correcting).await;
            if Instant::now() < next_pruning {
                continue;
            }
            if !std::mem::replace(&mut start_is_over, true)
                && (self.before_start)().is_some_and(|before| now.0 - before.0 > ABSENCE)
            {
                next_pruning = Instant::now() + DOUBT;
                continue;
            }
            match self.prune().await {
                Ok(()) => {
                    next_pruning = Instant::now() + PRUNING;
                    pruning_failed = false;
                }
                Err(error) if !std::mem::replace(&mut pruning_failed, true) => {
                    tracing::warn!(%error, "old spend is not pruned; trying again");
                }
                Err(_) => {}
            }
        }
    }

    /// Budgets that are due, and now and then those that never would be.
    async fn reset(&self, now: Timestamp, next_correcting: &mut Instant) {
        let mut changes = Vec::new();
        if Instant::now() >= *next_correcting {
            match self.store.correct_resets(now).await {
                Ok(corrected) => {
                    if !corrected.is_empty() {
                        let count = corrected.len();
                        tracing::warn!(
                            count,
                            "budgets were to be reset too late by a clock that was wrong; corrected"
                        );
                    }
                    changes = corrected;
                    *next_correcting = Instant::now() + CORRECTING;
                }
                Err(error) => tracing::debug!(%error, "resets were not looked at"),
            }
        }
        match self.store.reset_budgets(now).await {
            Ok(reset) => changes.extend(reset),
            Err(error) => tracing::debug!(%error, "budgets were not looked at"),
        }
        if !changes.is_empty() {
            (self.reset)(changes);
        }
    }

    /// Deletes the rows that are old enough.
    async fn prune(&self) -> Result<(), StoreError> {
        let (retention, now) = ((self.retention)(), (self.now)());
        if let Some(day) = retention.first_day(now) {
            while self.store.prune_daily(&day, BATCH).await? > 0 {
                sleep(BREATH).await;
            }
        }
        let Some(before) = retention.before(now) else { return Ok(()) };
        let mut all = 0;
        loop {
            let count = self.store.prune(before, BATCH).await?;
            all += count;
            if count < BATCH {
                break;
            }
            sleep(BREATH).await;
        }
        if all > 0 {
            tracing::info!(rows = all, "old spend was pruned; its sums stay");
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "upkeep_tests.rs"]
mod tests;
