//! `tagrail check CONFIG`: what is wrong with it, and what it holds.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};
use tagrail_config::{Diagnostic, Loaded, ModeDifferences, mode_differences};

use crate::differences;
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
    let modes = loaded.spec.as_ref().map(mode_differences);
    let failed = loaded.resolved.is_none() || report::has_errors(&loaded.diagnostics);
    if as_json {
        let diagnostics: Vec<Value> = loaded.diagnostics.iter().map(Diagnostic::to_json).collect();
        let answer = json!({
            "ok": !failed,
            "diagnostics": diagnostics,
            "summary": summary.as_ref().map(Summary::json),
            "mode_differences": modes.as_ref().map(differences::json),
        });
        say(&format!("{:#}\n", answer));
    } else {
        say(&text(path, &loaded, summary.as_ref(), modes.as_ref()));
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn text(path: &Path, loaded: &Loaded, summary: Option<&Summary>, modes: Option<&ModeDifferences>) -> String {
    let mut text = report::rendered(loaded, std::io::stdout().is_terminal());
    text.push_str(&format!("{}: {}\n", path.display(), report::count(&loaded.diagnostics)));
    if let Some(verdict) = report::verdict(loaded) {
        text.push_str(&format!("{verdict}\n"));
    }
    match summary {
        Some(summary) => {
            text.push_str(&summary.text());
            text.push_str(&modes.map(differences::text).unwrap_or_default());
        }
        None => text.push_str("nothing of it can be served\n"),
    }
    text
}
