//! A model name with stars: whether it takes a name, what the stars caught, how specific it is,
//! and what the captures make of an upstream model.
//!
//! There is no backtracking. Python's greedy `(.*)` gives the first star as much as possible, then
//! the second, and so on; that is the placement in which every literal stands as far right as it
//! can, and it is found by searching the literals from the right, each once.

use std::borrow::Cow;
use std::cmp::Reverse;

/// How a pattern ranks among others; the greatest is tried first.
///
/// The measure is LiteLLM's: the text of the regular expression that Python would be given, first
/// its length, then its number of special characters. More stars therefore look more specific,
/// which configs depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Specificity {
    /// Characters of the escaped text, `(.*)` for every star.
    pub length: usize,
    /// How many of them are one of `* + ? \ ^ $ | ( )`.
    pub specials: usize,
}

/// A name with at least one `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelPattern {
    text: Box<str>,
    /// What stands before, between and after the stars: one more than there are stars.
    literals: Box<[Box<str>]>,
    specificity: Specificity,
}

impl ModelPattern {
    /// `None` when `text` has no star.
    pub fn new(text: &str) -> Option<ModelPattern> {
        if !text.contains('*') {
            return None;
        }
        let literals = text.split('*').map(Box::from).collect();
        Some(ModelPattern { text: text.into(), literals, specificity: Specificity::of(text) })
    }

    /// As configured.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its rank.
    pub fn specificity(&self) -> Specificity {
        self.specificity
    }

    /// Number of stars.
    pub fn stars(&self) -> usize {
        self.literals.len() - 1
    }

    /// The literal before the first star.
    pub(crate) fn prefix(&self) -> &str {
        self.literals.first().map_or("", |literal| literal)
    }

    /// The literals after the first star, the last of them after the last star.
    pub(crate) fn rest(&self) -> &[Box<str>] {
        self.literals.get(1..).unwrap_or_default()
    }

    /// Whether the pattern takes `name`. Without `anchor_end` (row D2) what follows the last
    /// literal does not matter.
    pub fn matches(&self, name: &str, anchor_end: bool) -> bool {
        self.walk(name, anchor_end, |_| ())
    }

    /// What each star caught, or `None` when the pattern does not take `name`.
    pub fn captures<'n>(&self, name: &'n str, anchor_end: bool) -> Option<Vec<&'n str>> {
        let mut captures = Vec::with_capacity(self.stars());
        let taken = self.walk(name, anchor_end, |text| captures.push(text));
        captures.reverse();
        taken.then_some(captures)
    }

    /// Linear in the name: every search starts where the one before it ended. Stars come last first.
    fn walk<'n>(&self, name: &'n str, anchor_end: bool, mut star: impl FnMut(&'n str)) -> bool {
        let Some(tail) = name.strip_prefix(self.prefix()) else { return false };
        let rest = self.rest();
        let mut caught_to: Option<usize> = None;
        let mut limit = tail.len();
        for (index, literal) in rest.iter().enumerate().rev() {
            let head = &tail[..limit];
            let last = index + 1 == rest.len();
            let found = if last && anchor_end {
                head.strip_suffix(&**literal).map(str::len)
            } else {
                head.rfind(&**literal)
            };
            let Some(at) = found else { return false };
            if let Some(end) = caught_to {
                star(&tail[at + literal.len()..end]);
            }
            caught_to = Some(at);
            limit = at;
        }
        if let Some(end) = caught_to {
            star(&tail[..end]);
        }
        true
    }

    /// The upstream model for a name that this pattern takes: the stars of `template` filled from
    /// the captures. With fewer stars than captures the last captures fill them, or, without
    /// `last_captures_fill` (row D22), the name itself goes out. Stars left over stay. Captures are
    /// text: a star inside one is never filled (row D28).
    pub fn fill<'a>(
        &self,
        template: &'a str,
        name: &'a str,
        anchor_end: bool,
        last_captures_fill: bool,
    ) -> Cow<'a, str> {
        let open = template.matches('*').count();
        if open == 0 {
            return Cow::Borrowed(template);
        }
        let Some(captures) = self.captures(name, anchor_end) else { return Cow::Borrowed(template) };
        if open < captures.len() && !last_captures_fill {
            return Cow::Borrowed(name);
        }
        let mut fillings = captures.iter().skip(captures.len().saturating_sub(open));
        let mut filled = String::with_capacity(template.len() + name.len());
        for piece in template.split_inclusive('*') {
            match piece.strip_suffix('*').and_then(|before| Some((before, fillings.next()?))) {
                Some((before, capture)) => filled.extend([before, capture]),
                None => filled.push_str(piece),
            }
        }
        Cow::Owned(filled)
    }
}

impl Specificity {
    fn of(text: &str) -> Specificity {
        let mut specificity = Specificity { length: 0, specials: 0 };
        for character in text.chars() {
            // Python's re.escape, and then every escaped star as `(.*)`.
            let (length, specials) = match character {
                '*' => (4, 3),
                '+' | '?' | '\\' | '^' | '$' | '|' | '(' | ')' => (2, 2),
                '[' | ']' | '{' | '}' | '-' | '.' | '&' | '~' | '#' | ' ' | '\t' | '\n' | '\r' | '\x0b'
                | '\x0c' => (2, 1),
                _ => (1, 0),
            };
            specificity.length += length;
            specificity.specials += specials;
        }
        specificity
    }
}

/// Sorts patterns into the order in which they are tried; equals keep their order.
pub(crate) fn most_specific_first(pattern: &ModelPattern) -> Reverse<Specificity> {
    Reverse(pattern.specificity)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> ModelPattern {
        ModelPattern::new(text).unwrap()
    }

    fn filled(text: &str, template: &str, name: &str) -> String {
        pattern(text).fill(template, name, true, true).into_owned()
    }

    #[test]
    fn the_first_star_takes_as_much_as_it_can() {
        assert_eq!(pattern("m-*-*").captures("m-a-b-c", true).unwrap(), ["a-b", "c"]);
        assert_eq!(pattern("fo::*:static::*").captures("fo::hi::static::hi", true).unwrap(), ["hi:", "hi"]);
        assert_eq!(pattern("double**").captures("doublexyz", true).unwrap(), ["xyz", ""]);
        assert_eq!(pattern("*").captures("a\nb", true).unwrap(), ["a\nb"]);
    }

    #[test]
    fn the_end_is_anchored_or_not() {
        let chat = pattern("llama*-chat");
        assert_eq!(chat.captures("llama3-chat-extra", false).unwrap(), ["3"]);
        assert_eq!(chat.captures("llama3-chat-extra", true), None);
        assert!(!chat.matches("xllama3-chat", false) && !chat.matches("llama3", false));
    }

    #[test]
    fn literals_do_not_overlap() {
        assert!(!pattern("ab*ba").matches("aba", true));
        assert!(pattern("ab*ba").matches("abba", true));
    }

    #[test]
    fn specificity_is_the_length_of_the_escaped_text_then_its_special_characters() {
        assert_eq!(pattern("*bc*").specificity(), Specificity { length: 10, specials: 6 });
        assert_eq!(pattern("abc*").specificity(), Specificity { length: 7, specials: 3 });
        assert_eq!(pattern("gpt.*").specificity().length, 9);
        assert!(pattern("ab-c*").specificity() > pattern("ab*def").specificity());
        assert_eq!(pattern("x*y").specificity(), pattern("xz*").specificity());
    }

    #[test]
    fn captures_fill_the_stars_in_turn() {
        assert_eq!(filled("two/*/*", "openai/*+*", "two/x/y/z"), "openai/x/y+z");
        assert_eq!(filled("m/*", "openai/fixed", "m/x"), "openai/fixed");
        assert_eq!(filled("m/*", "openai/*-*", "m/abc"), "openai/abc-*");
        assert_eq!(filled("m/*/n/*", "openai/*/n/*", "m/*/n/b"), "openai/*/n/b");
    }

    #[test]
    fn fewer_stars_upstream_take_the_last_captures_or_the_name() {
        let meta = pattern("*meta.llama3*");
        let name = "hello-meta.llama3-70b";
        assert_eq!(meta.fill("bedrock/meta.llama3*", name, true, true), "bedrock/meta.llama3-70b");
        assert_eq!(meta.fill("bedrock/meta.llama3*", name, true, false), name);
    }
}
