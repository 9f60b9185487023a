//! All wildcards of a table, found by a literal of theirs instead of tried one by one.
//!
//! Every pattern is filed once, under the rarest of its literals: what it starts with, what it ends
//! with, or what it contains. A name is walked against the sorted literals of each kind, and only
//! the patterns filed under a literal that the name really has are tried, the most specific first.

use std::collections::HashMap;

use crate::bits::Bits;
use crate::pattern::{ModelPattern, most_specific_first};

/// Which part of a name has to equal the literal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    Start,
    End,
    Inside,
}

/// An index over patterns, each with a value.
#[derive(Debug)]
pub struct PatternIndex<T> {
    /// Most specific first; a position in here is the rank.
    ranked: Vec<(ModelPattern, T)>,
    anchor_end: bool,
    start: Literals,
    end: Literals,
    inside: Literals,
    /// Patterns of stars alone, by rank: they take every name.
    bare: Vec<u32>,
}

/// Sorted literals, each with the ranks of the patterns filed under it.
#[derive(Debug, Default)]
struct Literals {
    /// In byte order.
    entries: Vec<(Box<[u8]>, Vec<u32>)>,
    /// `first[b]..first[b + 1]` are the entries that begin with byte `b`.
    first: Vec<u32>,
}

impl<T> PatternIndex<T> {
    /// Files patterns given in the order of the config. `anchor_end` is row D2.
    pub fn new(patterns: impl IntoIterator<Item = (ModelPattern, T)>, anchor_end: bool) -> Self {
        let mut ranked: Vec<(ModelPattern, T)> = patterns.into_iter().collect();
        ranked.sort_by_key(|(pattern, _)| most_specific_first(pattern));
        let mut shared: HashMap<(Place, &str), usize> = HashMap::new();
        for (pattern, _) in &ranked {
            for key in keys(pattern, anchor_end) {
                *shared.entry(key).or_default() += 1;
            }
        }
        let mut filed: [HashMap<Box<[u8]>, Vec<u32>>; 3] = Default::default();
        let mut bare = Vec::new();
        for (rank, (pattern, _)) in (0u32..).zip(&ranked) {
            // Ties go to the first: a start is the cheapest to look for, an inside the dearest.
            let rarest = keys(pattern, anchor_end).min_by_key(|key| shared.get(key).copied().unwrap_or(0));
            match rarest {
                None => bare.push(rank),
                Some((Place::Start, text)) => filed[0].entry(text.as_bytes().into()).or_default().push(rank),
                Some((Place::End, text)) => {
                    filed[1].entry(text.bytes().rev().collect()).or_default().push(rank)
                }
                Some((Place::Inside, text)) => filed[2].entry(text.as_bytes().into()).or_default().push(rank),
            }
        }
        let [start, end, inside] = filed.map(Literals::new);
        PatternIndex { ranked, anchor_end, start, end, inside, bare }
    }

    /// The most specific pattern that takes `name`.
    pub fn find(&self, name: &str) -> Option<(&ModelPattern, &T)> {
        let mut best = u32::MAX;
        let mut attempt = |ranks: &[u32]| {
            for rank in ranks.iter().take_while(|rank| **rank < best) {
                let taken =
                    self.ranked.get(*rank as usize).is_some_and(|(p, _)| p.matches(name, self.anchor_end));
                if taken {
                    best = *rank;
                    break;
                }
            }
        };
        self.start.each_start_of(name.bytes(), |_, ranks| attempt(ranks));
        self.end.each_start_of(name.bytes().rev(), |_, ranks| attempt(ranks));
        // One try for each literal, however often the name contains it: a try reads the whole name.
        let mut tried = Bits::none(self.inside.entries.len());
        for from in 0..if self.inside.entries.is_empty() { 0 } else { name.len() } {
            self.inside.each_start_of(name.as_bytes()[from..].iter().copied(), |entry, ranks| {
                if !tried.contains(entry) {
                    tried.insert(entry);
                    attempt(ranks);
                }
            });
        }
        attempt(&self.bare);
        self.ranked.get(best as usize).map(|(pattern, value)| (pattern, value))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ranked.is_empty()
    }

    /// Every pattern, most specific first.
    pub fn iter(&self) -> impl Iterator<Item = &(ModelPattern, T)> {
        self.ranked.iter()
    }
}

/// Every literal under which a pattern may be filed.
fn keys(pattern: &ModelPattern, anchor_end: bool) -> impl Iterator<Item = (Place, &str)> {
    let rest = pattern.rest();
    let place =
        move |index: usize| if anchor_end && index + 1 == rest.len() { Place::End } else { Place::Inside };
    let start = std::iter::once((Place::Start, pattern.prefix()));
    let end_first = rest.iter().enumerate().rev().map(move |(index, literal)| (place(index), &**literal));
    start.chain(end_first).filter(|(_, text)| !text.is_empty())
}

impl Literals {
    fn new(filed: HashMap<Box<[u8]>, Vec<u32>>) -> Literals {
        if filed.is_empty() {
            return Literals::default();
        }
        let mut entries: Vec<_> = filed.into_iter().collect();
        entries.sort_unstable();
        let below = |byte: usize| {
            entries.partition_point(|(text, _)| text.first().is_some_and(|b| usize::from(*b) < byte))
        };
        let first = (0..=256).map(|byte| u32::try_from(below(byte)).unwrap_or(u32::MAX)).collect();
        Literals { entries, first }
    }

    /// Calls `found` with every literal that `bytes` begins with. Narrows a range of the sorted
    /// literals byte by byte, so its cost grows by the logarithm of their number.
    fn each_start_of(&self, mut bytes: impl Iterator<Item = u8>, mut found: impl FnMut(usize, &[u32])) {
        let Some(byte) = bytes.next().filter(|_| !self.entries.is_empty()).map(usize::from) else { return };
        let (mut low, mut high) = (self.first[byte] as usize, self.first[byte + 1] as usize);
        let mut depth = 1;
        while low < high {
            // What equals the walked part sorts before everything that it begins.
            let (shortest, ranks) = &self.entries[low];
            if shortest.len() == depth {
                found(low, ranks);
                low += 1;
            }
            let Some(byte) = bytes.next() else { return };
            let range = &self.entries[low..high];
            let all_alike = match (range.first(), range.last()) {
                (Some((first, _)), Some((last, _))) => first[depth] == last[depth],
                _ => return,
            };
            // Most bytes of a literal tell nothing apart, and then there is nothing to search.
            if !all_alike {
                high = low + range.partition_point(|(text, _)| text[depth] <= byte);
                low += range.partition_point(|(text, _)| text[depth] < byte);
            } else if range[0].0[depth] != byte {
                return;
            }
            depth += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(patterns: &[&str]) -> PatternIndex<()> {
        PatternIndex::new(patterns.iter().filter_map(|text| Some((ModelPattern::new(text)?, ()))), true)
    }

    fn found<'a>(index: &'a PatternIndex<()>, name: &str) -> Option<&'a str> {
        index.find(name).map(|(pattern, ())| pattern.text())
    }

    #[test]
    fn the_most_specific_pattern_is_found_wherever_it_is_filed() {
        let index = index(&["*", "abc*", "*bc*", "*-mini", "bedrock/*", "bedrock/us.*"]);
        assert_eq!(found(&index, "abcd"), Some("*bc*"));
        assert_eq!(found(&index, "x-mini"), Some("*-mini"));
        assert_eq!(found(&index, "bedrock/us.x"), Some("bedrock/us.*"));
        assert_eq!(found(&index, "bedrock/eu"), Some("bedrock/*"));
        assert_eq!(found(&index, ""), Some("*"));
    }

    #[test]
    fn equals_keep_the_order_of_the_config() {
        assert_eq!(found(&index(&["x*y", "xz*"]), "xzy"), Some("x*y"));
        assert_eq!(found(&index(&["xz*", "x*y"]), "xzy"), Some("xz*"));
    }

    #[test]
    fn many_patterns_with_one_start_are_told_apart_by_their_end() {
        let texts: Vec<String> = (0..2_000).map(|n| format!("openai/*-{n}")).collect();
        let index = index(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(found(&index, "openai/gpt-1234"), Some("openai/*-1234"));
        assert!(index.start.entries.is_empty(), "a start that all share tells nothing");
    }
}
