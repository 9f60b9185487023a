//! Tokens where nobody has counted them: before a call, and after one whose upstream says nothing.
//!
//! Four bytes of text are taken for a token, whatever the language and the model: what is wanted is a
//! figure that is marked as an estimate, not a tokenizer for each model. What is reserved before a call is
//! a bound and not an estimate (`estimate/bound.rs`), and so is what an upstream may report after it
//! (`estimate/settled.rs`).

mod bound;
mod prompt;
mod settled;

use bytes::Bytes;
use tagrail_money::{Money, Rate};

use crate::scan::{Walk, plain_run};
use crate::{Envelope, Price};

pub(crate) use bound::prompts;
pub use bound::{Asked, Bound, ModelLimits};
pub use settled::{Ending, Passed, Settled, Told, settle};

/// Bytes of text that are taken for one token.
const BYTES_PER_TOKEN: u64 = 4;
/// What an encoded image, sound or document counts for, in bytes of text: about what providers charge
/// for a large image. Its own length would be many times that.
const ENCODED: u64 = 6_000;
/// Shorter runs of letters and digits may be words.
const SHORTEST_ENCODED: usize = 1_024;
/// Where the text of a reply is, by dialect.
const TEXT_OF_REPLY: [&[u8]; 3] = [b"choices", b"content", b"output"];

/// Tokens of the prompt: of all text in the body, so that no field is a place to hide some.
pub fn prompt_tokens(envelope: &Envelope) -> u64 {
    let numbers = ["input", "prompt"].into_iter().filter_map(|field| envelope.raw(field)).map(numbers);
    let bytes = text_bytes(envelope.body());
    tokens(bytes).saturating_add(numbers.sum())
}

/// Tokens of a whole reply of an upstream that has not counted them.
pub(crate) fn reply_tokens(body: &Bytes) -> u64 {
    let Some(start) = memchr::memchr(b'{', body) else { return 0 };
    let mut bytes = 0;
    let mut walk = Walk::new(body, start, 0);
    while let Ok(Some(found)) = walk.member() {
        if TEXT_OF_REPLY.contains(&&body[found.key.start..found.key.end]) {
            bytes += text_bytes(&body[found.value..found.end]);
        }
    }
    tokens(bytes)
}

/// Tokens that so much text makes; some text is one at least.
pub(crate) fn tokens(bytes: u64) -> u64 {
    bytes.div_ceil(BYTES_PER_TOKEN)
}

impl Price {
    /// What a call can cost at most with so many tokens of prompt and answer: as an estimate knows
    /// neither what a cache will do nor which side of a tier the prompt is on, the dearer of the two.
    pub fn at_most(&self, prompt: u64, answer: u64) -> Money {
        let may_be_long = prompt > crate::price::LONG_PROMPT;
        let dearer = |price: Option<f64>, long: Option<f64>| {
            let long = long.filter(|_| may_be_long).unwrap_or(0.0);
            price.unwrap_or(0.0).max(long)
        };
        let cached = self.cache_creation.unwrap_or(0.0).max(self.cache_read.unwrap_or(0.0));
        let input = dearer(self.input, self.long_input).max(cached);
        let output = dearer(self.output, self.long_output);
        // Each rounded by itself, as in what the call is charged.
        Money::of([(prompt, Rate::from_dollars(input))]) + Money::of([(answer, Rate::from_dollars(output))])
    }
}

/// A prompt can be a list of tokens, or a list of such lists.
fn numbers(list: &str) -> u64 {
    let list = list.as_bytes();
    if list.first() != Some(&b'[') || memchr::memchr(b'"', list).is_some() {
        return 0;
    }
    1 + memchr::memchr_iter(b',', list).count() as u64
}

/// Bytes of text in a JSON document: of its strings, but not of its keys.
fn text_bytes(json: &[u8]) -> u64 {
    let (mut sum, mut at) = (0, 0);
    while let Some(quote) = memchr::memchr(b'"', &json[at..]) {
        let start = at + quote + 1;
        let end = string_end(json, start);
        at = (end + 1).min(json.len());
        let behind = json[at..].iter().find(|byte| !byte.is_ascii_whitespace());
        if behind != Some(&b':') {
            sum += weight(&json[start..end]);
        }
    }
    sum
}

/// Where the string that begins at `at` has its closing quote.
pub(crate) fn string_end(json: &[u8], mut at: usize) -> usize {
    loop {
        at = plain_run(json, at);
        match json.get(at) {
            Some(b'\\') => at += 2,
            Some(b'"') => return at,
            Some(_) => at += 1,
            None => return json.len(),
        }
    }
}

fn weight(text: &[u8]) -> u64 {
    let length = text.len() as u64;
    if text.len() >= SHORTEST_ENCODED && is_encoded(text) { length.min(ENCODED) } else { length }
}

/// Whether a string is nothing but base64, be it in a `data:` URL. No prose goes on for so long without
/// a blank or a sign.
fn is_encoded(text: &[u8]) -> bool {
    let comma = text.starts_with(b"data:").then(|| memchr::memchr(b',', text)).flatten();
    let data = comma.map_or(text, |comma| &text[comma + 1..]);
    data.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn body(value: &serde_json::Value) -> Envelope {
        Envelope::read(Bytes::from(value.to_string())).unwrap()
    }

    #[test]
    fn four_bytes_of_text_are_a_token_and_keys_and_signs_are_none() {
        assert_eq!(text_bytes(br#"{"role":"user","content":["abcd",{"text" : "a\"b"}],"n":1}"#), 4 + 4 + 4);
        assert_eq!(prompt_tokens(&body(&json!({"prompt": "x".repeat(400)}))), 100);
        assert_eq!(prompt_tokens(&body(&json!({"input": [[1, 2, 3], [4]]}))), 4);
        assert_eq!(prompt_tokens(&body(&json!({}))), 0);
    }

    #[test]
    fn no_field_hides_a_prompt() {
        let long = "much to say ".repeat(100);
        let plain = prompt_tokens(&body(&json!({"messages": [{"content": long}]})));
        let hidden =
            prompt_tokens(&body(&json!({"messages": [], "extra_body": {"messages": [{"content": long}]}})));
        assert_eq!(plain, hidden);
    }

    #[test]
    fn an_image_counts_as_an_image_and_long_prose_as_itself() {
        let image = format!("data:image/png;base64,{}", "iVBORw0KGgo".repeat(100_000));
        assert_eq!(prompt_tokens(&body(&json!({"input": image}))), 1_500);
        let prose = "word ".repeat(100_000);
        assert_eq!(prompt_tokens(&body(&json!({"input": prose}))), 125_000);
    }

    #[test]
    fn a_reply_counts_its_text() {
        let reply = json!({"id": "x".repeat(400), "choices": [{"message": {"content": "12345678"}}]});
        assert_eq!(reply_tokens(&Bytes::from(reply.to_string())), 2);
        assert_eq!(reply_tokens(&Bytes::from_static(b"{\"data\":[{\"embedding\":[0.1]}]}")), 0);
    }

    proptest! {
        #[test]
        fn an_estimate_never_fails_and_grows_with_the_text(text in ".{0,300}", more in ".{1,300}") {
            let of = |text: &str| prompt_tokens(&body(&json!({"messages": [{"content": text}]})));
            let both = [&*text, &*more].concat();
            prop_assert!(of(&both) >= of(&text));
            prop_assert!(of(&text) >= tokens(text.len() as u64));
        }

        #[test]
        fn any_bytes_can_be_measured(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(text_bytes(&bytes) <= bytes.len() as u64);
        }

        #[test]
        fn what_a_call_costs_is_within_its_estimate(
            prices in prop::array::uniform6(prop::option::of(0.0..1e-3_f64)),
            input in 0..400_000_u64, cached in 0..400_000_u64, written in 0..400_000_u64, output in 0..9_000_u64,
        ) {
            let [input_price, output_price, cache_read, cache_creation, long_input, long_output] = prices;
            let price = Price { input: input_price, output: output_price, cache_read, cache_creation, long_input, long_output };
            let usage = crate::Usage {
                input, output, cache_read: cached.min(input), cache_creation: written.min(input.saturating_sub(cached)),
            };
            let cost = price.cost(&usage).total();
            prop_assert!(cost <= price.at_most(input, output));
        }
    }
}
