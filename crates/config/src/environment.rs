//! `environment_variables` and `os.environ/NAME`.

use std::collections::HashMap;
use std::rc::Rc;

use crate::findings::Findings;
use crate::node::{Map, Node, Value};
use crate::{Env, python};

const MARK: &str = "os.environ/";

/// Variables that LiteLLM does not let a configuration set.
const NOT_SET: &[&str] = &[
    "PATH",
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "DYLD_INSERT_LIBRARIES",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PYTHONHOME",
    "HOME",
    "USER",
    "SHELL",
    "LOGNAME",
    "NO_PROXY",
    "no_proxy",
];

/// The process environment with the file's `environment_variables` laid over it. Nothing is
/// exported: a reload must be able to take a variable back.
pub(crate) struct Environment<'a> {
    process: Env<'a>,
    written: HashMap<String, String>,
}

impl<'a> Environment<'a> {
    /// Reads `environment_variables`, whose values may themselves be `os.environ/NAME`.
    pub(crate) fn new(map: &Map, process: Env<'a>, findings: &mut Findings) -> Self {
        let mut environment = Environment { process, written: HashMap::new() };
        let Some(node) = map.get("environment_variables") else { return environment };
        let Some(variables) = node.as_map() else {
            let message =
                format!("`environment_variables` is a map of names to values, and this is {}", node.kind());
            findings.refuse(
                "wrong-type",
                Some(node.at),
                message,
                Some("write `NAME: value` lines".to_owned()),
            );
            return environment;
        };
        for entry in &variables.entries {
            if NOT_SET.contains(&entry.key.as_str()) {
                let message = format!("`{}` cannot be set from a configuration", entry.key);
                findings.warn(
                    "not-settable",
                    entry.at,
                    message,
                    Some(format!("set it where the {} is started", findings.host.name())),
                );
            } else if let Some(name) = entry.value.as_text().and_then(|text| text.strip_prefix(MARK)) {
                match environment.get(name) {
                    Some(value) => {
                        environment.written.insert(entry.key.clone(), value);
                    }
                    None => findings.unset(name, entry.value.at),
                }
            } else {
                environment.written.insert(entry.key.clone(), python::text(&entry.value));
            }
        }
        environment
    }

    /// Looks up a variable.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.written.get(name).cloned().or_else(|| (self.process)(name))
    }

    /// Replaces every `os.environ/NAME` that is the value of a key, at any depth. In lists, texts
    /// stay as they are and maps are entered, as in LiteLLM.
    pub(crate) fn resolve(&self, map: &mut Map, findings: &mut Findings) {
        for entry in &mut map.entries {
            self.resolve_node(&mut entry.value, findings);
        }
    }

    fn resolve_node(&self, node: &mut Node, findings: &mut Findings) {
        match &mut node.value {
            Value::Map(map) => self.resolve(map, findings),
            Value::List(list) => {
                for item in list.iter_mut() {
                    if let Value::Map(map) = &mut item.value {
                        self.resolve(map, findings);
                    }
                }
            }
            Value::Text(text) => {
                let Some(name) = text.strip_prefix(MARK).map(Rc::from) else { return };
                let found = self.get(&name);
                if found.is_none() {
                    findings.unset(&name, node.at);
                }
                node.value = found.map_or(Value::Null, read);
                node.variable = Some(name);
            }
            _ => {}
        }
    }
}

/// The words true and false in a variable are booleans, as LiteLLM reads them; the rest is text.
fn read(value: String) -> Value {
    match value.trim().to_ascii_lowercase().as_str() {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => Value::Text(value),
    }
}
