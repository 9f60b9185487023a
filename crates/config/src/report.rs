//! What there is to say of a configuration: what is wrong with it, what it holds, and where the two
//! routing modes part ways on it. `tagrail check` says it, and so do the SDKs.

mod differences;
mod summary;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{Diagnostic, Loaded, ModeDifferences, Severity, mode_differences};

pub use summary::Summary;

/// More findings of one code than this are for machines.
const SHOWN: usize = 20;

/// Who reads a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Somebody at a terminal, with or without colours, who can ask for `--json`.
    Terminal {
        /// Whether it shows colours.
        colours: bool,
    },
    /// Whoever a program shows it to.
    Program,
}

/// Everything there is to say of a configuration.
pub struct Report<'a> {
    loaded: &'a Loaded,
    summary: Option<Summary>,
    differences: Option<ModeDifferences>,
}

impl Loaded {
    /// Whether anything is worse than a warning.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(is_error)
    }

    /// `2 errors, 1 warning`.
    pub fn count(&self) -> String {
        let errors = self.diagnostics.iter().filter(|found| is_error(found)).count();
        format!("{}, {}", plural(errors, "error"), plural(self.diagnostics.len() - errors, "warning"))
    }

    /// Findings for a person, each with the line that it is about.
    pub fn findings(&self, reader: Reader) -> String {
        let (colours, whole) = match reader {
            Reader::Terminal { colours } => (colours, "`tagrail check --json`"),
            Reader::Program => (false, "the diagnostics"),
        };
        let has = if reader == Reader::Program { "have" } else { "has" };
        let mut text = String::new();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for found in &self.diagnostics {
            let count = counts.entry(found.code).or_default();
            *count += 1;
            if *count <= SHOWN {
                text.push_str(&(found.render(&self.sources, colours) + "\n\n"));
            }
        }
        for (code, count) in counts.into_iter().filter(|(_, count)| *count > SHOWN) {
            text.push_str(&format!(
                "\u{2026} and {} more of `{code}`; {whole} {has} them all\n\n",
                count - SHOWN
            ));
        }
        text
    }

    /// What the errors do, and how many each.
    pub fn verdict(&self) -> Option<String> {
        let errors = self.diagnostics.iter().filter(|found| is_error(found));
        let (stopping, leaving): (Vec<_>, Vec<_>) = errors.partition(|found| found.stops);
        let left_out = match leaving.len() {
            0 => None,
            1 => Some("1 error leaves a deployment out".to_owned()),
            count => Some(format!("{count} errors leave out the deployment that they stand in")),
        };
        let stopped = match stopping.len() {
            0 if left_out.is_some() && self.resolved.is_none() => {
                Some("`strict_config` is on, so nothing is started".to_owned())
            }
            0 => None,
            1 => Some("1 error stops the start".to_owned()),
            count => Some(format!("{count} errors stop the start")),
        };
        let parts: Vec<String> = stopped.into_iter().chain(left_out).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

impl<'a> Report<'a> {
    /// Of a configuration alone.
    pub fn of(loaded: &'a Loaded) -> Report<'a> {
        Report::beside(loaded, &[])
    }

    /// The same, with tags that a store reserves besides.
    pub fn beside(loaded: &'a Loaded, of_store: &[String]) -> Report<'a> {
        let summary = loaded.resolved.as_ref().map(|resolved| Summary::beside(resolved, of_store));
        Report { loaded, summary, differences: loaded.spec.as_ref().map(mode_differences) }
    }

    /// Whether something runs, and nothing is worse than a warning.
    pub fn is_ok(&self) -> bool {
        self.loaded.resolved.is_some() && !self.loaded.has_errors()
    }

    /// For a machine: `ok`, `diagnostics`, `summary` (null when nothing can run) and
    /// `mode_differences` (null when nothing could be read).
    pub fn to_json(&self) -> Value {
        let diagnostics: Vec<Value> = self.loaded.diagnostics.iter().map(Diagnostic::to_json).collect();
        json!({
            "ok": self.is_ok(),
            "diagnostics": diagnostics,
            "summary": self.summary.as_ref().map(Summary::to_json),
            "mode_differences": self.differences.as_ref().map(differences::json),
        })
    }

    /// For a person, in a screenful or two. `name` is what the configuration is called: its file.
    pub fn to_text(&self, name: &str, reader: Reader) -> String {
        let mut text = self.loaded.findings(reader);
        text.push_str(&format!("{name}: {}\n", self.loaded.count()));
        if let Some(verdict) = self.loaded.verdict() {
            text.push_str(&format!("{verdict}\n"));
        }
        match &self.summary {
            Some(summary) => {
                text.push_str(&summary.to_text());
                let differences = self.differences.as_ref().map(|found| differences::text(found, reader));
                text.push_str(&differences.unwrap_or_default());
            }
            None => text.push_str("nothing of it can be served\n"),
        }
        text
    }
}

fn is_error(found: &Diagnostic) -> bool {
    found.severity == Severity::Error
}

/// `1 group`, `2 groups`.
fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
