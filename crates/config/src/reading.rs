//! Reads typed values out of a map and collects what is not of its type: the settings refuse to
//! start over it, a deployment is left out.

use std::time::Duration;

use crate::findings::Findings;
use crate::node::{Entry, Map, Node, Place, Value};

/// One mistake.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wrong {
    pub(crate) code: &'static str,
    pub(crate) at: Place,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

/// A map being read.
pub(crate) struct Reader<'m, 'f> {
    map: &'m Map,
    findings: &'f mut Findings,
    /// What was not of its type.
    pub(crate) wrong: Vec<Wrong>,
}

impl<'m, 'f> Reader<'m, 'f> {
    pub(crate) fn new(map: &'m Map, findings: &'f mut Findings) -> Self {
        Reader { map, findings, wrong: Vec::new() }
    }

    /// The entry of a key that says something.
    pub(crate) fn entry(&self, key: &str) -> Option<&'m Entry> {
        self.map.entry(key).filter(|entry| !entry.value.is_null())
    }

    /// Rejects a key that is read from a variable that is not set, where going on without its value would
    /// change where something is kept, who is let in, or where a call goes.
    pub(crate) fn needs_variable(&mut self, key: &str, without: &str) {
        let entry = self.map.entry(key).filter(|entry| entry.value.is_null());
        let Some(variable) = entry.and_then(|entry| entry.value.variable.clone()) else { return };
        let Some(at) = entry.map(|entry| entry.value.at) else { return };
        let message = format!("`{key}` is read from `{variable}`, which is not set: {without}");
        let help = format!(
            "set `{variable}` where the {} is started, or remove the line",
            self.findings.host.name()
        );
        self.reject("unset-variable", at, message, Some(help));
    }

    /// Text.
    pub(crate) fn text(&mut self, key: &str) -> Option<String> {
        let entry = self.entry(key)?;
        match &entry.value.value {
            Value::Text(text) => Some(text.clone()),
            _ => self.not(entry, "text", self.quoting(&entry.value)),
        }
    }

    /// A list of texts.
    pub(crate) fn texts(&mut self, key: &str) -> Option<Vec<String>> {
        let entry = self.entry(key)?;
        let Some(list) = entry.value.as_list() else {
            let example = entry.value.as_text().unwrap_or("x");
            return self.not(entry, "a list of texts", Some(format!("write `{key}: [\"{example}\"]`")));
        };
        let mut texts = Vec::with_capacity(list.len());
        for item in list {
            match item.as_text() {
                Some(text) => texts.push(text.to_owned()),
                None => {
                    let message = format!("`{key}` is a list of texts, and this item is {}", item.kind());
                    self.reject("wrong-type", item.at, message, self.quoting(item));
                }
            }
        }
        (texts.len() == list.len()).then_some(texts)
    }

    /// A map.
    pub(crate) fn map(&mut self, key: &str) -> Option<&'m Map> {
        let entry = self.entry(key)?;
        match entry.value.as_map() {
            Some(map) => Some(map),
            None => self.not(entry, "a map", None),
        }
    }

    /// A switch. Text that says true or false counts, with a warning (row D14).
    pub(crate) fn flag(&mut self, key: &str) -> Option<bool> {
        let entry = self.entry(key)?;
        let said = match &entry.value.value {
            Value::Bool(value) => return Some(*value),
            Value::Int(0) => Some(false),
            Value::Int(1) => Some(true),
            Value::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Some(true),
                "false" | "no" | "off" | "0" => Some(false),
                _ => None,
            },
            _ => None,
        };
        let Some(said) = said else {
            return self.not(entry, "true or false", Some(format!("write `{key}: true`")));
        };
        let word = if said { "on" } else { "off" };
        let message =
            format!("`{key}` is {word}, but is written as {} and not as a boolean", entry.value.kind());
        let help = format!("write `{key}: {said}` without quotes");
        let help = self.findings.advice(help, format!("give the boolean {said}"));
        let help = if said { help + "; LiteLLM reads it as off" } else { help };
        self.findings.warn("string-switch", entry.value.at, message, Some(help));
        Some(said)
    }

    /// A number, or text that is one; not negative.
    pub(crate) fn number(&mut self, key: &str) -> Option<f64> {
        let entry = self.entry(key)?;
        match as_number(&entry.value) {
            Some(number) if number.is_finite() && number >= 0.0 => Some(number),
            Some(_) => self.not(entry, "a number from 0", None),
            None => self.not(entry, "a number", None),
        }
    }

    /// A whole number, or text that is one, within `i64`.
    pub(crate) fn whole(&mut self, key: &str) -> Option<i64> {
        let entry = self.entry(key)?;
        match as_whole(&entry.value) {
            Some(number) => Some(number),
            None => self.not(entry, "a whole number", None),
        }
    }

    /// A whole number from 0, or text that is one.
    pub(crate) fn count(&mut self, key: &str) -> Option<u32> {
        let entry = self.entry(key)?;
        match as_whole(&entry.value).map(u32::try_from) {
            Some(Ok(number)) => Some(number),
            _ => self.not(entry, "a whole number from 0", None),
        }
    }

    /// Seconds.
    pub(crate) fn seconds(&mut self, key: &str) -> Option<Duration> {
        let entry = self.entry(key)?;
        match as_number(&entry.value).map(Duration::try_from_secs_f64) {
            Some(Ok(duration)) => Some(duration),
            _ => self.not(entry, "a number of seconds", None),
        }
    }

    /// For a scalar that lost its quotes.
    fn quoting(&self, node: &Node) -> Option<String> {
        let in_yaml = match &node.value {
            Value::Bool(_) => {
                "YAML reads yes, no, on, off, true and false as booleans: write the text in quotes"
            }
            Value::Int(_) | Value::Float(_) => "write it in quotes",
            _ => return None,
        };
        Some(self.findings.advice(in_yaml, "give it as text"))
    }

    /// What to write instead, in YAML or in a value.
    pub(crate) fn advice(&self, in_yaml: &str, in_value: &str) -> String {
        self.findings.advice(in_yaml, in_value)
    }

    /// Notes that a value is not what its key wants.
    pub(crate) fn not<T>(&mut self, entry: &Entry, expected: &str, help: Option<String>) -> Option<T> {
        let message = format!("`{}` is {expected}, and this is {}", entry.key, entry.value.kind());
        self.reject("wrong-type", entry.value.at, message, help);
        None
    }

    /// Notes a mistake.
    pub(crate) fn reject(&mut self, code: &'static str, at: Place, message: String, help: Option<String>) {
        self.wrong.push(Wrong { code, at, message, help });
    }

    /// Notes that nothing can run, for a reason that stands in no file.
    pub(crate) fn refuse(&mut self, code: &'static str, message: String, help: Option<String>) {
        self.findings.refuse(code, None, message, help);
    }

    /// Notes something that works.
    pub(crate) fn warn(&mut self, code: &'static str, at: Place, message: String, help: Option<String>) {
        self.findings.warn(code, at, message, help);
    }

    /// For a map that the whole gateway depends on: every mistake refuses to start.
    pub(crate) fn refuse_wrong(self) {
        for wrong in self.wrong {
            self.findings.refuse(wrong.code, Some(wrong.at), wrong.message, wrong.help);
        }
    }
}

/// The number that a value is or says: PyYAML reads `1e-7` as text, and LiteLLM takes it.
pub(crate) fn as_number(node: &Node) -> Option<f64> {
    match &node.value {
        Value::Int(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// The whole number that a value is or says.
pub(crate) fn as_whole(node: &Node) -> Option<i64> {
    match &node.value {
        Value::Int(value) => i64::try_from(*value).ok(),
        Value::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => Some(*value as i64),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}
