//! `tagrail check CONFIG`: what is wrong with it, and what it holds.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};
use tagrail_config::{Diagnostic, Holdings, Loaded, ModeDifferences, mode_differences};

use crate::differences;
use crate::failure::{Failure, ended};
use crate::flags::CheckFlags;
use crate::place::{Place, PlaceFlags};
use crate::report::{self, say};
use crate::serve::environment;
use crate::summary::Summary;

/// Exit status 1 when there are errors, 0 with warnings alone.
pub(crate) fn run(flags: &CheckFlags) -> ExitCode {
    match holdings(flags) {
        Ok(holdings) => check(&flags.config, holdings.as_ref(), flags.json),
        Err(failure) => ended(Err(failure)),
    }
}

/// What the store says that the flags name.
fn holdings(flags: &CheckFlags) -> Result<Option<Holdings>, Failure> {
    let place = PlaceFlags { data_dir: flags.data_dir.clone(), database_url: flags.database_url.clone() };
    if place.data_dir.is_none() && place.database_url.is_none() {
        return Ok(None);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("no runtime can be started: {error}")))?;
    let seen = runtime.block_on(tagrail_store::peek(&Place::of_flags(&place).address()));
    let seen = seen.map_err(|error| Failure::Failed(error.to_string()))?;
    let Some(seen) = seen else {
        return Err(Failure::Failed("no teams have ever been kept there".to_owned()));
    };
    let teams = seen.teams.into_iter().map(|team| (team.alias.unwrap_or(team.id), team.tags));
    Ok(Some(Holdings { reserved: seen.reserved, teams: teams.collect() }))
}

pub(crate) fn check(path: &Path, holdings: Option<&Holdings>, as_json: bool) -> ExitCode {
    let loaded = match holdings {
        Some(holdings) => tagrail_config::load_beside(path, &environment, holdings),
        None => tagrail_config::load(path, &environment),
    };
    let of_store = holdings.map(|holdings| holdings.reserved.as_slice()).unwrap_or_default();
    let summary = loaded.resolved.as_ref().map(|resolved| Summary::beside(resolved, of_store));
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
