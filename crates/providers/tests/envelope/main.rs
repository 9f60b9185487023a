//! The envelope against a full JSON parser: it reads the same, accepts the same, and sends on what
//! it was routed by.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod documents;
mod parsed;

use bytes::Bytes;
use documents::{Document, document};
use parsed::{Members, metadata, strings};
use proptest::prelude::*;
use serde_json::Value;
use tagrail_providers::{Envelope, EnvelopeError, MetadataRule, Rewrite};

fn read(text: &str) -> Result<Envelope, EnvelopeError> {
    Envelope::read(Bytes::copy_from_slice(text.as_bytes()))
}

/// The fields that may stand in a body once: all that the gateway reads or refuses by.
const ONCE: [&str; 17] = [
    "model",
    "stream",
    "stream_options",
    "tags",
    "metadata",
    "litellm_metadata",
    "num_retries",
    "timeout",
    "request_timeout",
    "stream_timeout",
    "fallbacks",
    "disable_fallbacks",
    "extra_body",
    "user",
    "api_key",
    "api_base",
    "headers",
];

/// What the gateway cuts, whatever it says.
const CUT: [&str; 3] = ["cache", "priority", "no-log"];

/// Whether a list of tags is one, as far as the gateway cares.
fn tags_are_well_formed(text: &str) -> bool {
    match serde_json::from_str::<Vec<&serde_json::value::RawValue>>(text) {
        Ok(elements) => elements.iter().all(|element| !element.get().starts_with(['[', '{'])),
        Err(_) => text == "null",
    }
}

fn metadata_is_well_formed(text: &str) -> bool {
    let plain = if text.starts_with('"') { serde_json::from_str(text).unwrap() } else { text.to_owned() };
    let Some(members) = metadata(text) else { return true };
    let tags = members.0.iter().filter(|(key, _)| key == "tags").count();
    let escaped = !plain.contains("\"tags\"") && tags > 0 || plain.matches("\"tags\"").count() < tags;
    tags <= 1 && !escaped && members.get("tags").is_none_or(tags_are_well_formed)
}

/// Whether a field alone is acceptable; repetitions aside.
fn field_is_well_formed(key: &str, spelt: &str, value: &str) -> bool {
    let first = value.as_bytes()[0];
    if (ONCE.contains(&key) || CUT.contains(&key)) && spelt != key {
        return false;
    }
    let seconds = || {
        let text = serde_json::from_str::<String>(value).unwrap_or(value.to_owned());
        text.trim().parse::<f64>().is_ok_and(|seconds| seconds.is_finite() && seconds >= 0.0)
    };
    match key {
        _ if value == "null" => true,
        "model" => first == b'"',
        "stream" => value == "true" || value == "false",
        "tags" => tags_are_well_formed(value),
        "metadata" => metadata_is_well_formed(value),
        "litellm_metadata" => metadata(value).is_some() && metadata_is_well_formed(value),
        "num_retries" => value.parse::<u32>().is_ok(),
        "timeout" | "request_timeout" | "stream_timeout" => seconds(),
        _ => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn reads_what_a_full_parse_reads(document in document()) {
        let members = Members::of(&document.text).unwrap();
        let Ok(envelope) = read(&document.text) else { return Ok(()) };
        let text = |key: &str| members.get(key).and_then(|value| serde_json::from_str::<String>(value).ok());
        prop_assert_eq!(envelope.model().map(String::from), text("model"));
        prop_assert_eq!(envelope.stream(), members.get("stream") == Some("true"));
        prop_assert_eq!(envelope.disable_fallbacks(), members.get("disable_fallbacks") == Some("true"));
        let owned = |tags: Vec<std::borrow::Cow<'_, str>>| tags.into_iter().map(String::from).collect::<Vec<_>>();
        prop_assert_eq!(envelope.tags().map(owned), members.get("tags").and_then(strings));
        for (read, key) in
            [(envelope.metadata_tags(), "metadata"), (envelope.litellm_metadata_tags(), "litellm_metadata")]
        {
            let expected = members.get(key).and_then(metadata).and_then(|inner| strings(inner.get("tags")?));
            prop_assert_eq!(read.map(owned), expected);
        }
        let wanted = members.get("stream_options").and_then(Members::of);
        let wanted = wanted.is_some_and(|options| options.get("include_usage") == Some("true"));
        prop_assert_eq!(envelope.wants_usage(), wanted);
        prop_assert_eq!(envelope.num_retries(), members.get("num_retries").and_then(|text| text.parse().ok()));
        prop_assert_eq!(envelope.has_metadata(), members.get("metadata").is_some());
        for (key, value) in &members.0 {
            prop_assert_eq!(envelope.has(key), members.get(key) != Some("null"));
            prop_assert!(envelope.raw(key) == members.get(key), "{key} {value}");
        }
    }

    #[test]
    fn refuses_only_what_it_says_it_refuses(document in document()) {
        let Document { fields, text } = &document;
        let fine = fields.iter().all(|field| field_is_well_formed(&field.key, &field.spelt, &field.value))
            && ONCE.iter().all(|key| fields.iter().filter(|field| field.key == *key).count() <= 1);
        match read(text) {
            Ok(_) => prop_assert!(fine, "accepted {text}"),
            Err(error) => {
                prop_assert!(error.param != "request_body", "{error:?} for {text}");
                prop_assert_eq!(error.status, 400);
                // The remaining refusals are inside these; the unit tests have them one by one.
                let inside = ["extra_body", "stream_options", "fallbacks"];
                let inside = inside.iter().any(|key| error.param.starts_with(key));
                prop_assert!(!fine || inside, "{error:?} for {text}");
            }
        }
    }

    #[test]
    fn accepts_as_json_what_serde_accepts(
        document in document(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..4u8, any::<u8>()), 1..4),
    ) {
        let mut bytes = document.text.into_bytes();
        for (place, kind, byte) in edits {
            let at = place.index(bytes.len().max(1));
            let byte = if byte & 1 == 0 { b"{}[]\",:\\u0e-.tn \n\x00\xff"[usize::from(byte / 2) % 19] } else { byte };
            match kind {
                0 => bytes.insert(at.min(bytes.len()), byte),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                2 if at < bytes.len() => bytes[at] = byte,
                _ => bytes.truncate(at),
            }
        }
        let ours = Envelope::read(Bytes::from(bytes.clone()));
        let agrees = match serde_json::from_slice::<Value>(&bytes) {
            Ok(Value::Object(_)) => !ours.as_ref().is_err_and(|error| error.param == "request_body"),
            // A number that no float holds is JSON all the same.
            Err(error) if error.to_string().contains("out of range") => true,
            _ => ours.is_err(),
        };
        prop_assert!(agrees, "{ours:?} for {}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn sends_what_editing_the_parsed_document_gives(
        document in document(),
        model in "[a-z/\"\\\\\u{e9}]{1,8}",
        ask_usage: bool,
        drop_user: bool,
        rule in prop::sample::select(&[
            MetadataRule::Drop, MetadataRule::WithoutTags, MetadataRule::UserIdOnly,
        ]),
        defaults in prop::sample::subsequence(vec![
            ("temperature", "0.50"), ("x", "[1, 2]"), ("model", "\"no\""), ("stream", "true"),
            ("stream_options", "{\"include_obfuscation\":false}"), ("user", "\"u\""),
        ], 0..6),
        padding in prop_oneof![4 => Just(0usize), 1 => 3000..9000usize],
    ) {
        let body = document.text.replacen('{', &format!("{{{}", " ".repeat(padding)), 1);
        let Ok(envelope) = read(&body) else { return Ok(()) };
        let defaults: Vec<_> =
            defaults.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let previous_response = None;
        let rewrite = Rewrite { model: &model, ask_usage, metadata: rule, drop_user, previous_response, defaults: &defaults };
        let sent = String::from_utf8(envelope.rewrite(&rewrite).concat()).unwrap();
        let Some(members) = Members::of(&sent) else { return Err(TestCaseError::fail(sent)) };
        let expected = parsed::rewritten(&body, &rewrite);
        let compact = |members: &[(String, String)]| -> Vec<(String, String)> {
            members.iter().map(|(key, value)| match &**key {
                // Objects that are put together anew may lose white space and spell keys plainly.
                "metadata" | "stream_options" => (key.clone(), Members::of(value)
                    .map_or(value.clone(), |inner| format!("{:?}", inner.0))),
                _ => (key.clone(), value.clone()),
            }).collect()
        };
        prop_assert!(compact(&members.0) == compact(&expected), "{body}\nsent {sent}\nwant {expected:?}");
        // Whatever reads the sent body finds the model and the mode that were decided on.
        prop_assert_eq!(members.0.iter().filter(|(key, _)| key == "model").count(), 1);
        let stream = members.get("stream") == Some("true");
        prop_assert_eq!(stream, envelope.stream());
    }

    #[test]
    fn with_replaces_and_adds(document in document(), value in documents::value()) {
        let Ok(envelope) = read(&document.text) else { return Ok(()) };
        let changed = envelope.with(&format!(r#"{{"model":"other","messages":{value}}}"#)).unwrap();
        prop_assert_eq!(changed.raw("model"), envelope.raw("model"));
        prop_assert_eq!(changed.raw("messages"), Some(&*value));
        let rest = |envelope: &Envelope| -> Vec<(String, String)> {
            let text = String::from_utf8(envelope.body().to_vec()).unwrap();
            let members = Members::of(&text).unwrap().0;
            members.into_iter().filter(|(key, _)| key != "fallbacks" && key != "messages").collect()
        };
        prop_assert_eq!(rest(&changed), rest(&envelope));
        // Put together without being read again, and still what reading it again gives.
        let again = Envelope::read(changed.body().clone()).unwrap();
        prop_assert_eq!((changed.tags(), changed.tag_count()), (again.tags(), again.tag_count()));
        prop_assert_eq!(changed.metadata_tags(), again.metadata_tags());
        prop_assert_eq!(changed.litellm_metadata_tags(), again.litellm_metadata_tags());
        prop_assert_eq!(changed.steering(), again.steering());
        for (key, _) in Members::of(std::str::from_utf8(changed.body()).unwrap()).unwrap().0 {
            prop_assert_eq!(changed.raw(&key), again.raw(&key));
        }
    }
}
