//! Where a deployment lives and how to enter, as `litellm_params` says it.

use std::path::Path;
use std::sync::Arc;

use tagrail_providers::{Secret, TargetSpec, TlsVerify};

use super::deployment::Surroundings;
use super::sent::{Fate, fate};
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
        tls_verify: tls_verify(reader).unwrap_or_else(|| around.tls_verify.clone()),
        drop_params: reader.flag("drop_params").unwrap_or(around.drop_params),
        client_may_set: client_may_set(reader, around.client_credentials),
    }
}

/// `ssl_verify`: true, false, or the path of a PEM file with the authorities to trust.
pub(super) fn tls_verify(reader: &mut Reader<'_, '_>) -> Option<TlsVerify> {
    let entry = reader.entry("ssl_verify")?;
    let at = entry.value.at;
    let said = match &entry.value.value {
        Value::Bool(true) => Ok(TlsVerify::System),
        Value::Bool(false) => Ok(TlsVerify::Off),
        Value::Text(text) => tls_verify_of(text),
        _ => return reader.not(entry, "true, false, or the path of a PEM file", None),
    };
    match said {
        Ok(verify) => {
            if verify == TlsVerify::Off {
                reader.warn("tls-unverified", at, UNVERIFIED.to_owned(), Some(BUNDLE.to_owned()));
            }
            Some(verify)
        }
        Err(message) => {
            reader.reject("bad-value", at, message, Some(BUNDLE.to_owned()));
            None
        }
    }
}

/// What is said where certificates are not verified.
pub(super) const UNVERIFIED: &str = "`ssl_verify` is off: certificates are not verified, and another server could \
                                     read the keys and prompts that are sent";

/// What is better than not to verify.
pub(super) const BUNDLE: &str =
    "for an authority of your own give the path of its PEM file: `ssl_verify: /path/ca.pem`";

/// `ssl_verify` as text.
///
/// # Errors
/// It is no word for true or false, and no file of this name is there.
pub(super) fn tls_verify_of(text: &str) -> Result<TlsVerify, String> {
    let path = Path::new(text.trim());
    match text.trim().to_ascii_lowercase().as_str() {
        _ if path.is_file() => Ok(TlsVerify::Bundle(Arc::from(path))),
        "true" | "1" | "yes" | "on" => Ok(TlsVerify::System),
        "false" | "0" | "no" | "off" => Ok(TlsVerify::Off),
        _ => Err(format!(
            "`ssl_verify` is true, false, or the path of a PEM file, and there is no file `{text}`"
        )),
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

/// What `litellm_params` says of the call itself, and what `extra_body` holds.
fn call_defaults(reader: &mut Reader<'_, '_>, params: &Map) -> Vec<(String, String)> {
    let own = params.entries.iter().filter(|entry| matches!(fate(entry), Fate::Sent | Fate::SentUnknown));
    let extra = reader.map("extra_body").map(|map| map.entries.iter()).into_iter().flatten();
    let json = |entry: &Entry| (entry.key.clone(), entry.value.to_json().to_string());
    own.filter(|entry| !entry.value.is_null()).chain(extra).map(json).collect()
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
