//! `tagrail check CONFIG`: what is wrong with it, and what it holds.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use tagrail_config::{Holdings, Reader, Report};

use crate::failure::{Failure, ended};
use crate::flags::CheckFlags;
use crate::place::{Place, PlaceFlags};
use crate::report::say;
use crate::serve::environment;

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
    let report = Report::beside(&loaded, of_store);
    if as_json {
        say(&format!("{:#}\n", report.to_json()));
    } else {
        let colours = std::io::stdout().is_terminal();
        say(&report.to_text(&path.display().to_string(), Reader::Terminal { colours }));
    }
    if report.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
