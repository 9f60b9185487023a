//! `simple-shuffle`: at random, in proportion to the first of `weight`, `rpm`, `tpm` that any
//! candidate sets with a positive sum; candidates without that key count as 0. Else uniform.

use super::Strategy;
use crate::Chance;
use crate::bits::Bits;
use crate::group::ModelGroup;

/// See the file.
pub(crate) struct SimpleShuffle;

impl Strategy for SimpleShuffle {
    fn pick(&self, group: &ModelGroup, candidates: &Bits, chance: Chance) -> Option<usize> {
        group
            .shares()
            .iter()
            .find_map(|shares| proportional(shares, candidates, chance))
            .or_else(|| candidates.nth(chance.below(candidates.count())))
    }
}

/// `None` when the shares of the candidates sum up to nothing.
fn proportional(shares: &[f64], candidates: &Bits, chance: Chance) -> Option<usize> {
    let share = |position: usize| shares.get(position).copied().unwrap_or(0.0);
    let sum: f64 = candidates.iter().map(share).sum();
    if sum <= 0.0 {
        return None;
    }
    let mut left = chance.fraction() * sum;
    let mut last = None;
    for position in candidates.iter().filter(|position| share(*position) > 0.0) {
        last = Some(position);
        left -= share(position);
        if left < 0.0 {
            break;
        }
    }
    // Rounding can leave a sliver behind the last one; it is the last one's.
    last
}
