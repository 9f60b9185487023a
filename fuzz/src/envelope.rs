//! Request bodies: the envelope agrees with a full parser on what is JSON, reads what it reads, and
//! sends a body on that says what was routed on.

use bytes::Bytes;
use serde_json::Value;
use tagrail_providers::{Envelope, MetadataRule, Rewrite};

pub(crate) const DICTIONARY: &[&str] = &[
    "\"model\":",
    "\"tags\":",
    "\"metadata\":",
    "\"litellm_metadata\":",
    "\"stream\":true",
    "\"stream_options\":",
    "\"include_usage\":",
    "\"extra_body\":",
    "\"user\":",
    "\"api_key\":",
    "\"api_base\":",
    "\"timeout\":",
    "\"fallbacks\":",
    "\"num_retries\":",
    "\"cache\":",
    "\"messages\":[]",
    "\\u0065",
    "\\ud83d\\ude00",
    "\\ud800",
    "\\\"",
    "\\\\",
    "{\"",
    "\"}",
    "[\"",
    "\"]",
    "null",
    "true",
    "false",
    "1e999",
    "-0",
    "\u{feff}",
    "é",
    ",",
    ":",
];

pub(crate) fn run(data: &[u8]) {
    let parsed = serde_json::from_slice::<Value>(data);
    let envelope = match Envelope::read(Bytes::copy_from_slice(data)) {
        Ok(envelope) => envelope,
        Err(error) => {
            let object = parsed.is_ok_and(|value| value.is_object());
            // The only bodies that are JSON and refused as a whole are those with too many fields.
            assert!(error.param != "request_body" || !object || data.len() > 512 * 4, "{error:?}");
            return;
        }
    };
    match &parsed {
        Ok(value) => {
            assert_eq!(envelope.model().as_deref(), value.get("model").and_then(Value::as_str));
            assert_eq!(envelope.stream(), value.get("stream") == Some(&Value::Bool(true)));
            let tags = |list: Option<&Value>| -> Option<Vec<String>> {
                Some(list?.as_array()?.iter().filter_map(|tag| tag.as_str().map(str::to_owned)).collect())
            };
            let read = envelope.tags().map(|tags| tags.into_iter().map(String::from).collect());
            assert_eq!(read, tags(value.get("tags")));
        }
        Err(error) => assert!(error.to_string().contains("out of range"), "accepted: {error}"),
    }
    envelope.steering();
    envelope.metadata_tags();
    envelope.fallbacks();
    for (metadata, ask_usage) in
        [(MetadataRule::Drop, true), (MetadataRule::WithoutTags, false), (MetadataRule::UserIdOnly, true)]
    {
        sends_what_was_decided(&envelope, metadata, ask_usage, parsed.is_ok());
    }
}

fn sends_what_was_decided(envelope: &Envelope, metadata: MetadataRule, ask_usage: bool, parses: bool) {
    let rewrite = Rewrite {
        model: "up\"\u{e9}",
        ask_usage,
        metadata,
        drop_user: ask_usage,
        previous_response: None,
        defaults: &[],
    };
    let sent = envelope.rewrite(&rewrite).concat();
    let value = match serde_json::from_slice::<Value>(&sent) {
        Ok(value) => value,
        Err(error) => {
            // Then it was a number that no float holds, which the client wrote.
            assert!(!parses && error.to_string().contains("out of range"), "sent: {error}");
            return;
        }
    };
    assert_eq!(value.get("model").and_then(Value::as_str), Some(rewrite.model));
    assert_eq!(value.get("stream") == Some(&Value::Bool(true)), envelope.stream());
    assert!(!ask_usage || value.pointer("/stream_options/include_usage") == Some(&Value::Bool(true)));
    // The second reading finds nothing left to cut, unless `extra_body` put it there.
    if envelope.raw("extra_body").is_none() {
        let again = Envelope::read(Bytes::from(sent))
            .map(|again| again.tags().is_none() && again.steering().is_empty());
        assert_eq!(again, Ok(true));
    }
}
