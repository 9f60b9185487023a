//! Names in a request of things that may not be there: what a 404 may speak of. Looked for only after one.
//!
//! Keys are compared decoded: an upstream reads `"file\u005fid"` as `file_id`.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use tagrail_providers::Operation;

/// Fields whose value names a stored object, or an address to fetch from.
const OBJECTS: &[&str] = &[
    "previous_response_id",
    "conversation",
    "item_reference",
    "file_id",
    "file_ids",
    "image_file",
    "input_file_id",
    "vector_store_id",
    "vector_store_ids",
    "container",
    "container_id",
    "assistant",
    "assistant_id",
    "thread_id",
    "skill_id",
    "skills",
    "connector_id",
    "prompt_id",
    "voice",
    "url",
    "image_url",
    "file_url",
    "server_url",
];

/// What a request names beside its model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct References {
    /// Stored objects.
    pub(crate) objects: bool,
    /// Models of tools.
    pub(crate) models: bool,
}

impl References {
    /// Reads a body in one pass, without making a tree of it. One that cannot be read names everything.
    pub(crate) fn of(operation: Operation, body: &[u8]) -> References {
        let mut found = References::default();
        let mut json = serde_json::Deserializer::from_slice(body);
        let is_responses = operation == Operation::Responses;
        match (Walk { found: &mut found, depth: 0, is_responses }).deserialize(&mut json) {
            Ok(_) => found,
            Err(_) => References { objects: true, models: true },
        }
    }
}

struct Walk<'f> {
    found: &'f mut References,
    depth: u32,
    is_responses: bool,
}

impl Walk<'_> {
    fn inside(&mut self) -> Walk<'_> {
        Walk { found: self.found, depth: self.depth + 1, is_responses: self.is_responses }
    }

    fn key(&mut self, key: &str) {
        match key {
            "model" if self.depth > 0 => self.found.models = true,
            // Items of a conversation are stored under it.
            "id" if self.is_responses => self.found.objects = true,
            // At the top it says how to speak; in a message, what was said before.
            "audio" if self.depth > 0 => self.found.objects = true,
            // A template; text is what other APIs call so.
            "prompt" if self.is_responses => self.found.objects = true,
            _ if OBJECTS.contains(&key) => self.found.objects = true,
            _ => {}
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(self.inside())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            self.key(&key);
            if self.found.objects && self.found.models {
                map.next_value::<IgnoredAny>()?;
            } else {
                map.next_value_seed(self.inside())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(operation: Operation, body: &str) -> (bool, bool) {
        let References { objects, models } = References::of(operation, body.as_bytes());
        (objects, models)
    }

    #[test]
    fn plain_requests_name_nothing() {
        let tools = r#"{"model":"m","messages":[{"role":"tool","tool_call_id":"c","content":"x"},
            {"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f"}}]}],"audio":{"format":"wav"}}"#;
        assert_eq!(found(Operation::ChatCompletions, tools), (false, false));
        assert_eq!(found(Operation::Completions, r#"{"model":"m","prompt":"file_id"}"#), (false, false));
        assert_eq!(
            found(Operation::Responses, r#"{"model":"m","input":"previous_response_id"}"#),
            (false, false)
        );
    }

    #[test]
    fn objects_are_found_however_deep_and_however_spelt() {
        for body in [
            r#"{"model":"m","previous_response_id":"resp_1"}"#,
            r#"{"model":"m","messages":[{"content":[{"file":{"file_id":"f"}}]}]}"#,
            r#"{"model":"m","messages":[{"content":[{"file":{"file\u005fid":"f"}}]}]}"#,
            r#"{"model":"m","messages":[{"role":"assistant","audio":{"id":"a"}}]}"#,
            r#"{"model":"m","container":"c"}"#,
        ] {
            assert_eq!(found(Operation::ChatCompletions, body), (true, false), "{body}");
        }
        assert_eq!(
            found(Operation::Responses, r#"{"input":[{"type":"item_reference","id":"i"}]}"#),
            (true, false)
        );
        assert_eq!(found(Operation::Responses, r#"{"tools":[{"model":"made-up"}]}"#), (false, true));
    }
}
