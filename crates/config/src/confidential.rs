//! Which values are nobody's business: not `/model/info`'s, not a diagnostic's.

use std::ops::Range;

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
        Value::Text(text) if is_address(key) || text.contains("://") => {
            serde_json::Value::String(without_credentials(text))
        }
        Value::Text(text) => serde_json::Value::String(text.clone()),
        _ => node.to_json(),
    }
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

/// A line of a configuration with the values of secret keys masked, and of URLs what may be a
/// password or a key. Works on text, because a file that is not YAML has lines too. A mask before
/// the byte `column` is as long as what it hides, so that what stands there keeps its place.
pub(crate) fn masked(line: &str, column: usize) -> String {
    let mut secrets = secret_values(line);
    secrets.extend(secrets_of_urls(line));
    secrets.sort_unstable_by_key(|span| (span.start, usize::MAX - span.end));
    let mut masked = String::with_capacity(line.len());
    let mut shown_to = 0;
    for span in secrets {
        let start = span.start.max(shown_to);
        if start >= span.end {
            continue;
        }
        masked.push_str(&line[shown_to..start]);
        let hidden = line[start..span.end].chars().count();
        masked.push_str(&if span.end <= column { "*".repeat(hidden) } else { MASK.to_owned() });
        shown_to = span.end;
    }
    masked.push_str(&line[shown_to..]);
    masked
}

/// The values of secret keys.
fn secret_values(line: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(colon) = line[from..].find(':').map(|at| from + at) {
        from = colon + 1;
        let value = start_of_value(line, from);
        if !is_separated(line, from) || !is_secret(key_before(&line[..colon])) {
            continue;
        }
        let end = value + value_end(&line[value..]);
        // A reference is no secret, and says which variable to set.
        if end > value && !line[value..].starts_with("os.environ/") {
            found.push(value..end);
        }
        from = end.max(from);
    }
    found
}

/// Of every URL what stands before an `@`, and what stands behind a `?`: of whatever has `://`, and
/// of the values of keys that are URLs.
fn secrets_of_urls(line: &str) -> Vec<Range<usize>> {
    let addresses = line.match_indices(':').filter_map(|(colon, _)| {
        let named = is_separated(line, colon + 1) && is_address(key_before(&line[..colon]));
        let value = start_of_value(line, colon + 1);
        named.then(|| value + usize::from(line[value..].starts_with(['"', '\''])))
    });
    let schemes = line.match_indices("://").map(|(at, _)| {
        let of_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        line[..at].trim_end_matches(of_scheme).len()
    });
    schemes.chain(addresses).flat_map(|start| secrets_of_url(line, start)).collect()
}

/// Of the URL that begins at `start`, behind its quote.
fn secrets_of_url(line: &str, start: usize) -> Vec<Range<usize>> {
    let quote = line[..start].chars().next_back().filter(|c| matches!(c, '"' | '\''));
    let end = match quote {
        Some(quote) => line[start..].find(quote).map_or(line.len(), |end| start + end),
        None => start + plain_end(&line[start..]),
    };
    let host = line[start..end].find("://").map_or(start, |at| start + at + 3);
    let user = line[host..end].rfind('@').map(|at| host..host + at);
    let query = line[host..end].find(['?', '#']).map(|at| host + at + 1..end);
    let (user, query) = match (user, query) {
        // A password with a `?` in it, or an address in the query: nobody can tell.
        (Some(user), Some(query)) if query.start <= user.end => (Some(user.start..end), None),
        found => found,
    };
    user.into_iter().chain(query).collect()
}

/// Where a plain scalar may end: at a comment or at the next item of a flow map, else with the line.
fn plain_end(text: &str) -> usize {
    let end = [" #", ", "].iter().filter_map(|stop| text.find(stop)).min().unwrap_or(text.len());
    text[..end].trim_end_matches(['}', ']', ',', ' ', '\r']).len()
}

/// Where the value behind a colon begins.
fn start_of_value(line: &str, behind_colon: usize) -> usize {
    line.len() - line[behind_colon..].trim_start().len()
}

/// Whether a colon separates a key from a value, and is not within a word.
fn is_separated(line: &str, behind_colon: usize) -> bool {
    let value = start_of_value(line, behind_colon);
    value > behind_colon || line[value..].starts_with(['"', '\''])
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

    #[test]
    fn lines_are_shown_without_the_credentials_of_urls() {
        for (line, shown) in [
            ("api_base: \"http://user:hunter2@127.0.0.1/ok\"", "api_base: \"http://***@127.0.0.1/ok\""),
            ("api_base: http://user:hunter2@h/ok?k=hunter2 # x", "api_base: http://***@h/ok?*** # x"),
            ("api_base: http://u:hunter 2@h/ok", "api_base: http://***@h/ok"),
            ("api_base: 'http://u:hunter2, x@h/ok'", "api_base: 'http://***@h/ok'"),
            ("api_base: u:hunter2@h/ok?k=1", "api_base: ***@h/ok?***"),
            ("\"api_base\": \"h/ok?k=hunter2\",", "\"api_base\": \"h/ok?***\","),
            ("{api_base: http://h/ok?k=hunter2, tags: [a]}", "{api_base: http://h/ok?***, tags: [a]}"),
            ("{a: {api_base: http://h/ok?k=hunter2}}", "{a: {api_base: http://h/ok?***}}"),
            ("  http://user:hunter2@h", "  http://***@h"),
            ("http://u:hunter?2@h/", "http://***"),
            ("api_base: ", "api_base: "),
            ("api_base: é", "api_base: é"),
            ("model: openai/a@b?c", "model: openai/a@b?c"),
            ("api_base: http://h/v1", "api_base: http://h/v1"),
            ("api_base: os.environ/BASE", "api_base: os.environ/BASE"),
            ("api_base:", "api_base:"),
        ] {
            assert_eq!(masked(line, 0), shown);
        }
    }
}
