//! Which values are nobody's business: not `/model/info`'s, not a diagnostic's.

use crate::node::{Map, Node, Value};

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
        Value::Map(map) if matches!(key, "headers" | "extra_headers") => {
            map.entries.iter().map(|entry| (entry.key.clone(), serde_json::Value::from(MASK))).collect()
        }
        Value::Map(map) => serde_json::Value::Object(shown(map)),
        Value::List(list) => list.iter().map(|item| shown_value(key, item)).collect(),
        Value::Text(text) => serde_json::Value::String(without_password(text)),
        _ => node.to_json(),
    }
}

/// A URL's user and password are left out: `https://user:pw@host` is shown as `https://***@host`.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rfind('@') {
        Some(at) => format!("{scheme}://***{}", &rest[at..]),
        None => text.to_owned(),
    }
}

/// What stands for a secret.
const MASK: &str = "***";

/// A line of a configuration with the values of secret keys masked. Works on text, because a file
/// that is not YAML has lines too. A mask before the byte `column` is as long as what it hides, so
/// that what stands there keeps its place.
pub(crate) fn masked(line: &str, column: usize) -> String {
    let mut masked = String::with_capacity(line.len());
    let mut shown_to = 0;
    let mut from = 0;
    while let Some(colon) = line[from..].find(':').map(|at| from + at) {
        from = colon + 1;
        let value = line.len() - line[from..].trim_start().len();
        let separated = value > from || line[value..].starts_with(['"', '\'']);
        if !separated || !is_secret(key_before(&line[..colon])) {
            continue;
        }
        let end = value + value_end(&line[value..]);
        // A reference is no secret, and says which variable to set.
        if end > value && !line[value..].starts_with("os.environ/") {
            masked.push_str(&line[shown_to..value]);
            let hidden = line[value..end].chars().count();
            masked.push_str(&if end <= column { "*".repeat(hidden) } else { MASK.to_owned() });
            shown_to = end;
        }
        from = end.max(from);
    }
    masked.push_str(&line[shown_to..]);
    masked
}

/// The key that ends before a colon.
fn key_before(text: &str) -> &str {
    let key = text.trim_end().trim_end_matches(['"', '\'']);
    let part_of_key = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let start = key.rfind(|c| !part_of_key(c));
    start.map_or(key, |at| key[at..].trim_start_matches(|c| !part_of_key(c)))
}

/// Where the value of a key ends: at the end of its quotes or list, at the next item of a flow map,
/// else with the line, a comment included. A map's own keys say what in it is secret.
fn value_end(value: &str) -> usize {
    let list = value.strip_prefix('[').map(str::trim_start);
    if value.starts_with('{') || list.is_some_and(|items| items.starts_with('{')) {
        return 0;
    }
    match value.chars().next() {
        Some(quote @ ('"' | '\'')) => value[1..].find(quote).map_or(value.len(), |at| at + 2),
        Some('[') => value.find(']').map_or(value.len(), |at| at + 1),
        _ => value.find([',', '}']).unwrap_or(value.len()),
    }
}

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
    fn lines_are_shown_without_secrets() {
        for (line, shown) in [
            ("  api_key: sk-123 # mine", "  api_key: ***"),
            (
                "{model: openai/a, api_key: ka, api_base: http://h/v1}",
                "{model: openai/a, api_key: ***, api_base: http://h/v1}",
            ),
            ("{\"api_key\": \"k:a,b\", \"x\": 1}", "{\"api_key\": ***, \"x\": 1}"),
            ("master_key: os.environ/KEY", "master_key: os.environ/KEY"),
            ("tags: [a, b]", "tags: [a, b]"),
            ("max_tokens: 5", "max_tokens: 5"),
            ("api_key:", "api_key:"),
            ("credentials: [{api_key: k, name: n}]", "credentials: [{api_key: ***, name: n}]"),
            ("access_keys: [a, b]  # x", "access_keys: ***  # x"),
        ] {
            assert_eq!(masked(line, 0), shown);
        }
    }

    #[test]
    fn what_stands_behind_a_mask_keeps_its_place() {
        let line = "{api_key: sk-12345, tags: x, token: y}";
        let tags = line.find("tags").unwrap();
        assert_eq!(masked(line, tags), "{api_key: ********, tags: x, token: ***}");
    }

    #[test]
    fn urls_are_shown_without_passwords() {
        assert_eq!(without_password("https://u:p@h:1/v1"), "https://***@h:1/v1");
        assert_eq!(without_password("https://h/v1?x=a@b"), "https://h/v1?x=a@b");
        assert_eq!(without_password("openai/gpt-4o"), "openai/gpt-4o");
    }
}
