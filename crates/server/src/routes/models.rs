//! `GET /v1/models` and `GET /v1/models/{id}`: the names that can be called. Wildcards are expanded
//! to the models that the catalogue knows of their provider. A client that sends `anthropic-version` gets
//! Anthropic's shape (`models/anthropic.rs`).

mod anthropic;

use std::collections::HashSet;

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tagrail::Snapshot;
use tagrail::routing::{Access, Chance, DeploymentIndex, Moment, RouteRequest};
use tagrail_providers::{Catalogue, ModelFacts};

use crate::app::Shared;
use crate::asked::{Path, Query, is_on};
use crate::caller::Known;
use crate::error::Problem;

/// LiteLLM says so of every model.
const CREATED: u32 = 1_677_610_602;
const OWNER: &str = "openai";

/// What the query string may ask for. The last three are Anthropic's.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    return_wildcard_routes: Option<String>,
    include_model_access_groups: Option<String>,
    limit: Option<String>,
    after_id: Option<String>,
    before_id: Option<String>,
}

/// One name that can be called, and a deployment behind it.
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) deployment: Option<DeploymentIndex>,
    pub(crate) facts: Option<&'static ModelFacts>,
}

/// All names that the caller may use.
pub(crate) async fn list(
    known: Result<Known, Problem>,
    State(shared): State<Shared>,
    headers: HeaderMap,
    wanted: Result<Query<Wanted>, Problem>,
) -> Result<Json<Value>, Problem> {
    let is_anthropic = anthropic::is_meant(&headers);
    let in_shape = |problem: Problem| if is_anthropic { anthropic::problem(problem) } else { problem };
    let (known, Query(wanted)) = (known.map_err(in_shape)?, wanted.map_err(in_shape)?);
    let snapshot = shared.router.snapshot();
    if is_anthropic {
        let names = snapshot.as_caller(&known.caller, |access| {
            let names = listed(&snapshot, access, is_on(wanted.return_wildcard_routes.as_deref()));
            names.into_iter().map(|listed| listed.name).collect::<Vec<_>>()
        });
        return anthropic::page(&names, &wanted).map(Json).map_err(in_shape);
    }
    let data = snapshot.as_caller(&known.caller, |access| {
        let names = listed(&snapshot, access, is_on(wanted.return_wildcard_routes.as_deref()));
        let mut data: Vec<_> = names.iter().map(entry).collect();
        if is_on(wanted.include_model_access_groups.as_deref()) {
            data.extend(access_groups(&snapshot, access).into_iter().map(bare_entry));
        }
        data
    });
    Ok(Json(json!({ "data": data, "object": "list" })))
}

/// One name: listed, or such that a call by it finds deployments.
pub(crate) async fn one(
    known: Result<Known, Problem>,
    State(shared): State<Shared>,
    headers: HeaderMap,
    id: Result<Path<String>, Problem>,
) -> Result<Json<Value>, Problem> {
    let is_anthropic = anthropic::is_meant(&headers);
    let in_shape = |problem: Problem| if is_anthropic { anthropic::problem(problem) } else { problem };
    let (known, Path(id)) = (known.map_err(in_shape)?, id.map_err(in_shape)?);
    let snapshot = shared.router.snapshot();
    let found = snapshot.as_caller(&known.caller, |access| {
        let listed = listed(&snapshot, access, false);
        let listed = listed.iter().find(|listed| listed.name == id).map(entry);
        listed.or_else(|| leads_somewhere(&snapshot, access, &id).then(|| bare_entry(&id)))
    });
    let found = found.map(|entry| if is_anthropic { anthropic::entry(&id) } else { entry });
    found.map(Json).ok_or_else(|| {
        let message = format!("The model `{id}` does not exist or is not accessible");
        in_shape(Problem::detail(StatusCode::NOT_FOUND, message))
    })
}

/// Whether a call by this name finds deployments. For the operator also those that are paused.
fn leads_somewhere(snapshot: &Snapshot, access: Access<'_>, name: &str) -> bool {
    if let Access::Caller { .. } = access {
        return snapshot.table.admits(name, access);
    }
    let request = RouteRequest {
        model: name,
        tags: &[],
        user_agent: None,
        force_tag_filtering: false,
        access,
        operators_choice: false,
        moment: Moment::default(),
        chance: Chance::default(),
    };
    snapshot.table.explain(&request, &()).group.is_some()
}

/// The names to show, each once: visible aliases, then groups as in the file, wildcards expanded, then
/// the caller's own aliases. Only those that this caller may call, by the function that decides calls.
pub(crate) fn listed(snapshot: &Snapshot, access: Access<'_>, with_patterns: bool) -> Vec<Listed> {
    let mut all = Vec::new();
    for name in snapshot.table.names_for(access) {
        let mut members = snapshot.table.members(access.behind_alias(name));
        members.retain(|&index| snapshot.table.reaches(index, access));
        if !name.contains('*') {
            // An alias of a name that nothing is called.
            if members.is_empty() && !leads_somewhere(snapshot, access, name) {
                continue;
            }
            let deployment = members.first().copied();
            let facts = deployment.and_then(|index| facts(&snapshot.spec(index).model));
            all.push(Listed { name: name.to_owned(), deployment, facts });
            continue;
        }
        if with_patterns && snapshot.table.admits(name, access) {
            all.push(Listed { name: name.to_owned(), deployment: members.first().copied(), facts: None });
        }
        for index in members {
            let names = expanded(name, &snapshot.spec(index).model);
            let admitted = names.filter(|(name, _)| is_open(access) || snapshot.table.admits(name, access));
            all.extend(admitted.map(|(name, facts)| Listed {
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

/// Nothing need be asked for whom everything is open.
fn is_open(access: Access<'_>) -> bool {
    matches!(access, Access::Admin)
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

/// Groups with something in them that the caller may use.
fn access_groups<'a>(snapshot: &'a Snapshot, access: Access<'_>) -> Vec<&'a str> {
    let mut groups: Vec<&str> = Vec::new();
    for (spec, settings) in snapshot.table.deployments().iter().zip(&snapshot.deployments) {
        let may_use = || {
            let index = snapshot.table.by_id(&spec.id);
            index.is_some_and(|index| snapshot.table.reaches(index, access))
                && snapshot.table.admits(&spec.group, access)
        };
        if settings.access_groups.is_empty() || !(is_open(access) || may_use()) {
            continue;
        }
        for group in &settings.access_groups {
            if !groups.contains(&group.as_str()) {
                groups.push(group);
            }
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
