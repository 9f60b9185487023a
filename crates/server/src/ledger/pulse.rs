//! Whether the store takes changes, by a small row that is written every second: that it can be read says
//! nothing of a full disk, a standby, or a file that was exchanged.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tagrail_store::{Condition, Store, Timestamp, Unwritable};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Books;

/// How often it is written.
const EVERY: Duration = Duration::from_secs(1);

/// Without a write for so long, nothing is known of the store: longer than a write may take.
const STALE: Duration = Duration::from_secs(15);

/// How the store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoreHealth {
    /// Why changes are not taken, in one word; `None`: they are.
    pub(crate) reason: Option<&'static str>,
    /// Whether it can be read at least.
    pub(crate) readable: bool,
    /// Since when.
    pub(crate) since: Timestamp,
}

/// What came of the last writes.
pub(super) struct Pulse(Mutex<Last>);

struct Last {
    /// When the last one ended, well or not; `None`: there was none yet.
    ended: Option<Instant>,
    failed: Option<Condition>,
    readable: bool,
    /// What the first write found.
    before_start: Option<Timestamp>,
    /// What was said of it last, and when that began.
    told: (Option<&'static str>, Timestamp),
}

impl Pulse {
    pub(super) fn new(now: Timestamp) -> Pulse {
        let told = (Some(Condition::Unreachable.word()), now);
        Pulse(Mutex::new(Last { ended: None, failed: None, readable: false, before_start: None, told }))
    }

    /// What is known now.
    pub(super) fn health(&self, now: Timestamp) -> StoreHealth {
        self.with(now, |_| {})
    }

    /// Whether it can be read, as the follower has found.
    pub(super) fn set_readable(&self, readable: bool, now: Timestamp) {
        self.with(now, |last| last.readable = readable);
    }

    /// When a gateway wrote last before this one did; `None`: none ever did.
    pub(super) fn before_start(&self) -> Option<Timestamp> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).before_start.filter(|time| time.0 > 0)
    }

    fn set_written(&self, failed: Option<Condition>, now: Timestamp) {
        self.with(now, |last| {
            last.ended = Some(Instant::now());
            last.failed = failed;
        });
    }

    fn note_start(&self, before: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).before_start.get_or_insert(before);
    }

    fn with(&self, now: Timestamp, change: impl FnOnce(&mut Last)) -> StoreHealth {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut last);
        let is_stale = last.ended.is_some_and(|ended| ended.elapsed() > STALE);
        let reason = match last.failed {
            Some(condition) => Some(condition.word()),
            None if !last.readable || is_stale => Some(Condition::Unreachable.word()),
            None => None,
        };
        if reason != last.told.0 {
            last.told = (reason, now);
        }
        let readable = last.readable && last.failed != Some(Condition::Replaced);
        StoreHealth { reason, readable, since: last.told.1 }
    }
}

/// Writes for ever, on the store's runtime.
pub(super) async fn beat(books: Arc<Books>, store: Arc<dyn Store>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failed = None;
    loop {
        ticks.tick().await;
        let beaten = store.heartbeat(books.clock.now()).await;
        let condition = beaten.as_ref().err().map(|unwritable| unwritable.condition);
        books.pulse.set_written(condition, books.clock.now());
        if let Ok(last) = &beaten {
            books.pulse.note_start(*last);
        }
        if condition == failed {
            continue;
        }
        failed = condition;
        match beaten {
            Ok(_) => {
                books.retry();
                tracing::info!("the database takes changes again");
            }
            // The follower logs it.
            Err(Unwritable { condition: Condition::Unreachable, .. }) => {}
            Err(unwritable) => tracing::error!(
                reason = unwritable.condition.word(),
                why = unwritable.why,
                "the database takes no changes; keys that are known keep working, and what calls cost waits in the journal"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn health_is_judged_by_the_last_write_that_worked() {
        let now = Timestamp(1000);
        let pulse = Pulse::new(now);
        assert_eq!(pulse.health(now).reason, Some("database_unreachable"));
        pulse.set_readable(true, now);
        pulse.set_written(None, now.plus_ms(1));
        let well = StoreHealth { reason: None, readable: true, since: now };
        assert_eq!(pulse.health(now.plus_ms(5)), well);
        pulse.set_written(Some(Condition::ReadOnly), now.plus_ms(10));
        let read_only =
            StoreHealth { reason: Some("database_read_only"), readable: true, since: now.plus_ms(10) };
        assert_eq!(pulse.health(now.plus_ms(20)), read_only);
        pulse.set_written(None, now.plus_ms(30));
        assert_eq!(pulse.health(now).reason, None);
        // Nothing is heard of it any more.
        tokio::time::advance(STALE + EVERY).await;
        assert_eq!(pulse.health(now).reason, Some("database_unreachable"));
    }
}
