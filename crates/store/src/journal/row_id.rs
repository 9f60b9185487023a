//! Ids of rows: 48 bits of milliseconds, 80 bits that begin at random and count up within one
//! millisecond. In 32 hex digits they sort as the calls of their writer ended.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use crate::Timestamp;

/// All but the highest bit of 80: room to count.
const DRAWN: u128 = (1 << 79) - 1;
const COUNTED: u128 = (1 << 80) - 1;

/// Makes ids, for one writer.
#[derive(Debug)]
pub struct RowIds {
    /// Keyed by the operating system: what it hashes nobody can foretell.
    random: RandomState,
    drawn: u64,
    milliseconds: u64,
    rest: u128,
}

/// One id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId([u8; 32]);

impl RowIds {
    /// None made yet.
    pub fn new() -> RowIds {
        RowIds { random: RandomState::new(), drawn: 0, milliseconds: 0, rest: 0 }
    }

    /// The next, larger than every one before, also when the clock goes back.
    pub fn next(&mut self, now: Timestamp) -> RowId {
        let now = u64::try_from(now.0).unwrap_or(0) & 0xffff_ffff_ffff;
        if now > self.milliseconds || self.rest >= COUNTED {
            self.milliseconds = now.max(self.milliseconds + u64::from(now <= self.milliseconds));
            self.rest = self.draw() & DRAWN;
        } else {
            self.rest += 1;
        }
        RowId::of((u128::from(self.milliseconds) << 80) | self.rest)
    }

    fn draw(&mut self) -> u128 {
        self.drawn += 2;
        let (high, low) = (self.random.hash_one(self.drawn), self.random.hash_one(self.drawn + 1));
        (u128::from(high) << 64) | u128::from(low)
    }
}

impl Default for RowIds {
    fn default() -> RowIds {
        RowIds::new()
    }
}

impl RowId {
    fn of(number: u128) -> RowId {
        let mut digits = [0; 32];
        for (at, digit) in digits.iter_mut().enumerate() {
            let nibble = (number >> (124 - 4 * at)) as u8 & 15;
            *digit = if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
        }
        RowId(digits)
    }

    /// 32 hex digits.
    pub fn as_str(&self) -> &str {
        // Only hex digits are ever in it.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ids_ascend_whatever_the_clock_does(clock in prop::collection::vec(0_i64..50, 1..200)) {
            let mut ids = RowIds::new();
            let made: Vec<RowId> = clock.iter().map(|now| ids.next(Timestamp(1_795_000_000_000 + now))).collect();
            prop_assert!(made.is_sorted_by(|one, next| one < next));
            prop_assert!(made.iter().all(|id| id.as_str().len() == 32));
        }
    }

    #[test]
    fn ids_of_many_writers_never_meet() {
        let mut seen = HashSet::new();
        for _ in 0..100 {
            let mut ids = RowIds::new();
            assert!((0..100).all(|_| seen.insert(ids.next(Timestamp(1_795_000_000_000)))));
        }
    }

    #[test]
    fn an_id_begins_with_its_moment() {
        let id = RowIds::new().next(Timestamp(0x0123_4567_89ab));
        assert!(id.as_str().starts_with("0123456789ab"), "{}", id.as_str());
    }
}
