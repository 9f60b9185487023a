//! Collects what is noticed while a configuration is read.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::confidential::without_keys;
use crate::diagnostic::{Diagnostic, Severity, Spot};
use crate::node::Place;

/// Everything noticed so far.
#[derive(Default)]
pub(crate) struct Findings {
    /// Names of the files that were read, as given.
    pub(crate) files: Vec<PathBuf>,
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
    /// Works, but is probably not what was meant.
    pub(crate) fn warn(&mut self, code: &'static str, at: Place, message: String, help: Option<String>) {
        self.push(Severity::Warning, code, Some(at), message, help, false);
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
            let key_is_missing =
                |(at, found): &(_, Diagnostic)| *at == Some(first) && found.code == "no-master-key";
            if uses == 1 && self.found.iter().any(key_is_missing) {
                continue;
            }
            let message = match uses {
                1 => format!("the environment variable `{name}` is not set"),
                uses => format!(
                    "the environment variable `{name}` is not set; {uses} values are read from it, first this one"
                ),
            };
            let help =
                format!("set it where the gateway is started, or under `environment_variables`: {name}=...");
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
        let (message, help) = (without_keys(message), help.map(without_keys));
        let diagnostic = Diagnostic { severity, code, message, spot, help, stops };
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

    /// `file:line:column`, for a sentence.
    pub(crate) fn name(&self, at: Place) -> String {
        self.spot(at).map(|spot| spot.to_string()).unwrap_or_default()
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
