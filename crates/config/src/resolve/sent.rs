//! Which keys of `litellm_params` go upstream as default parameters of every call, and what is said of
//! those that do not.
//!
//! What the gateway knows as its own is never sent (`tagrail_providers::is_gateway_parameter`). Of the
//! other names those that may hold a secret are not sent either: they were meant for the gateway or for
//! another service, and the provider would get to know them.

use crate::confidential::{is_secret, without_keys};
use crate::findings::Findings;
use crate::keys::{CALL, PARAMS, Section, Standing, is_price, nearest_call, says_something, section_of};
use crate::node::{Entry, Map, Node, Value};

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The gateway's, with an effect or with something to say of it in [`PARAMS`].
    Ours,
    /// The gateway's, and without effect here.
    NoEffect,
    /// A parameter of the call.
    Sent,
    /// Unknown, and sent as LiteLLM does.
    SentUnknown,
    /// Unknown, and perhaps a secret: not sent.
    Withheld,
}

/// What becomes of a key of `litellm_params`.
pub(super) fn fate(entry: &Entry) -> Fate {
    let key = entry.key.as_str();
    if !matches!(PARAMS.standing(key), Standing::Unknown) || is_price(key) {
        Fate::Ours
    } else if CALL.contains(&key) {
        Fate::Sent
    } else if tagrail_providers::is_gateway_parameter(key) || section_of(key).is_some() {
        Fate::NoEffect
    } else if holds_secret(entry) {
        Fate::Withheld
    } else {
        Fate::SentUnknown
    }
}

/// Whether a value may be a secret: by its key, by the variable that it is read from, by its look, or by
/// what it is probably a misspelling of.
fn holds_secret(entry: &Entry) -> bool {
    // `max_token` is a misspelt number.
    let is_of_call = nearest_call(&entry.key).is_some();
    let is_named_so = || is_secret(&entry.key) || PARAMS.nearest(&entry.key).is_some_and(is_secret);
    !is_of_call && is_named_so() || is_secret_value(&entry.value)
}

fn is_secret_value(node: &Node) -> bool {
    if node.variable.as_deref().is_some_and(is_secret) {
        return true;
    }
    match &node.value {
        Value::Text(text) => without_keys(text.clone()) != *text,
        Value::List(list) => list.iter().any(is_secret_value),
        Value::Map(map) => map.entries.iter().any(|it| is_secret(&it.key) || is_secret_value(&it.value)),
        _ => false,
    }
}

/// Says what has to be said of a key that [`PARAMS`] does not have.
pub(super) fn say(entry: &Entry, findings: &mut Findings) {
    let key = &entry.key;
    if entry.value.is_null() && entry.value.variable.is_none() {
        return;
    }
    match fate(entry) {
        Fate::Ours | Fate::Sent => {}
        Fate::NoEffect => {
            let message = format!("`{key}` has no effect in `litellm_params`, and is not sent upstream");
            findings.warn("no-effect", entry.at, message, home_of(key));
        }
        Fate::Withheld => {
            let message = format!(
                "`{key}` is not a key of litellm_params, and is not sent upstream: it may hold a secret"
            );
            let help = match PARAMS.nearest(key) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "if the provider needs it, put it below `extra_headers` or `extra_body`".to_owned(),
            };
            findings.warn("withheld", entry.at, message, Some(help));
        }
        Fate::SentUnknown => {
            let message = format!("`{key}` is not a key of litellm_params, and is sent upstream");
            let (code, help) = match PARAMS.nearest(key).or_else(|| nearest_call(key)) {
                Some(near) => ("unknown-key", format!("did you mean `{near}`?")),
                None => {
                    let help = "if the provider knows it, put it below `extra_body`; else remove it";
                    ("unknown-parameter", help.to_owned())
                }
            };
            findings.warn(code, entry.at, message, Some(help));
        }
    }
}

/// Says of a deployment that is served that it needs no account of a cloud: none is spoken to yet. Of one
/// that lives in a cloud its `model` has said so.
pub(super) fn say_clouds(deployment: &Node, findings: &mut Findings) {
    let params = deployment.as_map().and_then(|entry| entry.get("litellm_params")).and_then(Node::as_map);
    let is_of_cloud = |key: &str| {
        ["aws_", "azure_", "bedrock_", "s3_", "vertex_", "watsonx_"]
            .iter()
            .any(|start| key.starts_with(start))
            || matches!(key, "tenant_id" | "client_id" | "client_secret" | "region_name")
    };
    for entry in params.map(|params| params.entries.as_slice()).unwrap_or_default() {
        if is_of_cloud(&entry.key)
            && matches!(PARAMS.standing(&entry.key), Standing::Quiet)
            && says_something(&entry.value)
        {
            let message = format!(
                "`{}` has no effect for this deployment's provider, and is not sent upstream",
                entry.key
            );
            findings.warn("no-effect", entry.at, message, None);
        }
    }
}

/// Where a key has its effect.
fn home_of(key: &str) -> Option<String> {
    let section: &Section = section_of(key).filter(|section| section.used.contains(&key))?;
    Some(format!("it is a key of {}", section.name))
}

/// Says it of maps that are merged into `litellm_params`: the router's defaults.
pub(super) fn say_all(map: &Map, findings: &mut Findings) {
    for entry in &map.entries {
        say(entry, findings);
    }
}

/// The values of a credential that count: keys of the gateway and parameters of a call. Anything else in
/// it is a credential of something that is not spoken to.
pub(super) fn of_credential(values: &Map, findings: &mut Findings) -> Map {
    let mut kept = Map::default();
    for entry in &values.entries {
        match fate(entry) {
            Fate::Ours | Fate::Sent => {
                kept.set(entry.clone());
            }
            _ if entry.value.is_null() => {}
            _ => {
                let message =
                    format!("`{}` has no effect in a credential, and is not sent upstream", entry.key);
                findings.warn("no-effect", entry.at, message, None);
            }
        }
    }
    kept
}
