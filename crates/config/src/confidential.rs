//! Which values are nobody's business: not `/model/info`'s, not a diagnostic's.

use std::ops::Range;

use crate::node::{Map, Node, Value};

/// Whether the value of a key is a secret, by the key's name.
pub(crate) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace('-', "_");
    if key.contains("cost") || key == "litellm_credential_name" || key == "credential_name" {
        return false;
    }
    let named =
        ["secret", "password", "passwd", "credential", "authorization", "cookie", "api_key", "access_key"];
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

/// A line with the values of secret keys masked, and where in the original they were.
pub(crate) struct Masked {
    pub(crate) text: String,
    hidden: Vec<Range<usize>>,
}

/// What stands for a secret.
const MASK: &str = "***";

/// Masks a line of a configuration. Works on text, because a file that is not YAML has lines too.
pub(crate) fn masked(line: &str) -> Masked {
    let mut masked = Masked { text: String::with_capacity(line.len()), hidden: Vec::new() };
    let mut shown_to = 0;
    let mut from = 0;
    while let Some(colon) = line[from..].find(':').map(|at| from + at) {
        from = colon + 1;
        let value = colon + 1 + line[colon + 1..].len() - line[colon + 1..].trim_start().len();
        let separated = value > colon + 1 || line[value..].starts_with(['"', '\'']);
        if !separated || !is_secret(key_before(&line[..colon])) {
            continue;
        }
        let end = value + value_end(&line[value..]);
        // A reference is no secret, and says which variable to set.
        if end > value && !line[value..].starts_with("os.environ/") {
            masked.text.push_str(&line[shown_to..value]);
            masked.text.push_str(MASK);
            masked.hidden.push(value..end);
            shown_to = end;
        }
        from = end;
    }
    masked.text.push_str(&line[shown_to..]);
    masked
}

impl Masked {
    /// Where a byte of the original line is in the masked one.
    pub(crate) fn position(&self, byte: usize) -> usize {
        let mut position = byte;
        for hidden in self.hidden.iter().rev().filter(|hidden| hidden.start < byte) {
            let skipped = byte.min(hidden.end) - hidden.start;
            position = position - skipped + if byte < hidden.end { 0 } else { MASK.len() };
        }
        position.min(self.text.len())
    }
}

/// The key that ends before a colon.
fn key_before(text: &str) -> &str {
    let key = text.trim_end().trim_end_matches(['"', '\'']);
    let part_of_key = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let start = key.rfind(|c| !part_of_key(c));
    start.map_or(key, |at| key[at..].trim_start_matches(|c| !part_of_key(c)))
}

/// Where the value of a key ends: at the end of its quotes, at the next item of a flow map, else
/// with the line, a comment included.
fn value_end(value: &str) -> usize {
    if let Some(quote @ ('"' | '\'')) = value.chars().next() {
        return value[1..].find(quote).map_or(value.len(), |at| at + 2);
    }
    value.find([',', '}']).unwrap_or(value.len())
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
        ] {
            assert_eq!(masked(line).text, shown);
        }
    }

    #[test]
    fn places_behind_a_mask_move_with_it() {
        let line = "{api_key: sk-12345, tags: x}";
        let masked = masked(line);
        assert_eq!(masked.text, "{api_key: ***, tags: x}");
        let moved = masked.position(line.find("tags").unwrap());
        assert_eq!(&masked.text[moved..], "tags: x}");
        assert_eq!(masked.position(3), 3);
    }

    #[test]
    fn urls_are_shown_without_passwords() {
        assert_eq!(without_password("https://u:p@h:1/v1"), "https://***@h:1/v1");
        assert_eq!(without_password("https://h/v1?x=a@b"), "https://h/v1?x=a@b");
        assert_eq!(without_password("openai/gpt-4o"), "openai/gpt-4o");
    }
}
