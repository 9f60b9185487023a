//! `tagrail team`: teams of a running gateway.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::remote::{Remote, RemoteFlags};
use crate::table::{self, lines, table};
use crate::terms::{Terms, put};

/// `tagrail team …`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 when it is done, 1 when the gateway refuses or cannot be reached, 2 when called wrongly.

Examples:
  tagrail team new --alias blue --tag teamA
  tagrail team list
  tagrail team update TEAM_ID --tag teamA --max-budget 50 --budget-duration 30d
  tagrail team block TEAM_ID --url https://gateway.example --json")]
pub(crate) struct TeamFlags {
    #[command(flatten)]
    remote: RemoteFlags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a team; its tags are reserved for it.
    #[command(after_help = "\
Examples:
  tagrail team new --alias blue --tag teamA
  tagrail team new --team-id blue --tag teamA --model 'gpt-4*' --max-budget 100 --budget-duration 30d")]
    New {
        /// An id of your own. [default: a random one]
        #[arg(long, value_name = "ID")]
        team_id: Option<String>,
        /// What people call it.
        #[arg(long, value_name = "NAME")]
        alias: Option<String>,
        #[command(flatten)]
        terms: Terms,
    },
    /// Change a team; what is not named stays.
    #[command(after_help = "\
Examples:
  tagrail team update TEAM_ID --rpm-limit 60
  tagrail team update TEAM_ID --clear max_budget --clear models")]
    Update {
        team_id: String,
        /// What people call it.
        #[arg(long, value_name = "NAME")]
        alias: Option<String>,
        #[command(flatten)]
        terms: Terms,
    },
    /// All teams.
    #[command(after_help = "\
Examples:
  tagrail team list
  tagrail team list --user ana --json")]
    List {
        /// Those with this member.
        #[arg(long, value_name = "USER_ID")]
        user: Option<String>,
    },
    /// One team, with its members and keys.
    #[command(after_help = "\
Examples:
  tagrail team info TEAM_ID")]
    Info { team_id: String },
    /// Delete teams, and all of their keys.
    #[command(after_help = "\
Examples:
  tagrail team delete TEAM_ID
  tagrail team delete TEAM_ID ANOTHER_ID")]
    Delete {
        #[arg(required = true)]
        team_ids: Vec<String>,
    },
    /// Refuse every key of a team, until it is unblocked.
    #[command(after_help = "\
Examples:
  tagrail team block TEAM_ID")]
    Block { team_id: String },
    /// Let the keys of a team in again.
    #[command(after_help = "\
Examples:
  tagrail team unblock TEAM_ID")]
    Unblock { team_id: String },
    /// Put somebody into a team.
    #[command(after_help = "\
Examples:
  tagrail team member-add TEAM_ID --user ana
  tagrail team member-add TEAM_ID --email ana@example.org --role admin --max-budget 10")]
    MemberAdd {
        team_id: String,
        #[command(flatten)]
        member: Member,
        /// `user` or `admin`.
        #[arg(long, default_value = "user")]
        role: String,
        /// US dollars that this member may spend in the team.
        #[arg(long, value_name = "USD")]
        max_budget: Option<f64>,
    },
    /// Take somebody out of a team.
    #[command(after_help = "\
Examples:
  tagrail team member-delete TEAM_ID --user ana")]
    MemberDelete {
        team_id: String,
        #[command(flatten)]
        member: Member,
    },
    /// Open models to a team.
    #[command(after_help = "\
Examples:
  tagrail team model-add TEAM_ID gpt-4 'anthropic/*'")]
    ModelAdd {
        team_id: String,
        #[arg(required = true)]
        models: Vec<String>,
    },
    /// Close models to a team.
    #[command(after_help = "\
Examples:
  tagrail team model-delete TEAM_ID gpt-4")]
    ModelDelete {
        team_id: String,
        #[arg(required = true)]
        models: Vec<String>,
    },
}

/// Who.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Member {
    /// By user id.
    #[arg(long, value_name = "USER_ID")]
    user: Option<String>,
    /// By address.
    #[arg(long, value_name = "EMAIL")]
    email: Option<String>,
}

impl Member {
    fn body(&self) -> Map<String, Value> {
        let mut body = Map::new();
        put(&mut body, "user_id", self.user.as_deref());
        put(&mut body, "user_email", self.email.as_deref());
        body
    }
}

/// Asks the gateway, and prints what it answers.
pub(crate) fn run(flags: &TeamFlags) -> Result<(), Failure> {
    let remote = Remote::new(&flags.remote)?;
    match &flags.command {
        Command::New { team_id, alias, terms } => {
            let mut body = terms.body("model_aliases")?;
            put(&mut body, "team_id", team_id.as_deref());
            put(&mut body, "team_alias", alias.as_deref());
            let answer = remote.post("/team/new", &Value::Object(body))?;
            remote.show(&answer, one);
        }
        Command::Update { team_id, alias, terms } => {
            let mut body = terms.body("model_aliases")?;
            put(&mut body, "team_alias", alias.as_deref());
            if body.is_empty() {
                return Err(Failure::Wrong("nothing to change is named; see --help".to_owned()));
            }
            body.insert("team_id".to_owned(), json!(team_id));
            let answer = remote.post("/team/update", &Value::Object(body))?;
            remote.show(&answer, |answer| one(answer.get("data").unwrap_or(answer)));
        }
        Command::List { user } => {
            let query: Vec<(&str, &str)> = user.iter().map(|user| ("user_id", user.as_str())).collect();
            let answer = remote.get("/team/list", &query)?;
            remote.show(&answer, all);
        }
        Command::Info { team_id } => {
            let answer = remote.get("/team/info", &[("team_id", team_id)])?;
            remote.show(&answer, info);
        }
        Command::Delete { team_ids } => {
            let answer = remote.post("/team/delete", &json!({"team_ids": team_ids}))?;
            remote.show(&answer, |_| format!("deleted, with all keys: {}\n", team_ids.join(", ")));
        }
        Command::Block { team_id } => {
            let answer = remote.post("/team/block", &json!({"team_id": team_id}))?;
            remote.show(&answer, |_| format!("blocked: {team_id}\n"));
        }
        Command::Unblock { team_id } => {
            let answer = remote.post("/team/unblock", &json!({"team_id": team_id}))?;
            remote.show(&answer, |_| format!("unblocked: {team_id}\n"));
        }
        rest => inside(&remote, rest)?,
    }
    Ok(())
}

/// What changes the inside of a team: members and models.
fn inside(remote: &Remote, command: &Command) -> Result<(), Failure> {
    let answer = match command {
        Command::MemberAdd { team_id, member, role, max_budget } => {
            let mut member = member.body();
            member.insert("role".to_owned(), json!(role));
            let mut body = json!({"team_id": team_id, "member": member});
            if let Some(usd) = max_budget {
                body["max_budget_in_team"] = json!(usd);
            }
            remote.post("/team/member_add", &body)?
        }
        Command::MemberDelete { team_id, member } => {
            let mut body = member.body();
            body.insert("team_id".to_owned(), json!(team_id));
            remote.post("/team/member_delete", &Value::Object(body))?
        }
        Command::ModelAdd { team_id, models } => {
            remote.post("/team/model/add", &json!({"team_id": team_id, "models": models}))?
        }
        Command::ModelDelete { team_id, models } => {
            remote.post("/team/model/delete", &json!({"team_id": team_id, "models": models}))?
        }
        _ => return Ok(()),
    };
    remote.show(&answer, |answer| one(answer.get("data").unwrap_or(answer)));
    Ok(())
}

/// One team, line by line.
fn one(team: &Value) -> String {
    lines(&[
        ("team", table::text(team, "team_id")),
        ("alias", table::text(team, "team_alias")),
        ("tags", table::tags(team)),
        ("models", table::text(team, "models")),
        ("aliases", aliases(team)),
        ("spend", table::spend(team)),
        ("until", table::text(team, "budget_reset_at")),
        ("limits", table::limits(team)),
        ("state", table::state(team)),
        ("members", members(team)),
    ])
}

fn aliases(team: &Value) -> String {
    let aliases = team.get("litellm_model_table").unwrap_or(&Value::Null);
    table::text(aliases, "model_aliases")
}

fn members(team: &Value) -> String {
    let named = |member: &Value| {
        let name = ["user_id", "user_email"].iter().find_map(|field| member.get(*field)?.as_str())?;
        Some(format!("{name} ({})", table::text(member, "role")))
    };
    let members = team.get("members_with_roles").and_then(Value::as_array);
    members.into_iter().flatten().filter_map(named).collect::<Vec<_>>().join(", ")
}

fn all(answer: &Value) -> String {
    let teams = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    if teams.is_empty() {
        return "there are no teams\n".to_owned();
    }
    let rows: Vec<[String; 7]> = teams
        .iter()
        .map(|team| {
            [
                table::text(team, "team_id"),
                table::text(team, "team_alias"),
                table::tags(team),
                table::text(team, "models"),
                table::spend(team),
                table::limits(team),
                table::state(team),
            ]
        })
        .collect();
    table(["TEAM", "ALIAS", "TAGS", "MODELS", "SPEND (USD)", "LIMITS", "STATE"], &rows)
}

fn info(answer: &Value) -> String {
    let mut text = one(answer.get("team_info").unwrap_or(answer));
    let keys = answer.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if !keys.is_empty() {
        let rows: Vec<[String; 4]> = keys
            .iter()
            .map(|key| {
                let name = table::text(key, "key_name");
                [name, table::text(key, "key_alias"), table::spend(key), table::state(key)]
            })
            .collect();
        text.push('\n');
        text.push_str(&table(["KEY", "ALIAS", "SPEND (USD)", "STATE"], &rows));
    }
    text
}
