//! `GET /model/info` and `GET /model_group/info`: the deployments as configured, without secrets,
//! and what is known of the models behind a name.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tagrail::Snapshot;
use tagrail::routing::DeploymentIndex;
use tagrail_providers::ModelFacts;

use crate::app::Shared;
use crate::asked::Query;
use crate::caller::Admin;
use crate::routes::health::deployments;
use crate::routes::models::{Listed, listed};

/// What the query string may ask for.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct OfDeployment {
    litellm_model_id: Option<String>,
}

/// What the query string may ask for.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct OfGroup {
    model_group: Option<String>,
}

/// A row for every deployment; a wildcard has one for every name that it expands to.
pub(crate) async fn models(
    _: Admin,
    State(shared): State<Shared>,
    Query(wanted): Query<OfDeployment>,
) -> Json<Value> {
    let snapshot = shared.router.snapshot();
    let mut rows = Vec::new();
    let names = listed(&snapshot, false);
    for index in deployments(&snapshot) {
        let spec = snapshot.spec(index);
        if wanted.litellm_model_id.as_ref().is_some_and(|id| *id != spec.id) {
            continue;
        }
        if !spec.group.contains('*') {
            let facts = names.iter().find(|listed| listed.name == spec.group).and_then(|listed| listed.facts);
            rows.push(row(&snapshot, index, &spec.group, facts));
            continue;
        }
        let own = names.iter().filter(|listed| listed.deployment == Some(index));
        let before = rows.len();
        rows.extend(own.map(|listed| row(&snapshot, index, &listed.name, listed.facts)));
        if rows.len() == before {
            rows.push(row(&snapshot, index, &spec.group, None));
        }
    }
    Json(json!({ "data": rows }))
}

fn row(snapshot: &Snapshot, index: DeploymentIndex, name: &str, facts: Option<&ModelFacts>) -> Value {
    let deployment = snapshot.deployment(index);
    let mut info = deployment.info.clone();
    info.entry("id").or_insert_with(|| json!(snapshot.spec(index).id));
    if let Some(facts) = facts {
        add_facts(&mut info, facts);
    }
    json!({ "model_name": name, "litellm_params": deployment.shown_params, "model_info": info })
}

/// A row for every name that can be called.
pub(crate) async fn groups(
    _: Admin,
    State(shared): State<Shared>,
    Query(wanted): Query<OfGroup>,
) -> Json<Value> {
    let snapshot = shared.router.snapshot();
    let names = listed(&snapshot, false);
    let asked =
        names.iter().filter(|listed| wanted.model_group.as_ref().is_none_or(|name| *name == listed.name));
    let rows: Vec<_> = asked.map(|listed| group(&snapshot, listed)).collect();
    Json(json!({ "data": rows }))
}

fn group(snapshot: &Snapshot, listed: &Listed) -> Value {
    let mut members = snapshot.table.members(&listed.name);
    if members.is_empty() {
        members.extend(listed.deployment);
    }
    let models = members.iter().map(|&index| snapshot.spec(index).model.as_str());
    let providers: BTreeSet<_> = models.filter_map(|model| Some(model.split_once('/')?.0)).collect();
    let mut row = Map::new();
    row.insert("model_group".to_owned(), json!(listed.name));
    row.insert("providers".to_owned(), json!(providers));
    if let Some(facts) = listed.facts {
        add_facts(&mut row, facts);
    }
    Value::Object(row)
}

/// What the configuration says itself stays.
fn add_facts(into: &mut Map<String, Value>, facts: &ModelFacts) {
    let known = [
        ("mode", Some(json!(facts.mode)).filter(|_| !facts.mode.is_empty())),
        ("max_input_tokens", facts.max_input_tokens.map(Value::from)),
        ("max_output_tokens", facts.max_output_tokens.map(Value::from)),
        ("input_cost_per_token", facts.input_cost_per_token.map(Value::from)),
        ("output_cost_per_token", facts.output_cost_per_token.map(Value::from)),
    ];
    for (key, value) in known {
        if let Some(value) = value {
            into.entry(key).or_insert(value);
        }
    }
}
