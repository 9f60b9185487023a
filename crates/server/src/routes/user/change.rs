//! Making, changing and ending users.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::{Request, StatusCode};
use serde_json::{Map, Value, json};
use tagrail_store::{Member, Store, StoreError, Team, TeamFilter, Timestamp, User};

use crate::app::Shared;
use crate::call_id::drawn_uuid;
use crate::caller::{Admin, Known};
use crate::error::Problem;
use crate::fields::limits::{set_budget, set_limits};
use crate::fields::{Asked, missing};
use crate::routes::edit::edit;
use crate::routes::key::made::{self, told};
use crate::routes::team::members;
use crate::routes::user::taken::{KEPT, OF_KEY};
use crate::routes::user::{shown, taken, unknown};

/// `POST /user/new`.
pub(super) async fn new(
    _: Admin,
    known: Known,
    State(shared): State<Shared>,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    let snapshot = shared.router.snapshot();
    let mut asked = Asked::read(request, &snapshot.general, taken::NEW).await?;
    let now = Timestamp::now();
    let id = asked.said("user_id").unwrap_or_else(drawn_uuid);
    let mut user = User { id, created_at: now, ..User::default() };
    set(&asked, &mut user, now);
    let teams = teams(&asked)?;
    create(&shared, &user, &teams).await?;
    let mut answer = no_key();
    if asked.flag("auto_create_key") != Some(false) {
        let of_key = of_key(&asked, &user.id);
        let made = made::create(&shared.ledger, &snapshot.general, &of_key, &members::maker(&known)).await;
        let made = match made {
            Ok(made) => made,
            // A user without the key that was asked for is half of what was asked for.
            Err(problem) => {
                end(&shared, vec![user.id]).await?;
                return Err(problem);
            }
        };
        answer = made.shown(&of_key);
        asked.warnings.extend(of_key.warnings);
    }
    if budgeted(&asked) {
        let warning =
            "`max_budget_in_team` of `teams` has no effect here: use max_budget of keys, users or the team";
        asked.warnings.push(warning.to_owned());
    }
    for (team, role) in &teams {
        join(&shared, team, &user, role).await?;
    }
    answer.extend(shown::row(&user));
    let ids: Vec<_> = teams.iter().map(|(team, _)| team).collect();
    answer.insert("teams".to_owned(), json!(ids));
    Ok(asked.answered(Value::Object(answer)))
}

/// Writes a user down, if its teams are there and nobody has its id or address.
async fn create(shared: &Shared, user: &User, teams: &[(String, String)]) -> Result<(), Problem> {
    let (written, ids) = (user.clone(), teams.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>());
    let create = async move |store: Arc<dyn Store>| {
        for id in ids {
            if store.team(&id).await?.is_none() {
                return Ok(Err(StoreError::Missing { field: "team_id", value: id }));
            }
        }
        if let Some(email) = &written.email
            && by_email(store.as_ref(), email).await?.is_some()
        {
            return Ok(Err(StoreError::Taken { field: "email", value: email.clone() }));
        }
        told(store.create_user(&written).await)
    };
    shared.ledger.change(create).await?.map_err(|error| match error {
        StoreError::Taken { field: "email", value } => taken_by("email", &value),
        StoreError::Taken { value, .. } => taken_by("id", &value),
        StoreError::Missing { value, .. } => {
            let message = format!("Team not found, passed team_id={value}");
            Problem::new(StatusCode::NOT_FOUND, message).kind("not_found_error").param("teams")
        }
        other => Problem::of_store(&other),
    })
}

fn taken_by(what: &str, value: &str) -> Problem {
    Problem::new(StatusCode::CONFLICT, format!("User with {what} {value} already exists"))
        .param(if what == "id" { "user_id" } else { "user_email" })
}

/// Addresses are compared as mail is delivered: whatever the case.
async fn by_email(store: &dyn Store, email: &str) -> Result<Option<User>, StoreError> {
    let users = store.users(None).await?.items;
    let email = email.to_lowercase();
    Ok(users.into_iter().find(|user| user.email.as_ref().is_some_and(|own| own.to_lowercase() == email)))
}

/// What the key is asked for that is made with the user. Models, limits and budget are the user's.
fn of_key(asked: &Asked, user: &str) -> Asked {
    let mut fields = Map::new();
    for field in OF_KEY {
        if let Some(value) = asked.fields.get(field.name) {
            fields.insert(field.name.to_owned(), value.clone());
        }
    }
    fields.insert("user_id".to_owned(), json!(user));
    Asked { fields, warnings: Vec::new() }
}

/// What stands in the answer where no key was made.
fn no_key() -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("key".to_owned(), json!(""));
    for name in ["key_name", "key_alias", "token", "token_id", "expires", "team_id"] {
        fields.insert(name.to_owned(), Value::Null);
    }
    fields
}

/// The teams that a new user belongs to, each with its role there.
fn teams(asked: &Asked) -> Result<Vec<(String, String)>, Problem> {
    let mut teams = Vec::new();
    let written = asked.value("teams").and_then(Value::as_array).into_iter().flatten();
    for team in written {
        let (id, role) = match team {
            Value::String(id) => (Some(id.as_str()), "user"),
            Value::Object(team) => (
                team.get("team_id").and_then(Value::as_str),
                team.get("user_role").and_then(Value::as_str).unwrap_or("user"),
            ),
            _ => (None, ""),
        };
        let Some(id) = id.filter(|id| !id.is_empty() && ["admin", "user"].contains(&role)) else {
            let message =
                "`teams` must be a list of ids, or of objects with team_id, and admin or user as user_role.";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, message).param("teams"));
        };
        teams.push((id.to_owned(), role.to_owned()));
    }
    teams.extend(asked.said("team_id").map(|id| (id, "user".to_owned())));
    teams.sort_unstable();
    teams.dedup_by(|one, other| one.0 == other.0);
    Ok(teams)
}

/// Whether somebody relies on a budget of the user in one team.
fn budgeted(asked: &Asked) -> bool {
    let mut teams = asked.value("teams").and_then(Value::as_array).into_iter().flatten();
    teams.any(|team| team.get("max_budget_in_team").is_some_and(|budget| !budget.is_null()))
}

async fn join(shared: &Shared, team: &str, user: &User, role: &str) -> Result<(), Problem> {
    let member = Member {
        user_id: Some(user.id.clone()),
        user_email: user.email.clone(),
        role: role.to_owned(),
        max_budget: None,
    };
    let join = |team: &mut Team| {
        if !team.members.iter().any(|other| other.user_id == member.user_id) {
            team.members.push(member.clone());
        }
        Ok(Vec::new())
    };
    // A team that was deleted meanwhile has no members.
    edit(&shared.ledger, team, join).await.map(drop)
}

/// Sets what was written; what was not stays.
fn set(asked: &Asked, user: &mut User, now: Timestamp) {
    set_limits(asked, &mut user.limits);
    set_budget(asked, &mut user.budget, now);
    for (name, text) in
        [("user_email", &mut user.email), ("user_alias", &mut user.alias), ("user_role", &mut user.role)]
    {
        if asked.is_there(name) {
            *text = asked.said(name);
        }
    }
    if asked.is_there("models") {
        user.models = asked.texts("models").unwrap_or_default();
    }
    if asked.is_there("metadata") {
        user.metadata = asked.object("metadata").cloned().unwrap_or_default();
    }
    // LiteLLM has no column for it, and so the record has not.
    if let Some(blocked) = asked.flag("blocked") {
        user.kept.insert("blocked".to_owned(), json!(blocked));
    }
    asked.keep(KEPT, &mut user.kept);
    user.updated_at = now;
}

/// `POST /user/update`.
pub(super) async fn update(
    _: Admin,
    State(shared): State<Shared>,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    let asked = Asked::read(request, &shared.router.snapshot().general, taken::UPDATE).await?;
    let id = match (asked.said("user_id"), asked.said("user_email")) {
        (Some(id), _) => id,
        (None, None) => return Err(missing("user_id")),
        (None, Some(email)) => {
            let wanted = email.clone();
            let find = async move |store: Arc<dyn Store>| by_email(store.as_ref(), &wanted).await;
            shared.ledger.ask(find).await?.ok_or_else(|| unknown(&email))?.id
        }
    };
    let change = |user: &mut User| {
        set(&asked, user, Timestamp::now());
        Ok(Vec::new())
    };
    let user = edit(&shared.ledger, &id, change).await?.ok_or_else(|| unknown(&id))?;
    Ok(asked.answered(json!({ "user_id": user.id, "data": shown::row(&user) })))
}

/// `POST /user/delete`. LiteLLM answers how many there were.
pub(super) async fn delete(
    _: Admin,
    State(shared): State<Shared>,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    let asked = Asked::read(request, &shared.router.snapshot().general, taken::DELETE).await?;
    let mut ids = asked.texts("user_ids").filter(|ids| !ids.is_empty()).ok_or_else(|| missing("user_ids"))?;
    ids.sort_unstable();
    ids.dedup();
    let many = ids.len();
    end(&shared, ids).await?;
    Ok(Json(json!(many)))
}

/// Ends users with their keys, then takes them out of their teams.
async fn end(shared: &Shared, ids: Vec<String>) -> Result<(), Problem> {
    let ended = ids.clone();
    let delete = async move |store: Arc<dyn Store>| told(store.delete_users(&ended).await);
    shared.ledger.change(delete).await?.map_err(|error| match error {
        StoreError::Missing { value, .. } => {
            Problem::detailed(StatusCode::NOT_FOUND, format!("User not found, passed user_id={value}"))
        }
        other => Problem::of_store(&other),
    })?;
    for id in ids {
        let filter = TeamFilter { user_id: Some(id.clone()), organization_id: None };
        let teams = shared.ledger.ask(async move |store| store.teams(&filter, None).await).await?.items;
        for team in teams {
            let leave = |team: &mut Team| {
                team.members.retain(|member| member.user_id.as_deref() != Some(&id));
                Ok(Vec::new())
            };
            edit(&shared.ledger, &team.id, leave).await?;
        }
    }
    Ok(())
}
