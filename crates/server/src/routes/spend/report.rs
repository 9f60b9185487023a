//! `GET /global/spend/report`: for whoever sends the bills. By day and payer as LiteLLM has it, as lines
//! for a spreadsheet, or as totals of the whole time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::Uri;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use serde_json::{Map, Value, json};
use tagrail::Money;
use tagrail_store::{DailyBy, DailySpend, KeyFilter, Store, StoreError};

use crate::app::Shared;
use crate::caller::Viewer;
use crate::error::Problem;
use crate::fields::Asked;
use crate::routes::key::minted;
use crate::routes::spend::period::Period;
use crate::routes::spend::sums::{NOBODY, add, by_id, checked, named, team_names};
use crate::routes::spend::{daily, every, few, taken};

/// Who pays, and what that is called in the answer.
struct Payers {
    by: DailyBy,
    /// One of them, and the list of a day.
    words: (&'static str, &'static str),
    /// Of this one alone.
    one: Option<String>,
}

/// The report.
pub(super) async fn report(_: Viewer, State(shared): State<Shared>, uri: Uri) -> Result<Response, Problem> {
    let asked = Asked::query(&uri, taken::REPORT)?;
    let period = Period::whole(&asked)?;
    let payers = payers(&asked);
    let (by, filter) = (payers.by, period.days(payers.one.clone()));
    shared.ledger.settled().await;
    let look = async move |store: Arc<dyn Store>| {
        let sums = daily(&*store, by, filter).await?;
        let names = names(&*store, by).await?;
        Ok((sums, names))
    };
    let is_csv = asked.text("format") == Some("csv");
    let write = move |(sums, names): (Vec<DailySpend>, BTreeMap<String, String>)| {
        few(&sums)?;
        let report = match (asked.text("format"), asked.text("group_by")) {
            (Some("csv"), _) => return Ok(csv(&sums, &names, payers.words.0).into_bytes()),
            (Some("totals"), _) => totals(&asked, &sums, &names, &payers),
            (_, Some("api_key")) => by_key(&sums),
            _ => by_day(&sums, &names, &payers),
        };
        Ok(report.to_string().into_bytes())
    };
    let bytes = checked(&shared.ledger, look, write).await?;
    if is_csv {
        let headers = [
            (CONTENT_TYPE, "text/csv; charset=utf-8"),
            (CONTENT_DISPOSITION, "attachment; filename=\"spend.csv\""),
        ];
        return Ok((headers, bytes).into_response());
    }
    Ok(([(CONTENT_TYPE, "application/json")], bytes).into_response())
}

fn payers(asked: &Asked) -> Payers {
    let text = |name| asked.text(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let (by, words, one) = match asked.text("group_by").unwrap_or("team") {
        "key" | "api_key" => (DailyBy::Key, ("key", "keys"), text("api_key").map(|key| minted::meant(&key))),
        "user" => (DailyBy::User, ("user", "users"), text("internal_user_id")),
        "tag" => (DailyBy::Tag, ("tag", "tags"), text("tag")),
        "model" => (DailyBy::Model, ("model", "models"), None),
        _ => (DailyBy::Team, ("team", "teams"), text("team_id")),
    };
    Payers { by, words, one }
}

/// What the payers are called, by id.
async fn names(store: &dyn Store, by: DailyBy) -> Result<BTreeMap<String, String>, StoreError> {
    match by {
        DailyBy::Team => team_names(store).await,
        DailyBy::Key => {
            let (mut names, all) = (BTreeMap::new(), KeyFilter::default());
            every!(key of store.keys(&all) => names.insert(key.hash, key.alias.unwrap_or(key.name)));
            Ok(names)
        }
        DailyBy::User | DailyBy::Tag | DailyBy::Model => Ok(BTreeMap::new()),
    }
}

/// Days, in each the payers, in each the models.
fn by_day(sums: &[DailySpend], names: &BTreeMap<String, String>, payers: &Payers) -> Value {
    let (word, list) = payers.words;
    let mut days: BTreeMap<&str, Vec<DailySpend>> = BTreeMap::new();
    for sum in sums {
        days.entry(&sum.day).or_default().push(sum.clone());
    }
    let shown = days.into_iter().map(|(day, sums)| {
        let parts = apart(&sums);
        let of_day = by_id(&sums).into_iter().map(|(id, total)| {
            let models = parts.get(id).into_iter().flatten().map(|sum| {
                json!({ "model": sum.model, "spend": sum.cost, "total_tokens": tokens(sum), "requests": sum.requests })
            });
            let mut shown = figures(&total);
            shown.insert(format!("{word}_id"), json!(id));
            shown.insert(format!("{word}_name"), json!(named(names, id)));
            shown.insert("metadata".to_owned(), models.collect());
            Value::Object(shown)
        });
        let of_day: Vec<Value> = of_day.collect();
        json!({ "group_by_day": format!("{day}T00:00:00+00:00"), (list): of_day, "total_spend": cost(&sums) })
    });
    shown.collect()
}

/// Sums by payer.
fn apart(sums: &[DailySpend]) -> HashMap<&str, Vec<&DailySpend>> {
    let mut parts: HashMap<&str, Vec<&DailySpend>> = HashMap::new();
    for sum in sums {
        parts.entry(&sum.id).or_default().push(sum);
    }
    parts
}

/// Keys without days: LiteLLM's shape for `group_by=api_key`.
fn by_key(sums: &[DailySpend]) -> Value {
    let parts = apart(sums);
    let shown = by_id(sums).into_iter().map(|(id, total)| {
        let mut models: BTreeMap<&str, DailySpend> = BTreeMap::new();
        for sum in parts.get(id).into_iter().flatten() {
            add(models.entry(&sum.model).or_default(), sum);
        }
        let models = models.into_iter().map(|(model, sum)| {
            json!({
                "model": model,
                "total_cost": sum.cost,
                "total_input_tokens": sum.input_tokens,
                "total_output_tokens": sum.output_tokens,
            })
        });
        json!({
            "api_key": id,
            "total_cost": total.cost,
            "total_input_tokens": total.input_tokens,
            "total_output_tokens": total.output_tokens,
            "model_details": models.collect::<Vec<_>>(),
        })
    });
    shown.collect()
}

/// Sums of the whole time.
fn totals(asked: &Asked, sums: &[DailySpend], names: &BTreeMap<String, String>, payers: &Payers) -> Value {
    let (word, list) = payers.words;
    let all = by_id(sums).into_iter().map(|(id, total)| {
        let mut shown = figures(&total);
        shown.insert(format!("{word}_id"), json!(id));
        shown.insert(format!("{word}_name"), json!(named(names, id)));
        Value::Object(shown)
    });
    let all: Vec<Value> = all.collect();
    json!({
        "start_date": asked.value("start_date"),
        "end_date": asked.value("end_date"),
        "group_by": word,
        (list): all,
        "total_spend": cost(sums),
    })
}

fn figures(sum: &DailySpend) -> Map<String, Value> {
    let figures = [
        ("total_spend", json!(sum.cost)),
        ("requests", json!(sum.requests)),
        ("failed_requests", json!(sum.failed)),
        ("prompt_tokens", json!(sum.input_tokens)),
        ("completion_tokens", json!(sum.output_tokens)),
        ("total_tokens", json!(tokens(sum))),
    ];
    figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn tokens(sum: &DailySpend) -> u64 {
    sum.input_tokens + sum.output_tokens
}

fn cost(sums: &[DailySpend]) -> Money {
    sums.iter().map(|sum| sum.cost).sum()
}

/// A line for each day, payer and model.
fn csv(sums: &[DailySpend], names: &BTreeMap<String, String>, word: &str) -> String {
    let mut text = format!(
        "day,{word}_id,{word}_name,model,requests,failed_requests,prompt_tokens,completion_tokens,total_tokens,spend\r\n"
    );
    for sum in sums {
        let id = if sum.id.is_empty() { NOBODY } else { &sum.id };
        let cells = [id, &named(names, &sum.id), &sum.model].map(cell).join(",");
        text.push_str(&format!(
            "{},{cells},{},{},{},{},{},{}\r\n",
            sum.day,
            sum.requests,
            sum.failed,
            sum.input_tokens,
            sum.output_tokens,
            tokens(sum),
            sum.cost
        ));
    }
    text
}

/// One cell. Tags and models are what clients wrote, and a spreadsheet would work out what begins like a
/// formula.
fn cell(text: &str) -> String {
    let risky = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if risky { format!("'{text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\n', '\r', '\'']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_neither_two_nor_a_formula() {
        assert_eq!(cell("plain"), "plain");
        assert_eq!(cell("a,b"), "\"a,b\"");
        assert_eq!(cell("a\"b"), "\"a\"\"b\"");
        assert_eq!(cell("=HYPERLINK(\"x\")"), "\"'=HYPERLINK(\"\"x\"\")\"");
        assert_eq!(cell("-1"), "\"'-1\"");
    }
}
