//! Totals, in LiteLLM's shapes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use http::Uri;
use serde_json::{Map, Value, json};
use tagrail::Money;
use tagrail_store::{DailyBy, DailyFilter, DailySpend, Key, KeyFilter, TeamFilter, User};

use crate::app::Shared;
use crate::caller::Viewer;
use crate::error::Problem;
use crate::fields::Asked;
use crate::fields::limits::{show_budget, show_limits};
use crate::ledger::Ledger;
use crate::routes::key::shown;
use crate::routes::spend::period::Period;
use crate::routes::spend::{daily, taken};

/// Calls without a team, key, user or tag, in reports.
pub(super) const NOBODY: &str = "Unassigned";

/// `GET /global/spend`.
pub(super) async fn all(_: Viewer, State(shared): State<Shared>) -> Result<Json<Value>, Problem> {
    let sums = daily(&shared, DailyBy::Key, DailyFilter::default()).await?;
    let spend: Money = sums.iter().map(|sum| sum.cost).sum();
    Ok(Json(json!({ "spend": spend, "max_budget": 0.0 })))
}

/// `GET /spend/tags`.
pub(super) async fn tags(_: Viewer, State(shared): State<Shared>, uri: Uri) -> Result<Json<Value>, Problem> {
    let period = Period::of(&Asked::query(&uri, taken::PERIOD)?)?;
    let sums = daily(&shared, DailyBy::Tag, period.days(None)).await?;
    // Calls without a tag are a sum of their own, and no tag's.
    let shown = by_id(&sums).into_iter().filter(|(tag, _)| !tag.is_empty()).map(|(tag, sum)| {
        json!({ "individual_request_tag": tag, "log_count": sum.requests, "total_spend": sum.cost })
    });
    Ok(Json(shown.collect()))
}

/// `GET /global/spend/tags`: both days are required, as LiteLLM has it.
pub(super) async fn tags_between(
    _: Viewer,
    State(shared): State<Shared>,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    let asked = Asked::query(&uri, taken::TAGS)?;
    let period = Period::whole(&asked)?;
    let wanted = listed(&asked, "tags");
    let sums = daily(&shared, DailyBy::Tag, period.days(None)).await?;
    let wanted = |tag: &str| wanted.as_ref().is_none_or(|tags| tags.contains(tag));
    let shown = by_id(&sums)
        .into_iter()
        .filter(|(tag, _)| wanted(tag))
        .map(|(tag, sum)| json!({ "name": tag, "spend": sum.cost, "log_count": sum.requests }));
    let shown: Vec<Value> = shown.collect();
    Ok(Json(json!({ "spend_per_tag": shown })))
}

/// What stands in a query string with commas between it; `None` where nothing does.
pub(super) fn listed(asked: &Asked, name: &str) -> Option<BTreeSet<String>> {
    let text = asked.text(name).filter(|text| !text.is_empty())?;
    Some(text.split(',').map(|item| item.trim().to_owned()).collect())
}

/// `GET /spend/keys`.
pub(super) async fn keys(_: Viewer, State(shared): State<Shared>) -> Result<Json<Value>, Problem> {
    shared.ledger.settled().await;
    let keys = all_keys(&shared.ledger).await?;
    Ok(Json(keys.iter().map(|key| Value::Object(shown::whole(key))).collect()))
}

/// `GET /global/spend/keys`.
pub(super) async fn top_keys(
    _: Viewer,
    State(shared): State<Shared>,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    let limit = Asked::query(&uri, taken::TOP)?.count("limit").unwrap_or(10);
    let sums = daily(&shared, DailyBy::Key, DailyFilter::default()).await?;
    let keys: BTreeMap<_, _> =
        all_keys(&shared.ledger).await?.into_iter().map(|key| (key.hash.clone(), key)).collect();
    let shown =
        by_id(&sums).into_iter().take(usize::try_from(limit).unwrap_or(usize::MAX)).map(|(id, sum)| {
            let key = keys.get(id);
            json!({
                "api_key": id,
                "key_alias": key.and_then(|key| key.alias.as_deref()),
                "key_name": key.map(|key| key.name.as_str()),
                "total_spend": sum.cost,
            })
        });
    Ok(Json(shown.collect()))
}

/// Every key, those that spent most first.
async fn all_keys(ledger: &Ledger) -> Result<Vec<Key>, Problem> {
    let found = ledger.ask(async |store| store.keys(&KeyFilter::default(), None).await).await?;
    let mut keys = found.items;
    keys.sort_by_key(|key| Reverse(key.spend));
    Ok(keys)
}

/// `GET /spend/users`.
pub(super) async fn users(_: Viewer, State(shared): State<Shared>, uri: Uri) -> Result<Json<Value>, Problem> {
    let asked = Asked::query(&uri, taken::USERS)?;
    let wanted = asked.text("user_id").filter(|id| !id.is_empty()).map(str::to_owned);
    shared.ledger.settled().await;
    let mut users = match wanted {
        None => shared.ledger.ask(async |store| store.users(None).await).await?.items,
        Some(id) => {
            let user = shared.ledger.ask(async move |store| store.user(&id).await).await?;
            user.into_iter().collect()
        }
    };
    users.sort_by_key(|user| Reverse(user.spend));
    Ok(Json(users.iter().map(user_row).collect()))
}

fn user_row(user: &User) -> Value {
    let mut row = Map::new();
    row.insert("user_id".to_owned(), json!(user.id));
    row.insert("user_alias".to_owned(), json!(user.alias));
    row.insert("user_email".to_owned(), json!(user.email));
    row.insert("user_role".to_owned(), json!(user.role));
    row.insert("models".to_owned(), json!(user.models));
    show_limits(&user.limits, &mut row);
    show_budget(&user.budget, user.spend, &mut row);
    Value::Object(row)
}

/// `GET /global/spend/teams`: LiteLLM looks back 30 days.
pub(super) async fn teams(_: Viewer, State(shared): State<Shared>, uri: Uri) -> Result<Json<Value>, Problem> {
    let period = Period::of(&Asked::query(&uri, taken::PERIOD)?)?.or_last_days(30);
    let sums = daily(&shared, DailyBy::Team, period.days(None)).await?;
    let names = team_names(&shared.ledger).await?;
    let name = |id: &str| named(&names, id);
    let mut days: BTreeMap<&str, BTreeMap<String, Money>> = BTreeMap::new();
    for sum in &sums {
        *days.entry(&sum.day).or_default().entry(name(&sum.id)).or_default() += sum.cost;
    }
    let daily_spend = days.into_iter().map(|(day, by_team)| {
        let mut shown = Map::from_iter([("date".to_owned(), json!(day))]);
        // A team could be called `date`; it is in the totals.
        by_team.into_iter().for_each(|(team, spend)| {
            shown.entry(team).or_insert(json!(spend));
        });
        Value::Object(shown)
    });
    let daily_spend: Vec<Value> = daily_spend.collect();
    let totals = by_id(&sums);
    let total = totals.iter().map(|(id, sum)| json!({ "team_id": name(id), "total_spend": sum.cost }));
    let teams: BTreeSet<String> = totals.iter().map(|(id, _)| name(id)).collect();
    Ok(Json(json!({
        "daily_spend": daily_spend,
        "teams": teams,
        "total_spend_per_team": total.collect::<Vec<_>>(),
    })))
}

/// The names of teams, by id.
pub(super) async fn team_names(ledger: &Ledger) -> Result<BTreeMap<String, String>, Problem> {
    let teams = ledger.ask(async |store| store.teams(&TeamFilter::default(), None).await).await?;
    Ok(teams.items.into_iter().filter_map(|team| Some((team.id, team.alias?))).collect())
}

/// What somebody is called who may have no name, or be gone.
pub(super) fn named(names: &BTreeMap<String, String>, id: &str) -> String {
    match names.get(id) {
        Some(name) => name.clone(),
        None if id.is_empty() => NOBODY.to_owned(),
        None => id.to_owned(),
    }
}

/// Sums over days and models; who spent most comes first.
pub(super) fn by_id(sums: &[DailySpend]) -> Vec<(&str, DailySpend)> {
    let mut by_id: BTreeMap<&str, DailySpend> = BTreeMap::new();
    for sum in sums {
        add(by_id.entry(&sum.id).or_default(), sum);
    }
    let mut all: Vec<_> = by_id.into_iter().collect();
    all.sort_by_key(|(_, sum)| Reverse(sum.cost));
    all
}

/// Adds what can be added.
pub(super) fn add(to: &mut DailySpend, sum: &DailySpend) {
    to.cost += sum.cost;
    to.input_tokens += sum.input_tokens;
    to.output_tokens += sum.output_tokens;
    to.requests += sum.requests;
    to.failed += sum.failed;
}
