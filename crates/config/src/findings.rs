//! Collects what is noticed while a configuration is read.

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
    refused: bool,
}

impl Findings {
    /// Works, but is probably not what was meant.
    pub(crate) fn warn(&mut self, code: &'static str, at: Place, message: String, help: Option<String>) {
        self.push(Severity::Warning, code, Some(at), message, help);
    }

    /// Something is left out; the rest runs.
    pub(crate) fn error(&mut self, code: &'static str, at: Place, message: String, help: Option<String>) {
        self.push(Severity::Error, code, Some(at), message, help);
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
        self.push(Severity::Error, code, at, message, help);
    }

    fn push(
        &mut self,
        severity: Severity,
        code: &'static str,
        at: Option<Place>,
        message: String,
        help: Option<String>,
    ) {
        let spot = at.and_then(|at| self.spot(at));
        let (message, help) = (without_keys(message), help.map(without_keys));
        let diagnostic = Diagnostic { severity, code, message, spot, help };
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
        self.found.sort_by_key(|(at, _)| *at);
        self.found.into_iter().map(|(_, diagnostic)| diagnostic).collect()
    }
}
