//! How much of an answer has passed, by the length of its text.

use memchr::memmem;

use crate::estimate::{string_end, tokens};
use crate::{Operation, Passed};

/// Counts the text of a stream's events.
pub(super) struct Amount {
    /// The ends of the keys whose strings are of the answer.
    keys: &'static [(&'static [u8], What)],
    text: Sum,
    reasoning: Sum,
}

/// What a string is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Text,
    Reasoning,
    /// Base64 of sound.
    Sound,
    /// Text or reasoning, as the event's type says.
    ByType,
}

/// Bytes of base64 that are taken for as much as a byte of text: 24,000 samples of 16 bits make about 20
/// tokens.
const BYTES_OF_SOUND: u64 = 64;

/// Of one kind of text.
#[derive(Default)]
struct Sum {
    bytes: u64,
    /// Events with any text: each is a token at least, and with most servers exactly one.
    events: u64,
}

impl Sum {
    fn tokens(&self) -> u64 {
        tokens(self.bytes).max(self.events)
    }

    fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.events += u64::from(bytes > 0);
    }
}

impl Amount {
    pub(super) fn new(operation: Operation) -> Amount {
        let keys: &[(&[u8], What)] = match operation {
            Operation::ChatCompletions => &[
                // `reasoning_content` ends so too.
                (b"content\":", What::Text),
                (b"\"arguments\":", What::Text),
                (b"\"refusal\":", What::Text),
                (b"\"transcript\":", What::Text),
                (b"\"data\":", What::Sound),
                (b"\"reasoning\":", What::Reasoning),
                (b"\"thinking\":", What::Reasoning),
                (b"\"signature\":", What::Reasoning),
            ],
            Operation::Completions | Operation::Embeddings => {
                &[(b"\"text\":", What::Text), (b"\"reasoning\":", What::Reasoning)]
            }
            Operation::Messages => &[
                (b"\"text\":", What::Text),
                (b"\"partial_json\":", What::Text),
                (b"\"thinking\":", What::Reasoning),
                // What is thought and not shown is in its signature.
                (b"\"signature\":", What::Reasoning),
                (b"\"data\":", What::Reasoning),
            ],
            Operation::Responses => {
                &[(b"\"delta\":", What::ByType), (b"\"encrypted_content\":", What::Reasoning)]
            }
        };
        Amount { keys, text: Sum::default(), reasoning: Sum::default() }
    }

    /// Takes in an event. Within a string every quote is escaped, so that none of its text looks like a
    /// key.
    pub(super) fn note(&mut self, data: &[u8]) {
        let (mut text, mut reasoning) = (0, 0);
        for (key, what) in self.keys {
            for at in memmem::find_iter(data, key) {
                let value = data[at + key.len()..].trim_ascii_start();
                if value.first() != Some(&b'"') {
                    continue;
                }
                let bytes = (string_end(value, 1) - 1) as u64;
                match what {
                    What::Sound => text += bytes.div_ceil(BYTES_OF_SOUND),
                    What::ByType if memmem::find(data, b".audio.delta\"").is_some() => {
                        text += bytes.div_ceil(BYTES_OF_SOUND);
                    }
                    What::ByType if memmem::find(data, b"\"response.reasoning").is_some() => {
                        reasoning += bytes
                    }
                    What::Text if data[..at].ends_with(b"reasoning_") => reasoning += bytes,
                    What::Text | What::ByType => text += bytes,
                    What::Reasoning => reasoning += bytes,
                }
            }
        }
        self.text.add(text);
        self.reasoning.add(reasoning);
    }

    pub(super) fn passed(&self) -> Passed {
        Passed { text: self.text.tokens(), reasoning: self.reasoning.tokens() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(operation: Operation, events: &[&str]) -> u64 {
        let mut amount = Amount::new(operation);
        events.iter().for_each(|event| amount.note(event.as_bytes()));
        amount.passed().total()
    }

    #[test]
    fn text_is_counted_in_every_dialect_and_nothing_else() {
        let long = "x".repeat(40);
        for (operation, event) in [
            (
                Operation::ChatCompletions,
                r#"{"id":"c","choices":[{"delta":{"role":"assistant","content":"TEXT"}}]}"#,
            ),
            (
                Operation::ChatCompletions,
                r#"{"choices":[{"delta":{"content": null,"reasoning_content": "TEXT"}}]}"#,
            ),
            (
                Operation::ChatCompletions,
                r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"TEXT"}}]}}]}"#,
            ),
            (Operation::ChatCompletions, r#"{"choices":[{"delta":{"reasoning":"TEXT"}}]}"#),
            (Operation::ChatCompletions, r#"{"choices":[{"delta":{"content":null,"refusal":"TEXT"}}]}"#),
            (Operation::Messages, r#"{"delta":{"type":"signature_delta","signature":"TEXT"}}"#),
            (Operation::Responses, r#"{"type":"response.function_call_arguments.delta","delta":"TEXT"}"#),
            (Operation::Completions, r#"{"choices":[{"text":"TEXT","index":0}]}"#),
            (
                Operation::Messages,
                r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"TEXT"}}"#,
            ),
            (Operation::Messages, r#"{"delta":{"type":"input_json_delta","partial_json":"TEXT"}}"#),
            (Operation::Messages, r#"{"delta":{"type":"thinking_delta","thinking":"TEXT"}}"#),
            (
                Operation::Responses,
                r#"{"type":"response.output_text.delta","item_id":"msg_0","delta":"TEXT"}"#,
            ),
        ] {
            assert_eq!(counted(operation, &[&event.replace("TEXT", &long)]), 10, "{event}");
            assert_eq!(counted(operation, &[&event.replace("TEXT", "")]), 0, "{event}");
        }
    }

    #[test]
    fn reasoning_is_told_from_text_and_sound_is_not_counted_by_its_bytes() {
        let long = "x".repeat(4_000);
        let passed = |operation, event: &str| {
            let mut amount = Amount::new(operation);
            amount.note(event.replace("TEXT", &long).as_bytes());
            (amount.passed().text, amount.passed().reasoning)
        };
        for (operation, event) in [
            (Operation::ChatCompletions, r#"{"choices":[{"delta":{"reasoning_content":"TEXT"}}]}"#),
            (Operation::Messages, r#"{"delta":{"type":"thinking_delta","thinking":"TEXT"}}"#),
            (Operation::Responses, r#"{"type":"response.reasoning_summary_text.delta","delta":"TEXT"}"#),
        ] {
            assert_eq!(passed(operation, event), (0, 1_000), "{event}");
        }
        let sound = r#"{"choices":[{"delta":{"audio":{"data":"TEXT"}}}]}"#;
        assert_eq!(passed(Operation::ChatCompletions, sound), (16, 0));
    }

    #[test]
    fn every_event_with_text_is_a_token_at_least() {
        let event = r#"{"choices":[{"delta":{"content":"a"}}]}"#;
        assert_eq!(counted(Operation::ChatCompletions, &[event; 7]), 7);
    }

    #[test]
    fn a_text_about_keys_is_text() {
        let event = r#"{"choices":[{"delta":{"content":"\"content\":\"abc\""}}]}"#;
        assert_eq!(counted(Operation::ChatCompletions, &[event]), 5);
    }
}
