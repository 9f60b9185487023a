//! Tokens as the dialects report them.
//!
//! OpenAI counts cached tokens inside `prompt_tokens` / `input_tokens` and names them in `…_details`;
//! Anthropic counts them beside `input_tokens`, and in a stream first reports the input
//! (`message_start`) and then the output so far (`message_delta`).

use serde::Deserialize;

use crate::Usage;
use crate::scan::Walk;

/// A `usage` object of any dialect, or the sum of what a stream has reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct WireUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    prompt_tokens_details: Option<Details>,
    input_tokens_details: Option<Details>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Option<u64>,
}

impl Details {
    fn read(json: &[u8]) -> Option<Details> {
        if json.first() != Some(&b'{') {
            return None;
        }
        let mut details = Details::default();
        let mut walk = Walk::new(json, 0, 2);
        while let Ok(Some(found)) = walk.member() {
            if &json[found.key.start..found.key.end] == b"cached_tokens" {
                details.cached_tokens = count(&json[found.value..found.end]);
            }
        }
        Some(details)
    }
}

/// A whole number that is not negative.
fn count(json: &[u8]) -> Option<u64> {
    std::str::from_utf8(json).ok()?.parse().ok()
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
        let mut walk = Walk::new(json, 0, 1);
        while let Ok(Some(found)) = walk.member() {
            let value = &json[found.value..found.end];
            match &json[found.key.start..found.key.end] {
                b"prompt_tokens" => usage.prompt_tokens = count(value),
                b"completion_tokens" => usage.completion_tokens = count(value),
                b"input_tokens" => usage.input_tokens = count(value),
                b"output_tokens" => usage.output_tokens = count(value),
                b"prompt_tokens_details" => usage.prompt_tokens_details = Details::read(value),
                b"input_tokens_details" => usage.input_tokens_details = Details::read(value),
                b"cache_read_input_tokens" => usage.cache_read_input_tokens = count(value),
                b"cache_creation_input_tokens" => usage.cache_creation_input_tokens = count(value),
                _ => {}
            }
        }
        usage
    }

    /// Takes over what a report says; what it does not say stays.
    pub(crate) fn add(&mut self, new: WireUsage) {
        let known = *self;
        *self = WireUsage {
            prompt_tokens: new.prompt_tokens.or(known.prompt_tokens),
            completion_tokens: new.completion_tokens.or(known.completion_tokens),
            input_tokens: new.input_tokens.or(known.input_tokens),
            output_tokens: new.output_tokens.or(known.output_tokens),
            prompt_tokens_details: new.prompt_tokens_details.or(known.prompt_tokens_details),
            input_tokens_details: new.input_tokens_details.or(known.input_tokens_details),
            cache_read_input_tokens: new.cache_read_input_tokens.or(known.cache_read_input_tokens),
            cache_creation_input_tokens: new
                .cache_creation_input_tokens
                .or(known.cache_creation_input_tokens),
        };
    }

    /// The tokens, when any were reported.
    pub(crate) fn usage(&self) -> Option<Usage> {
        let output = self.completion_tokens.or(self.output_tokens);
        if let Some(input) = self.prompt_tokens {
            // What else is known of a cache is told by gateways in front of Anthropic, which count its
            // tokens as OpenAI does.
            let cache_read =
                cached(self.prompt_tokens_details).max(self.cache_read_input_tokens.unwrap_or(0)).min(input);
            let cache_creation = self.cache_creation_input_tokens.unwrap_or(0).min(input - cache_read);
            return Some(Usage { input, output: output.unwrap_or(0), cache_read, cache_creation });
        }
        if self.input_tokens.is_none() && output.is_none() {
            return None;
        }
        let beside = self.cache_read_input_tokens.unwrap_or(0);
        let creation = self.cache_creation_input_tokens.unwrap_or(0);
        let inside = cached(self.input_tokens_details);
        Some(Usage {
            input: self.input_tokens.unwrap_or(0).saturating_add(beside).saturating_add(creation),
            output: output.unwrap_or(0),
            cache_read: inside.max(beside),
            cache_creation: creation,
        })
    }
}

fn cached(details: Option<Details>) -> u64 {
    details.and_then(|details| details.cached_tokens).unwrap_or(0)
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
}
