//! Keys that are looked up for every request: a cache from a key's hash to whatever is made of its
//! [`crate::Identity`], in front of the store.
//!
//! Kept exact by [`Cached::forget`], which is told of every change. A look-up that began before a change
//! and ends after it is answered, since it was asked before, but neither remembered nor shared with whoever
//! asks later: every change begins a new *epoch*, and both belong to one.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

use crate::{Change, KeyHash, Kind, StoreError};

/// How long it is remembered that a key does not exist. A key that is made here or elsewhere ends that at
/// once; this is for whatever nobody tells of.
const NOBODY: Duration = Duration::from_secs(5);

/// Parts with a lock each.
const SHARDS: usize = 16;

/// What was found under a hash.
pub struct Found<T> {
    /// What is remembered.
    pub value: Arc<T>,
    /// The team whose changes end it.
    pub team: Option<String>,
    /// The user whose changes end it.
    pub user: Option<String>,
}

/// The cache. Bounded: of what was not asked for lately, something goes.
pub struct Cached<T> {
    shards: [RwLock<Shard<T>>; SHARDS],
    /// Most entries of one generation of one shard.
    half: usize,
    nobodies: Mutex<HashMap<KeyHash, Instant>>,
    most_nobodies: usize,
    flights: Mutex<HashMap<KeyHash, Arc<Flight<T>>>>,
    epoch: AtomicU64,
}

/// Two generations: what is asked for moves to the young one, and when that is full it becomes the old one,
/// and the old one goes. So what is used stays, and no entry needs a place in a list.
struct Shard<T> {
    young: HashMap<KeyHash, Found<T>>,
    old: HashMap<KeyHash, Found<T>>,
}

/// One look-up, and all who wait for it.
struct Flight<T> {
    epoch: u64,
    result: OnceCell<Result<Option<Arc<T>>, Arc<StoreError>>>,
}

impl<T> Cached<T> {
    /// Remembers about so many keys.
    pub fn new(keys: usize) -> Cached<T> {
        Cached {
            shards: std::array::from_fn(|_| {
                RwLock::new(Shard { young: HashMap::new(), old: HashMap::new() })
            }),
            half: keys.div_ceil(2 * SHARDS).max(1),
            nobodies: Mutex::default(),
            most_nobodies: keys.div_ceil(10).max(1),
            flights: Mutex::default(),
            epoch: AtomicU64::new(0),
        }
    }

    /// What is known without asking: `Some(None)` is that nobody has this key.
    pub fn get(&self, hash: &KeyHash) -> Option<Option<Arc<T>>> {
        let shard = self.shard(hash);
        {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(found) = shard.young.get(hash) {
                return Some(Some(found.value.clone()));
            }
            if !shard.old.contains_key(hash) {
                drop(shard);
                return self.is_nobodys(hash).then_some(None);
            }
        }
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        // It may have gone between the two locks.
        let found = shard.old.remove(hash)?;
        let value = found.value.clone();
        shard.put(*hash, found, self.half);
        Some(Some(value))
    }

    /// What is known, or what `load` finds. Of all who ask for one key at a time, one loads.
    ///
    /// # Errors
    /// That of whoever loaded, for all who waited.
    pub async fn find<F>(
        &self,
        hash: &KeyHash,
        load: impl FnOnce() -> F,
    ) -> Result<Option<Arc<T>>, Arc<StoreError>>
    where
        F: Future<Output = Result<Option<Found<T>>, StoreError>>,
    {
        if let Some(known) = self.get(hash) {
            return Ok(known);
        }
        let flight = self.board(hash);
        let _leaving = Leaving { cached: self, hash, flight: &flight };
        let asked = async || {
            let found = load().await.map_err(Arc::new)?;
            let value = found.as_ref().map(|found| found.value.clone());
            self.remember(hash, found, flight.epoch);
            Ok(value)
        };
        flight.result.get_or_init(asked).await.clone()
    }

    /// Forgets what these changes are about, and lets no look-up that has begun bring it back.
    pub fn forget(&self, changes: &[Change]) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        let of =
            |kind| changes.iter().filter(move |change| change.kind == kind).map(|change| change.id.as_str());
        let hashes: Vec<KeyHash> = of(Kind::Key).filter_map(read_hex).collect();
        let (teams, users): (HashSet<&str>, HashSet<&str>) =
            (of(Kind::Team).collect(), of(Kind::User).collect());
        for hash in &hashes {
            lock(&self.nobodies).remove(hash);
            let mut shard = self.shard(hash).write().unwrap_or_else(PoisonError::into_inner);
            shard.young.remove(hash);
            shard.old.remove(hash);
        }
        if teams.is_empty() && users.is_empty() {
            return;
        }
        let stays = |found: &Found<T>| {
            !found.team.as_deref().is_some_and(|team| teams.contains(team))
                && !found.user.as_deref().is_some_and(|user| users.contains(user))
        };
        for shard in &self.shards {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            shard.young.retain(|_, found| stays(found));
            shard.old.retain(|_, found| stays(found));
        }
    }

    /// Forgets everything.
    pub fn forget_all(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        lock(&self.nobodies).clear();
        for shard in &self.shards {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            shard.young.clear();
            shard.old.clear();
        }
    }

    fn shard(&self, hash: &KeyHash) -> &RwLock<Shard<T>> {
        // Any byte of a SHA-256 is as good as another.
        &self.shards[usize::from(hash[0]) % SHARDS]
    }

    fn is_nobodys(&self, hash: &KeyHash) -> bool {
        let mut nobodies = lock(&self.nobodies);
        let Some(until) = nobodies.get(hash) else { return false };
        let still = Instant::now() < *until;
        if !still {
            nobodies.remove(hash);
        }
        still
    }

    /// The look-up that is under way, or a new one; never one that began before the last change.
    fn board(&self, hash: &KeyHash) -> Arc<Flight<T>> {
        let mut flights = lock(&self.flights);
        let epoch = self.epoch.load(Ordering::SeqCst);
        match flights.get(hash) {
            Some(flight) if flight.epoch == epoch => flight.clone(),
            _ => {
                let flight = Arc::new(Flight { epoch, result: OnceCell::new() });
                flights.insert(*hash, flight.clone());
                flight
            }
        }
    }

    /// Keeps what was found in an epoch, unless that is over. Asked under the lock that
    /// [`Cached::forget`] needs: it either comes first, and finds what is kept here, or has raised the
    /// epoch already.
    fn remember(&self, hash: &KeyHash, found: Option<Found<T>>, epoch: u64) {
        let is_over = || self.epoch.load(Ordering::SeqCst) != epoch;
        if let Some(found) = found {
            let mut shard = self.shard(hash).write().unwrap_or_else(PoisonError::into_inner);
            if !is_over() {
                shard.put(*hash, found, self.half);
            }
            return;
        }
        let mut nobodies = lock(&self.nobodies);
        if is_over() {
            return;
        }
        let now = Instant::now();
        if nobodies.len() >= self.most_nobodies {
            nobodies.retain(|_, until| *until > now);
        }
        // Somebody guesses keys. What is forgotten is asked for again.
        if nobodies.len() >= self.most_nobodies {
            nobodies.clear();
        }
        nobodies.insert(*hash, now + NOBODY);
    }
}

impl<T> Shard<T> {
    fn put(&mut self, hash: KeyHash, found: Found<T>, half: usize) {
        if self.young.len() >= half {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&hash);
        self.young.insert(hash, found);
    }
}

/// Takes a flight off the board when it has landed, or when nobody waits for it any more.
struct Leaving<'a, T> {
    cached: &'a Cached<T>,
    hash: &'a KeyHash,
    flight: &'a Arc<Flight<T>>,
}

impl<T> Drop for Leaving<'_, T> {
    fn drop(&mut self) {
        let mut flights = lock(&self.cached.flights);
        // The board's own, and this one's.
        let is_last = self.flight.result.initialized() || Arc::strong_count(self.flight) <= 2;
        if is_last && flights.get(self.hash).is_some_and(|flight| Arc::ptr_eq(flight, self.flight)) {
            flights.remove(self.hash);
        }
    }
}

/// What these locks guard is whole whenever they are let go of.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A hash out of its hex; `None` for what is no hash, and so in no cache.
fn read_hex(text: &str) -> Option<KeyHash> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut hash = KeyHash::default();
    for (byte, pair) in hash.iter_mut().zip(digits.chunks(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = u8::try_from(16 * digit(0)? + digit(1)?).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
#[path = "cached/tests.rs"]
mod tests;
