//! Collects what is noticed while a configuration is read.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::Host;
use crate::confidential::without_keys;
use crate::diagnostic::{Diagnostic, Severity, Spot};
use crate::node::Place;
use crate::steps::Steps;

/// Everything noticed so far.
#[derive(Default)]
pub(crate) struct Findings {
    /// Names of the files that were read, as given.
    pub(crate) files: Vec<PathBuf>,
    /// Where everything stands, when no file but a value is read.
    pub(crate) steps: Option<Steps>,
    /// What the configuration is read for.
    pub(crate) host: Host,
    found: Vec<(Option<Place>, Diagnostic)>,
    /// Variables that are not set, in the order in which they came up.
    unset: Vec<Unset>,
    /// Positions among those, by name.
    unset_names: HashMap<String, usize>,
    refused: bool,
}

/// A variable that is not set.
struct Unset {
    name: String,
    first: Place,
    uses: usize,
}

impl Findings {
    /// None yet, of a configuration that is read for this.
    pub(crate) fn of(host: Host) -> Findings {
        Findings { host, ..Findings::default() }
    }

    /// Works, but is probably not what was meant.
    pub(crate) fn warn(&mut self, code: &'static str, at: Place, message: String, help: Option<String>) {
        self.push(Severity::Warning, code, Some(at), message, help, false);
    }

    /// The same of the process's environment, which stands in no file.
    pub(crate) fn warn_of_environment(&mut self, code: &'static str, message: String, help: Option<String>) {
        self.push(Severity::Warning, code, None, message, help, false);
    }

    /// Something is left out; the rest runs.
    pub(crate) fn error(&mut self, code: &'static str, at: Place, message: String, help: Option<String>) {
        self.push(Severity::Error, code, Some(at), message, help, false);
    }

    /// Nothing can run, or nothing must.
    pub(crate) fn refuse(
        &mut self,
        code: &'static str,
        at: Option<Place>,
        message: String,
        help: Option<String>,
    ) {
        self.refused = true;
        self.push(Severity::Error, code, at, message, help, true);
    }

    /// What a key protects would stand open.
    pub(crate) fn unprotected(&mut self, at: Place, fact: String) {
        let help =
            format!("remove it if this {} may run without, or keep such traffic elsewhere", self.host.name());
        self.refuse("unprotected", Some(at), format!("{fact}: nothing is started"), Some(help));
    }

    /// A variable that a value is read from is not set: said once, however often it is used.
    pub(crate) fn unset(&mut self, name: &str, at: Place) {
        match self.unset_names.get(name) {
            Some(known) => self.unset[*known].uses += 1,
            None => {
                self.unset_names.insert(name.to_owned(), self.unset.len());
                self.unset.push(Unset { name: name.to_owned(), first: at, uses: 1 });
            }
        }
    }

    /// What is to be said about variables that are not set, but where an error has said it.
    fn say_unset(&mut self) {
        for Unset { name, first, uses } in std::mem::take(&mut self.unset) {
            let is_said = |(at, found): &(_, Diagnostic)| {
                *at == Some(first) && matches!(found.code, "no-master-key" | "unset-variable")
            };
            if uses == 1 && self.found.iter().any(is_said) {
                continue;
            }
            let message = match uses {
                1 => format!("the environment variable `{name}` is not set"),
                uses => format!(
                    "the environment variable `{name}` is not set; {uses} values are read from it, first this one"
                ),
            };
            let host = self.host.name();
            let help =
                format!("set it where the {host} is started, or under `environment_variables`: {name}=...");
            self.warn("unset-variable", first, message, Some(help));
        }
    }

    fn push(
        &mut self,
        severity: Severity,
        code: &'static str,
        at: Option<Place>,
        message: String,
        help: Option<String>,
        stops: bool,
    ) {
        let spot = at.and_then(|at| self.spot(at));
        let path = at.and_then(|at| self.path(at));
        let (message, help) = (without_keys(message), help.map(without_keys));
        let diagnostic = Diagnostic { severity, code, message, spot, path, help, stops };
        // An anchor that is used a hundred times is one mistake.
        if !self.found.iter().rev().take(64).any(|(_, known)| *known == diagnostic) {
            self.found.push((at, diagnostic));
        }
    }

    /// The place for the outside.
    pub(crate) fn spot(&self, at: Place) -> Option<Spot> {
        let file = self.files.get(at.file)?.clone();
        Some(Spot { file, line: at.line, column: at.column })
    }

    /// The place in a value for the outside.
    pub(crate) fn path(&self, at: Place) -> Option<String> {
        self.steps.as_ref()?.path(at)
    }

    /// `file:line:column`, or the path in a value, for a sentence.
    pub(crate) fn name(&self, at: Place) -> String {
        self.spot(at).map(|spot| spot.to_string()).or_else(|| self.path(at)).unwrap_or_default()
    }

    /// `line 3`, or the path in a value, for a sentence about the same file.
    pub(crate) fn brief(&self, at: Place) -> String {
        self.path(at).map_or_else(|| format!("line {}", at.line), |path| format!("`{path}`"))
    }

    /// What to write instead, in YAML; or in a value, where YAML's words mean nothing.
    pub(crate) fn advice(&self, in_yaml: impl Into<String>, in_value: impl Into<String>) -> String {
        if self.steps.is_some() { in_value.into() } else { in_yaml.into() }
    }

    /// What to write instead, where YAML is written.
    pub(crate) fn in_yaml(&self, advice: String) -> Option<String> {
        self.steps.is_none().then_some(advice)
    }

    /// Whether something was refused.
    pub(crate) fn refused(&self) -> bool {
        self.refused
    }

    /// Whether there is any error.
    pub(crate) fn has_errors(&self) -> bool {
        self.found.iter().any(|(_, diagnostic)| diagnostic.severity == Severity::Error)
    }

    /// In the order of the file.
    pub(crate) fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        self.say_unset();
        self.found.sort_by_key(|(at, _)| *at);
        self.found.into_iter().map(|(_, diagnostic)| diagnostic).collect()
    }
}
