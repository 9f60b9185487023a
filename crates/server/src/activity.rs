//! Whether anything happens on a connection: what ends heads that never arrive whole, and keep-alive
//! connections that nobody uses.
//!
//! A timer for every head would be set and taken away with every request. Here a connection has one
//! timer, which runs on; when it fires, it looks whether requests have come since the last time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The requests of one connection, counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activity(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    begun: AtomicU32,
    ended: AtomicU32,
}

/// A request that is being answered, until its reply is dropped.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Counts>);

impl Activity {
    /// A request has come.
    pub(crate) fn begin(&self) -> Busy {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        Busy(self.0.clone())
    }

    /// Whether nothing is being answered and nothing has been since `seen`, which is brought up to
    /// date.
    pub(crate) fn rests(&self, seen: &mut u32) -> bool {
        let begun = self.0.begun.load(Ordering::Relaxed);
        let idle = begun == self.0.ended.load(Ordering::Relaxed) && begun == *seen;
        *seen = begun;
        idle
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_rests_when_nothing_began_and_nothing_goes_on() {
        let (activity, mut seen) = (Activity::default(), 0);
        assert!(activity.rests(&mut seen), "no head ever came");
        let busy = activity.begin();
        assert!(!activity.rests(&mut seen), "one is being answered");
        assert!(!activity.rests(&mut seen), "and still is");
        drop(busy);
        assert!(activity.rests(&mut seen), "nothing new since the last look");
        drop(activity.begin());
        assert!(!activity.rests(&mut seen), "one came and went");
        assert!(activity.rests(&mut seen));
    }
}
