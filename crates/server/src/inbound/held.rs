//! How many bytes of request bodies the process holds, and how many it may.
//!
//! Bytes count from when they have arrived until the call that needs them is over. There is one count for
//! the process; of longer bodies there is another for each key, so that one key cannot take all the room.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::StatusCode;

use crate::error::Problem;

/// Bodies of at most this many bytes find room where longer ones do not any more.
const SHORT: usize = 64 * 1024;

/// The part of the budget that only short bodies get.
const KEPT_FOR_SHORT: usize = 8;

/// The part of the budget that one key's longer bodies get.
const OF_ONE_KEY: usize = 2;

/// All bytes that are held.
static TOTAL: AtomicUsize = AtomicUsize::new(0);

/// Of them those of longer bodies, by key.
static BY_KEY: LazyLock<Mutex<HashMap<Box<str>, usize>>> = LazyLock::new(Mutex::default);

/// What is held of one body. It is given back when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Held {
    bytes: usize,
    /// The key that it counts for, once it is a longer one.
    key: Option<Box<str>>,
}

impl Held {
    /// Takes room for more bytes of a body.
    ///
    /// # Errors
    /// 503: there is no room.
    pub(super) fn grow(&mut self, more: usize, most: usize, key: &str) -> Result<(), Problem> {
        let bytes = self.bytes + more;
        let total = TOTAL.fetch_add(more, Ordering::Relaxed) + more;
        self.bytes = bytes;
        if total > room(bytes, most) {
            return Err(busy());
        }
        if bytes > SHORT {
            self.count_by_key(more, most, key)?;
        }
        Ok(())
    }

    /// Lets a longer body carry what is held of it: its room is given back when its last slice is gone, also
    /// where a call is read on after its client has left.
    pub(super) fn carried_by(self, body: Bytes) -> (Bytes, Held) {
        if self.bytes <= SHORT {
            return (body, self);
        }
        (Bytes::from_owner(Carrier { body, _held: self }), Held::default())
    }

    fn count_by_key(&mut self, more: usize, most: usize, key: &str) -> Result<(), Problem> {
        let mut by_key = by_key();
        let counted = match &self.key {
            Some(key) => by_key.get_mut(key),
            None => {
                self.key = Some(key.into());
                Some(by_key.entry(key.into()).or_default())
            }
        };
        let Some(counted) = counted else { return Ok(()) };
        // A body that has become a longer one counts with all of it.
        *counted += if self.bytes - more > SHORT { more } else { self.bytes };
        let own = *counted;
        // A body alone always has room: the limit of one body is another.
        if own > most / OF_ONE_KEY && own > self.bytes {
            return Err(busy());
        }
        Ok(())
    }
}

/// A body with its room.
struct Carrier {
    body: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Carrier {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        TOTAL.fetch_sub(self.bytes, Ordering::Relaxed);
        let Some(key) = self.key.take() else { return };
        let mut by_key = by_key();
        if let Some(counted) = by_key.get_mut(&key) {
            *counted = counted.saturating_sub(self.bytes);
            if *counted == 0 {
                by_key.remove(&key);
            }
        }
    }
}

/// Refuses a body that is announced longer than there is room for now, before it is sent.
///
/// # Errors
/// 503.
pub(super) fn expect(announced: u64, most: usize) -> Result<(), Problem> {
    let announced = usize::try_from(announced).unwrap_or(usize::MAX);
    let total = TOTAL.load(Ordering::Relaxed).saturating_add(announced);
    if total > room(announced, most) { Err(busy()) } else { Ok(()) }
}

/// What may be held in all so that a body of this length may be held.
fn room(bytes: usize, most: usize) -> usize {
    if bytes > SHORT { most - most / KEPT_FOR_SHORT } else { most }
}

fn busy() -> Problem {
    let message = "The gateway holds as many bytes of requests as it may at a time \
                   (general_settings.max_bytes_in_flight_mb). Try again later.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, message).kind("overloaded_error").retry_after(1)
}

fn by_key() -> MutexGuard<'static, HashMap<Box<str>, usize>> {
    BY_KEY.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 8 << 20;

    fn total() -> usize {
        TOTAL.load(Ordering::Relaxed)
    }

    /// One test, because there is one count.
    #[test]
    fn long_bodies_leave_room_for_short_ones_and_for_other_keys() {
        let hold = |bytes, key| {
            let mut held = Held::default();
            held.grow(bytes, MOST, key).map(|()| held)
        };
        let first = hold(4 << 20, "a").unwrap();
        let refused = hold(1 << 20, "a").unwrap_err();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(refused.message().contains("max_bytes_in_flight_mb"));
        let second = hold(3 << 20, "b").unwrap();
        assert!(hold(SHORT + 1, "c").is_err(), "an eighth is kept for short ones");
        assert!(expect(SHORT as u64 + 1, MOST).is_err() && expect(SHORT as u64, MOST).is_ok());
        let short: Vec<_> = (0..16).map(|_| hold(SHORT, "a").unwrap()).collect();
        assert!(hold(SHORT, "c").is_err());
        assert_eq!(total(), MOST);
        drop((first, second, short));
        assert_eq!(total(), 0);
        assert!(by_key().is_empty());

        let body = Bytes::from(vec![0; 1 << 20]);
        let (body, rest) = hold(body.len(), "a").unwrap().carried_by(body);
        drop(rest);
        let slice = body.slice(5..9);
        drop(body);
        assert_eq!(total(), 1 << 20, "a slice still needs all of it");
        drop(slice);
        assert_eq!(total(), 0);

        let mut growing = Held::default();
        for _ in 0..7 {
            growing.grow(1 << 20, MOST, "a").unwrap();
        }
        assert_eq!(by_key()["a"], 7 << 20, "a body alone may have more than its key's part");
        assert!(growing.grow(1 << 20, MOST, "a").is_err());
        drop(growing);
        assert_eq!((total(), by_key().len()), (0, 0));
    }
}
