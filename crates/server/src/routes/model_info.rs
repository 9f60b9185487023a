//! `GET /model/info` and `GET /model_group/info`: the deployments as configured, without secrets,
//! and what is known of the models behind a name.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tagrail::Snapshot;
use tagrail::routing::{Access, DeploymentIndex};
use tagrail_providers::ModelFacts;

use crate::app::Shared;
use crate::asked::Query;
use crate::caller::Known;
use crate::ledger::carried;
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

/// A row for every deployment that the caller reaches by a name it may call; a wildcard has one for every
/// name that it expands to.
pub(crate) async fn models(
    known: Known,
    State(shared): State<Shared>,
    Query(wanted): Query<OfDeployment>,
) -> Json<Value> {
    let snapshot = shared.router.snapshot();
    let rows = snapshot.as_caller(&known.caller, |access| {
        let told = Told { snapshot: &snapshot, access };
        told.rows(wanted.litellm_model_id.as_deref())
    });
    Json(json!({ "data": rows }))
}

/// A row for every name that can be called.
pub(crate) async fn groups(
    known: Known,
    State(shared): State<Shared>,
    Query(wanted): Query<OfGroup>,
) -> Json<Value> {
    let snapshot = shared.router.snapshot();
    let rows: Vec<_> = snapshot.as_caller(&known.caller, |access| {
        let told = Told { snapshot: &snapshot, access };
        let names = listed(&snapshot, access, false).into_iter();
        let asked =
            names.filter(|listed| wanted.model_group.as_ref().is_none_or(|name| *name == listed.name));
        asked.map(|listed| told.group(&listed)).collect()
    });
    Json(json!({ "data": rows }))
}

/// To whom what is told.
struct Told<'a> {
    snapshot: &'a Snapshot,
    access: Access<'a>,
}

impl Told<'_> {
    fn rows(&self, only: Option<&str>) -> Vec<Value> {
        let mut rows = Vec::new();
        let names = listed(self.snapshot, self.access, false);
        for index in deployments(self.snapshot) {
            let spec = self.snapshot.spec(index);
            let is_asked = only.is_none_or(|id| id == spec.id);
            if !is_asked || !self.snapshot.table.reaches(index, self.access) {
                continue;
            }
            if !spec.group.contains('*') {
                let listed = names.iter().find(|listed| listed.name == spec.group);
                if listed.is_some() || self.admits(&spec.group) {
                    rows.push(self.row(index, &spec.group, listed.and_then(|listed| listed.facts)));
                }
                continue;
            }
            let own = names.iter().filter(|listed| listed.deployment == Some(index));
            let before = rows.len();
            rows.extend(own.map(|listed| self.row(index, &listed.name, listed.facts)));
            if rows.len() == before && self.admits(&spec.group) {
                rows.push(self.row(index, &spec.group, None));
            }
        }
        rows
    }

    /// Everything is, for the operator: also what is paused.
    fn admits(&self, name: &str) -> bool {
        matches!(self.access, Access::Admin) || self.snapshot.table.admits(name, self.access)
    }

    fn row(&self, index: DeploymentIndex, name: &str, facts: Option<&ModelFacts>) -> Value {
        let deployment = self.snapshot.deployment(index);
        let (mut params, mut info) = (deployment.shown_params.clone(), deployment.info.clone());
        info.entry("id").or_insert_with(|| json!(self.snapshot.spec(index).id));
        if let Some(facts) = facts {
            add_facts(&mut info, facts);
        }
        self.leave_out(&mut params);
        self.leave_out(&mut info);
        json!({ "model_name": name, "litellm_params": params, "model_info": info })
    }

    /// Whose tags a deployment carries besides is nobody else's business, nor is what opens it to others.
    fn leave_out(&self, shown: &mut Map<String, Value>) {
        let Access::Caller { policy, .. } = self.access else { return };
        let prefix = self.snapshot.table.tag_prefix();
        let is_own = |tag: &str| {
            tag == "default" || policy.tags.iter().any(|(text, _)| carried(text, prefix) == Some(tag))
        };
        if let Some(Value::Array(tags)) = shown.get_mut("tags") {
            tags.retain(|tag| tag.as_str().is_some_and(is_own));
        }
        shown.retain(|key, _| !matches!(key.as_str(), "tag_regex" | "access_groups"));
    }

    fn group(&self, listed: &Listed) -> Value {
        let table = &self.snapshot.table;
        let mut members = table.members(self.access.behind_alias(&listed.name));
        members.retain(|&index| table.reaches(index, self.access));
        if members.is_empty() {
            members.extend(listed.deployment);
        }
        let models = members.iter().map(|&index| self.snapshot.spec(index).model.as_str());
        let providers: BTreeSet<_> = models.filter_map(|model| Some(model.split_once('/')?.0)).collect();
        let mut row = Map::new();
        row.insert("model_group".to_owned(), json!(listed.name));
        row.insert("providers".to_owned(), json!(providers));
        if let Some(facts) = listed.facts {
            add_facts(&mut row, facts);
        }
        Value::Object(row)
    }
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
