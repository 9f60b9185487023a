//! `GET /…/daily/activity`: what was called by day, in the shape of LiteLLM's dashboard.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::CONTENT_TYPE;
use http::{StatusCode, Uri};
use serde_json::{Map, Value, json};
use tagrail_store::{DailyBy, DailyFilter, DailySpend, Store};

use crate::app::Shared;
use crate::caller::{Known, Role, Viewer};
use crate::error::Problem;
use crate::fields::Asked;
use crate::routes::spend::period::Period;
use crate::routes::spend::sums::{add, checked, listed, team_names};
use crate::routes::spend::{daily, few, taken};

/// Days on a page where nothing is said.
const DAYS: u64 = 1000;

/// `GET /tag/daily/activity`.
pub(super) async fn tags(_: Viewer, State(shared): State<Shared>, uri: Uri) -> Result<Response, Problem> {
    let asked = Asked::query(&uri, taken::TAG_ACTIVITY)?;
    let wanted = listed(&asked, "tags");
    let keep = move |id: &str| wanted.as_ref().is_none_or(|tags| tags.contains(id));
    let filter = Period::whole(&asked)?.days(None);
    answer(&shared, asked, (DailyBy::Tag, filter), true, keep).await
}

/// `GET /team/daily/activity`.
pub(super) async fn teams(_: Viewer, State(shared): State<Shared>, uri: Uri) -> Result<Response, Problem> {
    let asked = Asked::query(&uri, taken::TEAM_ACTIVITY)?;
    let (wanted, unwanted) = (listed(&asked, "team_ids"), listed(&asked, "exclude_team_ids"));
    let has = |ids: &BTreeSet<String>, id: &str| ids.contains(id);
    let keep = move |id: &str| {
        wanted.as_ref().is_none_or(|ids| has(ids, id)) && !unwanted.as_ref().is_some_and(|ids| has(ids, id))
    };
    let filter = Period::whole(&asked)?.days(None);
    answer(&shared, asked, (DailyBy::Team, filter), true, keep).await
}

/// `GET /user/daily/activity`. Others than viewers see what was called with their own key.
pub(super) async fn users(known: Known, State(shared): State<Shared>, uri: Uri) -> Result<Response, Problem> {
    let asked = Asked::query(&uri, taken::USER_ACTIVITY)?;
    let period = Period::whole(&asked)?;
    let user = asked.text("user_id").filter(|id| !id.is_empty()).map(str::to_owned);
    let (by, one) = if known.role < Role::Viewer {
        let key = known.identity.as_ref().map(|identity| &identity.key);
        if user.is_some() && key.and_then(|key| key.user_id.as_ref()) != user.as_ref() {
            let message = "You are not allowed to see what others than your own key have spent.";
            return Err(Problem::new(StatusCode::FORBIDDEN, message).kind("auth_error").param("user_id"));
        }
        (DailyBy::Key, Some(key.map(|key| key.hash.clone()).unwrap_or_default()))
    } else {
        (DailyBy::User, user)
    };
    answer(&shared, asked, (by, period.days(one)), by == DailyBy::User, |_| true).await
}

async fn answer(
    shared: &Shared,
    asked: Asked,
    (by, filter): (DailyBy, DailyFilter),
    entities: bool,
    keep: impl Fn(&str) -> bool + Send + 'static,
) -> Result<Response, Problem> {
    shared.ledger.settled().await;
    let look = async move |store: Arc<dyn Store>| {
        let sums = daily(&*store, by, filter).await?;
        let names = if by == DailyBy::Team { team_names(&*store).await? } else { BTreeMap::new() };
        Ok((sums, names))
    };
    let write = move |(sums, names): (Vec<DailySpend>, BTreeMap<String, String>)| {
        few(&sums)?;
        let sums = kept(sums, &asked, keep);
        Ok(shown(&asked, &sums, Breakdown { entities, names }).to_string().into_bytes())
    };
    let bytes = checked(&shared.ledger, look, write).await?;
    Ok(([(CONTENT_TYPE, "application/json")], bytes).into_response())
}

fn kept(sums: Vec<DailySpend>, asked: &Asked, keep: impl Fn(&str) -> bool) -> Vec<DailySpend> {
    let model = asked.text("model").filter(|model| !model.is_empty());
    sums.into_iter().filter(|sum| keep(&sum.id) && model.is_none_or(|model| sum.model == model)).collect()
}

/// Into what a day is broken down besides models.
struct Breakdown {
    /// Whether ids are shown.
    entities: bool,
    /// What they are called.
    names: BTreeMap<String, String>,
}

/// One page of days, the newest first, with the sum of all.
fn shown(asked: &Asked, sums: &[DailySpend], breakdown: Breakdown) -> Value {
    let mut days: BTreeMap<&str, Vec<&DailySpend>> = BTreeMap::new();
    for sum in sums {
        days.entry(&sum.day).or_default().push(sum);
    }
    let size = asked.count("page_size").unwrap_or(DAYS).clamp(1, DAYS);
    let page = asked.count("page").unwrap_or(1).max(1);
    let pages = (days.len() as u64).div_ceil(size).max(1);
    let skipped = usize::try_from((page - 1).saturating_mul(size)).unwrap_or(usize::MAX);
    let results: Vec<Value> = days
        .into_iter()
        .rev()
        .skip(skipped)
        .take(size as usize)
        .map(|(day, sums)| one_day(day, &sums, &breakdown))
        .collect();
    let total = total(sums.iter());
    json!({
        "results": results,
        "metadata": {
            "total_spend": total.cost,
            "total_prompt_tokens": total.input_tokens,
            "total_completion_tokens": total.output_tokens,
            "total_tokens": total.input_tokens + total.output_tokens,
            "total_api_requests": total.requests,
            "total_successful_requests": total.requests.saturating_sub(total.failed),
            "total_failed_requests": total.failed,
            "total_cache_read_input_tokens": 0,
            "total_cache_creation_input_tokens": 0,
            "page": page,
            "total_pages": pages,
            "has_more": page < pages,
        },
    })
}

fn one_day(day: &str, sums: &[&DailySpend], breakdown: &Breakdown) -> Value {
    let models = broken_down(sums, |sum| &sum.model, &BTreeMap::new());
    let entities =
        if breakdown.entities { broken_down(sums, |sum| &sum.id, &breakdown.names) } else { Map::new() };
    json!({
        "date": day,
        "metrics": metrics(&total(sums.iter().copied())),
        "breakdown": {
            "mcp_servers": {},
            "models": models,
            "model_groups": models,
            "providers": {},
            "endpoints": {},
            "api_keys": {},
            "entities": entities,
        },
    })
}

fn broken_down<'a>(
    sums: &[&'a DailySpend],
    by: impl Fn(&'a DailySpend) -> &'a String,
    names: &BTreeMap<String, String>,
) -> Map<String, Value> {
    let mut parts: BTreeMap<&str, DailySpend> = BTreeMap::new();
    for &sum in sums {
        add(parts.entry(by(sum)).or_default(), sum);
    }
    let part = |(id, sum): (&str, DailySpend)| {
        let metadata = names.get(id).map_or(json!({}), |name| json!({ "team_alias": name }));
        let shown = json!({ "metrics": metrics(&sum), "metadata": metadata, "api_key_breakdown": {} });
        (id.to_owned(), shown)
    };
    parts.into_iter().map(part).collect()
}

fn total<'a>(sums: impl Iterator<Item = &'a DailySpend>) -> DailySpend {
    sums.fold(DailySpend::default(), |mut total, sum| {
        add(&mut total, sum);
        total
    })
}

fn metrics(sum: &DailySpend) -> Value {
    json!({
        "spend": sum.cost,
        "prompt_tokens": sum.input_tokens,
        "completion_tokens": sum.output_tokens,
        "cache_read_input_tokens": 0,
        "cache_creation_input_tokens": 0,
        "total_tokens": sum.input_tokens + sum.output_tokens,
        "successful_requests": sum.requests.saturating_sub(sum.failed),
        "failed_requests": sum.failed,
        "api_requests": sum.requests,
    })
}
