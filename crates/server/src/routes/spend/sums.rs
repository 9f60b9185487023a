//! Totals, in LiteLLM's shapes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::Uri;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};
use tagrail::Money;
use tagrail_store::{
    DailyBy, DailyFilter, DailySpend, Key, KeyFilter, Store, StoreError, SumBy, TeamFilter, User,
};

use crate::app::Shared;
use crate::caller::Viewer;
use crate::error::Problem;
use crate::fields::Asked;
use crate::fields::limits::{show_budget, show_limits};
use crate::ledger::Ledger;
use crate::routes::key::shown;
use crate::routes::spend::period::Period;
use crate::routes::spend::{MOST, daily, every, few, taken};

/// Calls without a team, key, user or tag, in reports.
pub(super) const NOBODY: &str = "Unassigned";

/// What is found, written as it is found to be fit for an answer.
pub(super) async fn checked<T, F>(
    ledger: &Ledger,
    ask: impl FnOnce(Arc<dyn Store>) -> F,
    write: impl FnOnce(T) -> Result<Vec<u8>, Problem> + Send + 'static,
) -> Result<Vec<u8>, Problem>
where
    T: Send + 'static,
    F: Future<Output = Result<T, StoreError>> + Send + 'static,
{
    let refused = Arc::new(Mutex::new(None));
    let told = refused.clone();
    let write = move |found| {
        write(found).unwrap_or_else(|problem| {
            *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
            Vec::new()
        })
    };
    let bytes = ledger.report(ask, write).await?;
    let refused = refused.lock().unwrap_or_else(PoisonError::into_inner).take();
    refused.map_or(Ok(bytes), Err)
}

/// Sums of the whole time by spender, those that cost most first.
async fn largest(
    store: &dyn Store,
    by: DailyBy,
    filter: DailyFilter,
    most: u64,
) -> Result<Vec<DailySpend>, StoreError> {
    store.daily(by, &DailyFilter { sum: SumBy::Id, limit: most, ..filter }).await
}

/// `GET /global/spend`.
pub(super) async fn all(_: Viewer, State(shared): State<Shared>) -> Result<Response, Problem> {
    shared.ledger.settled().await;
    let filter = DailyFilter { sum: SumBy::All, ..DailyFilter::default() };
    let look = async move |store: Arc<dyn Store>| store.daily(DailyBy::Key, &filter).await;
    let show = |sums: Vec<DailySpend>| {
        let spend: Money = sums.iter().map(|sum| sum.cost).sum();
        json!({ "spend": spend, "max_budget": 0.0 })
    };
    shared.ledger.show(look, show).await
}

/// `GET /spend/tags`.
pub(super) async fn tags(_: Viewer, State(shared): State<Shared>, uri: Uri) -> Result<Response, Problem> {
    let filter = Period::of(&Asked::query(&uri, taken::PERIOD)?)?.days(None);
    shared.ledger.settled().await;
    let look = async move |store: Arc<dyn Store>| largest(&*store, DailyBy::Tag, filter, MOST as u64).await;
    // Calls without a tag are a sum of their own, and no tag's.
    let show = |sums: Vec<DailySpend>| -> Value {
        let tags = sums.into_iter().filter(|sum| !sum.id.is_empty());
        tags.map(|sum| json!({ "individual_request_tag": sum.id, "log_count": sum.requests, "total_spend": sum.cost })).collect()
    };
    shared.ledger.show(look, show).await
}

/// `GET /global/spend/tags`: both days are required, as LiteLLM has it.
pub(super) async fn tags_between(
    _: Viewer,
    State(shared): State<Shared>,
    uri: Uri,
) -> Result<Response, Problem> {
    let asked = Asked::query(&uri, taken::TAGS)?;
    let filter = Period::whole(&asked)?.days(None);
    let wanted = listed(&asked, "tags");
    shared.ledger.settled().await;
    let look = async move |store: Arc<dyn Store>| {
        let Some(wanted) = wanted else { return largest(&*store, DailyBy::Tag, filter, MOST as u64).await };
        let mut sums = Vec::new();
        for tag in wanted.into_iter().take(MOST) {
            let of_tag = DailyFilter { id: Some(tag), ..filter.clone() };
            sums.extend(largest(&*store, DailyBy::Tag, of_tag, 1).await?);
        }
        sums.sort_by_key(|sum| Reverse(sum.cost));
        Ok(sums)
    };
    let show = |sums: Vec<DailySpend>| {
        let shown = sums
            .into_iter()
            .map(|sum| json!({ "name": sum.id, "spend": sum.cost, "log_count": sum.requests }));
        json!({ "spend_per_tag": shown.collect::<Vec<_>>() })
    };
    shared.ledger.show(look, show).await
}

/// What stands in a query string with commas between it; `None` where nothing does.
pub(super) fn listed(asked: &Asked, name: &str) -> Option<BTreeSet<String>> {
    let text = asked.text(name).filter(|text| !text.is_empty())?;
    Some(text.split(',').map(|item| item.trim().to_owned()).collect())
}

/// The first of a list that is too long to be in memory whole.
struct Top<T> {
    items: Vec<T>,
    spend: fn(&T) -> Money,
}

impl<T> Top<T> {
    fn by(spend: fn(&T) -> Money) -> Top<T> {
        Top { items: Vec::new(), spend }
    }

    fn add(&mut self, item: T) {
        self.items.push(item);
        if self.items.len() >= 2 * MOST {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.items.sort_by_key(|item| Reverse((self.spend)(item)));
        self.items.truncate(MOST);
    }

    fn into_items(mut self) -> Vec<T> {
        self.cut();
        self.items
    }
}

/// `GET /spend/keys`.
pub(super) async fn keys(_: Viewer, State(shared): State<Shared>) -> Result<Response, Problem> {
    shared.ledger.settled().await;
    let look = async move |store: Arc<dyn Store>| {
        let (mut top, all) = (Top::by(|key: &Key| key.spend), KeyFilter::default());
        every!(key of store.keys(&all) => top.add(key));
        Ok(top.into_items())
    };
    let show = |keys: Vec<Key>| keys.iter().map(shown::whole).collect::<Vec<_>>();
    shared.ledger.show(look, show).await
}

/// `GET /global/spend/keys`.
pub(super) async fn top_keys(_: Viewer, State(shared): State<Shared>, uri: Uri) -> Result<Response, Problem> {
    let limit = Asked::query(&uri, taken::TOP)?.count("limit").unwrap_or(10).clamp(1, MOST as u64);
    shared.ledger.settled().await;
    let look = async move |store: Arc<dyn Store>| {
        let mut all = Vec::new();
        for sum in largest(&*store, DailyBy::Key, DailyFilter::default(), limit).await? {
            let key = store.key(&sum.id).await?;
            all.push((sum, key));
        }
        Ok(all)
    };
    let show = |all: Vec<(DailySpend, Option<Key>)>| -> Value {
        let shown = all.iter().map(|(sum, key)| {
            json!({
                "api_key": sum.id,
                "key_alias": key.as_ref().and_then(|key| key.alias.as_deref()),
                "key_name": key.as_ref().map(|key| key.name.as_str()),
                "total_spend": sum.cost,
            })
        });
        shown.collect()
    };
    shared.ledger.show(look, show).await
}

/// `GET /spend/users`.
pub(super) async fn users(_: Viewer, State(shared): State<Shared>, uri: Uri) -> Result<Response, Problem> {
    let asked = Asked::query(&uri, taken::USERS)?;
    let wanted = asked.text("user_id").filter(|id| !id.is_empty()).map(str::to_owned);
    shared.ledger.settled().await;
    let look = async move |store: Arc<dyn Store>| {
        if let Some(id) = wanted {
            return Ok(store.user(&id).await?.into_iter().collect());
        }
        let mut top = Top::by(|user: &User| user.spend);
        every!(user of store.users() => top.add(user));
        Ok(top.into_items())
    };
    let show = |users: Vec<User>| users.iter().map(user_row).collect::<Vec<_>>();
    shared.ledger.show(look, show).await
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
pub(super) async fn teams(_: Viewer, State(shared): State<Shared>, uri: Uri) -> Result<Response, Problem> {
    let filter = Period::of(&Asked::query(&uri, taken::PERIOD)?)?.or_last_days(30).days(None);
    let filter = DailyFilter { sum: SumBy::DayAndId, ..filter };
    shared.ledger.settled().await;
    let look = async move |store: Arc<dyn Store>| {
        let sums = daily(&*store, DailyBy::Team, filter).await?;
        let names = team_names(&*store).await?;
        Ok((sums, names))
    };
    let write = |(sums, names): (Vec<DailySpend>, BTreeMap<String, String>)| {
        few(&sums)?;
        Ok(by_team(&sums, &names).to_string().into_bytes())
    };
    let bytes = checked(&shared.ledger, look, write).await?;
    Ok(([(CONTENT_TYPE, "application/json")], bytes).into_response())
}

fn by_team(sums: &[DailySpend], names: &BTreeMap<String, String>) -> Value {
    let name = |id: &str| named(names, id);
    let mut days: BTreeMap<&str, BTreeMap<String, Money>> = BTreeMap::new();
    for sum in sums {
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
    let totals = by_id(sums);
    let total = totals.iter().map(|(id, sum)| json!({ "team_id": name(id), "total_spend": sum.cost }));
    let teams: BTreeSet<String> = totals.iter().map(|(id, _)| name(id)).collect();
    json!({
        "daily_spend": daily_spend,
        "teams": teams,
        "total_spend_per_team": total.collect::<Vec<_>>(),
    })
}

/// The names of teams, by id.
pub(super) async fn team_names(store: &dyn Store) -> Result<BTreeMap<String, String>, StoreError> {
    let (mut names, all) = (BTreeMap::new(), TeamFilter::default());
    every!(team of store.teams(&all) => names.extend(team.alias.map(|alias| (team.id, alias))));
    Ok(names)
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
