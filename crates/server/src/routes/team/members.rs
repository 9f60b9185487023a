//! Who belongs to a team.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tagrail_store::{KeyFilter, Member, Store, StoreError, Team, Timestamp, User};

use crate::app::Shared;
use crate::caller::{Admin, Known};
use crate::error::Problem;
use crate::fields::{Asked, Field, Holds, acts, missing};
use crate::routes::edit::edit;
use crate::routes::key::OPERATOR;
use crate::routes::team::{shown, taken, unknown};
use crate::routes::user;

const MEMBER: &[Field] = &[
    acts("user_id", Holds::Text, ""),
    acts("user_email", Holds::Text, ""),
    acts("role", Holds::OneOf(&["admin", "user"]), ""),
];

/// Reads members: one or a list of them.
pub(super) fn read(written: Option<&Value>, field: &'static str) -> Result<Vec<Member>, Problem> {
    let each = match written {
        None => return Ok(Vec::new()),
        Some(Value::Array(each)) => each.iter().collect(),
        Some(one) => vec![one],
    };
    let members = each.into_iter().map(|one| member(one, field)).collect::<Result<Vec<_>, _>>()?;
    let mut people = People::default();
    for member in &members {
        if people.have(member) {
            return Err(malformed(field, "names somebody twice"));
        }
        people.add(member);
    }
    Ok(members)
}

fn member(written: &Value, field: &'static str) -> Result<Member, Problem> {
    let Value::Object(written) = written else {
        return Err(malformed(field, "must be an object with user_id or user_email, and role"));
    };
    let asked = Asked::of(written.clone(), MEMBER)?;
    let (user_id, user_email) = (asked.said("user_id"), asked.said("user_email"));
    if user_id.is_none() && user_email.is_none() {
        return Err(malformed(field, "needs a user_id or a user_email"));
    }
    let role = asked.said("role").ok_or_else(|| malformed(field, "needs a role: admin or user"))?;
    Ok(Member { user_id, user_email, role, max_budget: None })
}

fn malformed(field: &'static str, what: &str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("`{field}` {what}.")).param(field)
}

/// Members by what they are known by. Two are one and the same by id where both have one, else by address.
#[derive(Default)]
struct People<'a> {
    ids: HashSet<&'a str>,
    emails: HashSet<&'a str>,
    /// Of those that have no id.
    bare_emails: HashSet<&'a str>,
}

impl<'a> People<'a> {
    fn of(members: &'a [Member]) -> Self {
        let mut people = People::default();
        members.iter().for_each(|member| people.add(member));
        people
    }

    fn add(&mut self, member: &'a Member) {
        self.ids.extend(member.user_id.as_deref());
        self.emails.extend(member.user_email.as_deref());
        if member.user_id.is_none() {
            self.bare_emails.extend(member.user_email.as_deref());
        }
    }

    fn have(&self, member: &Member) -> bool {
        let by =
            |emails: &HashSet<&str>| member.user_email.as_deref().is_some_and(|own| emails.contains(own));
        match member.user_id.as_deref() {
            Some(id) => self.ids.contains(id) || by(&self.bare_emails),
            None => by(&self.emails),
        }
    }
}

/// Who asks, for `created_by` and the like.
pub(crate) fn maker(known: &Known) -> String {
    let user = known.identity.as_ref().and_then(|identity| identity.key.user_id.clone());
    user.unwrap_or_else(|| OPERATOR.to_owned())
}

/// Whoever makes a team belongs to it.
pub(super) fn include_maker(known: &Known, members: &mut Vec<Member>) {
    let user_id = Some(maker(known));
    if !members.iter().any(|member| member.user_id == user_id) {
        members.push(Member { user_id, user_email: None, role: "admin".to_owned(), max_budget: None });
    }
}

/// Makes the users of whom nobody knows yet. The operator is no user.
pub(super) async fn make_users(
    store: &dyn Store,
    members: &[Member],
    now: Timestamp,
) -> Result<Vec<User>, StoreError> {
    let mut users = Vec::new();
    for member in members {
        let Some(id) = member.user_id.as_ref().filter(|&id| id != OPERATOR) else { continue };
        if store.user(id).await?.is_none() {
            let email = member.user_email.clone();
            let user = User { id: id.clone(), email, created_at: now, updated_at: now, ..User::default() };
            match store.create_user(&user).await {
                // Somebody else was faster.
                Ok(()) | Err(StoreError::Taken { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        users.extend(store.user(id).await?);
    }
    Ok(users)
}

/// `POST /team/member_add`.
pub(super) async fn add(
    _: Admin,
    State(shared): State<Shared>,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    let asked = Asked::read(request, &shared.router.snapshot().general, taken::MEMBER_ADD).await?;
    let id = asked.needed("team_id")?;
    let mut added = read(asked.value("member"), "member")?;
    if added.is_empty() {
        return Err(missing("member"));
    }
    added.iter_mut().for_each(|member| member.max_budget = asked.money("max_budget_in_team"));
    let change = |team: &mut Team| {
        let people = People::of(&team.members);
        if let Some(there) = added.iter().find(|new| people.have(new)) {
            return Err(already(there));
        }
        team.members.extend(added.iter().cloned());
        team.updated_at = Timestamp::now();
        Ok(Vec::new())
    };
    let team = edit(&shared.ledger, id, change).await?.ok_or_else(|| no_team(id))?;
    let members = added.clone();
    let make =
        |store: Arc<dyn Store>| async move { make_users(store.as_ref(), &members, Timestamp::now()).await };
    let users = shared.ledger.change(make).await?;
    let mut answer = shown::team(&team);
    let users: Vec<_> = users.iter().map(user::shown::row).collect();
    answer.insert("updated_users".to_owned(), json!(users));
    let new = People::of(&added);
    let is_new = |member: &Member| new.have(member);
    answer.insert("updated_team_memberships".to_owned(), shown::memberships(&team, is_new));
    Ok(asked.answered(Value::Object(answer)))
}

fn already(member: &Member) -> Problem {
    let who = member.user_id.as_ref().or(member.user_email.as_ref()).map_or("", String::as_str);
    let message = format!("{who} is a member of the team already.");
    Problem::new(StatusCode::BAD_REQUEST, message).kind("team_member_already_in_team").param("member")
}

fn no_team(id: &str) -> Problem {
    let message = format!("Team doesn't exist in db. Team={id}. Create team via `/team/new` call.");
    Problem::detailed(StatusCode::NOT_FOUND, message)
}

/// `POST /team/member_delete`.
pub(super) async fn delete(
    _: Admin,
    State(shared): State<Shared>,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    let asked = Asked::read(request, &shared.router.snapshot().general, taken::MEMBER_DELETE).await?;
    let id = asked.needed("team_id")?;
    let (user_id, user_email) = (asked.said("user_id"), asked.said("user_email"));
    let who = Member { user_id, user_email, ..Member::default() };
    if who.user_id.is_none() && who.user_email.is_none() {
        return Err(malformed("user_id", "or `user_email` is needed"));
    }
    let is_meant = |member: &Member| match &who.user_id {
        Some(_) => member.user_id == who.user_id,
        None => member.user_email == who.user_email,
    };
    let wanted = id.to_owned();
    let team = shared.ledger.ask(|store| async move { store.team(&wanted).await }).await?;
    let team = team.ok_or_else(|| unknown(id))?;
    let meant = team.members.iter().find(|member| is_meant(member)).ok_or_else(|| not_there(id))?;
    // The keys first: somebody who is no member any more must have none, and asking again finds the
    // member still there.
    if let Some(user) = meant.user_id.clone() {
        let of = KeyFilter { team_id: Some(team.id.clone()), user_id: Some(user), alias: None };
        shared.ledger.change(|store| async move { end_keys(store.as_ref(), of).await }).await?;
    }
    let change = |team: &mut Team| {
        team.members.retain(|member| !is_meant(member));
        team.updated_at = Timestamp::now();
        Ok(Vec::new())
    };
    let team = edit(&shared.ledger, id, change).await?.ok_or_else(|| unknown(id))?;
    Ok(asked.answered(Value::Object(shown::team(&team))))
}

/// Ends the keys of a member.
async fn end_keys(store: &dyn Store, of: KeyFilter) -> Result<(), StoreError> {
    loop {
        let hashes: Vec<_> = store.keys(&of, None).await?.items.into_iter().map(|key| key.hash).collect();
        match store.delete_keys(&hashes).await {
            // Somebody ended one of them meanwhile.
            Err(StoreError::Missing { .. }) if !hashes.is_empty() => {}
            other => return other,
        }
    }
}

fn not_there(team: &str) -> Problem {
    let message = format!("User not found in team. Team={team}");
    Problem::detailed(StatusCode::BAD_REQUEST, message)
}
