//! Where the nodes of a value are, in words: a value has paths where a file has lines.

use std::fmt::Write;

use serde_json::Value as Json;

use crate::confidential::without_keys;
use crate::node::Place;

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

/// From a node to one that it holds.
pub(crate) enum Way {
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

    /// A further node, and its place.
    pub(crate) fn add(&mut self, parent: usize, way: Way) -> Place {
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
