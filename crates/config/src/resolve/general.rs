//! `general_settings`: who gets in, and how much of what.

use std::time::Duration;

use tagrail_providers::Secret;
use tagrail_routing::RoutingMode;

use super::ledger;
use super::router::Router;
use crate::Host;
use crate::environment::Environment;
use crate::findings::Findings;
use crate::keys::GENERAL;
use crate::node::Map;
use crate::reading::Reader;
use crate::settings::GeneralSettings;

const MIB: f64 = 1024.0 * 1024.0;

/// Reads the map.
pub(super) fn read(
    map: &Map,
    router: &Router<'_>,
    environment: &Environment<'_>,
    findings: &mut Findings,
) -> GeneralSettings {
    GENERAL.check(map, findings);
    let is_gateway = findings.host == Host::Gateway;
    let fallback_price = ledger::fallback_price(map, findings);
    let mut reader = Reader::new(map, findings);
    let mut settings = GeneralSettings {
        master_key: if is_gateway { master_key(&mut reader, map, environment) } else { None },
        key_header: reader.text("litellm_key_header_name"),
        completion_model: reader.text("completion_model"),
        max_body_bytes: reader
            .number("max_request_size_mb")
            .map_or(32 * 1024 * 1024, |mb| (mb * MIB) as usize),
        max_reply_bytes: reader
            .number("max_response_size_mb")
            .map_or(128 * 1024 * 1024, |mb| (mb * MIB) as usize),
        strict: reader.flag("strict_config").unwrap_or(false),
        client_credentials: reader.flag("allow_client_side_credentials").unwrap_or(false),
        metrics_need_key: router.metrics_need_key,
        request_arrival_timeout: reader.seconds("request_arrival_timeout").unwrap_or(Duration::from_secs(60)),
        max_connections: reader.count("max_connections").map_or(10_000, |count| count as usize),
        database_url: ledger::database_url(&mut reader),
        tag_grants: reader.flag("tag_grants").unwrap_or(router.mode == RoutingMode::Tagrail),
        reserved_tags: ledger::reserved_tags(&mut reader, router),
        fallback_price,
        spend_retention: ledger::retention(&mut reader),
        disable_spend_logs: reader.flag("disable_spend_logs").unwrap_or(false),
        journal_sync: ledger::journal_sync(&mut reader),
    };
    no_header_name(&mut reader, &settings);
    serves_nothing(&mut reader, &settings);
    reader.refuse_wrong();
    if is_gateway && settings.database_url.is_none() {
        settings.database_url = ledger::database_of(environment, findings);
    }
    settings
}

/// A name that no header can have.
fn no_header_name(reader: &mut Reader<'_, '_>, settings: &GeneralSettings) {
    if let Some(entry) = reader.entry("litellm_key_header_name")
        && settings.key_header.as_deref().is_some_and(|name| http::HeaderName::try_from(name).is_err())
    {
        let message = "`litellm_key_header_name` is the name of a header, and this can be none".to_owned();
        reader.reject("bad-value", entry.value.at, message, None);
    }
}

/// Limits that let nothing through.
fn serves_nothing(reader: &mut Reader<'_, '_>, settings: &GeneralSettings) {
    for (key, zero) in [
        ("max_connections", settings.max_connections == 0),
        ("max_request_size_mb", settings.max_body_bytes == 0),
        ("max_response_size_mb", settings.max_reply_bytes == 0),
        ("request_arrival_timeout", settings.request_arrival_timeout.is_zero()),
    ] {
        if let (true, Some(entry)) = (zero, reader.entry(key)) {
            reader.reject(
                "bad-value",
                entry.value.at,
                format!("with `{key}: 0` no request is ever served"),
                None,
            );
        }
    }
}

/// `master_key`, else `LITELLM_MASTER_KEY`. One that names an unset variable, or is empty, was meant
/// to close the door: it never opens it.
fn master_key(reader: &mut Reader<'_, '_>, map: &Map, environment: &Environment<'_>) -> Option<Secret> {
    let written = map.entry("master_key");
    if let Some(name) =
        written.and_then(|entry| entry.value.is_null().then_some(entry.value.variable.as_ref()?))
    {
        let at = written.map(|entry| entry.value.at)?;
        let message =
            format!("the master key is read from `{name}`, which is not set: nothing is started without it");
        reader.reject(
            "no-master-key",
            at,
            message,
            Some(format!("set `{name}` where the gateway is started")),
        );
        return None;
    }
    let key = reader.text("master_key");
    if let (Some(""), Some(entry)) = (key.as_deref(), written) {
        let message = "the master key is empty: nothing is started without it".to_owned();
        reader.reject(
            "no-master-key",
            entry.value.at,
            message,
            Some("write a key, or remove the line".to_owned()),
        );
    }
    let fallback = || environment.get("LITELLM_MASTER_KEY").filter(|key| !key.is_empty());
    if written.is_some_and(|entry| !entry.value.is_null()) { key } else { fallback() }.map(Secret::new)
}
