//! Where a deployment lives and how to enter, as `litellm_params` says it.

use tagrail_providers::{Secret, TargetSpec};

use super::deployment::Surroundings;
use crate::keys::{PARAMS, Standing, is_price};
use crate::node::{Entry, Map, Value};
use crate::python;
use crate::reading::Reader;

/// Reads what a target is built from.
pub(super) fn read(
    model: String,
    reader: &mut Reader<'_, '_>,
    params: &Map,
    around: &Surroundings<'_>,
) -> TargetSpec {
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
        client_may_set: client_may_set(reader, around.client_credentials),
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
            _ => headers.push((entry.key.clone(), python::text(&entry.value))),
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

/// What clients may send for a deployment: what it opens itself, and what `allow_client_side_credentials` opens
/// for all.
fn client_may_set(reader: &mut Reader<'_, '_>, all_credentials: bool) -> Vec<String> {
    let mut names = opened(reader);
    if all_credentials {
        for name in ["api_key", "api_base", "base_url"] {
            if names.iter().all(|known| known != name) {
                names.push(name.to_owned());
            }
        }
    }
    names
}

/// `configurable_clientside_auth_params`: names, or maps from a name to a pattern of its values.
fn opened(reader: &mut Reader<'_, '_>) -> Vec<String> {
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
