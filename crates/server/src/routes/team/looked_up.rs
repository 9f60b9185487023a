//! Looking at teams.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::{StatusCode, Uri};
use serde_json::{Value, json};
use tagrail_store::{Key, KeyFilter, Store, Team, TeamFilter};

use crate::app::Shared;
use crate::caller::{Known, Role, Viewer};
use crate::error::Problem;
use crate::fields::Asked;
use crate::routes::team::{shown, taken, unknown};

/// `GET /team/info`.
pub(super) async fn info(
    known: Known,
    State(shared): State<Shared>,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    let asked = Asked::query(&uri, taken::INFO)?;
    let id = asked.text("team_id").filter(|id| !id.is_empty()).ok_or_else(nameless)?;
    // Before it is looked up: who may not see a team need not learn whether there is one.
    permit(&known, id)?;
    // So that what was called before this is in the sums.
    shared.ledger.settled().await;
    let (wanted, keys_of) =
        (id.to_owned(), KeyFilter { team_id: Some(id.to_owned()), ..KeyFilter::default() });
    let look = |store: Arc<dyn Store>| async move {
        Ok((store.team(&wanted).await?, store.keys(&keys_of, None).await?.items))
    };
    let (team, keys) = shared.ledger.ask(look).await?;
    let team = team.ok_or_else(|| unknown(id))?;
    let mut info = shown::with_keys(&team, keys.iter().filter(|key| may_see(&known, key)));
    let taken_out = ["keys", "team_memberships"].map(|name| info.shift_remove(name).unwrap_or_default());
    let [keys, team_memberships] = taken_out;
    let answer =
        json!({ "team_id": id, "team_info": info, "keys": keys, "team_memberships": team_memberships });
    Ok(asked.answered(answer))
}

/// A team is seen by those who see everything, and by those who belong to it.
fn permit(known: &Known, id: &str) -> Result<(), Problem> {
    if known.role >= Role::Viewer {
        return Ok(());
    }
    let own = known.identity.as_ref().and_then(|identity| identity.key.team_id.as_deref());
    if own == Some(id) {
        return Ok(());
    }
    let own = own.unwrap_or("None");
    let message = format!("{{'error': 'Team key for team={own} not authorized to access this team={id}'}}");
    Err(Problem::new(StatusCode::FORBIDDEN, message).kind("auth_error").param("team_id"))
}

/// Who does not see everything sees of the team's keys its own: the others' tags are not its business.
fn may_see(known: &Known, key: &Key) -> bool {
    known.role >= Role::Viewer
        || known.identity.as_ref().is_some_and(|identity| identity.key.hash == key.hash)
}

fn nameless() -> Problem {
    let message = "Malformed request. No team id passed in.";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, message).param("team_id")
}

/// `GET /team/list`.
pub(super) async fn list(_: Viewer, State(shared): State<Shared>, uri: Uri) -> Result<Json<Value>, Problem> {
    let asked = Asked::query(&uri, taken::LIST)?;
    shared.ledger.settled().await;
    let filter = filter(&asked);
    let look = |store: Arc<dyn Store>| async move {
        let teams = store.teams(&filter, None).await?.items;
        Ok((teams, store.keys(&KeyFilter::default(), None).await?.items))
    };
    let (teams, keys) = shared.ledger.ask(look).await?;
    let keys = by_team(&keys);
    let shown = teams.iter().map(|team| shown::with_keys(team, of(&keys, team)));
    Ok(Json(shown.map(Value::Object).collect()))
}

fn filter(asked: &Asked) -> TeamFilter {
    TeamFilter { user_id: asked.said("user_id"), organization_id: asked.said("organization_id") }
}

fn by_team(keys: &[Key]) -> HashMap<&str, Vec<&Key>> {
    let mut by_team: HashMap<&str, Vec<&Key>> = HashMap::new();
    for key in keys {
        if let Some(team) = &key.team_id {
            by_team.entry(team).or_default().push(key);
        }
    }
    by_team
}

fn of<'a>(keys: &'a HashMap<&str, Vec<&'a Key>>, team: &Team) -> impl Iterator<Item = &'a Key> {
    keys.get(team.id.as_str()).into_iter().flatten().copied()
}

/// `GET /v2/team/list`.
pub(super) async fn pages(_: Viewer, State(shared): State<Shared>, uri: Uri) -> Result<Json<Value>, Problem> {
    let asked = Asked::query(&uri, taken::PAGES)?;
    let page = asked.page("page_size", 10)?;
    shared.ledger.settled().await;
    let filter = filter(&asked);
    let look = |store: Arc<dyn Store>| async move { store.teams(&filter, Some(page)).await };
    let teams = shared.ledger.ask(look).await?;
    let answer = json!({
        "teams": teams.items.iter().map(shown::team).collect::<Vec<_>>(),
        "total": teams.total,
        "page": page.number,
        "page_size": page.size,
        "total_pages": teams.total.div_ceil(page.size),
    });
    Ok(asked.answered(answer))
}
