//! What a reply is looked at for when it passes unchanged: where its `model` stands and what its
//! `usage` counts, without decoding the rest.

use std::ops::Range;

use crate::Usage;
use crate::scan::{Found, Walk};

/// What was found in a reply document or in the data of one stream event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplySpans {
    /// Where the value of `model` stands, quotes included: at the top, or in the `response` (OpenAI
    /// Responses) or `message` (Anthropic) of a stream event.
    pub model: Option<Range<usize>>,
    /// `usage`, found in the same places. `None` when missing or null. Anthropic counts in two
    /// events: the call's usage is, part by part, the greater one.
    pub usage: Option<Usage>,
    /// Whether `choices` is an empty list, as in the chunk that only carries usage.
    pub no_choices: bool,
}

/// Reads a reply as far as it is JSON; what is no object, or breaks off, has nothing (more) to find.
pub fn reply_spans(document: &[u8]) -> ReplySpans {
    let mut spans = ReplySpans::default();
    let start = document.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(0);
    read_object(document, start, 1, &mut spans);
    spans
}

fn read_object(document: &[u8], start: usize, depth: u32, spans: &mut ReplySpans) {
    each_member(document, start, |key, found| {
        let first = document.get(found.value).copied().unwrap_or(0);
        match key {
            b"model" if first == b'"' && spans.model.is_none() => spans.model = Some(found.value..found.end),
            b"usage" if first == b'{' => spans.usage = Some(usage(document, found.value)),
            b"choices" if first == b'[' => {
                let inside = document.get(found.value + 1..found.end - 1).unwrap_or_default();
                spans.no_choices = inside.iter().all(u8::is_ascii_whitespace);
            }
            b"response" | b"message" if first == b'{' && depth == 1 => {
                read_object(document, found.value, depth + 1, spans);
            }
            _ => {}
        }
    });
}

/// OpenAI counts cached input within its input, and so does [`Usage`]; Anthropic counts it beside.
fn usage(document: &[u8], start: usize) -> Usage {
    let mut usage = Usage::default();
    let mut beside = false;
    each_member(document, start, |key, found| {
        let count = number(document, found);
        match key {
            b"prompt_tokens" => usage.input = count,
            b"input_tokens" => {
                usage.input = count;
                beside = true;
            }
            b"completion_tokens" | b"output_tokens" => usage.output = count,
            b"cache_read_input_tokens" | b"prompt_cache_hit_tokens" => usage.cache_read = count,
            b"cache_creation_input_tokens" => usage.cache_creation = count,
            b"prompt_tokens_details" | b"input_tokens_details" => {
                each_member(document, found.value, |key, found| {
                    if key == b"cached_tokens" {
                        usage.cache_read = number(document, found);
                        beside = false;
                    }
                });
            }
            _ => {}
        }
    });
    if beside {
        usage.input = usage.input.saturating_add(usage.cache_read).saturating_add(usage.cache_creation);
    }
    usage
}

/// Calls `each` for the members of the object at `start`; for nothing when there is none.
fn each_member(document: &[u8], start: usize, mut each: impl FnMut(&[u8], &Found)) {
    if document.get(start) != Some(&b'{') {
        return;
    }
    let mut walk = Walk::new(document, start, 1);
    while let Ok(Some(found)) = walk.member() {
        each(document.get(found.key.start..found.key.end).unwrap_or_default(), &found);
    }
}

/// A whole number; zero for anything else, null included.
fn number(document: &[u8], found: &Found) -> u64 {
    let text = document.get(found.value..found.end).and_then(|text| std::str::from_utf8(text).ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{ReplySpans, reply_spans};
    use crate::Usage;

    fn model(document: &str) -> Option<&str> {
        reply_spans(document.as_bytes()).model.map(|span| &document[span])
    }

    #[test]
    fn finds_the_model_at_the_top_and_in_stream_events() {
        assert_eq!(model(r#" {"id":"x", "model" : "m\"1", "choices":[{"model":"no"}]}"#), Some(r#""m\"1""#));
        assert_eq!(model(r#"{"type":"response.created","response":{"model":"r","x":[1]}}"#), Some("\"r\""));
        assert_eq!(model(r#"{"type":"message_start","message":{"model":"c"}}"#), Some("\"c\""));
        assert_eq!(model(r#"{"data":{"model":"no"}}"#), None);
        assert_eq!(model(r#"{"model":7}"#), None);
    }

    #[test]
    fn counts_usage_in_each_dialect() {
        let usage = |document: &str| reply_spans(document.as_bytes()).usage;
        assert_eq!(
            usage(
                r#"{"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12,
                "prompt_tokens_details":{"cached_tokens":4,"audio_tokens":0}}}"#
            ),
            Some(Usage { input: 9, output: 3, cache_read: 4, cache_creation: 0 })
        );
        assert_eq!(
            usage(
                r#"{"response":{"usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":4},"output_tokens":3}}}"#
            ),
            Some(Usage { input: 9, output: 3, cache_read: 4, cache_creation: 0 })
        );
        assert_eq!(
            usage(
                r#"{"message":{"usage":{"input_tokens":9,"cache_read_input_tokens":4,
                "cache_creation_input_tokens":2,"output_tokens":1}}}"#
            ),
            Some(Usage { input: 15, output: 1, cache_read: 4, cache_creation: 2 })
        );
        assert_eq!(usage(r#"{"usage":null}"#), None);
        assert_eq!(
            usage(r#"{"usage":{"prompt_tokens":-1,"completion_tokens":"many"}}"#),
            Some(Usage::default())
        );
    }

    #[test]
    fn tells_the_chunk_that_only_carries_usage() {
        assert!(reply_spans(br#"{"choices":[ ],"usage":{}}"#).no_choices);
        assert!(!reply_spans(br#"{"choices":[{"index":0}],"usage":{}}"#).no_choices);
        assert!(!reply_spans(br#"{"usage":{}}"#).no_choices);
    }

    #[test]
    fn takes_anything_and_keeps_what_stood_before_the_break() {
        for document in
            ["", " ", "[]", "null", "[DONE]", "{", "{\"model\"", "<html>", "{\"usage\":{\"prompt_tokens\":"]
        {
            assert_eq!(reply_spans(document.as_bytes()), ReplySpans::default(), "{document}");
        }
        assert_eq!(model(r#"{"model":"m","choices":[{"#), Some("\"m\""));
    }
}
