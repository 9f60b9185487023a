//! One item of `model_list`: a deployment, or the reason why it is left out.

use std::collections::HashMap;
use std::time::Duration;

use tagrail_providers::{Secret, TargetSpec};
use tagrail_routing::DeploymentSpec;

use super::{identity, policy};
use crate::confidential;
use crate::findings::Findings;
use crate::keys::{CALL, ENTRY, INFO, PARAMS, Section, Standing, is_price, says_something};
use crate::node::{Entry, Map, Node, Value};
use crate::reading::{Reader, Wrong, as_number};
use crate::settings::{AllowedFails, PriceOverride};

/// What all deployments share.
pub(super) struct Surroundings<'a> {
    /// `credential_list`, by name.
    pub(super) credentials: HashMap<String, &'a Map>,
    /// `router_settings.default_litellm_params`.
    pub(super) defaults: Option<&'a Map>,
    /// `litellm_settings.drop_params`.
    pub(super) drop_params: bool,
    /// `LITELLM_ENVIRONMENT`.
    pub(super) environment: Option<String>,
}

/// A deployment as far as the file says; its target is not built yet.
#[derive(Clone)]
pub(super) struct Draft {
    pub(super) spec: DeploymentSpec,
    pub(super) target: TargetSpec,
    pub(super) timeout: Option<Duration>,
    pub(super) stream_timeout: Option<Duration>,
    pub(super) num_retries: Option<u32>,
    pub(super) cooldown_time: Option<Duration>,
    pub(super) allowed_fails: Option<AllowedFails>,
    pub(super) mock_response: Option<String>,
    pub(super) max_parallel_requests: Option<u32>,
    pub(super) price: PriceOverride,
    pub(super) shown_params: serde_json::Map<String, serde_json::Value>,
    pub(super) info: serde_json::Map<String, serde_json::Value>,
    pub(super) access_groups: Vec<String>,
}

/// A deployment that could not be read.
pub(super) struct Unreadable {
    pub(super) group: String,
    pub(super) id: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) wrong: Vec<Wrong>,
}

/// Reads one item. More than one draft when `organization` is a list; none when the deployment is
/// not meant for this environment.
pub(super) fn read(
    node: &Node,
    around: &Surroundings<'_>,
    findings: &mut Findings,
) -> Result<Vec<Draft>, Unreadable> {
    let mut unreadable = Unreadable { group: String::new(), id: None, tags: Vec::new(), wrong: Vec::new() };
    let Some(entry) = node.as_map() else {
        let message = format!("a deployment is a map, and this is {}", node.kind());
        let help = Some("write `- model_name: NAME` with `litellm_params:` below it".to_owned());
        unreadable.wrong.push(Wrong { code: "wrong-type", at: node.at, message, help });
        return Err(unreadable);
    };
    ENTRY.check(entry, findings);
    let empty = Map::default();
    let mut reader = Reader::new(entry, findings);
    required(&mut reader, "model_name", node);
    let group = reader.text("model_name").unwrap_or_default();
    required(&mut reader, "litellm_params", node);
    let params = reader.map("litellm_params").unwrap_or(&empty);
    let info = reader.map("model_info").unwrap_or(&empty);
    let mut wrong = reader.wrong;

    wrong.extend(gateway_keys(params, &PARAMS, findings));
    wrong.extend(gateway_keys(info, &INFO, findings));
    let filled = fill(params, around, &mut wrong);
    let (draft, more) = read_params(&group, params, &filled, info, around, findings);
    wrong.extend(more);
    let served = served_here(info, around, &mut wrong, findings);
    if wrong.is_empty() {
        Ok(if served { per_organization(draft, &filled) } else { Vec::new() })
    } else {
        let tags = params.get("tags").and_then(Node::as_list).unwrap_or_default();
        unreadable.tags = tags.iter().filter_map(Node::as_text).map(str::to_owned).collect();
        unreadable.group = group;
        unreadable.id = (!params.entries.is_empty()).then_some(draft.spec.id);
        unreadable.wrong = wrong;
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
            Standing::Unknown if !CALL.contains(&entry.key.as_str()) && !is_price(&entry.key) => {
                if let Some(near) = section.nearest(&entry.key) {
                    let fate = if section.name == PARAMS.name { "sent upstream" } else { "only shown" };
                    let message = format!("`{}` is not a key of {}, and is {fate}", entry.key, section.name);
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

/// Reads `litellm_params` (`written` for what identifies the deployment, `filled` for what it does)
/// and `model_info`.
fn read_params(
    group: &str,
    written: &Map,
    filled: &Map,
    info: &Map,
    around: &Surroundings<'_>,
    findings: &mut Findings,
) -> (Draft, Vec<Wrong>) {
    let mut reader = Reader::new(info, findings);
    let id = id(&mut reader).unwrap_or_else(|| identity::generated(group, written));
    let info_cooldown = reader.seconds("cooldown_time");
    let allowed_fails = policy::allowed_fails(&mut reader);
    let tag_filtering = reader.flag("enable_tag_filtering");
    let allow_fail_open = reader.flag("allow_fail_open").unwrap_or(false);
    let blocked = reader.flag("blocked").unwrap_or(false);
    let access_groups = reader.texts("access_groups").unwrap_or_default();
    let mut wrong = reader.wrong;

    let mut reader = Reader::new(filled, findings);
    let model = model(&mut reader, filled);
    let spec = DeploymentSpec {
        id: id.clone(),
        group: group.to_owned(),
        model: model.clone(),
        tags: reader.texts("tags").unwrap_or_default(),
        tag_regex: reader.texts("tag_regex").unwrap_or_default(),
        order: reader.whole("order"),
        weight: reader.number("weight"),
        rpm: reader.number("rpm"),
        tpm: reader.number("tpm"),
        tag_filtering,
        allow_fail_open,
        blocked,
    };
    let price = PriceOverride {
        input: reader.number("input_cost_per_token"),
        output: reader.number("output_cost_per_token"),
        cache_read: reader.number("cache_read_input_token_cost"),
        cache_creation: reader.number("cache_creation_input_token_cost"),
    };
    let draft = Draft {
        target: target(model, &mut reader, filled, around),
        timeout: reader.seconds("timeout"),
        stream_timeout: reader.seconds("stream_timeout"),
        num_retries: reader.count("num_retries"),
        cooldown_time: info_cooldown.or(reader.seconds("cooldown_time")),
        allowed_fails,
        mock_response: reader.text("mock_response"),
        max_parallel_requests: reader.count("max_parallel_requests"),
        price: price_of_info(price, info),
        shown_params: confidential::shown(written),
        info: shown_info(&id, filled, info),
        access_groups,
        spec,
    };
    wrong.append(&mut reader.wrong);
    (draft, wrong)
}

/// `model`, without which there is no deployment.
fn model(reader: &mut Reader<'_, '_>, params: &Map) -> String {
    let entry = params.entry("model");
    if let (None, Some(at)) = (reader.entry("model"), entry.or(params.entries.first()).map(|entry| entry.at))
    {
        let message = match entry.and_then(|entry| entry.value.variable.as_deref()) {
            Some(variable) => format!("`litellm_params` needs `model`, and `{variable}` is not set"),
            None => "`litellm_params` needs `model`".to_owned(),
        };
        let help = "add `model: provider/name`, for instance `model: openai/gpt-4o`".to_owned();
        reader.reject("missing-key", at, message, Some(help));
    }
    reader.text("model").unwrap_or_default()
}

/// `model_info.id`; a number becomes text.
fn id(reader: &mut Reader<'_, '_>) -> Option<String> {
    let entry = reader.entry("id")?;
    match &entry.value.value {
        Value::Text(text) => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        _ => reader.not(entry, "text", Some("write it in quotes".to_owned())),
    }
}

/// Where the deployment lives.
fn target(model: String, reader: &mut Reader<'_, '_>, params: &Map, around: &Surroundings<'_>) -> TargetSpec {
    let variable = |key: &str| {
        params
            .entry(key)
            .filter(|entry| entry.value.is_null())
            .and_then(|entry| entry.value.variable.as_deref())
    };
    let api_base = reader.text("api_base").or_else(|| reader.text("base_url"));
    let mut extra_headers = headers(reader, "headers");
    extra_headers.extend(headers(reader, "extra_headers"));
    TargetSpec {
        model,
        provider: reader.text("custom_llm_provider"),
        api_base,
        api_key: reader.text("api_key").filter(|key| !key.is_empty()).map(Secret::new),
        missing_key: variable("api_key").map(str::to_owned),
        api_version: reader.text("api_version"),
        organization: reader
            .entry("organization")
            .filter(|entry| entry.value.as_list().is_none())
            .and_then(|_| reader.text("organization")),
        extra_headers,
        defaults: call_defaults(reader, params),
        drop_params: reader.flag("drop_params").unwrap_or(around.drop_params),
        client_may_set: client_may_set(reader),
    }
}

/// Headers, whose values may be numbers.
fn headers(reader: &mut Reader<'_, '_>, key: &str) -> Vec<(String, String)> {
    let Some(map) = reader.map(key) else { return Vec::new() };
    let mut headers = Vec::with_capacity(map.entries.len());
    for entry in &map.entries {
        match &entry.value.value {
            Value::Null => {}
            Value::List(_) | Value::Map(_) => {
                let _: Option<()> = reader.not(entry, "the text of a header", None);
            }
            _ => headers.push((entry.key.clone(), crate::python::text(&entry.value))),
        }
    }
    headers
}

/// Every key that is not the gateway's is a default parameter of the call, and so is what
/// `extra_body` holds.
fn call_defaults(reader: &mut Reader<'_, '_>, params: &Map) -> Vec<(String, String)> {
    let own = params.entries.iter().filter(|entry| is_call_parameter(&entry.key));
    let extra = reader.map("extra_body").map(|map| map.entries.iter()).into_iter().flatten();
    let json = |entry: &Entry| (entry.key.clone(), entry.value.to_json().to_string());
    own.filter(|entry| !entry.value.is_null()).chain(extra).map(json).collect()
}

fn is_call_parameter(key: &str) -> bool {
    matches!(PARAMS.standing(key), Standing::Unknown) && !is_price(key)
}

/// `configurable_clientside_auth_params`: names, or maps from a name to a pattern of its values.
fn client_may_set(reader: &mut Reader<'_, '_>) -> Vec<String> {
    let Some(entry) = reader.entry("configurable_clientside_auth_params") else { return Vec::new() };
    let Some(list) = entry.value.as_list() else {
        return reader
            .not(entry, "a list of names", Some("write `[\"api_base\"]`".to_owned()))
            .unwrap_or_default();
    };
    let mut names = Vec::new();
    for item in list {
        match &item.value {
            Value::Text(name) => names.push(name.clone()),
            Value::Map(map) => {
                // What the pattern would forbid must not be allowed for want of it.
                for restricted in &map.entries {
                    let message = format!(
                        "`{}` with a pattern is not supported yet, and stays refused",
                        restricted.key
                    );
                    reader.warn("not-yet-supported", restricted.at, message, None);
                }
            }
            _ => reader.reject(
                "wrong-type",
                item.at,
                format!("a name is text, and this is {}", item.kind()),
                None,
            ),
        }
    }
    names
}

/// Prices may also stand in `model_info`.
fn price_of_info(mut price: PriceOverride, info: &Map) -> PriceOverride {
    let of = |key: &str| info.get(key).and_then(as_number).filter(|price| price.is_finite() && *price >= 0.0);
    price.input = price.input.or_else(|| of("input_cost_per_token"));
    price.output = price.output.or_else(|| of("output_cost_per_token"));
    price.cache_read = price.cache_read.or_else(|| of("cache_read_input_token_cost"));
    price.cache_creation = price.cache_creation.or_else(|| of("cache_creation_input_token_cost"));
    price
}

/// `model_info` as it is listed: with its id, and with the prices of `litellm_params`.
fn shown_info(id: &str, params: &Map, info: &Map) -> serde_json::Map<String, serde_json::Value> {
    let mut shown = confidential::shown(info);
    shown.insert("id".to_owned(), id.into());
    for entry in params.entries.iter().filter(|entry| is_price(&entry.key) && !entry.value.is_null()) {
        let price = as_number(&entry.value).map_or_else(|| entry.value.to_json(), serde_json::Value::from);
        shown.insert(entry.key.clone(), price);
    }
    shown
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
