//! What a request to OpenAI's Responses API says of state that the provider keeps.
//!
//! Who may refer to it depends on whom it was made for, so a body must not be able to say one thing to
//! the gateway and another to the upstream: each of these fields stands once, at the top, in plain
//! letters.

use std::borrow::Cow;

use super::member::Member;
use super::read::{disguised, repeated};
use super::{Envelope, EnvelopeError, Name, value};

/// The field with the id of the response that a call continues.
pub(super) const PREVIOUS_RESPONSE: &str = "previous_response_id";

/// The fields that refer to stored state.
const FIELDS: [&str; 2] = [PREVIOUS_RESPONSE, "conversation"];

/// Stored state that a body refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredState<'a> {
    /// `previous_response_id`.
    pub previous_response: Option<Cow<'a, str>>,
    /// Whether there is a `conversation`.
    pub conversation: bool,
}

impl Envelope {
    /// The stored state that a call of the Responses API refers to.
    ///
    /// # Errors
    /// A field of it stands there twice, in `extra_body`, or spelt with escapes or in other letter case
    /// (there are parsers that ignore case), or `previous_response_id` is no string.
    pub fn stored_state(&self) -> Result<StoredState<'_>, EnvelopeError> {
        let mut found: [Option<&Member>; 2] = [None; 2];
        for member in self.members.iter() {
            let written = self.slice(member.start as usize, member.key_end as usize + 1);
            let Some(at) = meant(written) else { continue };
            if written.get(1..written.len() - 1) != Some(FIELDS[at]) {
                return Err(disguised(FIELDS[at]));
            }
            if found[at].replace(member).is_some() {
                return Err(repeated(FIELDS[at]));
            }
        }
        for (key, _) in self.text(Name::ExtraBody).into_iter().flat_map(value::members) {
            if let Some(field) = FIELDS.into_iter().find(|field| key.eq_ignore_ascii_case(field)) {
                return Err(nested(field));
            }
        }
        let [previous, conversation] =
            found.map(|member| member.map(|member| self.value(member)).filter(|text| *text != "null"));
        let previous_response = match previous {
            None => None,
            Some(text) => Some(
                value::string(text)
                    .ok_or_else(|| EnvelopeError::shape(PREVIOUS_RESPONSE, "a string", value::kind(text)))?,
            ),
        };
        Ok(StoredState { previous_response, conversation: conversation.is_some() })
    }
}

/// Which field a key in its quotes means to one parser or another.
fn meant(quoted: &str) -> Option<usize> {
    // What is shorter than the shortest field has no letters for it, with escapes or without.
    if quoted.len() < FIELDS[1].len() + 2 {
        return None;
    }
    let key = value::decoded(quoted);
    FIELDS.iter().position(|field| key.eq_ignore_ascii_case(field))
}

fn nested(field: &str) -> EnvelopeError {
    EnvelopeError {
        message: format!("Invalid request: `{field}` must stand at the top level, not in `extra_body`"),
        param: format!("extra_body.{field}"),
        status: 400,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn envelope(fields: &str) -> Envelope {
        Envelope::read(Bytes::from(format!(r#"{{"model":"m",{fields}}}"#))).unwrap()
    }

    #[test]
    fn references_to_stored_state_are_found() {
        for (fields, previous, conversation) in [
            (r#""input":"previous_response_id""#, None, false),
            (r#""previous_response_id":"resp_1""#, Some("resp_1"), false),
            (r#""previous_response_id":"resp_\u0031","conversation":{"id":"conv_1"}"#, Some("resp_1"), true),
            (r#""previous_response_id":null,"conversation":null,"extra_body":{"a":1}"#, None, false),
        ] {
            let envelope = envelope(fields);
            let found = envelope.stored_state().unwrap();
            assert_eq!((found.previous_response.as_deref(), found.conversation), (previous, conversation));
        }
    }

    #[test]
    fn references_that_parsers_may_read_differently_are_refused() {
        for (fields, param) in [
            (r#""previous_response_id":"a","previous_response_id":"b""#, "previous_response_id"),
            (r#""previous_response_id":null,"previous_response_id":"b""#, "previous_response_id"),
            (r#""previous\u005fresponse_id":"b""#, "previous_response_id"),
            (r#""Previous_Response_ID":"b""#, "previous_response_id"),
            (r#""previous_response_id":5"#, "previous_response_id"),
            (r#""previous_response_id":{"id":"b"}"#, "previous_response_id"),
            (r#""Conversation":"b""#, "conversation"),
            (r#""extra_body":{"previous_response_id":"b"}"#, "extra_body.previous_response_id"),
            (r#""extra_body":{"previous\u005fresponse_id":"b"}"#, "extra_body.previous_response_id"),
            (r#""extra_body":{"CONVERSATION":"b"}"#, "extra_body.conversation"),
        ] {
            let error = envelope(fields).stored_state().expect_err(fields);
            assert_eq!((error.status, error.param.as_str()), (400, param), "{fields}");
        }
    }
}
