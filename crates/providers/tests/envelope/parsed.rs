//! The same answers by way of a full parse: what the envelope is held against.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use tagrail_providers::{MetadataRule, Rewrite};

/// An object's members in their order, repeated keys included, values as they were written.
#[derive(Debug)]
pub(crate) struct Members(pub(crate) Vec<(String, String)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    members.push((key, value.get().to_owned()));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl Members {
    pub(crate) fn of(text: &str) -> Option<Members> {
        serde_json::from_str(text).ok()
    }

    /// The last value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(found, _)| found == key).map(|(_, value)| &**value)
    }

    fn without(self, keys: &[&str]) -> Vec<(String, String)> {
        self.0.into_iter().filter(|(key, _)| !keys.contains(&&**key)).collect()
    }
}

/// The strings among a list's elements.
pub(crate) fn strings(text: &str) -> Option<Vec<String>> {
    let elements: Vec<Box<RawValue>> = serde_json::from_str(text).ok()?;
    Some(elements.iter().filter_map(|element| serde_json::from_str(element.get()).ok()).collect())
}

/// The object that a metadata value is or spells.
pub(crate) fn metadata(text: &str) -> Option<Members> {
    Members::of(text).or_else(|| Members::of(&serde_json::from_str::<String>(text).ok()?))
}

/// What [`tagrail_providers::Envelope::rewrite`] has to send.
pub(crate) fn rewritten(body: &str, rewrite: &Rewrite<'_>) -> Vec<(String, String)> {
    const DECIDED: [&str; 4] = ["model", "stream", "stream_options", "extra_body"];
    const CUT: [&str; 17] = [
        "tags",
        "litellm_metadata",
        "num_retries",
        "timeout",
        "request_timeout",
        "stream_timeout",
        "fallbacks",
        "disable_fallbacks",
        "extra_body",
        "api_key",
        "api_base",
        "headers",
        "cache",
        "priority",
        "no-log",
        "mock_response",
        "guardrails",
    ];
    let members = Members::of(body).unwrap();
    let extra =
        members.get("extra_body").and_then(Members::of).map_or(vec![], |extra| extra.without(&DECIDED));
    let known = |key: &str| members.get(key).is_some() || extra.iter().any(|(name, _)| name == key);
    let model = Value::from(rewrite.model).to_string();
    let usage = |options: &str| {
        let others = Members::of(options).map_or(vec![], |options| options.without(&["include_usage"]));
        object([vec![("include_usage".to_owned(), "true".to_owned())], others].concat())
    };
    let mut sent = Vec::new();
    if members.get("model").is_none() {
        sent.push(("model".to_owned(), model.clone()));
    }
    for (key, value) in &members.0 {
        let value = match &**key {
            "model" => model.clone(),
            "stream_options" if rewrite.ask_usage => usage(value),
            "metadata" => match kept_metadata(value, rewrite.metadata) {
                Some(kept) => kept,
                None => continue,
            },
            "user" if rewrite.drop_user => continue,
            key if CUT.contains(&key) => continue,
            _ => value.clone(),
        };
        if !extra.iter().any(|(name, _)| name == key) {
            sent.push((key.clone(), value));
        }
    }
    sent.extend(extra.iter().cloned());
    if rewrite.ask_usage && members.get("stream_options").is_none() {
        let default = rewrite.defaults.iter().find(|(key, _)| key == "stream_options");
        sent.push(("stream_options".to_owned(), usage(default.map_or("null", |(_, value)| value))));
    }
    for (key, value) in rewrite.defaults {
        let set = key == "model" || key == "stream" || key == "stream_options" && rewrite.ask_usage;
        if !set && !known(key) {
            sent.push((key.clone(), value.clone()));
        }
    }
    sent
}

fn kept_metadata(value: &str, rule: MetadataRule) -> Option<String> {
    let members = metadata(value)?;
    match rule {
        MetadataRule::Drop => None,
        MetadataRule::WithoutTags => Some(object(members.without(&["tags"]))),
        MetadataRule::UserIdOnly => {
            Some(object(vec![("user_id".to_owned(), members.get("user_id")?.to_owned())]))
        }
    }
}

fn object(members: Vec<(String, String)>) -> String {
    let members: Vec<_> =
        members.into_iter().map(|(key, value)| format!("{}:{value}", Value::from(key))).collect();
    format!("{{{}}}", members.join(","))
}
