//! A set of deployments of one group, one bit each. Up to 64 of them cost no allocation, which is
//! nearly every group; larger sets are a boxed slice of words.

/// A set of positions below a size that both operands of every operation share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bits {
    /// Up to 64 positions.
    One(u64),
    /// More: 64 to a word.
    Many(Box<[u64]>),
}

impl Bits {
    /// No position of `size`.
    pub(crate) fn none(size: usize) -> Bits {
        if size <= 64 { Bits::One(0) } else { Bits::Many(vec![0; size.div_ceil(64)].into_boxed_slice()) }
    }

    /// Every position of `size`.
    pub(crate) fn all(size: usize) -> Bits {
        let mut bits = Bits::none(size);
        for (index, word) in bits.words_mut().iter_mut().enumerate() {
            *word = match size - index * 64 {
                0 => 0,
                left @ 1..64 => (1 << left) - 1,
                _ => u64::MAX,
            };
        }
        bits
    }

    /// The one position.
    pub(crate) fn only(size: usize, position: usize) -> Bits {
        let mut bits = Bits::none(size);
        bits.insert(position);
        bits
    }

    pub(crate) fn words(&self) -> &[u64] {
        match self {
            Bits::One(word) => std::slice::from_ref(word),
            Bits::Many(words) => words,
        }
    }

    fn words_mut(&mut self) -> &mut [u64] {
        match self {
            Bits::One(word) => std::slice::from_mut(word),
            Bits::Many(words) => words,
        }
    }

    pub(crate) fn insert(&mut self, position: usize) {
        self.words_mut()[position / 64] |= 1 << (position % 64);
    }

    pub(crate) fn remove(&mut self, position: usize) {
        self.words_mut()[position / 64] &= !(1 << (position % 64));
    }

    pub(crate) fn contains(&self, position: usize) -> bool {
        self.words().get(position / 64).is_some_and(|word| word >> (position % 64) & 1 == 1)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words().iter().all(|word| *word == 0)
    }

    pub(crate) fn count(&self) -> usize {
        self.words().iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether both sets have a position in common.
    pub(crate) fn meets(&self, other: &Bits) -> bool {
        self.words().iter().zip(other.words()).any(|(mine, theirs)| mine & theirs != 0)
    }

    /// Keeps what is in `other` too.
    pub(crate) fn keep(&mut self, other: &Bits) {
        for (mine, theirs) in self.words_mut().iter_mut().zip(other.words()) {
            *mine &= theirs;
        }
    }

    /// Adds what is in `other`.
    pub(crate) fn add(&mut self, other: &Bits) {
        for (mine, theirs) in self.words_mut().iter_mut().zip(other.words()) {
            *mine |= theirs;
        }
    }

    /// Takes out what is in `other`.
    pub(crate) fn drop(&mut self, other: &Bits) {
        for (mine, theirs) in self.words_mut().iter_mut().zip(other.words()) {
            *mine &= !theirs;
        }
    }

    /// What is in both.
    pub(crate) fn and(&self, other: &Bits) -> Bits {
        let mut bits = self.clone();
        bits.keep(other);
        bits
    }

    /// What is in `self` alone.
    pub(crate) fn without(&self, other: &Bits) -> Bits {
        let mut bits = self.clone();
        bits.drop(other);
        bits
    }

    /// The positions, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words().iter().enumerate().flat_map(|(index, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros() as usize;
                left &= left.wrapping_sub(1);
                (bit < 64).then_some(index * 64 + bit)
            })
        })
    }

    /// The `nth` position of the set, counted from 0; skips whole words.
    pub(crate) fn nth(&self, mut nth: usize) -> Option<usize> {
        for (index, word) in self.words().iter().enumerate() {
            let here = word.count_ones() as usize;
            if nth < here {
                let mut left = *word;
                for _ in 0..nth {
                    left &= left - 1;
                }
                return Some(index * 64 + left.trailing_zeros() as usize);
            }
            nth -= here;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_has_exactly_the_size_at_every_word_boundary() {
        for size in [0, 1, 63, 64, 65, 127, 128, 129, 200] {
            assert_eq!(Bits::all(size).count(), size);
            assert_eq!(Bits::all(size).iter().collect::<Vec<_>>(), (0..size).collect::<Vec<_>>());
        }
    }

    #[test]
    fn nth_agrees_with_iteration() {
        let mut bits = Bits::none(200);
        for position in [0, 3, 63, 64, 65, 130, 199] {
            bits.insert(position);
        }
        for (nth, position) in bits.iter().enumerate() {
            assert_eq!(bits.nth(nth), Some(position));
        }
        assert_eq!(bits.nth(7), None);
    }

    #[test]
    fn set_operations() {
        let low = Bits::all(3);
        let one = Bits::only(3, 1);
        assert_eq!(low.without(&one).iter().collect::<Vec<_>>(), [0, 2]);
        assert_eq!(low.and(&one), one);
        assert!(low.meets(&one) && !low.without(&one).meets(&one));
    }
}
