//! Which values are nobody's business: not `/model/info`'s, not a diagnostic's.

mod line;
mod scope;

use crate::node::{Map, Node, Value};

pub(crate) use line::{masked, without_keys};
pub(crate) use scope::Scope;

/// Whether the value of a key is a secret, by the key's name.
pub(crate) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace('-', "_");
    if key.contains("cost") || key == "litellm_credential_name" || key == "credential_name" {
        return false;
    }
    let named = [
        "secret",
        "password",
        "passwd",
        "credentials",
        "authorization",
        "bearer",
        "cookie",
        "api_key",
        "access_key",
        "webhook",
    ];
    named.iter().any(|name| key.contains(name))
        || key.ends_with("key")
        || key.ends_with("token")
        || matches!(key.as_str(), "database_url" | "redis_url" | "connection_string" | "litellm_license")
}

/// `litellm_params` without what is secret.
pub(crate) fn shown(map: &Map) -> serde_json::Map<String, serde_json::Value> {
    let shown = map.entries.iter().filter(|entry| !is_secret(&entry.key));
    shown.map(|entry| (entry.key.clone(), shown_value(&entry.key, &entry.value))).collect()
}

fn shown_value(key: &str, node: &Node) -> serde_json::Value {
    match &node.value {
        // The names of headers say nothing certain about what is in them.
        Value::Map(map) if is_header_map(key) => {
            map.entries.iter().map(|entry| (entry.key.clone(), serde_json::Value::from(MASK))).collect()
        }
        Value::Map(map) => serde_json::Value::Object(shown(map)),
        Value::List(list) => list.iter().map(|item| shown_value(key, item)).collect(),
        Value::Text(text) if is_address(key) || text.contains("://") => {
            serde_json::Value::String(without_credentials(text))
        }
        Value::Text(_) if node.variable.as_deref().is_some_and(is_secret) => MASK.into(),
        Value::Text(text) => serde_json::Value::String(without_keys(text.clone())),
        _ => node.to_json(),
    }
}

/// Whether the value of a key is a map of headers.
fn is_header_map(key: &str) -> bool {
    matches!(key, "headers" | "extra_headers" | "default_headers")
}

/// Whether the value of a key is a URL, even where it has no scheme.
fn is_address(key: &str) -> bool {
    ["base", "url", "uri", "endpoint"].iter().any(|end| key.to_ascii_lowercase().ends_with(end))
}

/// A URL without what may be a password or a key: `https://user:pw@host/v1?key=x` is shown as
/// `https://***@host/v1`.
fn without_credentials(text: &str) -> String {
    let (scheme, rest) = text.split_at(text.find("://").map_or(0, |at| at + 3));
    let shown = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
    match (rest.rfind('@'), shown.split('/').next().unwrap_or_default().rfind('@')) {
        (_, Some(at)) => format!("{scheme}{MASK}{}", &shown[at..]),
        // A password with a `?` in it, or an address in the query: nobody can tell.
        (Some(_), None) if shown.contains(':') => format!("{scheme}{MASK}"),
        _ => format!("{scheme}{shown}"),
    }
}

/// What stands for a secret.
const MASK: &str = "***";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_keys() {
        for key in
            ["api_key", "master_key", "AWS_SECRET_ACCESS_KEY", "X-Api-Key", "azure_ad_token", "Authorization"]
        {
            assert!(is_secret(key), "{key}");
        }
        for key in ["max_tokens", "input_cost_per_token", "litellm_credential_name", "model", "tags"] {
            assert!(!is_secret(key), "{key}");
        }
    }

    #[test]
    fn urls_are_shown_without_credentials() {
        for (url, shown) in [
            ("https://u:p@h:1/v1", "https://***@h:1/v1"),
            ("https://u:p@ss@h:1/v1?key=k", "https://***@h:1/v1"),
            ("https://h/v1?key=k", "https://h/v1"),
            ("https://h/v1#k", "https://h/v1"),
            ("u:p@h/v1?key=k", "***@h/v1"),
            ("https://u:p?w@h/v1", "https://***"),
            ("https://h:1/v1", "https://h:1/v1"),
        ] {
            assert_eq!(without_credentials(url), shown);
        }
    }
}
