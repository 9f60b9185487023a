//! The lists of fallbacks: which shapes count, and which of two maps says them.

use tagrail_routing::FallbackSpec;

use crate::findings::Findings;
use crate::node::{Entry, Map, Node, Value};
use crate::python;

/// Reads all of them; `router_settings` wins over `litellm_settings`, list by list.
pub(super) fn read(router: &Map, litellm: &Map, findings: &mut Findings) -> FallbackSpec {
    let written = |key: &str| {
        let in_router = router.entry(key).filter(|entry| !entry.value.is_null());
        in_router.or_else(|| litellm.entry(key).filter(|entry| !entry.value.is_null()))
    };
    FallbackSpec {
        general: pairs(written("fallbacks"), findings),
        context_window: pairs(written("context_window_fallbacks"), findings),
        content_policy: pairs(written("content_policy_fallbacks"), findings),
        default: written("default_fallbacks").map(|entry| names(entry, findings)).unwrap_or_default(),
    }
}

/// A list of maps with one key each.
fn pairs(entry: Option<&Entry>, findings: &mut Findings) -> Vec<(String, Vec<String>)> {
    let Some(entry) = entry else { return Vec::new() };
    let shape = || Some(format!("write `{}: [{{\"name\": [\"other\", \"another\"]}}]`", entry.key));
    let Some(list) = entry.value.as_list() else {
        let first = match &entry.value.value {
            Value::Map(map) => map.entries.first().map(|entry| entry.key.clone()).unwrap_or_default(),
            _ => python::text(&entry.value),
        };
        let message = format!("Item '{first}' is not a dictionary. `{}` is a list of maps", entry.key);
        findings.refuse("bad-fallback", Some(entry.value.at), message, shape());
        return Vec::new();
    };
    let mut pairs = Vec::with_capacity(list.len());
    for item in list {
        match item.as_map().map(|map| map.entries.as_slice()) {
            Some([one]) => pairs.push((one.key.clone(), names(one, findings))),
            Some(several) => {
                let message = format!(
                    "Dictionary '{}' must have exactly one key, but has {} keys.",
                    python::repr(item),
                    several.len()
                );
                let help = "begin a list item for each key".to_owned();
                findings.refuse("bad-fallback", Some(item.at), message, Some(help));
            }
            None => {
                let message = format!("Item '{}' is not a dictionary.", python::text(item));
                findings.refuse("bad-fallback", Some(item.at), message, shape());
            }
        }
    }
    pairs
}

/// The names behind a key. A plain text is a list of one (row D18).
fn names(entry: &Entry, findings: &mut Findings) -> Vec<String> {
    match &entry.value.value {
        Value::Null => Vec::new(),
        Value::Text(name) => {
            let message =
                format!("`{}` falls back to a text, which is read as a list of one name", entry.key);
            let help = format!("write `[\"{name}\"]`; LiteLLM would try its letters one by one");
            findings.warn("fallback-text", entry.value.at, message, Some(help));
            vec![name.clone()]
        }
        Value::List(list) => list.iter().filter_map(|item| name(item, findings)).collect(),
        _ => {
            let message =
                format!("`{}` falls back to a list of names, and this is {}", entry.key, entry.value.kind());
            findings.refuse(
                "bad-fallback",
                Some(entry.value.at),
                message,
                Some("write `[\"name\"]`".to_owned()),
            );
            Vec::new()
        }
    }
}

/// A name, or a map with `model` and parameters of its own, of which only the name counts.
fn name(item: &Node, findings: &mut Findings) -> Option<String> {
    if let Some(name) = item.as_text() {
        return Some(name.to_owned());
    }
    let model = item.as_map().and_then(|map| map.get("model")).and_then(Node::as_text);
    match model {
        Some(name) => {
            let message = format!("only the name `{name}` of this fallback is used, not its parameters");
            findings.warn("not-yet-supported", item.at, message, None);
            Some(name.to_owned())
        }
        None => {
            let message = format!("a fallback is the name of a model, and this is {}", item.kind());
            let help = findings.advice("write the name in quotes", "give it as text");
            findings.refuse("bad-fallback", Some(item.at), message, Some(help));
            None
        }
    }
}
