//! Findings and sentences, on the way to a person.

use std::io::{IsTerminal, Write};

use tagrail_config::{Loaded, Reader};

use crate::logging::{self, Target};

/// Writes to standard output. A reader that has gone away (`| head`) is no reason to fail.
pub(crate) fn say(text: &str) {
    if logging::print(Target::Out, text) {
        return;
    }
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).ok();
}

/// Writes one line about this run to standard error.
pub(crate) fn complain(sentence: &str) {
    let line = format!("tagrail: {sentence}\n");
    if !logging::print(Target::Error, &line) {
        std::io::stderr().lock().write_all(line.as_bytes()).ok();
    }
}

/// `1 group`, `2 groups`.
pub(crate) fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Findings on standard error.
pub(crate) fn show(loaded: &Loaded) {
    let colours = std::io::stderr().is_terminal();
    let findings = loaded.findings(Reader::Terminal { colours });
    if logging::is_started() {
        // In pieces, since the queue cuts what is long.
        for line in findings.split_inclusive('\n') {
            logging::print(Target::Error, line);
        }
        return;
    }
    std::io::stderr().lock().write_all(findings.as_bytes()).ok();
}
