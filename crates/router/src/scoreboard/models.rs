//! The concrete models behind one wildcard deployment: which of them cool, and which were answered before.
//!
//! The names are the callers' to make up. A name that was answered once is a model; one that was not, where others
//! were, is a stranger: its failures are not counted with theirs, and its cooldown gives way to theirs.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use super::locked;

/// Models that may cool at the same time; beyond it one is forgotten, strangers first, then whichever is back
/// soonest.
pub(super) const COOLING_MODELS: usize = 256;
/// Names that are remembered as answered, each in the slot of its hash.
const ANSWERED_NAMES: usize = 1024;

/// See the file.
#[derive(Default)]
pub(super) struct Models {
    /// Whether `cooling` holds anything: spares the lock on the way of every call.
    any_cooling: AtomicBool,
    cooling: Mutex<HashMap<String, Cooling>>,
    answered: OnceLock<Answered>,
}

#[derive(Clone, Copy)]
struct Cooling {
    /// Moment in ms.
    until: u64,
    is_stranger: bool,
}

/// Hashes of names, keyed so that no caller can aim at a slot.
struct Answered {
    hasher: RandomState,
    slots: Box<[AtomicU64]>,
}

impl Models {
    /// A copy for a deployment whose settings have changed.
    pub(super) fn copy(&self) -> Models {
        let cooling = locked(&self.cooling).clone();
        let answered = OnceLock::new();
        if let Some(known) = self.answered.get() {
            let slots = known.slots.iter().map(|slot| AtomicU64::new(slot.load(Ordering::Relaxed))).collect();
            let _ = answered.set(Answered { hasher: known.hasher.clone(), slots });
        }
        Models { any_cooling: AtomicBool::new(!cooling.is_empty()), cooling: Mutex::new(cooling), answered }
    }

    /// Until when a model cools, in ms; 0 when it does not.
    pub(super) fn cooling_until(&self, model: &str) -> u64 {
        if !self.any_cooling.load(Ordering::Relaxed) {
            return 0;
        }
        locked(&self.cooling).get(model).map_or(0, |cooling| cooling.until)
    }

    /// A model was answered.
    pub(super) fn answered(&self, model: &str) {
        let answered = self.answered.get_or_init(Answered::new);
        let (slot, hash) = answered.slot(model);
        if slot.load(Ordering::Relaxed) != hash {
            slot.store(hash, Ordering::Relaxed);
        }
    }

    /// Whether this name was never answered, and others were.
    pub(super) fn is_stranger(&self, model: &str) -> bool {
        self.answered.get().is_some_and(|answered| {
            let (slot, hash) = answered.slot(model);
            slot.load(Ordering::Relaxed) != hash
        })
    }

    /// Has a model cool until what `extended` makes of its present end.
    pub(super) fn cool(&self, model: &str, now: u64, extended: impl FnOnce(u64) -> u64) {
        let is_stranger = self.is_stranger(model);
        let mut cooling = locked(&self.cooling);
        cooling.retain(|_, known| known.until > now);
        if cooling.len() >= COOLING_MODELS && !cooling.contains_key(model) {
            let first_to_go = cooling.iter().min_by_key(|(_, known)| (!known.is_stranger, known.until));
            if let Some((name, known)) = first_to_go.map(|(name, known)| (name.clone(), *known)) {
                if is_stranger && !known.is_stranger {
                    return;
                }
                cooling.remove(&name);
            }
        }
        let known = cooling.entry(model.to_owned()).or_insert(Cooling { until: 0, is_stranger });
        *known = Cooling { until: extended(known.until), is_stranger };
        self.any_cooling.store(true, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        locked(&self.cooling).len()
    }
}

impl Answered {
    fn new() -> Answered {
        let slots = (0..ANSWERED_NAMES).map(|_| AtomicU64::new(0)).collect();
        Answered { hasher: RandomState::new(), slots }
    }

    fn slot(&self, model: &str) -> (&AtomicU64, u64) {
        // 0 is an empty slot.
        let hash = self.hasher.hash_one(model).max(1);
        (&self.slots[hash as usize % self.slots.len()], hash)
    }
}
