//! Findings and sentences, on the way to a person.

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

/// Findings for a person, each with the line that it is about.
pub(crate) fn rendered(loaded: &Loaded, colours: bool) -> String {
    loaded.diagnostics.iter().map(|found| found.render(&loaded.sources, colours) + "\n\n").collect()
}

/// Findings on standard error.
pub(crate) fn show(loaded: &Loaded) {
    let colours = std::io::stderr().is_terminal();
    std::io::stderr().lock().write_all(rendered(loaded, colours).as_bytes()).ok();
}
