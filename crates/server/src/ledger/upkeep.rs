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
}

impl Retention {
    /// Rows that ended before go.
    fn before(self, now: Timestamp) -> Option<Timestamp> {
        let kept = if self.disabled { Some(LEAST) } else { self.period.map(|period| period.max(LEAST)) };
        let kept = i64::try_from(kept?.as_millis()).unwrap_or(i64::MAX);
        Some(now.plus_ms(kept.saturating_neg()))
    }
}

impl Upkeep {
    /// Goes on for ever, on the store's runtime. A store that does not answer is asked again.
    pub(crate) async fn run(self) {
        let mut ticks = interval(BUDGETS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_pruning = Instant::now() + FIRST_PRUNING;
        let mut pruning_failed = false;
        loop {
            ticks.tick().await;
            match self.store.reset_budgets((self.now)()).await {
                Ok(changes) if changes.is_empty() => {}
                Ok(changes) => (self.reset)(changes),
                Err(error) => tracing::debug!(%error, "budgets were not looked at"),
            }
            if Instant::now() < next_pruning {
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

    /// Deletes the rows that are old enough.
    async fn prune(&self) -> Result<(), StoreError> {
        let Some(before) = (self.retention)().before((self.now)()) else { return Ok(()) };
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
