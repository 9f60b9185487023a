//! Writes what LiteLLM's database says into a store. What is there already is left alone, so that an
//! import that was cut short is simply made again.

use serde_json::{Map, Value};

use super::key::{self, Fate};
use super::report::{Counts, Ineffective, LeftBehind, Refused, Report, UNENFORCED, UNENFORCED_METADATA};
use super::row::Row;
use super::team::Around;
use super::{Litellm, Table, tag, team, user};
use crate::{Key, KeyFilter, Store, StoreError, Tag, Team, User};

/// How an import is made.
pub struct Importing<'a> {
    /// Where to; `None` when there is nothing yet, which only a dry run can do.
    pub into: Option<&'a dyn Store>,
    /// Only says what would come.
    pub dry_run: bool,
    /// The names of the tags that a grant of these to a team reserves.
    pub reserving: &'a (dyn Fn(&[String]) -> Vec<String> + Sync),
    /// Told of every record: its kind, how many are done, how many there are.
    pub progress: &'a mut (dyn FnMut(&'static str, u64, u64) + Send),
}

/// Brings users, tags, teams and keys, in this order, so that a key's team is there before the key.
///
/// # Errors
/// A database that cannot be asked any more. What came until then is there; what was to come is not.
pub async fn import(litellm: &mut Litellm, importing: Importing<'_>) -> Result<Report, StoreError> {
    let around = Around {
        budgets: litellm.by(Table::Budgets, "budget_id").await?,
        aliases: litellm.by(Table::TeamAliases, "id").await?,
        memberships: memberships(litellm.rows(Table::Memberships).await?),
    };
    let mut moving = Moving {
        importing,
        report: Report::default(),
        ineffective: Ineffective::default(),
        admins: Vec::new(),
    };
    moving.users(litellm.rows(Table::Users).await?).await?;
    moving.tags(litellm.rows(Table::Tags).await?, &around).await?;
    moving.teams(litellm.rows(Table::Teams).await?, &around).await?;
    moving.keys(litellm, &around).await?;
    moving.report.left_behind = left_behind(litellm).await?;
    Ok(moving.into_report())
}

fn memberships(rows: Vec<Row>) -> std::collections::HashMap<(String, String), String> {
    let of = |row: Row| Some(((row.id("team_id")?, row.id("user_id")?), row.id("budget_id")?));
    rows.into_iter().filter_map(of).collect()
}

/// An import under way.
struct Moving<'a> {
    importing: Importing<'a>,
    report: Report,
    ineffective: Ineffective,
    /// Ids of users that may administer.
    admins: Vec<String>,
}

/// What became of a record.
enum Came {
    Brought,
    Present,
    Refused(String),
}

impl Moving<'_> {
    async fn users(&mut self, rows: Vec<Row>) -> Result<(), StoreError> {
        let total = rows.len() as u64;
        for (done, row) in rows.into_iter().enumerate() {
            let Some(user) = user::read(row) else { continue };
            self.look(("user", &user.id), &user.kept, &user.metadata);
            if user.role.as_deref() == Some("proxy_admin") {
                self.admins.push(user.id.clone());
            }
            let came = self.user(&user).await?;
            self.note("user", user.id, came);
            (self.importing.progress)("users", done as u64 + 1, total);
        }
        Ok(())
    }

    async fn user(&self, user: &User) -> Result<Came, StoreError> {
        match self.importing.into {
            Some(into) if !self.importing.dry_run => came(into.create_user(user).await),
            Some(into) => Ok(there(into.user(&user.id).await?.is_some())),
            None => Ok(Came::Brought),
        }
    }

    async fn tags(&mut self, rows: Vec<Row>, around: &Around) -> Result<(), StoreError> {
        let total = rows.len() as u64;
        for (done, row) in rows.into_iter().enumerate() {
            let Some(tag) = tag::read(row, &around.budgets) else { continue };
            self.look(("tag", &tag.name), &tag.kept, &Map::new());
            let came = self.tag(&tag).await?;
            self.note("tag", tag.name, came);
            (self.importing.progress)("tags", done as u64 + 1, total);
        }
        Ok(())
    }

    async fn tag(&self, tag: &Tag) -> Result<Came, StoreError> {
        match self.importing.into {
            Some(into) if !self.importing.dry_run => came(into.create_tag(tag).await),
            Some(into) => Ok(there(!into.tags(Some(std::slice::from_ref(&tag.name))).await?.is_empty())),
            None => Ok(Came::Brought),
        }
    }

    async fn teams(&mut self, rows: Vec<Row>, around: &Around) -> Result<(), StoreError> {
        let total = rows.len() as u64;
        for (done, row) in rows.into_iter().enumerate() {
            let Some(team) = team::read(row, around) else { continue };
            let name = team.alias.clone().unwrap_or_else(|| team.id.clone());
            self.look(("team", &name), &team.kept, &team.metadata);
            let reserving = (self.importing.reserving)(&team.tags);
            let came = self.team(&team, &reserving).await?;
            if matches!(came, Came::Brought) {
                self.report.reserved.extend(reserving);
            }
            self.note("team", team.id, came);
            (self.importing.progress)("teams", done as u64 + 1, total);
        }
        Ok(())
    }

    async fn team(&self, team: &Team, reserving: &[String]) -> Result<Came, StoreError> {
        match self.importing.into {
            Some(into) if !self.importing.dry_run => came(into.create_team(team, reserving).await),
            Some(into) => Ok(there(into.team(&team.id).await?.is_some())),
            None => Ok(Came::Brought),
        }
    }

    async fn keys(&mut self, litellm: &mut Litellm, around: &Around) -> Result<(), StoreError> {
        let total = litellm.count(Table::Keys).await?;
        let teams: std::collections::HashSet<String> =
            litellm.rows(Table::Teams).await?.iter().filter_map(|row| row.id("team_id")).collect();
        let (mut after, mut done, mut sessions, mut administrators) = (String::new(), 0, 0, 0);
        loop {
            let rows = litellm.keys(&after).await?;
            let Some(last) = rows.last().and_then(|row| row.id("token")) else { break };
            after = last;
            for row in rows {
                done += 1;
                let name = key::name(&row);
                match key::read(row, &around.budgets) {
                    Fate::Session => sessions += 1,
                    Fate::Stays(why) => self.note("key", name, Came::Refused(why)),
                    Fate::Comes(key) => {
                        administrators +=
                            u64::from(key.user_id.as_ref().is_some_and(|user| self.admins.contains(user)));
                        self.key(*key, name, &teams).await?;
                    }
                }
                (self.importing.progress)("keys", done, total);
            }
        }
        if sessions > 0 {
            self.report
                .notes
                .push(format!("keys of sessions in LiteLLM's own pages, passed over: {sessions}"));
        }
        if administrators > 0 {
            self.report.notes.push(format!(
                "keys of users with the role proxy_admin, which administer this gateway too: {administrators}"
            ));
        }
        Ok(())
    }

    async fn key(
        &mut self,
        mut key: Key,
        name: String,
        teams: &std::collections::HashSet<String>,
    ) -> Result<(), StoreError> {
        self.look(("key", &name), &key.kept, &key.metadata);
        let came = if self.importing.dry_run || self.importing.into.is_none() {
            self.would_come(&mut key, &name, teams).await?
        } else {
            self.write(&mut key, &name).await?
        };
        self.note("key", name, came);
        Ok(())
    }

    /// Writes a key; one whose alias another key has by now comes without it, so that it keeps working.
    async fn write(&mut self, key: &mut Key, name: &str) -> Result<Came, StoreError> {
        let Some(into) = self.importing.into else { return Ok(Came::Brought) };
        match into.create_key(key).await {
            Err(StoreError::Taken { field: "key_alias", .. }) if into.key(&key.hash).await?.is_none() => {
                self.without_alias(key, name);
                came(into.create_key(key).await)
            }
            // Which of two clashes is reported first is the database's choice.
            Err(StoreError::Taken { .. }) => Ok(Came::Present),
            done => came(done),
        }
    }

    /// What would become of a key.
    async fn would_come(
        &mut self,
        key: &mut Key,
        name: &str,
        teams: &std::collections::HashSet<String>,
    ) -> Result<Came, StoreError> {
        let into = self.importing.into;
        if let Some(into) = into {
            if into.key(&key.hash).await?.is_some() {
                return Ok(Came::Present);
            }
            if let Some(alias) = &key.alias {
                let filter = KeyFilter { alias: Some(alias.clone()), ..KeyFilter::default() };
                if into.keys(&filter, None).await?.total > 0 {
                    self.without_alias(key, name);
                }
            }
        }
        let Some(team) = key.team_id.as_ref().filter(|team| !teams.contains(*team)) else {
            return Ok(Came::Brought);
        };
        let here = match into {
            Some(into) => into.team(team).await?.is_some(),
            None => false,
        };
        Ok(if here { Came::Brought } else { Came::Refused(no_team(team)) })
    }

    fn without_alias(&mut self, key: &mut Key, name: &str) {
        let alias = key.alias.take().unwrap_or_default();
        let note = format!("the key {name} comes without its alias: another key is called `{alias}`");
        self.report.notes.push(note);
    }

    /// Notes settings of a record that nothing here acts on.
    fn look(
        &mut self,
        (kind, name): (&'static str, &str),
        kept: &Map<String, Value>,
        metadata: &Map<String, Value>,
    ) {
        for (field, means) in UNENFORCED.iter().filter(|(field, _)| kept.contains_key(*field)) {
            self.ineffective.note(kind, field, means, name);
        }
        for (field, means) in UNENFORCED_METADATA.iter().filter(|(field, _)| says(metadata.get(*field))) {
            self.ineffective.note(kind, &format!("metadata.{field}"), means, name);
        }
    }

    fn note(&mut self, kind: &'static str, name: String, came: Came) {
        let counts: &mut Counts = match kind {
            "team" => &mut self.report.teams,
            "user" => &mut self.report.users,
            "key" => &mut self.report.keys,
            _ => &mut self.report.tags,
        };
        counts.found += 1;
        match came {
            Came::Brought => counts.brought += 1,
            Came::Present => {
                counts.present += 1;
                self.report.present.push(format!("{kind} {name}"));
            }
            Came::Refused(why) => {
                counts.refused += 1;
                self.report.refused.push(Refused { kind, name, why });
            }
        }
    }

    fn into_report(mut self) -> Report {
        self.report.reserved.sort();
        self.report.reserved.dedup();
        self.report.unenforced = self.ineffective.into_list();
        self.report
    }
}

/// Whether a setting asks for anything.
fn says(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(map)) => !map.is_empty(),
        Some(_) => true,
    }
}

fn there(present: bool) -> Came {
    if present { Came::Present } else { Came::Brought }
}

fn came(written: Result<(), StoreError>) -> Result<Came, StoreError> {
    match written {
        Ok(()) => Ok(Came::Brought),
        Err(StoreError::Taken { .. }) => Ok(Came::Present),
        Err(StoreError::Missing { field: "team_id", value }) => Ok(Came::Refused(no_team(&value))),
        Err(error @ (StoreError::Conflict | StoreError::Missing { .. })) => {
            Ok(Came::Refused(error.to_string()))
        }
        Err(error) => Err(error),
    }
}

fn no_team(team: &str) -> String {
    format!("its team `{team}` does not exist")
}

/// What stays there, where there is any.
async fn left_behind(litellm: &mut Litellm) -> Result<Vec<LeftBehind>, StoreError> {
    const STAYS: [(Table, &str, &str); 5] = [
        (Table::ProxyModels, "models in the database", "write them into `model_list` of the configuration"),
        (
            Table::Organizations,
            "organisations",
            "teams and keys keep their ids; budgets of organisations do not hold",
        ),
        (Table::Projects, "projects", "keys keep their ids; limits of projects do not hold"),
        (Table::EndUsers, "end users", "their budgets and blocks do not hold"),
        (Table::Replaced, "replaced keys in their time of grace", "their holders must take the new key"),
    ];
    let mut left = Vec::new();
    for (table, what, instead) in STAYS {
        let count = litellm.count(table).await?;
        if count > 0 {
            left.push(LeftBehind { what, count, instead });
        }
    }
    Ok(left)
}
