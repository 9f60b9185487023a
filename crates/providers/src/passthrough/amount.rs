//! How much of an answer has passed, by the length of its text.

use memchr::memmem;

use crate::Operation;
use crate::estimate::{string_end, tokens};

/// Counts the text of a stream's events.
pub(super) struct Amount {
    /// The ends of the keys whose strings are the answer's text.
    keys: &'static [&'static [u8]],
    bytes: u64,
    /// Events with any text: each is a token at least, and with most servers exactly one.
    events: u64,
}

impl Amount {
    pub(super) fn new(operation: Operation) -> Amount {
        let keys: &[&[u8]] = match operation {
            // `reasoning_content` ends so too.
            Operation::ChatCompletions => &[b"content\":", b"\"arguments\":"],
            Operation::Completions | Operation::Embeddings => &[b"\"text\":"],
            Operation::Messages => &[b"\"text\":", b"\"thinking\":", b"\"partial_json\":"],
            Operation::Responses => &[b"\"delta\":"],
        };
        Amount { keys, bytes: 0, events: 0 }
    }

    /// Takes in an event. Within a string every quote is escaped, so that none of its text looks like a
    /// key.
    pub(super) fn note(&mut self, data: &[u8]) {
        let before = self.bytes;
        for key in self.keys {
            for at in memmem::find_iter(data, key) {
                let value = data[at + key.len()..].trim_ascii_start();
                if value.first() == Some(&b'"') {
                    self.bytes += (string_end(value, 1) - 1) as u64;
                }
            }
        }
        self.events += u64::from(self.bytes > before);
    }

    pub(super) fn tokens(&self) -> u64 {
        tokens(self.bytes).max(self.events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(operation: Operation, events: &[&str]) -> u64 {
        let mut amount = Amount::new(operation);
        events.iter().for_each(|event| amount.note(event.as_bytes()));
        amount.tokens()
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
