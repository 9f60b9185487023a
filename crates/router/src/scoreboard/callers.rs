//! Who had answers of a deployment and who had failures lately, to tell an outage from one caller's doing.
//!
//! Two words, read and written without a lock: a minute, the mark of one caller, and whether there were others.
//! A word that is not of this minute or the one before is out of date.

use std::sync::atomic::{AtomicU64, Ordering};

use tagrail_routing::Moment;

/// Set where there was more than one caller.
const SEVERAL: u64 = 1 << 32;

/// See the file.
#[derive(Debug, Default)]
pub(super) struct Callers {
    answered: AtomicU64,
    failed: AtomicU64,
}

impl Callers {
    pub(super) fn copy(&self) -> Callers {
        let copy = |word: &AtomicU64| AtomicU64::new(word.load(Ordering::Relaxed));
        Callers { answered: copy(&self.answered), failed: copy(&self.failed) }
    }

    /// A caller was answered.
    pub(super) fn answered(&self, caller: u32, now: Moment) {
        add(&self.answered, caller, now);
    }

    /// A caller's call failed. Whether it is the only one whose calls fail, while others are answered.
    pub(super) fn fails_alone(&self, caller: u32, now: Moment) -> bool {
        let failed = add(&self.failed, caller, now);
        let answered = self.answered.load(Ordering::Relaxed);
        failed & SEVERAL == 0
            && is_recent(answered, now)
            && (answered & SEVERAL != 0 || mark(answered) != u64::from(caller))
    }
}

/// Adds a caller to a word, and gives the word. Where it is there already nothing is written.
fn add(word: &AtomicU64, caller: u32, now: Moment) -> u64 {
    let known = word.load(Ordering::Relaxed);
    let several = if !is_recent(known, now) {
        0
    } else if mark(known) == u64::from(caller) {
        known & SEVERAL
    } else {
        SEVERAL
    };
    // The first one's mark stays: with several callers, the mark says nothing.
    let first = if several == 0 { u64::from(caller) } else { mark(known) };
    let next = minute(now) << 33 | several | first;
    if next != known {
        word.store(next, Ordering::Relaxed);
    }
    next
}

/// Minutes are counted from 1, so that 0 is never.
fn minute(now: Moment) -> u64 {
    now.0 / 60_000 + 1
}

fn mark(word: u64) -> u64 {
    word & u64::from(u32::MAX)
}

fn is_recent(word: u64, now: Moment) -> bool {
    let then = word >> 33;
    then > 0 && then + 1 >= minute(now)
}
