//! Looking at users.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use serde_json::{Map, Value, json};
use tagrail_store::{Key, KeyFilter, Page, Store, StoreError, Team, TeamFilter, User};

use crate::app::Shared;
use crate::caller::{Known, Role, Viewer};
use crate::error::Problem;
use crate::fields::Asked;
use crate::routes::key::{OPERATOR, shown as key};
use crate::routes::team::shown as team;
use crate::routes::user::{shown, taken, unknown};

/// What is shown of the keys and teams of one user; all are in `/key/list` and `/v2/team/list`.
const FIRST: Option<Page> = Some(Page { number: 1, size: 1000 });

/// `GET /user/info`.
pub(super) async fn info(known: Known, State(shared): State<Shared>, uri: Uri) -> Result<Response, Problem> {
    let asked = Asked::query(&uri, taken::INFO)?;
    let own = known.identity.as_ref().and_then(|identity| identity.key.user_id.clone());
    let id = match (asked.said("user_id"), own) {
        (Some(wanted), own) if known.role < Role::Viewer && own.as_ref() != Some(&wanted) => {
            return Err(not_own(&wanted, own.as_deref()));
        }
        (Some(wanted), _) => Some(wanted),
        (None, Some(own)) => Some(own),
        (None, None) if known.role >= Role::Viewer => None,
        (None, None) => return Err(unknown("None")),
    };
    // So that what was called before this is in the sums.
    shared.ledger.settled().await;
    let of = id.clone();
    let look = async move |store: Arc<dyn Store>| {
        let keys = store.keys(&KeyFilter { user_id: of.clone(), ..KeyFilter::default() }, FIRST).await?;
        let teams = store.teams(&TeamFilter { user_id: of.clone(), organization_id: None }, FIRST).await?;
        let user = match of {
            Some(id) => store.user(&id).await?,
            None => None,
        };
        Ok((user, keys.items, teams.items))
    };
    let (user, keys, teams) = shared.ledger.ask(look).await?;
    if let (None, Some(id)) = (&user, &id) {
        return Err(unknown(id));
    }
    let show = move |(user, keys, teams): (Option<User>, Vec<Key>, Vec<Team>)| {
        asked.with_warnings(json!({
            "user_id": id.as_deref().unwrap_or(OPERATOR),
            "user_info": user.map(|user| shown::with_teams(&user, &teams)),
            "keys": keys.iter().map(|key| with_alias(key, &teams)).collect::<Vec<_>>(),
            "teams": teams.iter().map(team::team).collect::<Vec<_>>(),
        }))
    };
    shared.ledger.show(async move |_| Ok((user, keys, teams)), show).await
}

fn not_own(wanted: &str, own: Option<&str>) -> Problem {
    let own = own.unwrap_or("None");
    let message =
        format!("key not allowed to access this user's info. user_id={wanted}, key's user_id={own}");
    Problem::new(StatusCode::FORBIDDEN, message).kind("auth_error").param("user_id")
}

/// A key with the alias of its team.
fn with_alias(of: &Key, teams: &[Team]) -> Map<String, Value> {
    let mut shown = key::whole(of);
    let own = teams.iter().find(|team| Some(&team.id) == of.team_id.as_ref());
    shown.insert("team_alias".to_owned(), json!(own.and_then(|team| team.alias.as_ref())));
    shown
}

/// `GET /user/list`.
pub(super) async fn list(_: Viewer, State(shared): State<Shared>, uri: Uri) -> Result<Response, Problem> {
    let asked = Asked::query(&uri, taken::LIST)?;
    let page = asked.page("page_size", 25)?;
    shared.ledger.settled().await;
    let look = async move |store: Arc<dyn Store>| {
        let users = store.users(Some(page)).await?;
        let mut rows = Vec::new();
        for user in &users.items {
            rows.push(counted(store.as_ref(), user).await?);
        }
        Ok((rows, users.total))
    };
    let show = move |(users, total): (Vec<_>, u64)| {
        asked.with_warnings(json!({
            "users": users,
            "total": total,
            "page": page.number,
            "page_size": page.size,
            "total_pages": total.div_ceil(page.size),
        }))
    };
    shared.ledger.show(look, show).await
}

/// A user with its teams and the number of its keys.
async fn counted(store: &dyn Store, user: &User) -> Result<Map<String, Value>, StoreError> {
    let of = Some(user.id.clone());
    let teams = store.teams(&TeamFilter { user_id: of.clone(), organization_id: None }, FIRST).await?;
    let one = Some(Page { number: 1, size: 1 });
    let keys = store.keys(&KeyFilter { user_id: of, ..KeyFilter::default() }, one).await?;
    let mut row = shown::with_teams(user, &teams.items);
    row.insert("key_count".to_owned(), json!(keys.total));
    Ok(row)
}
