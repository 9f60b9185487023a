//! Budgets that other processes spend from as well: the sums of those in use are read from the store again at
//! every turn of the follower, whether this process has rows of its own to settle or not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tagrail::Money;
use tagrail_store::{Change, Store, StoreError};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::allowance::Part;
use super::meters::{Counts, Meters};

/// How many sums one turn reads; the rest are read in the next ones.
const AT_ONCE: usize = 1000;

/// A budget that nothing was asked of for as long as this, or twice as long, is not watched any more.
const UNUSED: Duration = Duration::from_secs(60);

/// The budgets that are watched.
#[derive(Default)]
pub(super) struct Shared {
    watched: Mutex<Watched>,
    /// One was added: what is known of it may be old, and calls are admitted by it.
    pub(super) added: Notify,
}

#[derive(Default)]
struct Watched {
    /// Those that were read last come last.
    parts: Vec<Arc<Part>>,
    /// When it is looked at next which of them were used.
    sweep_at: Option<Instant>,
}

/// What is asked of the store, and how often each sum had been read by then.
pub(super) struct Asked(Vec<(Arc<Part>, u64)>);

impl Shared {
    /// A call asks a budget for room.
    pub(super) fn use_budget(&self, part: &Arc<Part>, counts: &mut Counts) {
        counts.used = true;
        if !std::mem::replace(&mut counts.watched, true) {
            self.lock().parts.push(part.clone());
            self.added.notify_one();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets budgets that are not used, when it is time to.
    fn sweep(&self, now: Instant) {
        let parts = {
            let mut watched = self.lock();
            if now < *watched.sweep_at.get_or_insert(now + UNUSED) {
                return;
            }
            watched.sweep_at = Some(now + UNUSED);
            std::mem::take(&mut watched.parts)
        };
        // Without the lock: a call holds those of its counts when it takes this one.
        let kept = parts.into_iter().filter(|part| {
            let mut counts = part.meter.counts();
            let used = std::mem::take(&mut counts.used) || counts.holders > 0;
            counts.watched = used;
            used
        });
        let kept: Vec<_> = kept.collect();
        self.lock().parts.extend(kept);
    }

    /// The next ones to be read.
    pub(super) fn ask(&self) -> Asked {
        let parts: Vec<_> = {
            let mut watched = self.lock();
            let next = watched.parts.len().min(AT_ONCE);
            watched.parts.rotate_left(next);
            watched.parts.iter().rev().take(next).cloned().collect()
        };
        // What is on its way into the store may be in the sum that comes back, or not. The store says the sum
        // when it is there, so nothing needs to be asked.
        let certain = parts.into_iter().filter_map(|part| {
            let counts = part.meter.counts();
            let asked = (!counts.pending.is_positive()).then_some(counts.readings);
            drop(counts);
            asked.map(|readings| (part, readings))
        });
        Asked(certain.collect())
    }

    /// Takes what the store has answered, but for those of which something newer was heard meanwhile.
    pub(super) fn hear(&self, asked: Asked, sums: &HashMap<Change, Money>) {
        for (part, readings) in asked.0 {
            let Some(spend) = sums.get(&part.spender()) else { continue };
            let mut counts = part.meter.counts();
            if counts.readings == readings && !counts.pending.is_positive() {
                counts.set_base(Some(*spend));
            }
        }
    }
}

impl Asked {
    pub(super) fn spenders(&self) -> Vec<Change> {
        self.0.iter().map(|(part, _)| part.spender()).collect()
    }
}

impl Meters {
    /// Reads again what has been spent of the budgets in use.
    ///
    /// # Errors
    /// The store's. What was known stays.
    pub(super) async fn read_shared(&self, store: &dyn Store) -> Result<(), StoreError> {
        self.shared.sweep(Instant::now());
        let asked = self.shared.ask();
        let spenders = asked.spenders();
        if !spenders.is_empty() {
            self.shared.hear(asked, &store.spent_many(&spenders).await?);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "shared_tests.rs"]
mod tests;
