//! How many idle connections to upstreams a process keeps: each is an open file, and an eighth of those that the
//! system allows is for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What is left to keep connections from.
#[derive(Debug)]
pub(crate) struct IdleBudget {
    kept: AtomicUsize,
    most: usize,
    /// A connection was not kept since the last look at those that are.
    short: AtomicBool,
}

/// A connection that is kept, until this is dropped.
#[derive(Debug)]
pub(crate) struct KeptIdle(Arc<IdleBudget>);

impl IdleBudget {
    /// By the limit on open files as it is now.
    pub(crate) fn new() -> Arc<IdleBudget> {
        #[cfg(unix)]
        let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        #[cfg(not(unix))]
        let files: Option<u64> = None;
        let most = files.and_then(|files| usize::try_from(files / 8).ok()).unwrap_or(usize::MAX);
        IdleBudget::of(most)
    }

    fn of(most: usize) -> Arc<IdleBudget> {
        Arc::new(IdleBudget { kept: AtomicUsize::new(0), most, short: AtomicBool::new(false) })
    }

    /// Room for one more; `None`: it is to be closed.
    pub(crate) fn keep(self: &Arc<Self>) -> Option<KeptIdle> {
        if self.kept.fetch_add(1, Ordering::Relaxed) < self.most {
            return Some(KeptIdle(self.clone()));
        }
        self.kept.fetch_sub(1, Ordering::Relaxed);
        self.short.store(true, Ordering::Relaxed);
        None
    }

    /// Whether a connection was not kept lately.
    pub(crate) fn is_short(&self) -> bool {
        self.short.load(Ordering::Relaxed)
    }

    /// Those that are kept are being looked through.
    pub(crate) fn looked_through(&self) {
        self.short.store(false, Ordering::Relaxed);
    }
}

impl Drop for KeptIdle {
    fn drop(&mut self) {
        self.0.kept.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_beyond_the_budget_are_not_kept_until_one_goes() {
        let budget = IdleBudget::of(2);
        let first = budget.keep().unwrap();
        let _second = budget.keep().unwrap();
        assert!(!budget.is_short());
        assert!(budget.keep().is_none());
        assert!(budget.is_short());
        drop(first);
        assert!(budget.keep().is_some());
    }
}
