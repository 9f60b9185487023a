//! Steps of work on what a client sent: about one for each byte that is looked at or copied. Tests hold
//! their number against the size of a body; without the feature `count-work` nothing is counted, and
//! [`step`] is nothing.

#[cfg(any(test, feature = "count-work"))]
use std::cell::Cell;

#[cfg(any(test, feature = "count-work"))]
thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
}

/// Counts steps on this thread.
#[inline(always)]
pub fn step(steps: usize) {
    #[cfg(any(test, feature = "count-work"))]
    STEPS.with(|count| count.set(count.get() + steps as u64));
    #[cfg(not(any(test, feature = "count-work")))]
    let _ = steps;
}

/// The steps of this thread so far.
#[cfg(any(test, feature = "count-work"))]
pub fn steps() -> u64 {
    STEPS.with(Cell::get)
}
