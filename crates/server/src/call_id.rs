//! `x-litellm-call-id`: the client's own when it sent one, else one that no other call has.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use crate::headers::CALL_ID;

/// Longer ones are not echoed.
const LONGEST: usize = 256;

/// The ids of one core. Looks like a UUID of version 4, but the randomness is drawn once: the second
/// half counts, scrambled, and so does the core's own part of the first half. The beginning counts as it
/// stands: ids are looked up by in the store, whose index then grows at one place for each core, where
/// scattered ids would have it rewrite a page for every call.
#[derive(Debug)]
pub(crate) struct CallIds {
    prefix: u64,
    next: AtomicU64,
}

impl CallIds {
    pub(crate) fn new() -> CallIds {
        CallIds { prefix: fastrand::u64(..), next: AtomicU64::new(fastrand::u64(..)) }
    }

    /// The id of a call with these request headers.
    pub(crate) fn of(&self, headers: &HeaderMap) -> HeaderValue {
        match headers.get(&CALL_ID) {
            Some(sent) if !sent.is_empty() && sent.len() <= LONGEST => sent.clone(),
            _ => self.next(),
        }
    }

    fn next(&self) -> HeaderValue {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let number = scramble(count);
        let own = (self.prefix ^ scramble(number)) & 0xFFFF_FFFF;
        let text = uuid((count << 32) | own, number);
        HeaderValue::from_maybe_shared(Bytes::copy_from_slice(&text))
            .unwrap_or(const { HeaderValue::from_static("") })
    }
}

/// An id for what is made without one; nothing depends on it being hard to guess.
pub(crate) fn drawn_uuid() -> String {
    uuid(fastrand::u64(..), fastrand::u64(..)).iter().copied().map(char::from).collect()
}

/// One to one on all `u64`: multiplication by an odd number and xor with one's own upper bits.
fn scramble(number: u64) -> u64 {
    let number = (number ^ (number >> 31)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    number ^ (number >> 29)
}

fn uuid(high: u64, low: u64) -> [u8; 36] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let high = (high & !0xF000) | 0x4000;
    // The two bits that the variant needs would make two numbers one; they move to where the
    // first half has room, which the version took only four bits of.
    let high = (high & !(0b11 << 16)) | ((low >> 62) << 16);
    let low = (low & !(0b11 << 62)) | (0b10 << 62);
    let mut text = [b'-'; 36];
    let mut at = 0;
    for (position, shift) in (0..64).rev().step_by(4).enumerate() {
        if matches!(position, 8 | 12) {
            at += 1;
        }
        text[at] = DIGITS[(high >> (shift - 3)) as usize & 0xF];
        at += 1;
    }
    for (position, shift) in (0..64).rev().step_by(4).enumerate() {
        if matches!(position, 0 | 4) {
            at += 1;
        }
        text[at] = DIGITS[(low >> (shift - 3)) as usize & 0xF];
        at += 1;
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_look_like_random_uuids_and_differ() {
        let ids = CallIds::new();
        let mut seen = HashSet::new();
        for _ in 0..1000 {
            let id = ids.next().to_str().unwrap().to_owned();
            let parts: Vec<_> = id.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
            assert_eq!(&id[14..15], "4", "{id}");
            assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"), "{id}");
            assert!(seen.insert(id[..8].to_owned()), "{id}");
        }
    }

    #[test]
    fn one_id_follows_the_other() {
        let ids = CallIds { prefix: 7, next: AtomicU64::new(1) };
        let all: Vec<_> = (0..1000).map(|_| ids.next().to_str().unwrap().to_owned()).collect();
        assert!(all.is_sorted(), "{all:?}");
    }

    #[test]
    fn the_variant_costs_no_two_numbers_their_difference() {
        let texts: HashSet<_> = (0..4).map(|top: u64| uuid(7, top << 62)).collect();
        assert_eq!(texts.len(), 4);
    }

    #[test]
    fn a_sent_id_is_echoed_unless_it_is_absurd() {
        let ids = CallIds::new();
        let mut headers = HeaderMap::new();
        headers.insert(&CALL_ID, HeaderValue::from_static("mine"));
        assert_eq!(ids.of(&headers), "mine");
        headers.insert(&CALL_ID, HeaderValue::from_str(&"x".repeat(257)).unwrap());
        assert_ne!(ids.of(&headers).len(), 257);
    }
}
