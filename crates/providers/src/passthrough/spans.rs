//! Where the few things that are looked at are in a reply or in an event of a stream.

use std::ops::Range;

use crate::scan::{Broken, Found, Scanner, Walk};

/// Members of the outer object, and of the reply that an event wraps (`response` in OpenAI's
/// responses, `message` in Anthropic's messages).
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Spans {
    /// The string that names the model, quotes included.
    pub(super) model: Option<Range<usize>>,
    /// The object with the tokens.
    pub(super) usage: Option<Range<usize>>,
    /// What is not null under `error`.
    pub(super) error: Option<Range<usize>>,
    /// The string under `type`, without its quotes.
    pub(super) kind: Option<Range<usize>>,
    /// The list of choices.
    pub(super) choices: Option<Range<usize>>,
}

impl Spans {
    /// Reads a document.
    ///
    /// # Errors
    /// It is not one JSON object.
    pub(super) fn of(bytes: &[u8]) -> Result<Spans, Broken> {
        Spans::read(bytes, &mut |_, _| ())
    }

    /// The same for the Responses API, with the strings that are ids of responses, quotes included: of
    /// the response itself, wrapped or not, of the one that it continues, and `response_id` in an event.
    pub(super) fn with_ids(bytes: &[u8], ids: &mut Vec<Range<usize>>) -> Result<Spans, Broken> {
        Spans::read(bytes, &mut |found, within| {
            let is_id = match &bytes[found.key.start..found.key.end] {
                b"id" | b"previous_response_id" => true,
                b"response_id" => !within,
                _ => false,
            };
            if is_id && bytes[found.value] == b'"' {
                ids.push(found.value..found.end);
            }
        })
    }

    /// `see` is shown every member, and whether it stands in the wrapped reply.
    fn read(bytes: &[u8], see: &mut impl FnMut(&Found, bool)) -> Result<Spans, Broken> {
        let mut start = Scanner::new(bytes, 0);
        if start.peek() != Some(b'{') {
            return Err(Broken);
        }
        let mut spans = Spans::default();
        let mut walk = Walk::new(bytes, start.at(), 1);
        while let Some(found) = walk.member()? {
            see(&found, false);
            match (&bytes[found.key.start..found.key.end], bytes[found.value]) {
                (b"type", b'"') => spans.kind = Some(found.value + 1..found.end - 1),
                (b"error", first) => spans.error = (first != b'n').then_some(found.value..found.end),
                (b"choices", b'[') => spans.choices = Some(found.value..found.end),
                (b"response" | b"message", b'{') => spans.wrapped(bytes, &found, see)?,
                _ => spans.either(bytes, &found),
            }
        }
        walk.scanner().end()?;
        Ok(spans)
    }

    /// What stands in the reply itself, wrapped or not.
    fn either(&mut self, bytes: &[u8], found: &Found) {
        match (&bytes[found.key.start..found.key.end], bytes[found.value]) {
            (b"model", b'"') => self.model = Some(found.value..found.end),
            (b"usage", b'{') => self.usage = Some(found.value..found.end),
            _ => {}
        }
    }

    fn wrapped(
        &mut self,
        bytes: &[u8],
        outer: &Found,
        see: &mut impl FnMut(&Found, bool),
    ) -> Result<(), Broken> {
        let mut walk = Walk::new(bytes, outer.value, 2);
        while let Some(found) = walk.member()? {
            see(&found, true);
            self.either(bytes, &found);
        }
        Ok(())
    }

    /// Whether there is a list of choices and nothing in it.
    pub(super) fn has_no_choice(&self, bytes: &[u8]) -> bool {
        let inside = self.choices.clone().map(|list| &bytes[list.start + 1..list.end - 1]);
        inside.is_some_and(|inside| inside.iter().all(u8::is_ascii_whitespace))
    }

    /// How many choices say why they ended.
    pub(super) fn finished(&self, bytes: &[u8]) -> u64 {
        self.choices.clone().map_or(0, |list| finished(bytes, list.start).unwrap_or(0))
    }
}

fn finished(bytes: &[u8], choices: usize) -> Result<u64, Broken> {
    let mut list = Walk::new(bytes, choices, 2);
    let mut count = 0;
    while let Some((start, _)) = list.element()? {
        if bytes[start] != b'{' {
            continue;
        }
        let mut choice = Walk::new(bytes, start, 3);
        while let Some(found) = choice.member()? {
            let key = &bytes[found.key.start..found.key.end];
            count += u64::from(key == b"finish_reason" && bytes[found.value] == b'"');
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &str, span: Option<Range<usize>>) -> Option<&str> {
        span.map(|span| &bytes[span])
    }

    #[test]
    fn members_of_the_outer_object_are_found() {
        let bytes = r#" {"choices":[{"message":{"model":"no","error":1}}], "model" : "m" ,"usage":{"a":1},"error":null} "#;
        let spans = Spans::of(bytes.as_bytes()).unwrap();
        assert_eq!(text(bytes, spans.model), Some(r#""m""#));
        assert_eq!(text(bytes, spans.usage), Some(r#"{"a":1}"#));
        assert_eq!(spans.error, None);
    }

    #[test]
    fn members_of_the_wrapped_reply_are_found() {
        let bytes = r#"{"type":"message_start","message":{"model":"m","usage":{"input_tokens":1}}}"#;
        let spans = Spans::of(bytes.as_bytes()).unwrap();
        assert_eq!(text(bytes, spans.kind), Some("message_start"));
        assert_eq!(text(bytes, spans.model), Some(r#""m""#));
        assert_eq!(text(bytes, spans.usage), Some(r#"{"input_tokens":1}"#));
    }

    #[test]
    fn ids_of_responses_are_found_and_no_others() {
        let bytes = r#"{"type":"response.created","item_id":"no","response_id":"a","response":{"id":"b",
            "output":[{"id":"no"}],"previous_response_id" : "c","response_id":"no","model":"m"}}"#;
        let mut ids = Vec::new();
        let spans = Spans::with_ids(bytes.as_bytes(), &mut ids).unwrap();
        assert_eq!(spans, Spans::of(bytes.as_bytes()).unwrap());
        assert_eq!(ids.into_iter().map(|id| &bytes[id]).collect::<Vec<_>>(), [r#""a""#, r#""b""#, r#""c""#]);
        let bytes = r#"{"id":"a","previous_response_id":null,"output":[{"id":"no"}]}"#;
        let mut ids = Vec::new();
        Spans::with_ids(bytes.as_bytes(), &mut ids).unwrap();
        assert_eq!(ids.into_iter().map(|id| &bytes[id]).collect::<Vec<_>>(), [r#""a""#]);
    }

    #[test]
    fn choices_tell_whether_they_are_empty_and_finished() {
        let of = |bytes: &str| {
            let spans = Spans::of(bytes.as_bytes()).unwrap();
            (spans.has_no_choice(bytes.as_bytes()), spans.finished(bytes.as_bytes()))
        };
        assert_eq!(of(r#"{"choices":[ ]}"#), (true, 0));
        assert_eq!(of(r#"{"choices":[{"finish_reason":null}]}"#), (false, 0));
        assert_eq!(of(r#"{"choices":[{"finish_reason":null},{"finish_reason":"stop"}]}"#), (false, 1));
        assert_eq!(of(r#"{"usage":null}"#), (false, 0));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for bytes in ["", "[]", "{", "{not json", r#"{"a":1}x"#, "null", r#"{"model":"m""#] {
            assert!(Spans::of(bytes.as_bytes()).is_err(), "{bytes}");
        }
    }
}
