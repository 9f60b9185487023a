//! Tokens as the dialects report them.
//!
//! OpenAI counts cached tokens inside `prompt_tokens` / `input_tokens` and names them in `…_details`;
//! Anthropic counts them beside `input_tokens`, and in a stream first reports the input
//! (`message_start`) and then the output so far (`message_delta`).

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::scan::Walk;
use crate::{Told, Usage};

/// The sum of what `usage` objects of any dialect have reported. Counts only go up: a report that
/// shrinks takes nothing back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WireUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cached: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    /// Something is not a count.
    is_odd: bool,
}

impl<'de> Deserialize<'de> for WireUsage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<WireUsage, D::Error> {
        // Events are decoded by their tag, through a buffer that raw values do not survive.
        let value = Value::deserialize(deserializer)?;
        Ok(WireUsage::read(value.to_string().as_bytes()))
    }
}

impl WireUsage {
    /// Takes over what the text of a `usage` object says.
    pub(crate) fn note(&mut self, json: &[u8]) {
        self.add(WireUsage::read(json));
    }

    /// Reads what is a count and passes over the rest. Every passing reply is read here, and a
    /// general decoder takes three times as long.
    fn read(json: &[u8]) -> WireUsage {
        let mut usage = WireUsage::default();
        if json.first() != Some(&b'{') {
            return usage;
        }
        let mut walk = Walk::new(json, 0, 1);
        while let Ok(Some(found)) = walk.member() {
            let value = &json[found.value..found.end];
            let into = match &json[found.key.start..found.key.end] {
                b"prompt_tokens" => &mut usage.prompt_tokens,
                b"completion_tokens" => &mut usage.completion_tokens,
                b"input_tokens" => &mut usage.input_tokens,
                b"output_tokens" => &mut usage.output_tokens,
                b"cache_read_input_tokens" => &mut usage.cache_read_input_tokens,
                b"cache_creation_input_tokens" => &mut usage.cache_creation_input_tokens,
                b"prompt_tokens_details" | b"input_tokens_details" => {
                    let (cached, is_odd) = cached(value);
                    usage.cached = usage.cached.max(cached);
                    usage.is_odd |= is_odd;
                    continue;
                }
                _ => continue,
            };
            *into = count(value);
            usage.is_odd |= into.is_none() && value != b"null";
        }
        usage
    }

    /// Takes over what a report says; what it does not say stays.
    pub(crate) fn add(&mut self, new: WireUsage) {
        *self = WireUsage {
            prompt_tokens: self.prompt_tokens.max(new.prompt_tokens),
            completion_tokens: self.completion_tokens.max(new.completion_tokens),
            input_tokens: self.input_tokens.max(new.input_tokens),
            output_tokens: self.output_tokens.max(new.output_tokens),
            cached: self.cached.max(new.cached),
            cache_read_input_tokens: self.cache_read_input_tokens.max(new.cache_read_input_tokens),
            cache_creation_input_tokens: self
                .cache_creation_input_tokens
                .max(new.cache_creation_input_tokens),
            is_odd: self.is_odd || new.is_odd,
        };
    }

    /// What was reported, part by part.
    pub(crate) fn told(&self) -> Told {
        let output = self.completion_tokens.or(self.output_tokens);
        let beside = self.cache_read_input_tokens.unwrap_or(0);
        let cache_creation = self.cache_creation_input_tokens.unwrap_or(0);
        let cache_read = self.cached.unwrap_or(0).max(beside);
        // Gateways in front of Anthropic report more about the cache; they count its
        // tokens as OpenAI does: within the prompt's.
        let input = self.prompt_tokens.or_else(|| {
            self.input_tokens.map(|input| input.saturating_add(beside).saturating_add(cache_creation))
        });
        let cache_read = input.map_or(0, |input| cache_read.min(input));
        let cache_creation = input.map_or(0, |input| cache_creation.min(input - cache_read));
        Told { input, output, cache_read, cache_creation, is_odd: self.is_odd, is_final: false }
    }

    /// The tokens, when any were reported.
    pub(crate) fn usage(&self) -> Option<Usage> {
        let Told { input, output, cache_read, cache_creation, .. } = self.told();
        if input.is_none() && output.is_none() {
            return None;
        }
        let (input, output) = (input.unwrap_or(0), output.unwrap_or(0));
        Some(Usage { input, output, cache_read, cache_creation })
    }
}

/// The cached tokens that details name, and whether they are not a count.
fn cached(json: &[u8]) -> (Option<u64>, bool) {
    if json.first() != Some(&b'{') {
        return (None, json != b"null");
    }
    let mut walk = Walk::new(json, 0, 2);
    while let Ok(Some(found)) = walk.member() {
        if &json[found.key.start..found.key.end] == b"cached_tokens" {
            let value = &json[found.value..found.end];
            let cached = count(value);
            return (cached, cached.is_none() && value != b"null");
        }
    }
    (None, false)
}

/// A whole number that is not negative, however it is written; one that is too large for the type is its
/// largest.
fn count(json: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(json).ok()?;
    text.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        (number.is_finite() && number >= 0.0 && number.fract() == 0.0).then_some(number as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(parts: &[&str]) -> Option<Usage> {
        let mut usage = WireUsage::default();
        for part in parts {
            usage.note(part.as_bytes());
        }
        usage.usage()
    }

    #[test]
    fn each_dialect_is_read() {
        let chat = r#"{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12,"prompt_tokens_details":{"cached_tokens":4}}"#;
        assert_eq!(read(&[chat]), Some(Usage { input: 9, output: 3, cache_read: 4, cache_creation: 0 }));
        let responses = r#"{"input_tokens":9,"output_tokens":3,"input_tokens_details":{"cached_tokens":4}}"#;
        assert_eq!(read(&[responses]), Some(Usage { input: 9, output: 3, cache_read: 4, cache_creation: 0 }));
        let messages = r#"{"input_tokens":2,"output_tokens":3,"cache_read_input_tokens":4,"cache_creation_input_tokens":5}"#;
        assert_eq!(read(&[messages]), Some(Usage { input: 11, output: 3, cache_read: 4, cache_creation: 5 }));
        assert_eq!(read(&[r#"{"prompt_tokens":3,"total_tokens":3}"#]).map(|u| u.input), Some(3));
    }

    #[test]
    fn a_streams_reports_add_up() {
        let start = r#"{"input_tokens":2,"output_tokens":1,"cache_read_input_tokens":4}"#;
        let end = r#"{"output_tokens":30}"#;
        assert_eq!(
            read(&[start, end]),
            Some(Usage { input: 6, output: 30, cache_read: 4, cache_creation: 0 })
        );
    }

    #[test]
    fn nothing_reported_is_nothing_known() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&["{}", "null", r#"{"prompt_tokens":"9"}"#]), None);
    }

    #[test]
    fn what_is_not_a_count_is_odd_and_not_reported() {
        let told = |json: &str| {
            let mut usage = WireUsage::default();
            usage.note(json.as_bytes());
            let told = usage.told();
            (told.input, told.output, told.is_odd)
        };
        assert_eq!(told(r#"{"prompt_tokens":-5,"completion_tokens":3}"#), (None, Some(3), true));
        assert_eq!(told(r#"{"prompt_tokens":9,"completion_tokens":"3"}"#), (Some(9), None, true));
        assert_eq!(told(r#"{"prompt_tokens":9,"completion_tokens":2.5}"#), (Some(9), None, true));
        assert_eq!(told(r#"{"prompt_tokens":9.0,"completion_tokens":[3]}"#), (Some(9), None, true));
        assert_eq!(told(r#"{"prompt_tokens":9,"completion_tokens":null}"#), (Some(9), None, false));
        assert_eq!(
            told(r#"{"prompt_tokens":1e30,"completion_tokens":18446744073709551616}"#),
            (Some(u64::MAX), Some(u64::MAX), false)
        );
        assert_eq!(told(r#"{"input_tokens":2,"cache_read_input_tokens":-4}"#), (Some(2), None, true));
    }

    #[test]
    fn a_report_that_shrinks_takes_nothing_back() {
        let shrinks =
            [r#"{"prompt_tokens":9,"completion_tokens":30}"#, r#"{"prompt_tokens":0,"completion_tokens":0}"#];
        assert_eq!(read(&shrinks).map(|usage| (usage.input, usage.output)), Some((9, 30)));
    }
}
