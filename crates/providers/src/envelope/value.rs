//! Decoding the few values that the gateway reads, out of JSON text that the scanner has passed.

use std::borrow::Cow;

use crate::scan::{Scanner, Text, Walk};
use crate::work;

/// The members of an object: (decoded key, JSON text of the value). Nothing for other values.
pub(crate) fn members(object: &str) -> impl Iterator<Item = (Cow<'_, str>, &str)> {
    let mut walk = object.starts_with('{').then(|| Walk::new(object.as_bytes(), 0, 0));
    std::iter::from_fn(move || {
        let found = walk.as_mut()?.member().ok()??;
        Some((key(object, found.key)?, object.get(found.value..found.end)?))
    })
}

/// The text of a key.
pub(super) fn key(object: &str, key: Text) -> Option<Cow<'_, str>> {
    if key.escaped {
        object.get(key.start - 1..key.end + 1).map(decoded)
    } else {
        object.get(key.start..key.end).map(Cow::Borrowed)
    }
}

/// The elements of a list, each as its JSON text. Nothing for other values.
pub(crate) fn elements(list: &str) -> impl Iterator<Item = &str> {
    let mut walk = list.starts_with('[').then(|| Walk::new(list.as_bytes(), 0, 0));
    std::iter::from_fn(move || {
        let (start, end) = walk.as_mut()?.element().ok()??;
        list.get(start..end)
    })
}

/// The value of a field of an object; the last one, should there be several.
pub(super) fn field_of<'a>(object: &'a str, key: &str) -> Option<&'a str> {
    members(object).filter(|(found, _)| found == key).last().map(|(_, value)| value)
}

/// The text of a JSON string, quotes included; borrowed unless it holds escapes.
pub(super) fn decoded(quoted: &str) -> Cow<'_, str> {
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(quoted);
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Cow::Borrowed(inner);
    }
    work::step(quoted.len());
    serde_json::from_str(quoted).map_or(Cow::Borrowed(inner), Cow::Owned)
}

/// The text of a string; `None` for other values.
pub(crate) fn string(value: &str) -> Option<Cow<'_, str>> {
    value.starts_with('"').then(|| decoded(value))
}

/// The strings of a list, other elements left out as LiteLLM does; `None` for other values.
pub(super) fn strings(value: &str) -> Option<Vec<Cow<'_, str>>> {
    value.starts_with('[').then(|| elements(value).filter_map(string).collect())
}

/// The tags of a metadata object, which may itself be written as a JSON string.
pub(super) fn tags_inside(metadata: &str) -> Option<Vec<Cow<'_, str>>> {
    match object(metadata)? {
        Cow::Borrowed(object) => strings(field_of(object, "tags")?),
        Cow::Owned(object) => {
            let tags = strings(field_of(&object, "tags")?)?;
            Some(tags.into_iter().map(|tag| Cow::Owned(tag.into_owned())).collect())
        }
    }
}

/// The object that a value is, or that a string spells; `None` for anything else.
pub(super) fn object(value: &str) -> Option<Cow<'_, str>> {
    match value.as_bytes().first() {
        Some(b'{') => Some(Cow::Borrowed(value)),
        Some(b'"') => {
            let text = decoded(value);
            let inner = text.trim_matches([' ', '\n', '\r', '\t']);
            if !inner.starts_with('{') {
                return None;
            }
            let mut scanner = Scanner::new(inner.as_bytes(), 0);
            scanner.value(0).and_then(|()| scanner.end()).ok()?;
            Some(Cow::Owned(inner.to_owned()))
        }
        _ => None,
    }
}

/// A number of seconds, which LiteLLM also takes as a string.
pub(super) fn seconds(value: &str) -> Option<f64> {
    let text = string(value).unwrap_or(Cow::Borrowed(value));
    text.trim().parse::<f64>().ok().filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
}

/// The name of a value's kind, for messages.
pub(super) fn kind(value: &str) -> &'static str {
    match value.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}
