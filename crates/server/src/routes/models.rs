//! `GET /v1/models` and `GET /v1/models/{id}`: the names that can be called. Wildcards are expanded
//! to the models that the catalogue knows of their provider.

use std::collections::HashSet;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tagrail::Snapshot;
use tagrail::routing::{Chance, DeploymentIndex, Moment, RouteRequest};
use tagrail_providers::{Catalogue, ModelFacts};

use crate::app::Shared;
use crate::asked::{Path, Query, is_on};
use crate::caller::Admin;
use crate::error::Problem;

/// LiteLLM says so of every model.
const CREATED: u32 = 1_677_610_602;
const OWNER: &str = "openai";

/// What the query string may ask for.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    return_wildcard_routes: Option<String>,
    include_model_access_groups: Option<String>,
}

/// One name that can be called, and a deployment behind it.
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) deployment: Option<DeploymentIndex>,
    pub(crate) facts: Option<&'static ModelFacts>,
}

/// All names.
pub(crate) async fn list(
    _: Admin,
    State(shared): State<Shared>,
    Query(wanted): Query<Wanted>,
) -> Json<Value> {
    let snapshot = shared.router.snapshot();
    let mut data: Vec<_> =
        listed(&snapshot, is_on(wanted.return_wildcard_routes.as_deref())).iter().map(entry).collect();
    if is_on(wanted.include_model_access_groups.as_deref()) {
        data.extend(access_groups(&snapshot).into_iter().map(bare_entry));
    }
    Json(json!({ "data": data, "object": "list" }))
}

/// One name: listed, or such that a call by it finds deployments.
pub(crate) async fn one(
    _: Admin,
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let snapshot = shared.router.snapshot();
    if let Some(listed) = listed(&snapshot, false).iter().find(|listed| listed.name == id) {
        return Ok(Json(entry(listed)));
    }
    if leads_somewhere(&snapshot, &id) {
        return Ok(Json(bare_entry(&id)));
    }
    let message = format!("The model `{id}` does not exist or is not accessible");
    Err(Problem::detail(StatusCode::NOT_FOUND, message))
}

/// Whether a call by this name finds deployments.
fn leads_somewhere(snapshot: &Snapshot, name: &str) -> bool {
    let request = RouteRequest {
        model: name,
        tags: &[],
        user_agent: None,
        force_tag_filtering: false,
        access: tagrail::routing::Access::Admin,
        operators_choice: false,
        moment: Moment::default(),
        chance: Chance::default(),
    };
    snapshot.table.explain(&request, &()).group.is_some()
}

/// The names to show, each once: visible aliases, then groups as in the file, wildcards expanded.
pub(crate) fn listed(snapshot: &Snapshot, with_patterns: bool) -> Vec<Listed> {
    let mut all = Vec::new();
    for name in snapshot.table.names() {
        let members = snapshot.table.members(name);
        if !name.contains('*') {
            // An alias of a name that nothing is called.
            if members.is_empty() && !leads_somewhere(snapshot, name) {
                continue;
            }
            let deployment = members.first().copied();
            let facts = deployment.and_then(|index| facts(&snapshot.spec(index).model));
            all.push(Listed { name: name.to_owned(), deployment, facts });
            continue;
        }
        if with_patterns {
            all.push(Listed { name: name.to_owned(), deployment: members.first().copied(), facts: None });
        }
        for index in members {
            all.extend(expanded(name, &snapshot.spec(index).model).map(|(name, facts)| Listed {
                name,
                deployment: Some(index),
                facts: Some(facts),
            }));
        }
    }
    let mut seen = HashSet::new();
    all.retain(|listed| seen.insert(listed.name.clone()));
    all
}

/// The names that a pattern takes, as far as the catalogue knows them: those of the models that fit
/// the upstream's pattern. Only patterns with one star on either side can be turned round.
fn expanded<'a>(
    pattern: &'a str,
    upstream: &'a str,
) -> impl Iterator<Item = (String, &'static ModelFacts)> + 'a {
    let single = pattern.matches('*').count() == 1 && upstream.matches('*').count() == 1;
    let parts = single.then(|| upstream.split_once('/')).flatten();
    let parts = parts.and_then(|(provider, model)| Some((provider, model.split_once('*')?)));
    parts.into_iter().flat_map(move |(provider, (before, after))| {
        Catalogue.models_of(provider).into_iter().filter_map(move |facts| {
            let model = facts.model.strip_prefix(provider).and_then(|rest| rest.strip_prefix('/'));
            let captured = model.unwrap_or(facts.model).strip_prefix(before)?.strip_suffix(after)?;
            Some((pattern.replacen('*', captured, 1), facts))
        })
    })
}

/// What the catalogue knows of an upstream model.
pub(crate) fn facts(upstream: &str) -> Option<&'static ModelFacts> {
    let (provider, model) = upstream.split_once('/').unwrap_or(("openai", upstream));
    Catalogue.facts(provider, model)
}

fn entry(listed: &Listed) -> Value {
    let mut entry = bare_entry(&listed.name);
    if let Some(facts) = listed.facts {
        if !facts.mode.is_empty() {
            entry["mode"] = json!(facts.mode);
        }
        if let Some(tokens) = facts.max_input_tokens {
            entry["max_input_tokens"] = json!(tokens);
        }
        if let Some(tokens) = facts.max_output_tokens {
            entry["max_output_tokens"] = json!(tokens);
        }
    }
    entry
}

fn bare_entry(name: &str) -> Value {
    json!({ "id": name, "object": "model", "created": CREATED, "owned_by": OWNER })
}

fn access_groups(snapshot: &Snapshot) -> Vec<&str> {
    let mut groups: Vec<&str> = Vec::new();
    for group in snapshot.deployments.iter().flat_map(|deployment| &deployment.access_groups) {
        if !groups.contains(&group.as_str()) {
            groups.push(group);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_cannot_be_turned_round_are_not_expanded() {
        for (pattern, upstream) in
            [("m/*", "openai/fixed"), ("*-*", "openai/*"), ("m/*", "openai/*-*"), ("*", "*"), ("m/*", "")]
        {
            assert_eq!(expanded(pattern, upstream).count(), 0, "{pattern} onto {upstream}");
        }
    }

    #[test]
    fn a_prefix_of_ones_own_stands_before_the_providers_models() {
        let names: Vec<_> = expanded("wild/*", "openai/gpt-4o*").map(|(name, _)| name).collect();
        assert!(names.iter().any(|name| name == "wild/-mini"), "{names:?}");
        let names: Vec<_> = expanded("wild/*", "openai/*").map(|(name, _)| name).collect();
        assert!(names.iter().any(|name| name == "wild/gpt-4o"), "{names:?}");
        assert!(names.iter().all(|name| !name.starts_with("wild/openai/")));
    }
}
