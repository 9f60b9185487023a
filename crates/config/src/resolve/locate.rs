//! Where in the file a mistake of the routing table or of a target stands.

use crate::node::{Map, Node, Place, Value};

/// The place of a key of a deployment, wherever in it the key is; else the deployment's own.
pub(super) fn in_deployment(node: &Node, key: &str) -> Option<Place> {
    let entry = node.as_map()?;
    let (section, key) = key.split_once('.').unwrap_or(("litellm_params", key));
    let inner = |name: &str| entry.get(name).and_then(Node::as_map).and_then(|map| map.entry(key));
    let found = inner(section).or_else(|| inner("model_info")).or_else(|| entry.entry(key));
    Some(found.map_or(node.at, |entry| entry.value.at))
}

/// The place of what a message names in backticks, below a key of the settings or below the key of
/// `litellm_settings` that says the same.
pub(super) fn in_settings(maps: &[&Map], key: &str, message: &str) -> Option<Place> {
    let keys = [key, if key == "model_group_alias" { "model_alias_map" } else { key }];
    let entries = || maps.iter().flat_map(|map| keys.iter().filter_map(|key| map.entry(key)));
    let named = entries().find_map(|entry| named(&entry.value, message));
    named.or_else(|| entries().next().map(|entry| entry.at))
}

/// The deepest text that the message names, below a key that it names too if there is one.
fn named(node: &Node, message: &str) -> Option<Place> {
    let mentions = |text: &str| message.contains(&format!("`{text}`"));
    match &node.value {
        Value::Text(text) => mentions(text).then_some(node.at),
        Value::List(list) => list.iter().find_map(|item| named(item, message)),
        Value::Map(map) => map.entries.iter().find_map(|entry| {
            let below = mentions(&entry.key).then(|| named(&entry.value, message).unwrap_or(entry.at));
            below.or_else(|| entry.value.as_map().and_then(|_| named(&entry.value, message)))
        }),
        _ => None,
    }
}
