//! `tagrail check CONFIG`: what is wrong with it, and what it holds.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};
use tagrail_config::{Diagnostic, Loaded};

use crate::flags::CheckFlags;
use crate::report::{self, say};
use crate::serve::environment;
use crate::summary::Summary;

/// Exit status 1 when there are errors, 0 with warnings alone.
pub(crate) fn run(flags: &CheckFlags) -> ExitCode {
    check(&flags.config, flags.json)
}

pub(crate) fn check(path: &Path, as_json: bool) -> ExitCode {
    let loaded = tagrail_config::load(path, &environment);
    let summary = loaded.resolved.as_ref().map(Summary::of);
    let failed = loaded.resolved.is_none() || report::has_errors(&loaded.diagnostics);
    if as_json {
        let diagnostics: Vec<Value> = loaded.diagnostics.iter().map(Diagnostic::to_json).collect();
        let summary = summary.map_or(Value::Null, |summary| summary.json());
        say(&format!("{:#}\n", json!({"ok": !failed, "diagnostics": diagnostics, "summary": summary})));
    } else {
        say(&text(path, &loaded, summary.as_ref()));
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn text(path: &Path, loaded: &Loaded, summary: Option<&Summary>) -> String {
    let mut text = report::rendered(loaded, std::io::stdout().is_terminal());
    text.push_str(&format!("{}: {}\n", path.display(), report::count(&loaded.diagnostics)));
    match summary {
        Some(summary) => text.push_str(&summary.text()),
        None => text.push_str("nothing of it can be served\n"),
    }
    text
}
