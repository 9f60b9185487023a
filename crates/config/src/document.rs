//! A configuration that a program gives as a value in the shape of the file. No text is parsed: what
//! YAML would read into a scalar is settled already, and a place is the path of keys to it.

use std::fmt::Write;

use serde_json::Value as Json;

use crate::confidential::without_keys;
use crate::file::MAX_DEPTH;
use crate::findings::Findings;
use crate::node::{Entry, Map, Node, Place, Value};

/// How every node of a value is reached. A node's place has its number where a file has the line, so
/// that places are in the order of the value.
#[derive(Default)]
pub(crate) struct Steps(Vec<Step>);

/// The last step to a node.
struct Step {
    /// The number of the node that it is in; the whole value has the number 1, and is in none.
    parent: usize,
    way: Way,
}

enum Way {
    Whole,
    Key(String),
    Item(usize),
}

impl Steps {
    /// `model_list[3].litellm_params.tags`; `None` for the value as a whole.
    pub(crate) fn path(&self, at: Place) -> Option<String> {
        let mut ways = Vec::new();
        let mut step = self.0.get(at.line.checked_sub(1)?)?;
        while !matches!(step.way, Way::Whole) {
            ways.push(&step.way);
            step = self.0.get(step.parent.checked_sub(1)?)?;
        }
        let mut path = String::new();
        for way in ways.into_iter().rev() {
            match way {
                Way::Whole => {}
                Way::Item(position) => {
                    let _ = write!(path, "[{position}]");
                }
                // Whoever wrote a key where a name belongs does not want to read it in a log.
                Way::Key(key) => step_into(&mut path, &without_keys(key.clone())),
            }
        }
        (!path.is_empty()).then_some(path)
    }

    fn add(&mut self, parent: usize, way: Way) -> Place {
        self.0.push(Step { parent, way });
        Place { file: 0, line: self.0.len(), column: 1 }
    }
}

/// `.key`, or `["odd key"]` where a dot would leave open what belongs together.
fn step_into(path: &mut String, key: &str) {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '*');
    if key.is_empty() || !key.chars().all(plain) {
        let _ = write!(path, "[{}]", Json::from(key));
    } else if path.is_empty() {
        path.push_str(key);
    } else {
        let _ = write!(path, ".{key}");
    }
}

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
