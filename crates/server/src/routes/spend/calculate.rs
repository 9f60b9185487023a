//! `POST /spend/calculate`: what a call costs, by the prices of the deployment that would serve it.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tagrail::routing::{Chance, Moment, RouteRequest};
use tagrail::{Snapshot, Usage};
use tagrail_providers::{Catalogue, Price};

use crate::app::Shared;
use crate::caller::Known;
use crate::error::Problem;
use crate::fields::{Asked, missing};
use crate::routes::spend::taken;

/// Bytes of text that are taken for one token where nobody has counted.
const BYTES_PER_TOKEN: u64 = 4;

/// What a call would cost, or, by the usage of its answer, has cost.
pub(super) async fn calculate(
    known: Known,
    State(shared): State<Shared>,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    let snapshot = shared.router.snapshot();
    let asked = Asked::read(request, &snapshot.general, taken::CALCULATE).await?;
    let answer = asked.object("completion_response");
    let named = asked.text("model").or_else(|| answer?.get("model")?.as_str());
    let model = named.filter(|model| !model.is_empty()).ok_or_else(|| missing("model"))?;
    let usage = match (answer, asked.value("messages")) {
        (Some(answer), _) => counted(answer.get("usage").unwrap_or(&Value::Null)),
        (None, Some(messages)) => {
            Usage { input: text_bytes(messages).div_ceil(BYTES_PER_TOKEN), ..Usage::default() }
        }
        (None, None) => {
            let message = "Bad Request - Either 'messages' or 'completion_response' must be provided";
            return Err(Problem::new(StatusCode::BAD_REQUEST, message).param("messages"));
        }
    };
    let price = of_deployment(&snapshot, &known, model).or_else(|| of_catalogue(model));
    let price = price.filter(|price| price.input.is_some() || price.output.is_some()).ok_or_else(|| {
        let message = format!("Nothing says what model={model} costs.");
        Problem::new(StatusCode::BAD_REQUEST, message).param("model")
    })?;
    Ok(Json(json!({ "cost": price.cost(&usage).total() })))
}

/// As providers say it, in either dialect.
fn counted(usage: &Value) -> Usage {
    let number =
        |names: [&str; 2]| names.iter().find_map(|name| usage.get(name)?.as_u64()).unwrap_or_default();
    let input = number(["prompt_tokens", "input_tokens"]);
    Usage { input, output: number(["completion_tokens", "output_tokens"]), ..Usage::default() }
}

fn text_bytes(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.len() as u64,
        Value::Array(items) => items.iter().map(text_bytes).sum(),
        Value::Object(entries) => entries.values().map(text_bytes).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

/// By the deployment that would serve the caller: what it does not reach has no price for it either.
fn of_deployment(snapshot: &Snapshot, known: &Known, model: &str) -> Option<Price> {
    let decision = snapshot.as_caller(&known.caller, |access| {
        let request = RouteRequest {
            model,
            tags: &[],
            user_agent: None,
            force_tag_filtering: false,
            access,
            operators_choice: false,
            moment: Moment::default(),
            chance: Chance::default(),
        };
        snapshot.table.decide(&request, &()).ok()
    })?;
    let first = decision.first();
    let settings = snapshot.deployment(first);
    let upstream = snapshot.table.upstream_model(&decision, first);
    let listed = settings.target.resolve(&upstream).ok();
    let listed = listed.and_then(|place| Catalogue.facts(place.provider.name(), place.model));
    let mut price = listed.map(|facts| facts.price()).unwrap_or_default();
    let own = &settings.price;
    price.input = own.input.or(price.input);
    price.output = own.output.or(price.output);
    Some(price)
}

fn of_catalogue(model: &str) -> Option<Price> {
    let facts = match model.split_once('/') {
        Some((provider, rest)) => Catalogue.facts(provider, rest),
        None => Catalogue.facts(Catalogue.provider_of(model)?, model),
    };
    facts.map(|facts| facts.price())
}
