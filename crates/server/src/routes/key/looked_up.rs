//! What is known of keys: of one, and of all.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, Uri};
use serde_json::{Value, json};
use tagrail_store::{Key, KeyFilter, Page, Paged, Store};

use crate::app::Shared;
use crate::caller::{Known, Role};
use crate::error::Problem;
use crate::fields::Asked;
use crate::routes::key::{minted, shown, taken};

/// `GET /key/info`: the caller's own key, or the one that is named. Others than viewers are refused alike
/// whether the key is somebody else's or nobody's.
pub(crate) async fn info(
    known: Known,
    State(shared): State<Shared>,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    let asked = Asked::query(&uri, taken::INFO)?;
    let own = known.identity.as_ref().map(|identity| identity.key.hash.clone());
    let named = asked.text("key").filter(|key| !key.is_empty());
    let hash = match named {
        Some(key) => minted::meant(key),
        None => own.clone().ok_or_else(not_in_database)?,
    };
    if known.role < Role::Viewer && own.as_ref() != Some(&hash) {
        let message = "You are not allowed to access this key's info. Your role=internal_user";
        return Err(Problem::new(StatusCode::FORBIDDEN, message).kind("auth_error").param("key"));
    }
    shared.ledger.settled().await;
    let wanted = hash.clone();
    let key = shared.ledger.ask(async move |store| store.key(&wanted).await).await?;
    let key = key.ok_or_else(not_in_database)?;
    let answer = json!({ "key": named.unwrap_or(&hash), "info": shown::row(&key) });
    Ok(asked.answered(answer))
}

fn not_in_database() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "Key not found in database").kind("not_found_error").param("key")
}

/// LiteLLM's page, and the most that one may have.
const PAGE: (u64, u64) = (10, 100);

/// `GET /key/list`.
pub(crate) async fn list(known: Known, State(shared): State<Shared>, uri: Uri) -> Result<Response, Problem> {
    let asked = Asked::query(&uri, taken::LIST)?;
    let text = |name| asked.text(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let mut filter =
        KeyFilter { team_id: text("team_id"), user_id: text("user_id"), alias: text("key_alias") };
    if known.role < Role::Viewer {
        confine(&known, &mut filter)?;
    }
    let number = asked.count("page").unwrap_or(1).max(1);
    let size = asked.count("size").unwrap_or(PAGE.0).clamp(1, PAGE.1);
    shared.ledger.settled().await;
    let whole = asked.flag("return_full_object").unwrap_or_default();
    let wanted = text("key_hash");
    let show = move |found: Paged<Key>| {
        let shown = |key: &Key| if whole { Value::Object(shown::whole(key)) } else { json!(key.hash) };
        let keys: Vec<Value> = found.items.iter().map(shown).collect();
        asked.with_warnings(json!({
            "keys": keys,
            "total_count": found.total,
            "current_page": number,
            "total_pages": found.total.div_ceil(size),
        }))
    };
    if let Some(key) = wanted {
        let found = one(&shared, &filter, &minted::meant(&key)).await?;
        return Ok(Json(show(found)).into_response());
    }
    let page = Page { number, size };
    let look = async move |store: Arc<dyn Store>| store.keys(&filter, Some(page)).await;
    shared.ledger.show(look, show).await
}

/// Others than viewers see the keys of their own user.
fn confine(known: &Known, filter: &mut KeyFilter) -> Result<(), Problem> {
    let refuse = |message: &str| Err(Problem::new(StatusCode::FORBIDDEN, message).kind("auth_error"));
    let Some(user) = known.identity.as_ref().and_then(|identity| identity.key.user_id.clone()) else {
        return refuse(
            "You are not authorized to access this endpoint. No 'user_id' is associated with your API key.",
        );
    };
    if filter.user_id.as_ref().is_some_and(|wanted| *wanted != user) {
        return refuse("You are not authorized to check another user's keys");
    }
    filter.user_id = Some(user);
    Ok(())
}

async fn one(shared: &Shared, filter: &KeyFilter, hash: &str) -> Result<Paged<Key>, Problem> {
    let hash = hash.to_owned();
    let key = shared.ledger.ask(async move |store| store.key(&hash).await).await?;
    let fits = |wanted: &Option<String>, own: &Option<String>| wanted.is_none() || wanted == own;
    let items: Vec<Key> = key
        .into_iter()
        .filter(|key| {
            fits(&filter.team_id, &key.team_id)
                && fits(&filter.user_id, &key.user_id)
                && fits(&filter.alias, &key.alias)
        })
        .collect();
    let total = items.len() as u64;
    Ok(Paged { items, total })
}
