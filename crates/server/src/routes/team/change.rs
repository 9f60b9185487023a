//! Making, changing and ending teams.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tagrail::Snapshot;
use tagrail_store::{Store, StoreError, Team, Timestamp};

use crate::app::Shared;
use crate::call_id::drawn_uuid;
use crate::caller::{Admin, Known};
use crate::error::Problem;
use crate::fields::labels::Labels;
use crate::fields::limits::set_budget;
use crate::fields::{Asked, missing};
use crate::routes::edit::edit;
use crate::routes::key::made::told;
use crate::routes::team::taken::KEPT;
use crate::routes::team::{members, shown, taken, unknown};

/// `POST /team/new`.
pub(super) async fn new(
    _: Admin,
    known: Known,
    State(shared): State<Shared>,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    let snapshot = shared.router.snapshot();
    let mut asked = Asked::read(request, &snapshot.general, taken::NEW).await?;
    let now = Timestamp::now();
    let id = asked.said("team_id").unwrap_or_else(drawn_uuid);
    let mut team = Team { id, created_at: now, ..Team::default() };
    set(&asked, &mut team, now)?;
    team.members = members::read(asked.value("members_with_roles"), "members_with_roles")?;
    members::include_maker(&known, &mut team.members);
    let reserving = snapshot.table.reserving(&team.tags);
    warn(&mut asked, &reserving, &snapshot);
    let written = team.clone();
    let create = async move |store: Arc<dyn Store>| match told(store.create_team(&written, &reserving).await)?
    {
        Err(error) => Ok(Err(error)),
        Ok(()) => {
            members::make_users(store.as_ref(), &written.members, now).await?;
            Ok(Ok(store.team(&written.id).await?))
        }
    };
    let created = shared.ledger.change(create).await?.map_err(|error| match error {
        StoreError::Taken { .. } => taken_id(&team.id),
        other => Problem::of_store(&other),
    })?;
    let team = created.unwrap_or(team);
    Ok(asked.answered(Value::Object(shown::team(&team))))
}

fn taken_id(id: &str) -> Problem {
    let message = format!("Team id = {id} already exists. Please use a different team id.");
    Problem::new(StatusCode::BAD_REQUEST, message).param("team_id")
}

/// `POST /team/update`.
pub(super) async fn update(
    _: Admin,
    State(shared): State<Shared>,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    let snapshot = shared.router.snapshot();
    let mut asked = Asked::read(request, &snapshot.general, taken::UPDATE).await?;
    let id = asked.needed("team_id")?;
    let labelled = asked.is_there("tags") || asked.is_there("metadata");
    let change = |team: &mut Team| {
        set(&asked, team, Timestamp::now())?;
        Ok(if labelled { snapshot.table.reserving(&team.tags) } else { Vec::new() })
    };
    let team = edit(&shared.ledger, id, change).await?.ok_or_else(|| unknown(id))?;
    if labelled {
        warn(&mut asked, &snapshot.table.reserving(&team.tags), &snapshot);
    }
    let answer = json!({ "team_id": team.id, "data": shown::team(&team) });
    Ok(asked.answered(answer))
}

/// Says where tags that would keep others out do not.
fn warn(asked: &mut Asked, reserving: &[String], snapshot: &Snapshot) {
    if !reserving.is_empty() && !snapshot.general.tag_grants {
        let warning = "`tags` say where the team's calls go, but keep nobody else out: general_settings.tag_grants is off";
        asked.warnings.push(warning.to_owned());
    }
}

/// Sets what was written; what was not stays.
fn set(asked: &Asked, team: &mut Team, now: Timestamp) -> Result<(), Problem> {
    Labels { tags: &mut team.tags, metadata: &mut team.metadata, limits: &mut team.limits }.set(asked)?;
    set_budget(asked, &mut team.budget, now);
    if asked.is_there("team_alias") {
        team.alias = asked.said("team_alias");
    }
    if asked.is_there("models") {
        team.models = asked.texts("models").unwrap_or_default();
    }
    if asked.is_there("model_aliases") {
        team.model_aliases = asked.map("model_aliases").unwrap_or_default();
    }
    if let Some(blocked) = asked.flag("blocked") {
        team.blocked = blocked;
    }
    asked.keep(KEPT, &mut team.kept);
    team.updated_at = now;
    Ok(())
}

/// `POST /team/block`.
pub(super) async fn block(
    _: Admin,
    State(shared): State<Shared>,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    set_blocked(&shared, request, true).await
}

/// `POST /team/unblock`.
pub(super) async fn unblock(
    _: Admin,
    State(shared): State<Shared>,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    set_blocked(&shared, request, false).await
}

async fn set_blocked(shared: &Shared, request: Request<Body>, blocked: bool) -> Result<Json<Value>, Problem> {
    let asked = Asked::read(request, &shared.router.snapshot().general, taken::ONE).await?;
    let id = asked.needed("team_id")?;
    let change = |team: &mut Team| {
        team.blocked = blocked;
        team.updated_at = Timestamp::now();
        Ok(Vec::new())
    };
    let team = edit(&shared.ledger, id, change).await?.ok_or_else(|| unknown(id))?;
    Ok(asked.answered(Value::Object(shown::team(&team))))
}

/// `POST /team/delete`.
pub(super) async fn delete(
    _: Admin,
    State(shared): State<Shared>,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    let asked = Asked::read(request, &shared.router.snapshot().general, taken::DELETE).await?;
    let mut ids = asked.texts("team_ids").filter(|ids| !ids.is_empty()).ok_or_else(|| missing("team_ids"))?;
    // Twice the same is the same.
    ids.sort_unstable();
    ids.dedup();
    let delete = async move |store: Arc<dyn Store>| told(store.delete_teams(&ids).await);
    let deleted = shared.ledger.change(delete).await?.map_err(|error| match error {
        StoreError::Missing { value, .. } => unknown(&value),
        other => Problem::of_store(&other),
    })?;
    Ok(asked.answered(json!({ "deleted_teams": deleted.teams })))
}
