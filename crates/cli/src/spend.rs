//! `tagrail spend`: what calls have cost, for whoever pays.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use crate::failure::Failure;
use crate::remote::{Remote, RemoteFlags};
use crate::report::say;
use crate::table::{self, table};

/// `tagrail spend …`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tagrail spend report --from 2026-11-01 --until 2026-11-30
  tagrail spend report --by key --csv > november.csv")]
pub(crate) struct SpendFlags {
    #[command(flatten)]
    remote: RemoteFlags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sums by team, key, user, tag or model.
    #[command(after_help = "\
Days are those of UTC, the first and the last included.

Examples:
  tagrail spend report --from 2026-11-01 --until 2026-11-30
  tagrail spend report --by tag --from 2026-11-01 --until 2026-11-30 --csv > november.csv")]
    Report {
        /// Who pays.
        #[arg(long, value_enum, default_value_t = Payer::Team)]
        by: Payer,
        /// The first day, 2026-11-01. [default: the first of this month]
        #[arg(long, value_name = "DAY")]
        from: Option<String>,
        /// The last day, 2026-11-30. [default: today]
        #[arg(long, value_name = "DAY")]
        until: Option<String>,
        /// For a spreadsheet: a line for each day, payer and model.
        #[arg(long, conflicts_with = "json")]
        csv: bool,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Payer {
    Team,
    Key,
    User,
    Tag,
    Model,
}

impl Payer {
    /// As the gateway calls it.
    fn word(self) -> &'static str {
        match self {
            Payer::Team => "team",
            Payer::Key => "key",
            Payer::User => "user",
            Payer::Tag => "tag",
            Payer::Model => "model",
        }
    }
}

/// Asks the gateway, and prints what it answers.
pub(crate) fn run(flags: &SpendFlags) -> Result<(), Failure> {
    let remote = Remote::new(&flags.remote)?;
    let Command::Report { by, from, until, csv } = &flags.command;
    let mut query = vec![("group_by", by.word()), ("format", if *csv { "csv" } else { "totals" })];
    let today = tagrail_store::Timestamp::now().day();
    let first = from.clone().unwrap_or_else(|| format!("{}01", &today[..today.len().saturating_sub(2)]));
    query.push(("start_date", &first));
    query.push(("end_date", until.as_deref().unwrap_or(&today)));
    if *csv {
        say(&remote.text("/global/spend/report", &query)?);
        return Ok(());
    }
    let answer = remote.get("/global/spend/report", &query)?;
    remote.show(&answer, |answer| totals(answer, by.word()));
    Ok(())
}

fn totals(answer: &Value, word: &str) -> String {
    let payers = answer.get(format!("{word}s")).and_then(Value::as_array);
    let payers = payers.map(Vec::as_slice).unwrap_or_default();
    if payers.is_empty() {
        return "nothing was spent\n".to_owned();
    }
    let mut rows: Vec<[String; 6]> = payers
        .iter()
        .map(|payer| {
            [
                name(payer, word),
                money(payer),
                table::text(payer, "requests"),
                table::text(payer, "failed_requests"),
                table::text(payer, "prompt_tokens"),
                table::text(payer, "completion_tokens"),
            ]
        })
        .collect();
    let none = String::new;
    rows.push(["total".to_owned(), money(answer), none(), none(), none(), none()]);
    let title = word.to_uppercase();
    table([&title, "SPEND (USD)", "REQUESTS", "FAILED", "PROMPT TOKENS", "ANSWER TOKENS"], &rows)
}

/// The payer's name, with its id where that is something else.
fn name(payer: &Value, word: &str) -> String {
    let (id, name) = (table::text(payer, &format!("{word}_id")), table::text(payer, &format!("{word}_name")));
    if name == table::NONE || name == id { id } else { format!("{name} ({id})") }
}

fn money(sum: &Value) -> String {
    table::usd(sum.get("total_spend").and_then(Value::as_f64).unwrap_or(0.0))
}
