//! Lines of a configuration as they may be shown. Works on text, because a file that is not YAML has
//! lines too; of one that is, it is known besides which bytes are secret by their place.

use std::ops::Range;

use super::scope::{hides_below, is_known_anywhere};
use super::{MASK, is_address, is_secret};

/// A line as it may be shown.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) line: String,
    /// The byte of it that the column asked for begins at.
    pub(crate) start: usize,
}

/// Line `number` of a text, with `column` in it, both from 1. `hidden` are the bytes of the text that
/// are secret by their place; `None` when it is not YAML, and everything has to be guessed.
pub(crate) fn masked(
    text: &str,
    number: usize,
    column: usize,
    hidden: Option<&[Range<usize>]>,
) -> Option<Shown> {
    let whole = text.split_inclusive('\n').nth(number.checked_sub(1)?)?;
    let offset = whole.as_ptr().addr() - text.as_ptr().addr();
    let line = whole.trim_end_matches(['\n', '\r']);
    let column = column.checked_sub(1)?;
    let byte = |line: &str| line.char_indices().nth(column).map_or(line.len(), |(byte, _)| byte);
    let secrets = match hidden {
        Some(hidden) => hidden.iter().filter_map(|range| within(range, offset, line)).collect(),
        None => guessed(&text[..offset], line),
    };
    let line = masked_line(line, byte(line), secrets);
    Some(Shown { start: byte(&line), line })
}

/// What of a range of the text is in the line that begins at `offset`, without the space around it.
fn within(range: &Range<usize>, offset: usize, line: &str) -> Option<Range<usize>> {
    let end = range.end.checked_sub(offset)?.min(line.len());
    let start = range.start.saturating_sub(offset);
    let hidden = line.get(start..end)?;
    let start = end - hidden.trim_start().len();
    (!hidden.trim().is_empty()).then(|| start..start + hidden.trim().len())
}

/// A line with secrets masked: the given ones, the values of secret keys, keys by their look, and of
/// URLs what may be a password or a key. A mask before the byte `column` is as long as what it hides,
/// so that what stands there keeps its place.
fn masked_line(line: &str, column: usize, mut secrets: Vec<Range<usize>>) -> String {
    secrets.extend(secret_values(line));
    secrets.extend(secrets_of_urls(line));
    secrets.extend(keys(line));
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

/// A sentence without what looks like a key.
pub(crate) fn without_keys(sentence: String) -> String {
    let keys = keys(&sentence);
    if keys.is_empty() { sentence } else { masked_line_of(&sentence, &keys) }
}

fn masked_line_of(sentence: &str, keys: &[Range<usize>]) -> String {
    let mut masked = sentence.to_owned();
    for key in keys.iter().rev() {
        masked.replace_range(key.clone(), MASK);
    }
    masked
}

/// What the keys of providers begin with, and how long the rest has to be for one to be meant.
const KEYS: [(&str, usize); 8] = [
    ("sk-", 1),
    ("gsk_", 8),
    ("hf_", 8),
    ("ghp_", 8),
    ("xoxb-", 8),
    ("xai-", 16),
    ("AKIA", 12),
    ("AIza", 12),
];

/// Words that are keys by their look.
fn keys(text: &str) -> Vec<Range<usize>> {
    let of_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let mut found = Vec::new();
    for (start, length) in KEYS {
        for (at, _) in text.match_indices(start) {
            let rest = &text[at + start.len()..];
            let rest = rest.find(|c| !of_key(c)).unwrap_or(rest.len());
            if rest >= length && !text[..at].ends_with(of_key) {
                found.push(at..at + start.len() + rest);
            }
        }
    }
    found.sort_unstable_by_key(|span| span.start);
    found
}

/// What may be secret by its place in a file whose structure is not known: everything below a secret
/// key, going by the indentation, and the value of a key that no map has.
fn guessed(before: &str, line: &str) -> Vec<Range<usize>> {
    let content = line.len() - line.trim_start().len();
    if is_below_secret(before, line) {
        return std::iter::once(content..line.len()).collect();
    }
    let colons = line.match_indices(':').filter(|(colon, _)| is_separated(line, colon + 1));
    let unknown = colons.filter(|(colon, _)| {
        let key = key_before(&line[..*colon]);
        !key.is_empty() && !is_known_anywhere(key)
    });
    let values = unknown.map(|(colon, _)| {
        let value = start_of_value(line, colon + 1);
        value..value + value_end(&line[value..])
    });
    values.filter(|value| !line[value.clone()].starts_with("os.environ/")).collect()
}

fn is_below_secret(before: &str, line: &str) -> bool {
    let item = |line: &str| line.trim_start().starts_with("- ");
    let indent = |line: &str| line.len() - line.trim_start().len();
    // An item may stand in the column of the key that its list belongs to.
    let mut limit = indent(line) + usize::from(item(line));
    let mut directly_above = true;
    for above in before.lines().rev().filter(|above| !above.trim().is_empty()) {
        let content = above.trim_start().trim_start_matches("- ").trim_start();
        let at = above.len() - content.len();
        let opens = content.split_once(':').filter(|(_, value)| {
            let value = value.trim();
            value.is_empty() || value.starts_with(['|', '>', '[', '{', '&', '!', '"', '\'', '#'])
        });
        if (at < limit || directly_above) && opens.is_some_and(|(key, _)| hides_below(key_before(key))) {
            return true;
        }
        directly_above = false;
        limit = limit.min(indent(above) + usize::from(item(above))).max(1);
        if indent(above) == 0 && !item(above) {
            return false;
        }
    }
    false
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
            assert_eq!(masked_line(line, 0, Vec::new()), shown);
        }
    }

    #[test]
    fn keys_are_known_by_their_look() {
        for (line, shown) in [
            ("general_settings: sk-abc", "general_settings: ***"),
            ("- sk-abc # my key", "- *** # my key"),
            ("model: openai/disk-cache", "model: openai/disk-cache"),
            ("model: hf_a", "model: hf_a"),
        ] {
            assert_eq!(masked_line(line, 0, Vec::new()), shown);
        }
        assert_eq!(without_keys("Item 'sk-a' is no `sk-b`".to_owned()), "Item '***' is no `***`");
    }

    #[test]
    fn what_is_not_yaml_hides_by_indentation() {
        for text in [
            "api_key:\n  canary",
            "api_key:\n- canary",
            "- api_key: |\n    x\n    canary",
            "{api_key:\ncanary",
            "credential_list:\n- credential_name: c\n  credential_values:\n    region: canary",
            "environment_variables:\n  ANY: canary",
            "database_ur: canary",
            "general_settings: {database_ur: canary",
        ] {
            let last = text.lines().count();
            let shown = masked(text, last, 1, None).unwrap().line;
            assert!(!shown.contains("canary"), "{text}: {shown}");
        }
        let text = "general_settings:\n  master_key: k\nmodel_list:\n- model_name: shown";
        assert_eq!(masked(text, 4, 1, None).unwrap().line, "- model_name: shown");
    }

    #[test]
    fn what_stands_behind_a_mask_keeps_its_place() {
        let line = "{api_key: sk-12345, tags: x, token: y}";
        let tags = line.find("tags").unwrap();
        assert_eq!(masked_line(line, tags, Vec::new()), "{api_key: ********, tags: x, token: ***}");
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
            assert_eq!(masked_line(line, 0, Vec::new()), shown);
        }
    }
}
