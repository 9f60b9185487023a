//! The time of day, by which keys expire and windows begin: the system's, or one that a test sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tagrail_store::Timestamp;

/// A clock; the default is the system's.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// One that stands still until it is [moved](Clock::advance).
    pub fn standing_at(time: Timestamp) -> Clock {
        Clock(Some(Arc::new(AtomicI64::new(time.0))))
    }

    /// Moves one that stands; the system's goes on by itself.
    pub fn advance(&self, milliseconds: i64) {
        if let Some(time) = &self.0 {
            time.fetch_add(milliseconds, Ordering::SeqCst);
        }
    }

    /// What it shows.
    pub fn now(&self) -> Timestamp {
        self.0.as_ref().map_or_else(Timestamp::now, |time| Timestamp(time.load(Ordering::SeqCst)))
    }
}
