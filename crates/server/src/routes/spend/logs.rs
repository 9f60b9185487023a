//! `GET /spend/logs`: single calls, as LiteLLM names their fields.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use http::{StatusCode, Uri};
use serde_json::{Map, Value, json};
use tagrail::Money;
use tagrail_store::{SpendFilter, SpendRow, Timestamp};

use crate::app::Shared;
use crate::caller::{Known, Role};
use crate::error::Problem;
use crate::fields::Asked;
use crate::routes::key::minted;
use crate::routes::spend::period::Period;
use crate::routes::spend::taken;

/// Rows in one answer: usually, and at most.
const ROWS: (u64, u64) = (1000, 100_000);

/// Calls, the newest first.
pub(super) async fn logs(
    known: Known,
    State(shared): State<Shared>,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    let asked = Asked::query(&uri, taken::LOGS)?;
    let text = |name| asked.text(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let Period { from, until } = Period::of(&asked)?;
    let mut filter = SpendFilter {
        key: text("api_key").map(|key| meant(&key)),
        user_id: text("user_id"),
        team_id: text("team_id"),
        request_id: text("request_id"),
        from,
        until,
        limit: asked.count("limit").filter(|&limit| limit > 0).unwrap_or(ROWS.0).min(ROWS.1),
    };
    if known.role < Role::Viewer {
        confine(&known, &mut filter)?;
    }
    let summarized = asked.flag("summarize").unwrap_or_default();
    if summarized {
        filter.limit = ROWS.1;
    }
    shared.ledger.settled().await;
    let rows = shared.ledger.ask(async move |store| store.spend(&filter).await).await?;
    let shown = if summarized { by_day(&rows) } else { rows.iter().map(row).collect() };
    Ok(Json(Value::Array(shown)))
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

/// LiteLLM's sums: what was spent on a day, by key and by model.
fn by_day(rows: &[SpendRow]) -> Vec<Value> {
    #[derive(Default)]
    struct Day<'a> {
        spend: Money,
        keys: BTreeMap<&'a str, Money>,
        models: BTreeMap<&'a str, Money>,
        users: BTreeMap<&'a str, Money>,
    }
    let mut days: BTreeMap<String, Day<'_>> = BTreeMap::new();
    for row in rows {
        let day = days.entry(Timestamp::day(row.started)).or_default();
        day.spend += row.cost;
        *day.keys.entry(&row.key).or_default() += row.cost;
        *day.models.entry(&row.model).or_default() += row.cost;
        *day.users.entry(row.user_id.as_deref().unwrap_or_default()).or_default() += row.cost;
    }
    let shown = |(day, sums): (String, Day<'_>)| {
        let mut shown = json!({
            "startTime": day,
            "spend": sums.spend,
            "users": sums.users,
            "models": sums.models,
        });
        if let Some(shown) = shown.as_object_mut() {
            shown.extend(sums.keys.into_iter().map(|(key, spend)| (key.to_owned(), json!(spend))));
        }
        shown
    };
    days.into_iter().map(shown).collect()
}
