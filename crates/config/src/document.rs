//! A configuration that a program gives as a value in the shape of the file. No text is parsed: what
//! YAML would read into a scalar is settled already, and a place is the path of keys to it.

use serde_json::Value as Json;

use crate::file::MAX_DEPTH;
use crate::findings::Findings;
use crate::node::{Entry, Map, Node, Place, Value};
use crate::steps::{Steps, Way};

/// Reads a value as if a file held it.
pub(crate) fn read(document: &Json, findings: &mut Findings) -> Option<Map> {
    let mut steps = Steps::default();
    let whole = steps.add(0, Way::Whole);
    let node = node(document, whole, 0, &mut steps);
    findings.steps = Some(steps);
    let node = match node {
        Ok(node) => node,
        Err(at) => {
            let message = format!("lists and maps stand more than {MAX_DEPTH} deep in each other here");
            let help = "no key of a configuration needs that".to_owned();
            findings.refuse("wrong-type", Some(at), message, Some(help));
            return None;
        }
    };
    let kind = node.kind();
    let Value::Map(map) = node.value else {
        let message = format!("a configuration is a map, and this is {kind}");
        findings.refuse("wrong-type", Some(whole), message, Some("begin with `model_list`".to_owned()));
        return None;
    };
    if let Some(include) = map.entry("include").filter(|entry| !entry.value.is_null()) {
        let message = "`include` names files beside a file, and this configuration is in none".to_owned();
        let help = "put what they hold into the value, or load the configuration from its file".to_owned();
        findings.refuse("no-include", Some(include.at), message, Some(help));
    }
    Some(map)
}

/// One node with all that is in it; the place of what stands too deep.
fn node(json: &Json, at: Place, depth: usize, steps: &mut Steps) -> Result<Node, Place> {
    if depth > MAX_DEPTH {
        return Err(at);
    }
    let value = match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => {
            let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
            whole.map(Value::Int).unwrap_or_else(|| Value::Float(number.as_f64().unwrap_or_default()))
        }
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(items) => {
            let mut list = Vec::with_capacity(items.len());
            for (position, item) in items.iter().enumerate() {
                let place = steps.add(at.line, Way::Item(position));
                list.push(node(item, place, depth + 1, steps)?);
            }
            Value::List(list)
        }
        Json::Object(pairs) => {
            let mut entries = Vec::with_capacity(pairs.len());
            for (key, value) in pairs {
                let place = steps.add(at.line, Way::Key(key.clone()));
                let value = node(value, place, depth + 1, steps)?;
                entries.push(Entry { key: key.clone(), at: place, value });
            }
            Value::Map(Map { entries })
        }
    };
    Ok(Node::new(value, at))
}
