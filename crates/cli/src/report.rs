//! Findings and sentences, on the way to a person.

use std::io::{IsTerminal, Write};

use tagrail_config::{Loaded, Reader};

/// Writes to standard output. A reader that has gone away (`| head`) is no reason to fail.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).ok();
}

/// Writes one line about this run to standard error.
pub(crate) fn complain(sentence: &str) {
    writeln!(std::io::stderr().lock(), "tagrail: {sentence}").ok();
}

/// `1 group`, `2 groups`.
pub(crate) fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Findings on standard error.
pub(crate) fn show(loaded: &Loaded) {
    let colours = std::io::stderr().is_terminal();
    std::io::stderr().lock().write_all(loaded.findings(Reader::Terminal { colours }).as_bytes()).ok();
}
