//! The texts that Python makes of values: LiteLLM hashes them into the id of a deployment.

use std::fmt::Write;

use crate::node::{Node, Value};

/// `str(value)`.
pub(crate) fn text(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => text.clone(),
        _ => repr(node),
    }
}

/// `repr(value)`.
pub(crate) fn repr(node: &Node) -> String {
    match &node.value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => float(*value),
        Value::Text(text) => quoted(text),
        Value::List(list) => {
            let items: Vec<String> = list.iter().map(repr).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(map) => {
            let pairs: Vec<String> = map
                .entries
                .iter()
                .map(|entry| format!("{}: {}", quoted(&entry.key), repr(&entry.value)))
                .collect();
            format!("{{{}}}", pairs.join(", "))
        }
    }
}

/// `json.dumps(value)` with its default separators and ASCII output.
pub(crate) fn json(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) if value.is_nan() => "NaN".to_owned(),
        Value::Float(value) if value.is_infinite() => {
            if *value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
        }
        Value::Float(value) => float(*value),
        Value::Text(text) => json_text(text),
        Value::List(list) => {
            let items: Vec<String> = list.iter().map(json).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(map) => {
            let pairs: Vec<String> = map
                .entries
                .iter()
                .map(|entry| format!("{}: {}", json_text(&entry.key), json(&entry.value)))
                .collect();
            format!("{{{}}}", pairs.join(", "))
        }
    }
}

/// `repr` of a float: the shortest digits that read back, with an exponent below 1e-4 and from 1e16.
fn float(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if value == 0.0 || (-4..16).contains(&exponent) {
        let plain = value.to_string();
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// `repr` of a text.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if (c as u32) < 0x20 || (0x7f..0xa1).contains(&(c as u32)) || c as u32 == 0xad => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

fn json_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::{Entry, Map, Place};

    const HERE: Place = Place { file: 0, line: 1, column: 1 };

    fn node(value: Value) -> Node {
        Node::new(value, HERE)
    }

    #[test]
    fn floats_have_pythons_digits() {
        for (value, text) in [
            (1e-5, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (0.0001, "0.0001"),
            (0.5, "0.5"),
            (100.0, "100.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (-0.0, "-0.0"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(float(value), text);
        }
    }

    #[test]
    fn lists_and_maps_have_pythons_texts() {
        let text = |text: &str| node(Value::Text(text.into()));
        let list =
            node(Value::List(vec![text("paid"), text("it's"), node(Value::Bool(true)), node(Value::Null)]));
        assert_eq!(repr(&list), "['paid', \"it's\", True, None]");
        assert_eq!(quoted("a\n\\'\"é\u{7f}"), r#"'a\n\\\'"é\x7f'"#);
        let map = node(Value::Map(Map { entries: vec![Entry { key: "k".into(), at: HERE, value: list }] }));
        assert_eq!(repr(&map), "{'k': ['paid', \"it's\", True, None]}");
        assert_eq!(json(&map), r#"{"k": ["paid", "it's", true, null]}"#);
        assert_eq!(json(&text("é😀\u{1}")), r#""\u00e9\ud83d\ude00\u0001""#);
    }
}
