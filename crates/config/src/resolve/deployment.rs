//! One item of `model_list`: a deployment, or the reason why it is left out.

use std::collections::HashMap;

use tagrail_providers::TlsVerify;

use super::draft::{self, Draft, Written};
use super::sent;
use crate::findings::Findings;
use crate::keys::{ENTRY, INFO, PARAMS, Section, Standing, is_price, says_something};
use crate::node::{Map, Node};
use crate::reading::{Reader, Wrong};

/// What all deployments share.
pub(super) struct Surroundings<'a> {
    /// `credential_list`, by name.
    pub(super) credentials: HashMap<String, Map>,
    /// `router_settings.default_litellm_params`.
    pub(super) defaults: Option<&'a Map>,
    /// `litellm_settings.drop_params`.
    pub(super) drop_params: bool,
    /// `general_settings.allow_client_side_credentials`.
    pub(super) client_credentials: bool,
    /// `SSL_VERIFY`, else `litellm_settings.ssl_verify`.
    pub(super) tls_verify: TlsVerify,
    /// `LITELLM_ENVIRONMENT`.
    pub(super) environment: Option<String>,
}

/// A deployment that could not be read.
#[derive(Default)]
pub(super) struct Unreadable {
    pub(super) group: String,
    pub(super) id: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) wrong: Vec<Wrong>,
    /// As far as it could be: what else is wrong with it is said in the same run.
    pub(super) draft: Option<Box<Draft>>,
}

/// Reads one item. More than one draft when `organization` is a list; none when the deployment is
/// not meant for this environment.
pub(super) fn read(
    node: &Node,
    around: &Surroundings<'_>,
    findings: &mut Findings,
) -> Result<Vec<Draft>, Unreadable> {
    let mut unreadable = Unreadable::default();
    let Some(entry) = node.as_map() else {
        let message = format!("a deployment is a map, and this is {}", node.kind());
        let in_yaml = "write `- model_name: NAME` with `litellm_params:` below it";
        let in_value = "a deployment has `model_name` and `litellm_params`";
        let help = Some(findings.advice(in_yaml, in_value));
        unreadable.wrong.push(Wrong { code: "wrong-type", at: node.at, message, help });
        return Err(unreadable);
    };
    ENTRY.check(entry, findings);
    let empty = Map::default();
    let mut reader = Reader::new(entry, findings);
    required(&mut reader, "model_name", node);
    let group = reader.text("model_name").unwrap_or_default();
    required(&mut reader, "litellm_params", node);
    let at = reader.entry("litellm_params").map_or(node.at, |params| params.at);
    let present = reader.entry("litellm_params").is_some();
    let params = reader.map("litellm_params").unwrap_or(&empty);
    let info = reader.map("model_info").unwrap_or(&empty);
    let mut wrong = reader.wrong;

    wrong.extend(gateway_keys(params, &PARAMS, findings));
    wrong.extend(gateway_keys(info, &INFO, findings));
    let filled = fill(params, around, &mut wrong);
    let written = Written { group: &group, params, filled: &filled, info, at };
    let (draft, more) = draft::read(&written, around, findings);
    // Without `litellm_params` there is one thing to say, and it is said.
    wrong.extend(more.into_iter().filter(|_| present));
    let served = served_here(info, around, &mut wrong, findings);
    if wrong.is_empty() {
        Ok(if served { per_organization(draft, &filled) } else { Vec::new() })
    } else {
        let tags = params.get("tags").and_then(Node::as_list).unwrap_or_default();
        unreadable.tags = tags.iter().filter_map(Node::as_text).map(str::to_owned).collect();
        unreadable.group = group;
        unreadable.id = (!params.entries.is_empty()).then(|| draft.spec.id.clone());
        unreadable.wrong = wrong;
        unreadable.draft = Some(Box::new(draft));
        Err(unreadable)
    }
}

/// A key without which there is no deployment; LiteLLM does not start without it.
fn required(reader: &mut Reader<'_, '_>, key: &str, node: &Node) {
    if reader.entry(key).is_none() {
        let message = format!("a deployment needs `{key}`");
        let help = match key {
            "litellm_params" => "add `litellm_params:` with `model: provider/name`",
            _ => "add `model_name: NAME`, the name that clients call",
        };
        reader.reject("missing-key", node.at, message, Some(help.to_owned()));
    }
}

/// Says what has to be said of keys; guards leave the deployment out.
fn gateway_keys(map: &Map, section: &Section, findings: &mut Findings) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    for entry in &map.entries {
        match section.standing(&entry.key) {
            Standing::Later(instead) if says_something(&entry.value) => {
                let message = format!("`{}` has no effect yet: {instead}", entry.key);
                findings.warn("not-yet-supported", entry.at, message, None);
            }
            Standing::Guard(open) if says_something(&entry.value) => {
                let message = format!("`{}` is not supported yet, and without it {open}", entry.key);
                wrong.push(Wrong { code: "unprotected", at: entry.at, message, help: None });
            }
            Standing::Unknown if section.name == PARAMS.name => sent::say(entry, findings),
            Standing::Unknown if !is_price(&entry.key) => {
                if let Some(near) = section.nearest(&entry.key) {
                    let message =
                        format!("`{}` is not a key of {}, and is only shown", entry.key, section.name);
                    findings.warn("unknown-key", entry.at, message, Some(format!("did you mean `{near}`?")));
                }
            }
            _ => {}
        }
    }
    wrong
}

/// `litellm_params` with what its credential and the router's defaults add.
fn fill(params: &Map, around: &Surroundings<'_>, wrong: &mut Vec<Wrong>) -> Map {
    let mut filled = params.clone();
    if let Some(entry) = params.entry("litellm_credential_name").filter(|entry| !entry.value.is_null()) {
        match entry.value.as_text().and_then(|name| around.credentials.get(name)) {
            Some(values) => add_missing(&mut filled, values),
            None => {
                let known: Vec<&str> = around.credentials.keys().map(String::as_str).collect();
                let message = "`litellm_credential_name` names no item of `credential_list`".to_owned();
                let help = (!known.is_empty()).then(|| format!("there are: {}", sorted(known).join(", ")));
                wrong.push(Wrong { code: "unknown-credential", at: entry.value.at, message, help });
            }
        }
    }
    if let Some(defaults) = around.defaults {
        add_missing(&mut filled, defaults);
    }
    filled
}

fn sorted(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names
}

fn add_missing(map: &mut Map, more: &Map) {
    for entry in &more.entries {
        if map.get(&entry.key).is_none() {
            map.set(entry.clone());
        }
    }
}

/// `model_info.supported_environments` against `LITELLM_ENVIRONMENT`.
fn served_here(
    info: &Map,
    around: &Surroundings<'_>,
    wrong: &mut Vec<Wrong>,
    findings: &mut Findings,
) -> bool {
    let mut reader = Reader::new(info, findings);
    let Some(supported) = reader.texts("supported_environments") else { return true };
    let at = info.entry("supported_environments").map(|entry| entry.at);
    let environments = ["development", "staging", "production"];
    let known = |name: &str| environments.contains(&name);
    if let (Some(at), Some(bad)) = (at, supported.iter().find(|name| !known(name))) {
        let message = format!("`{bad}` is not an environment");
        let help = Some(format!("there are: {}", environments.join(", ")));
        wrong.push(Wrong { code: "bad-value", at, message, help });
    }
    match (&around.environment, at) {
        (Some(here), _) if known(here) => supported.contains(here),
        (_, Some(at)) => {
            let message = "`supported_environments` needs the variable `LITELLM_ENVIRONMENT`".to_owned();
            let help = Some(format!("set it to one of: {}", environments.join(", ")));
            wrong.push(Wrong { code: "bad-value", at, message, help });
            false
        }
        _ => true,
    }
}

/// A list of organisations is one deployment for each. The first keeps the id that LiteLLM gives to
/// all of them; an id names one deployment here (row D25), so the others carry their name behind it.
fn per_organization(draft: Draft, params: &Map) -> Vec<Draft> {
    let Some(list) = params.get("organization").and_then(Node::as_list) else { return vec![draft] };
    let names = list.iter().filter_map(Node::as_text);
    names
        .enumerate()
        .map(|(place, name)| {
            let mut draft = draft.clone();
            draft.target.organization = Some(name.to_owned());
            if place > 0 {
                draft.spec.id = format!("{}:{name}", draft.spec.id);
                draft.info.insert("id".to_owned(), draft.spec.id.clone().into());
            }
            draft.shown_params.insert("organization".to_owned(), name.into());
            draft
        })
        .collect()
}
