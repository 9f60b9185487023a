//! Looking at teams.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use serde_json::{Map, Value, json};
use tagrail_store::{Key, KeyFilter, Page, Paged, Store, StoreError, Team, TeamFilter};

use crate::app::Shared;
use crate::caller::{Known, Role, Viewer};
use crate::error::Problem;
use crate::fields::Asked;
use crate::routes::team::{shown, taken, unknown};

/// `GET /team/info`.
pub(super) async fn info(known: Known, State(shared): State<Shared>, uri: Uri) -> Result<Response, Problem> {
    let asked = Asked::query(&uri, taken::INFO)?;
    let id = asked.text("team_id").filter(|id| !id.is_empty()).ok_or_else(nameless)?;
    // Before it is looked up: who may not see a team need not learn whether there is one.
    permit(&known, id)?;
    // So that what was called before this is in the sums.
    shared.ledger.settled().await;
    let wanted = id.to_owned();
    let look = |store: Arc<dyn Store>| async move {
        match store.team(&wanted).await? {
            Some(team) => Ok(Some(with_keys(&*store, team, KEYS).await?)),
            None => Ok(None),
        }
    };
    let (team, mut keys) = shared.ledger.ask(look).await?.ok_or_else(|| unknown(id))?;
    keys.items.retain(|key| known.role >= Role::Viewer || is_own(&known, key));
    let asked_for = id.to_owned();
    let show = move |(team, keys): WithKeys| {
        let mut info = shown::with_keys(&team, keys.items.iter());
        if known.role >= Role::Viewer {
            omitted(&mut info, &keys);
        }
        let taken_out = ["keys", "team_memberships"].map(|name| info.shift_remove(name).unwrap_or_default());
        let [keys, team_memberships] = taken_out;
        let answer = json!({ "team_id": asked_for, "team_info": info, "keys": keys, "team_memberships": team_memberships });
        asked.with_warnings(answer)
    };
    shared.ledger.show(async move |_| Ok((team, keys)), show).await
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
fn is_own(known: &Known, key: &Key) -> bool {
    known.identity.as_ref().is_some_and(|identity| identity.key.hash == key.hash)
}

fn nameless() -> Problem {
    let message = "Malformed request. No team id passed in.";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, message).param("team_id")
}

/// Teams in one list, and keys in one answer.
const TEAMS: u64 = 1000;
const KEYS: u64 = 1000;
const ALL_KEYS: u64 = 10_000;

/// A team with the first of its keys, and how many there are.
type WithKeys = (Team, Paged<Key>);

async fn with_keys(store: &dyn Store, team: Team, most: u64) -> Result<WithKeys, StoreError> {
    let filter = KeyFilter { team_id: Some(team.id.clone()), ..KeyFilter::default() };
    let keys = store.keys(&filter, Some(Page { number: 1, size: most })).await?;
    Ok((team, keys))
}

/// `GET /team/list`: a page of a thousand, with their keys as far as those are few.
pub(super) async fn list(_: Viewer, State(shared): State<Shared>, uri: Uri) -> Result<Response, Problem> {
    let asked = Asked::query(&uri, taken::LIST)?;
    let page = Page {
        number: asked.count("page").unwrap_or(1).max(1),
        size: asked.count("page_size").unwrap_or(TEAMS).clamp(1, TEAMS),
    };
    shared.ledger.settled().await;
    let filter = filter(&asked);
    let look = async move |store: Arc<dyn Store>| {
        let (mut teams, mut left) = (Vec::new(), ALL_KEYS);
        for team in store.teams(&filter, Some(page)).await?.items {
            let team = with_keys(&*store, team, left.min(KEYS)).await?;
            left = left.saturating_sub(team.1.items.len() as u64);
            teams.push(team);
        }
        Ok(teams)
    };
    let show = |teams: Vec<WithKeys>| {
        let shown = teams.iter().map(|(team, keys)| {
            let mut shown = shown::with_keys(team, keys.items.iter());
            omitted(&mut shown, keys);
            shown
        });
        shown.collect::<Vec<_>>()
    };
    shared.ledger.show(look, show).await
}

/// Says so when not all keys are there: they are in `/key/list`.
fn omitted(shown: &mut Map<String, Value>, keys: &Paged<Key>) {
    let count = keys.total.saturating_sub(keys.items.len() as u64);
    if count > 0 {
        shown.insert("keys_omitted".to_owned(), json!(count));
    }
}

fn filter(asked: &Asked) -> TeamFilter {
    TeamFilter { user_id: asked.said("user_id"), organization_id: asked.said("organization_id") }
}

/// `GET /v2/team/list`.
pub(super) async fn pages(_: Viewer, State(shared): State<Shared>, uri: Uri) -> Result<Response, Problem> {
    let asked = Asked::query(&uri, taken::PAGES)?;
    let page = asked.page("page_size", 10)?;
    shared.ledger.settled().await;
    let filter = filter(&asked);
    let look = |store: Arc<dyn Store>| async move { store.teams(&filter, Some(page)).await };
    let show = move |teams: Paged<Team>| {
        asked.with_warnings(json!({
            "teams": teams.items.iter().map(shown::team).collect::<Vec<_>>(),
            "total": teams.total,
            "page": page.number,
            "page_size": page.size,
            "total_pages": teams.total.div_ceil(page.size),
        }))
    };
    shared.ledger.show(look, show).await
}
