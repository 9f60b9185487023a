//! What happens on one connection: whether a request is being answered, whether its client has shown a valid
//! key, and since when it rests. Decides what ends heads that never arrive whole, keep-alive connections
//! that are not used, and which connection goes first when there are too many.
//!
//! A timer for every head would be set and taken away with every request. Here a connection has one
//! timer, which runs on; when it fires, it looks whether requests have come since the last time.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use crate::supervise::Pulse;

/// The state of one connection. Clones are of the same connection.
#[derive(Clone, Debug)]
pub(crate) struct Activity(Arc<State>);

#[derive(Debug)]
struct State {
    begun: AtomicU32,
    ended: AtomicU32,
    /// A request on it had a valid key.
    authenticated: AtomicBool,
    /// Bytes of a reply wait for the client to take them.
    blocked: AtomicBool,
    /// The client sends nothing more; it may still read.
    half_closed: AtomicBool,
    /// It is to end as soon as it is idle.
    evicted: AtomicBool,
    /// By the core's pulse, in milliseconds: when the last reply ended.
    rests_since: AtomicU64,
    clock: Arc<Pulse>,
    /// Of the connection's task.
    waker: Mutex<Option<Waker>>,
}

/// A request that is being answered, until its reply is dropped.
#[derive(Debug)]
pub(crate) struct Busy(Activity);

impl Activity {
    /// Of a connection on the core with this pulse.
    pub(crate) fn new(clock: Arc<Pulse>) -> Activity {
        Activity(Arc::new(State {
            begun: AtomicU32::new(0),
            ended: AtomicU32::new(0),
            authenticated: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            half_closed: AtomicBool::new(false),
            evicted: AtomicBool::new(false),
            rests_since: AtomicU64::new(clock.last()),
            clock,
            waker: Mutex::default(),
        }))
    }

    /// A request has come.
    pub(crate) fn begin(&self) -> Busy {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }

    /// Whether a request is being answered.
    pub(crate) fn is_busy(&self) -> bool {
        self.0.begun.load(Ordering::Relaxed) != self.0.ended.load(Ordering::Relaxed)
    }

    /// Whether it could be closed without a client missing a reply.
    pub(crate) fn is_idle(&self) -> bool {
        !self.is_busy() && !self.0.blocked.load(Ordering::Relaxed)
    }

    /// Whether it is idle and nothing has been answered since `seen`, which is brought up to date.
    pub(crate) fn rests(&self, seen: &mut u32) -> bool {
        let begun = self.0.begun.load(Ordering::Relaxed);
        let idle = self.is_idle() && begun == *seen;
        *seen = begun;
        idle
    }

    /// A valid key came with a request.
    pub(crate) fn authenticated(&self) {
        if !self.0.authenticated.load(Ordering::Relaxed) {
            self.0.authenticated.store(true, Ordering::Relaxed);
        }
    }

    /// Notes whether a write waits for the client.
    pub(crate) fn set_blocked(&self, blocked: bool) {
        if self.0.blocked.load(Ordering::Relaxed) != blocked {
            self.0.blocked.store(blocked, Ordering::Relaxed);
        }
    }

    /// The client has ended its side. `true` the first time.
    pub(crate) fn half_close(&self) -> bool {
        !self.0.half_closed.swap(true, Ordering::Relaxed)
    }

    /// What decides who is evicted first: clients without a key before others, then the one that has rested
    /// longest. `None`: it is busy.
    pub(crate) fn eviction_rank(&self) -> Option<(bool, u64)> {
        let state = &*self.0;
        let rank =
            || (state.authenticated.load(Ordering::Relaxed), state.rests_since.load(Ordering::Relaxed));
        self.is_idle().then(rank)
    }

    /// Wakes the connection's task, which ends if it is still idle.
    pub(crate) fn evict(&self) {
        self.0.evicted.store(true, Ordering::Release);
        let waker = self.0.waker.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether it is to end now. A request that has come meanwhile keeps it.
    pub(crate) fn takes_eviction(&self) -> bool {
        self.0.evicted.load(Ordering::Acquire) && {
            self.0.evicted.store(false, Ordering::Relaxed);
            self.is_idle()
        }
    }

    /// Whose task is woken by [`Activity::evict`].
    pub(crate) fn set_waker(&self, waker: &Waker) {
        *self.0.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
    }
}

impl Busy {
    /// The connection.
    pub(crate) fn activity(&self) -> &Activity {
        &self.0
    }

    /// Whether the client sends nothing more: it reads on, or has left.
    pub(crate) fn is_half_closed(&self) -> bool {
        self.0.0.half_closed.load(Ordering::Relaxed)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let state = &*self.0.0;
        state.rests_since.store(state.clock.last(), Ordering::Relaxed);
        state.ended.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervise::Pulses;

    fn activity() -> Activity {
        Activity::new(Pulses::default().add("core-0".to_owned()))
    }

    #[test]
    fn a_connection_rests_when_nothing_began_and_nothing_goes_on() {
        let (activity, mut seen) = (activity(), 0);
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

    #[test]
    fn a_reply_that_waits_for_its_reader_keeps_the_connection() {
        let (activity, mut seen) = (activity(), 0);
        activity.set_blocked(true);
        assert!(!activity.rests(&mut seen));
        assert_eq!(activity.eviction_rank(), None);
        activity.set_blocked(false);
        assert!(activity.rests(&mut seen));
    }

    #[test]
    fn connections_without_a_key_rank_before_those_with_one_and_busy_ones_have_no_rank() {
        let (unknown, known) = (activity(), activity());
        let busy = known.begin();
        assert_eq!(known.eviction_rank(), None);
        busy.activity().authenticated();
        drop(busy);
        assert!(unknown.eviction_rank() < known.eviction_rank());
    }

    #[test]
    fn a_request_that_comes_meanwhile_keeps_an_evicted_connection() {
        let activity = activity();
        activity.evict();
        let busy = activity.begin();
        assert!(!activity.takes_eviction());
        drop(busy);
        assert!(!activity.takes_eviction(), "it was asked for once");
        activity.evict();
        assert!(activity.takes_eviction());
    }
}
