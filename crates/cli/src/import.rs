//! `tagrail import litellm`: teams, keys, users, budgets and tags move in from LiteLLM's database.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use tagrail_config::Resolved;
use tagrail_store::litellm::{Counts, Importing, Litellm, Report, import};
use tagrail_store::{Store, StoreError, open, peek};

use crate::failure::Failure;
use crate::place::{Place, PlaceFlags};
use crate::report::{plural, say};
use crate::serve::environment;

/// How often a person is told how far it is.
const TICK: Duration = Duration::from_millis(200);
/// More names than this are for machines.
const SHOWN: usize = 20;

/// `tagrail import …`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tagrail import litellm --database-url postgres://litellm@db/litellm --dry-run")]
pub(crate) struct ImportFlags {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    /// Copy teams, keys, users, budgets and tags out of LiteLLM's database; existing keys keep working.
    ///
    /// Nothing is changed in LiteLLM's database, and nothing that is here already is touched: it may be
    /// repeated. A running gateway on the same database takes notice by itself.
    #[command(after_help = "\
Exit status: 0 when everything came, 1 when something could not come or a database cannot be used, 2 when
called wrongly.

Examples:
  tagrail import litellm --database-url postgres://litellm@db/litellm --dry-run
  tagrail import litellm --database-url postgres://litellm@db/litellm --data-dir /var/lib/tagrail
  tagrail import litellm --database-url \"$LITELLM_DATABASE_URL\" --into postgres://tagrail@db/tagrail --json")]
    Litellm(LitellmFlags),
}

#[derive(Debug, Args)]
struct LitellmFlags {
    /// LiteLLM's database; it is only read.
    #[arg(long, value_name = "URL", value_parser = crate::address::Address)]
    database_url: String,
    /// The database to write into, postgres://... or sqlite:PATH. [default: the one of the configuration,
    /// else the file in the data directory]
    #[arg(long, value_name = "URL", value_parser = crate::address::Address)]
    into: Option<String>,
    /// Where the file tagrail.db is. [default: the working directory]
    #[arg(long, env = "TAGRAIL_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The configuration: it may name the database, and has the routing prefix of tags.
    #[arg(short, long, env = "CONFIG_FILE_PATH", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only say what would come.
    #[arg(long)]
    dry_run: bool,
    /// For machines.
    #[arg(long)]
    json: bool,
}

/// Imports, and says what came of it.
pub(crate) fn run(flags: &ImportFlags) -> Result<(), Failure> {
    let From::Litellm(flags) = &flags.from;
    let resolved = flags.config.as_deref().map(resolved).transpose()?;
    let into = into(flags, resolved.as_ref());
    if one_database(&flags.database_url, &into) {
        return Err(Failure::Wrong(
            "that is LiteLLM's own database, in which nothing is to be changed: give --into or --data-dir"
                .to_owned(),
        ));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("no runtime can be started: {error}")))?;
    let plain = || tagrail_config::load_value(&serde_json::json!({"model_list": []}), &|_| None).resolved;
    let table = resolved.or_else(plain).map(|resolved| resolved.table);
    let reserving = |tags: &[String]| table.as_ref().map(|table| table.reserving(tags)).unwrap_or_default();
    let report = runtime.block_on(moved(flags, &into, &reserving))?;
    let complete = [report.teams, report.users, report.keys, report.tags].iter().all(|it| it.refused == 0);
    if flags.json {
        let report = serde_json::to_value(&report).unwrap_or_default();
        say(&format!("{report:#}\n"));
    } else {
        say(&told(&report, flags.dry_run));
    }
    if complete { Ok(()) } else { Err(Failure::Failed("not everything could come".to_owned())) }
}

fn resolved(path: &Path) -> Result<Resolved, Failure> {
    let loaded = tagrail_config::load(path, &environment);
    loaded.resolved.ok_or_else(|| {
        let path = path.display();
        Failure::Failed(format!("{path} cannot be used; `tagrail check {path}` says why"))
    })
}

/// Whether two addresses are one database, as far as they tell: host, port and name, whoever logs in.
fn one_database(one: &str, other: &str) -> bool {
    let place = |address: &str| {
        let (scheme, rest) = address.split_once("://")?;
        let rest = rest.split(['?', '#']).next()?;
        let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
        let (host, name) = place.split_once('/')?;
        let port = if host.contains(':') { "" } else { ":5432" };
        scheme.starts_with("postgres").then(|| format!("{}{port}/{name}", host.to_ascii_lowercase()))
    };
    place(one).is_some_and(|one| Some(one) == place(other))
}

/// The address of the store to write into. `DATABASE_URL` does not count without a configuration: it is
/// likely to be LiteLLM's.
fn into(flags: &LitellmFlags, resolved: Option<&Resolved>) -> String {
    let place = PlaceFlags { data_dir: flags.data_dir.clone(), database_url: flags.into.clone() };
    match resolved {
        Some(resolved) => Place::of(&place, &resolved.general).address(),
        None => Place::of_flags(&place).address(),
    }
}

async fn moved(
    flags: &LitellmFlags,
    into: &str,
    reserving: &(dyn Fn(&[String]) -> Vec<String> + Sync),
) -> Result<Report, Failure> {
    let theirs = |error: StoreError| Failure::Failed(format!("LiteLLM's database: {}", bare(&error)));
    let ours = |error: StoreError| Failure::Failed(format!("the database to write into: {}", bare(&error)));
    let mut litellm = Litellm::open(&flags.database_url).await.map_err(theirs)?;
    // A dry run makes nothing, not even the tables to write into.
    let store: Option<Arc<dyn Store>> = if flags.dry_run && peek(into).await.map_err(ours)?.is_none() {
        None
    } else {
        Some(open(into).await.map_err(ours)?)
    };
    let mut progress = progress();
    let importing =
        Importing { into: store.as_deref(), dry_run: flags.dry_run, reserving, progress: &mut progress };
    let report = import(&mut litellm, importing).await;
    if std::io::stderr().is_terminal() {
        write!(std::io::stderr(), "\r\u{1b}[K").ok();
    }
    litellm.close().await;
    if let Some(store) = store {
        store.close().await;
    }
    report.map_err(|error| {
        Failure::Failed(format!("{error}; what came until then is there, and the import may be repeated"))
    })
}

/// What is wrong, without saying of which database.
fn bare(error: &StoreError) -> String {
    match error {
        StoreError::Unavailable(why) | StoreError::Broken(why) => why.clone(),
        other => other.to_string(),
    }
}

/// Tells a person at a terminal how far it is.
fn progress() -> impl FnMut(&'static str, u64, u64) + Send {
    let shown = std::io::stderr().is_terminal();
    let mut last = Instant::now();
    move |kind, done, total| {
        if shown && last.elapsed() > TICK {
            last = Instant::now();
            write!(std::io::stderr(), "\r\u{1b}[K{kind}: {done} of {total}").ok();
        }
    }
}

/// The report for a person.
fn told(report: &Report, dry_run: bool) -> String {
    let verb = if dry_run { "would come" } else { "came" };
    let mut text = String::new();
    for (kind, counts) in
        [("teams", report.teams), ("keys", report.keys), ("users", report.users), ("tags", report.tags)]
    {
        text.push_str(&format!("{kind:<6} {}\n", counted(counts, verb)));
    }
    if !report.reserved.is_empty() {
        text.push_str(&format!(
            "\nreserved for the teams that hold them: {}\n  (`/tag/update` with \"reserved\": false opens a tag again)\n",
            report.reserved.join(", ")
        ));
    }
    let refused: Vec<String> =
        report.refused.iter().map(|it| format!("{} {}: {}", it.kind, it.name, it.why)).collect();
    list(&mut text, "could not come", &refused);
    list(&mut text, "there already, and left alone", &report.present);
    let unenforced: Vec<String> = report
        .unenforced
        .iter()
        .map(|it| {
            let more = if it.count > it.names.len() as u64 { ", \u{2026}" } else { "" };
            let of = plural(usize::try_from(it.count).unwrap_or(usize::MAX), it.kind);
            format!("`{}` of {of}: {} ({}{more})", it.field, it.means, it.names.join(", "))
        })
        .collect();
    list(&mut text, "kept, and without effect here", &unenforced);
    list(&mut text, "to know", &report.notes);
    let left: Vec<String> =
        report.left_behind.iter().map(|it| format!("{} {}: {}", it.count, it.what, it.instead)).collect();
    list(&mut text, "not brought", &left);
    text
}

fn counted(counts: Counts, verb: &str) -> String {
    let mut text = format!("{} of {} {verb}", counts.brought, counts.found);
    if counts.present > 0 {
        text.push_str(&format!(", {} there already", counts.present));
    }
    if counts.refused > 0 {
        text.push_str(&format!(", {} could not", counts.refused));
    }
    text
}

fn list(text: &mut String, title: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    text.push_str(&format!("\n{title}:\n"));
    for item in items.iter().take(SHOWN) {
        text.push_str(&format!("  {item}\n"));
    }
    if items.len() > SHOWN {
        text.push_str(&format!("  \u{2026} and {} more; --json has them all\n", items.len() - SHOWN));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_database_is_told_by_its_place() {
        let theirs = "postgres://litellm:secret@DB.example/litellm?schema=public";
        for same in ["postgresql://tagrail@db.example:5432/litellm", "postgres://db.example/litellm"] {
            assert!(one_database(theirs, same), "{same}");
        }
        for other in
            ["postgres://db.example/tagrail", "postgres://db.example:5433/litellm", "sqlite:litellm", ""]
        {
            assert!(!one_database(theirs, other), "{other}");
        }
    }
}
