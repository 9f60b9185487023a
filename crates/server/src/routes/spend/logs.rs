//! `GET /spend/logs`: single calls, as LiteLLM names their fields.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::CONTENT_TYPE;
use http::{StatusCode, Uri};
use serde_json::{Map, Value, json};
use tagrail::Money;
use tagrail_store::{OTHER, SpendFilter, SpendRow, Store, StoreError, Timestamp};

use crate::app::Shared;
use crate::caller::{Known, Role};
use crate::error::Problem;
use crate::fields::Asked;
use crate::routes::key::minted;
use crate::routes::spend::period::Period;
use crate::routes::spend::taken;

/// Rows in one answer, at most; more are on further pages.
const ROWS: u64 = 1000;

/// Names that a day is broken down into, of each kind. Further ones are summed as one.
const NAMES: usize = 1000;

/// Calls, the newest first.
pub(super) async fn logs(known: Known, State(shared): State<Shared>, uri: Uri) -> Result<Response, Problem> {
    let asked = Asked::query(&uri, taken::LOGS)?;
    let text = |name| asked.text(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let Period { from, until } = Period::of(&asked)?;
    let size = asked.count("page_size").or(asked.count("limit")).filter(|&size| size > 0);
    let size = size.unwrap_or(ROWS).min(ROWS);
    let mut filter = SpendFilter {
        key: text("api_key").map(|key| meant(&key)),
        user_id: text("user_id"),
        team_id: text("team_id"),
        request_id: text("request_id"),
        from,
        until,
        limit: size,
        offset: asked.count("page").unwrap_or(1).max(1).saturating_sub(1).saturating_mul(size),
        behind: None,
    };
    if known.role < Role::Viewer {
        confine(&known, &mut filter)?;
    }
    shared.ledger.settled().await;
    if asked.flag("summarize").unwrap_or_default() {
        let sum = async move |store: Arc<dyn Store>| days(&*store, filter).await;
        return shared.ledger.show(sum, by_day).await;
    }
    let look = async move |store: Arc<dyn Store>| store.spend(&filter).await;
    shared
        .ledger
        .report(look, written)
        .await
        .map(|rows| ([(CONTENT_TYPE, "application/json")], rows).into_response())
}

/// One row after the other, so that no tree of all of them is in memory.
fn written(rows: Vec<SpendRow>) -> Vec<u8> {
    let mut json = vec![b'['];
    for spent in rows {
        if json.len() > 1 {
            json.push(b',');
        }
        // A Vec takes everything.
        let _ = serde_json::to_writer(&mut json, &row(&spent));
    }
    json.push(b']');
    json
}

/// Calls with the master key are written down under a name instead of a hash.
fn meant(key: &str) -> String {
    if key == "litellm_proxy_master_key" { key.to_owned() } else { minted::meant(key) }
}

/// Others than viewers see the calls of their own key.
fn confine(known: &Known, filter: &mut SpendFilter) -> Result<(), Problem> {
    let own = known.identity.as_ref().map(|identity| identity.key.hash.clone()).unwrap_or_default();
    if filter.key.as_ref().is_some_and(|wanted| *wanted != own) {
        let message = "You are not allowed to see what others than your own key have spent.";
        return Err(Problem::new(StatusCode::FORBIDDEN, message).kind("auth_error").param("api_key"));
    }
    filter.key = Some(own);
    Ok(())
}

fn row(row: &SpendRow) -> Value {
    let answered = row.status < 400 && !row.cut_short;
    json!({
        "request_id": row.id,
        "call_type": row.call_type,
        "api_key": row.key,
        "spend": row.cost,
        "total_tokens": row.input_tokens + row.output_tokens,
        "prompt_tokens": row.input_tokens,
        "completion_tokens": row.output_tokens,
        "startTime": row.started.to_rfc3339(),
        "endTime": row.ended.to_rfc3339(),
        "request_duration_ms": row.ended.0 - row.started.0,
        "completionStartTime": row.first_byte.unwrap_or(row.ended).to_rfc3339(),
        "model": row.model,
        "model_id": row.deployment,
        "model_group": row.model_group,
        "custom_llm_provider": row.provider,
        "api_base": row.api_base,
        "user": row.user_id.as_deref().unwrap_or_default(),
        "metadata": metadata(row, answered),
        "cache_hit": "False",
        "cache_key": "Cache OFF",
        "request_tags": row.tags,
        "team_id": row.team_id,
        "organization_id": null,
        "end_user": row.end_user.as_deref().unwrap_or_default(),
        "requester_ip_address": null,
        "messages": {},
        "response": {},
        "session_id": null,
        "status": if answered { "success" } else { "failure" },
    })
}

/// What LiteLLM has no column for.
fn metadata(row: &SpendRow, answered: bool) -> Value {
    let mut metadata: Map<String, Value> = row.metadata.clone();
    for (name, value) in [
        ("user_api_key", json!(row.key)),
        ("user_api_key_alias", json!(row.key_alias)),
        ("user_api_key_team_id", json!(row.team_id)),
        ("user_api_key_user_id", json!(row.user_id)),
        ("status", json!(if answered { "success" } else { "failure" })),
        ("litellm_call_id", json!(row.call_id)),
        ("status_code", json!(row.status)),
        ("cut_short", json!(row.cut_short)),
        ("estimated", json!(row.estimated)),
        ("decision", json!(row.decision)),
    ] {
        metadata.insert(name.to_owned(), value);
    }
    Value::Object(metadata)
}

/// What was spent on a day, and by whom and for what.
#[derive(Default)]
struct Day {
    spend: Money,
    keys: BTreeMap<String, Money>,
    models: BTreeMap<String, Money>,
    users: BTreeMap<String, Money>,
}

/// All rows that there are, added up as they are read.
async fn days(store: &dyn Store, filter: SpendFilter) -> Result<BTreeMap<String, Day>, StoreError> {
    let mut filter = SpendFilter { limit: ROWS, offset: 0, ..filter };
    let mut days: BTreeMap<String, Day> = BTreeMap::new();
    loop {
        let rows = store.spend(&filter).await?;
        for row in &rows {
            let day = days.entry(Timestamp::day(row.started)).or_default();
            day.spend += row.cost;
            add(&mut day.keys, &row.key, row.cost);
            add(&mut day.models, &row.model, row.cost);
            add(&mut day.users, row.user_id.as_deref().unwrap_or_default(), row.cost);
        }
        match rows.last() {
            Some(last) if rows.len() as u64 == ROWS => filter.behind = Some((last.started, last.id.clone())),
            _ => return Ok(days),
        }
        tokio::task::yield_now().await;
    }
}

fn add(sums: &mut BTreeMap<String, Money>, name: &str, cost: Money) {
    let name = if sums.len() < NAMES || sums.contains_key(name) { name } else { OTHER };
    match sums.get_mut(name) {
        Some(sum) => *sum += cost,
        None => drop(sums.insert(name.to_owned(), cost)),
    }
}

/// LiteLLM's sums: what was spent on a day, by key and by model.
fn by_day(days: BTreeMap<String, Day>) -> Vec<Value> {
    let shown = |(day, sums): (String, Day)| {
        let mut shown = json!({
            "startTime": day,
            "spend": sums.spend,
            "users": sums.users,
            "models": sums.models,
        });
        if let Some(shown) = shown.as_object_mut() {
            shown.extend(sums.keys.into_iter().map(|(key, spend)| (key, json!(spend))));
        }
        shown
    };
    days.into_iter().map(shown).collect()
}
