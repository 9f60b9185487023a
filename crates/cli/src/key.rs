//! `tagrail key`: virtual keys of a running gateway.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::remote::{Remote, RemoteFlags};
use crate::report::plural;
use crate::table::{self, lines, table};
use crate::terms::{Terms, put};

/// `tagrail key …`.
#[derive(Debug, Args)]
#[command(after_help = "\
A key is named as it is sent (sk-...), or by its token, which `tagrail key list` shows.
Exit status: 0 when it is done, 1 when the gateway refuses or cannot be reached, 2 when called wrongly.

Examples:
  tagrail key generate --team TEAM_ID --alias ana
  tagrail key list --team TEAM_ID
  tagrail key block TOKEN
  tagrail key regenerate TOKEN --json | jq -r .key")]
pub(crate) struct KeyFlags {
    #[command(flatten)]
    remote: RemoteFlags,
    #[command(subcommand)]
    command: Command,
}

/// What a key has beside the terms.
#[derive(Clone, Debug, Default, Args)]
struct Holder {
    /// The team that it is for.
    #[arg(long, value_name = "TEAM_ID")]
    team: Option<String>,
    /// The user that it is for.
    #[arg(long, value_name = "USER_ID")]
    user: Option<String>,
    /// What people call it; no other key may have the name.
    #[arg(long, value_name = "NAME")]
    alias: Option<String>,
    /// How long it opens anything: 30s, 15m, 24h, 30d, 1mo. [default: for ever]
    #[arg(long, value_name = "DURATION")]
    duration: Option<String>,
    /// A route that it may call, such as /v1/chat/completions or llm_api_routes; may be repeated.
    /// [default: every route for calling models]
    #[arg(long = "allowed-route", value_name = "ROUTE")]
    allowed_routes: Vec<String>,
}

impl Holder {
    fn put(&self, body: &mut Map<String, Value>) {
        put(body, "team_id", self.team.as_deref());
        put(body, "user_id", self.user.as_deref());
        put(body, "key_alias", self.alias.as_deref());
        put(body, "duration", self.duration.as_deref());
        if !self.allowed_routes.is_empty() {
            body.insert("allowed_routes".to_owned(), json!(self.allowed_routes));
        }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key. It is shown this once.
    #[command(after_help = "\
Examples:
  tagrail key generate --team TEAM_ID
  tagrail key generate --team TEAM_ID --alias ana --duration 30d --max-budget 5
  tagrail key generate --tag free --model gpt-4 --rpm-limit 10 --json | jq -r .key")]
    Generate {
        #[command(flatten)]
        holder: Holder,
        #[command(flatten)]
        terms: Terms,
    },
    /// Change a key; what is not named stays.
    #[command(after_help = "\
Examples:
  tagrail key update TOKEN --rpm-limit 60
  tagrail key update TOKEN --clear max_budget")]
    Update {
        #[arg(value_name = "KEY")]
        named: String,
        #[command(flatten)]
        holder: Holder,
        #[command(flatten)]
        terms: Terms,
    },
    /// Keys, with what they may do and have spent.
    #[command(after_help = "\
Examples:
  tagrail key list
  tagrail key list --team TEAM_ID --json")]
    List {
        /// Those of this team.
        #[arg(long, value_name = "TEAM_ID")]
        team: Option<String>,
        /// Those of this user.
        #[arg(long, value_name = "USER_ID")]
        user: Option<String>,
        /// The one with this alias.
        #[arg(long, value_name = "NAME")]
        alias: Option<String>,
    },
    /// One key.
    #[command(after_help = "\
Examples:
  tagrail key info TOKEN")]
    Info {
        #[arg(value_name = "KEY")]
        named: String,
    },
    /// Delete keys: nobody gets in with them any more.
    #[command(after_help = "\
Examples:
  tagrail key delete TOKEN
  tagrail key delete --alias ana")]
    Delete {
        #[arg(value_name = "KEY", required_unless_present = "aliases")]
        named: Vec<String>,
        /// By alias; may be repeated.
        #[arg(long = "alias", value_name = "NAME")]
        aliases: Vec<String>,
    },
    /// Refuse a key, until it is unblocked.
    #[command(after_help = "\
Examples:
  tagrail key block TOKEN")]
    Block {
        #[arg(value_name = "KEY")]
        named: String,
    },
    /// Let a key in again.
    #[command(after_help = "\
Examples:
  tagrail key unblock TOKEN")]
    Unblock {
        #[arg(value_name = "KEY")]
        named: String,
    },
    /// Give a key another value; the old one opens nothing any more. It is shown this once.
    #[command(after_help = "\
Examples:
  tagrail key regenerate TOKEN")]
    Regenerate {
        #[arg(value_name = "KEY")]
        named: String,
    },
}

/// Asks the gateway, and prints what it answers.
pub(crate) fn run(flags: &KeyFlags) -> Result<(), Failure> {
    let remote = Remote::new(&flags.remote)?;
    match &flags.command {
        Command::Generate { holder, terms } => {
            let mut body = terms.body("aliases")?;
            holder.put(&mut body);
            let answer = remote.post("/key/generate", &Value::Object(body))?;
            remote.show(&answer, new);
        }
        Command::Update { named, holder, terms } => {
            let mut body = terms.body("aliases")?;
            holder.put(&mut body);
            if body.is_empty() {
                return Err(Failure::Wrong("nothing to change is named; see --help".to_owned()));
            }
            body.insert("key".to_owned(), json!(named));
            let answer = remote.post("/key/update", &Value::Object(body))?;
            remote.show(&answer, one);
        }
        Command::List { team, user, alias } => {
            let filters = [("team_id", team), ("user_id", user), ("key_alias", alias)];
            let answer = list(&remote, &filters)?;
            remote.show(&answer, all);
        }
        Command::Info { named } => {
            let answer = remote.get("/key/info", &[("key", named)])?;
            remote.show(&answer, |answer| one(answer.get("info").unwrap_or(answer)));
        }
        Command::Delete { named, aliases } => delete(&remote, named, aliases)?,
        Command::Block { named } => {
            let answer = remote.post("/key/block", &json!({"key": named}))?;
            remote.show(&answer, |answer| format!("blocked: {}\n", table::text(answer, "key_name")));
        }
        Command::Unblock { named } => {
            let answer = remote.post("/key/unblock", &json!({"key": named}))?;
            remote.show(&answer, |answer| format!("unblocked: {}\n", table::text(answer, "key_name")));
        }
        Command::Regenerate { named } => {
            let answer = remote.post("/key/regenerate", &json!({"key": named}))?;
            remote.show(&answer, new);
        }
    }
    Ok(())
}

fn delete(remote: &Remote, named: &[String], aliases: &[String]) -> Result<(), Failure> {
    let mut body = Map::new();
    for (field, list) in [("keys", named), ("key_aliases", aliases)] {
        if !list.is_empty() {
            body.insert(field.to_owned(), json!(list));
        }
    }
    let answer = remote.post("/key/delete", &Value::Object(body))?;
    remote.show(&answer, |_| format!("{} deleted\n", plural(named.len() + aliases.len(), "key")));
    Ok(())
}

/// Every page of the list, as one.
fn list(remote: &Remote, filters: &[(&str, &Option<String>)]) -> Result<Value, Failure> {
    let mut keys: Vec<Value> = Vec::new();
    let mut page: u64 = 1;
    loop {
        let number = page.to_string();
        let mut query = vec![("return_full_object", "true"), ("size", "100"), ("page", number.as_str())];
        query.extend(filters.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))));
        let answer = remote.get("/key/list", &query)?;
        let found = answer.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        keys.extend(found.iter().cloned());
        let pages = answer.get("total_pages").and_then(Value::as_u64).unwrap_or(1);
        if found.is_empty() || page >= pages {
            return Ok(json!({"keys": keys, "total_count": keys.len()}));
        }
        page += 1;
    }
}

/// A key that has just been made: the only time that it is shown.
fn new(answer: &Value) -> String {
    let mut text = lines(&[("key", table::text(answer, "key"))]);
    text.push_str("This is the only time that it is shown.\n\n");
    text.push_str(&one(answer));
    text
}

/// One key, line by line, without its value.
fn one(key: &Value) -> String {
    lines(&[
        ("name", table::text(key, "key_name")),
        ("token", table::text(key, "token")),
        ("alias", table::text(key, "key_alias")),
        ("team", table::text(key, "team_id")),
        ("user", table::text(key, "user_id")),
        ("tags", table::tags(key)),
        ("models", table::text(key, "models")),
        ("aliases", table::text(key, "aliases")),
        ("routes", table::text(key, "allowed_routes")),
        ("spend", table::spend(key)),
        ("until", table::text(key, "budget_reset_at")),
        ("limits", table::limits(key)),
        ("expires", table::text(key, "expires")),
        ("state", table::state(key)),
    ])
}

fn all(answer: &Value) -> String {
    let keys = answer.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if keys.is_empty() {
        return "there are no such keys\n".to_owned();
    }
    let rows: Vec<[String; 9]> = keys
        .iter()
        .map(|key| {
            [
                table::text(key, "key_name"),
                table::text(key, "key_alias"),
                table::text(key, "team_id"),
                table::tags(key),
                table::spend(key),
                table::limits(key),
                table::text(key, "expires"),
                table::state(key),
                table::text(key, "token"),
            ]
        })
        .collect();
    let titles = ["KEY", "ALIAS", "TEAM", "TAGS", "SPEND (USD)", "LIMITS", "EXPIRES", "STATE", "TOKEN"];
    table(titles, &rows)
}
