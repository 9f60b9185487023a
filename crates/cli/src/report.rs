//! Findings and sentences, on the way to a person.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};

use tagrail_config::{Diagnostic, Loaded, Severity};

/// Writes to standard output. A reader that has gone away (`| head`) is no reason to fail.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).ok();
}

/// Writes one line about this run to standard error.
pub(crate) fn complain(sentence: &str) {
    writeln!(std::io::stderr().lock(), "tagrail: {sentence}").ok();
}

/// Whether anything is worse than a warning.
pub(crate) fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}

/// `2 errors, 1 warning`.
pub(crate) fn count(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    format!("{}, {}", plural(errors, "error"), plural(diagnostics.len() - errors, "warning"))
}

/// `1 group`, `2 groups`.
pub(crate) fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// More findings of one code than this are for machines.
const SHOWN: usize = 20;

/// Findings for a person, each with the line that it is about.
pub(crate) fn rendered(loaded: &Loaded, colours: bool) -> String {
    let mut text = String::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for found in &loaded.diagnostics {
        let count = counts.entry(found.code).or_default();
        *count += 1;
        if *count <= SHOWN {
            text.push_str(&(found.render(&loaded.sources, colours) + "\n\n"));
        }
    }
    for (code, count) in counts.into_iter().filter(|(_, count)| *count > SHOWN) {
        text.push_str(&format!(
            "\u{2026} and {} more of `{code}`; `tagrail check --json` has them all\n\n",
            count - SHOWN
        ));
    }
    text
}

/// What the errors do, and how many each.
pub(crate) fn verdict(loaded: &Loaded) -> Option<String> {
    let errors = loaded.diagnostics.iter().filter(|found| found.severity == Severity::Error);
    let (stopping, leaving): (Vec<_>, Vec<_>) = errors.partition(|found| found.stops);
    let left_out = match leaving.len() {
        0 => None,
        1 => Some("1 error leaves a deployment out".to_owned()),
        count => Some(format!("{count} errors leave out the deployment that they stand in")),
    };
    let stopped = match stopping.len() {
        0 if left_out.is_some() && loaded.resolved.is_none() => {
            Some("`strict_config` is on, so nothing is started".to_owned())
        }
        0 => None,
        1 => Some("1 error stops the start".to_owned()),
        count => Some(format!("{count} errors stop the start")),
    };
    let parts: Vec<String> = stopped.into_iter().chain(left_out).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Findings on standard error.
pub(crate) fn show(loaded: &Loaded) {
    let colours = std::io::stderr().is_terminal();
    std::io::stderr().lock().write_all(rendered(loaded, colours).as_bytes()).ok();
}
