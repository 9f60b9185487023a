//! Inputs from other inputs: small damage, pieces moved about, words of the target's dictionary.
//! Nothing but the seed decides what comes.

/// An endless source of inputs.
pub struct Mutator {
    state: u64,
    dictionary: &'static [&'static str],
}

/// Longer inputs are cut; speed finds more than size does.
const LONGEST: usize = 4096;

impl Mutator {
    /// The same seed makes the same inputs of the same corpus.
    pub fn new(seed: u64, dictionary: &'static [&'static str]) -> Mutator {
        Mutator { state: seed, dictionary }
    }

    /// The next input, made of one or two of the corpus.
    pub fn next(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.pick(corpus);
        if self.below(4) == 0 {
            let other = self.pick(corpus);
            let (head, tail) = (self.below(input.len() + 1), self.below(other.len() + 1));
            input.truncate(head);
            input.extend_from_slice(&other[tail..]);
        }
        for _ in 0..=self.below(6) {
            self.damage(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    fn pick(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        corpus.get(self.below(corpus.len())).cloned().unwrap_or_default()
    }

    fn damage(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len() + 1);
        let to = (at + self.below(24)).min(input.len());
        match self.below(8) {
            0 | 1 => {
                let word =
                    self.dictionary.get(self.below(self.dictionary.len())).copied().unwrap_or_default();
                input.splice(at..at, word.bytes());
            }
            2 => drop(input.drain(at..to)),
            3 => {
                let piece = input[at..to].to_vec();
                let place = self.below(input.len() + 1);
                input.splice(place..place, piece);
            }
            4 => input.insert(at, self.draw() as u8),
            5 => input.truncate(at),
            6 if at < input.len() => input[at] = self.draw() as u8,
            _ if at < input.len() => input[at] ^= 1 << self.below(8),
            _ => {}
        }
    }

    /// Below `bound`; 0 when that is 0.
    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.draw()) * bound as u128) >> 64) as usize
    }

    /// SplitMix64.
    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::Mutator;

    #[test]
    fn a_seed_decides_everything() {
        let corpus = [b"{\"model\":\"m\"}".to_vec(), b"data".to_vec(), Vec::new()];
        let inputs = |seed| {
            let mut mutator = Mutator::new(seed, &["word"]);
            (0..200).map(|_| mutator.next(&corpus)).collect::<Vec<_>>()
        };
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
        assert!(inputs(1).iter().any(|input| input.windows(4).any(|bytes| bytes == b"word")));
    }
}
