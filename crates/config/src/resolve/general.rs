//! `general_settings`: who gets in, and how much of what.

use std::time::Duration;

use tagrail_providers::Secret;
use tagrail_routing::RoutingMode;

use super::ledger;
use super::router::Router;
use crate::Host;
use crate::destination::Destination;
use crate::environment::Environment;
use crate::findings::Findings;
use crate::keys::GENERAL;
use crate::node::Map;
use crate::reading::Reader;
use crate::settings::GeneralSettings;

const MIB: f64 = 1024.0 * 1024.0;

/// Bytes of request bodies at a time: three times this is what they take at most, and 1 GiB is a usual
/// container.
const BYTES_IN_FLIGHT: usize = 256 * 1024 * 1024;

/// Settings that decide where something is kept, for how long, and who gets in. One that names an unset
/// variable was meant to; `master_key` has words of its own.
const DECISIVE: [&str; 9] = [
    "database_url",
    "litellm_key_header_name",
    "tag_grants",
    "reserved_tags",
    "strict_config",
    "completion_model",
    "disable_spend_logs",
    "maximum_spend_logs_retention_period",
    "fallback_price",
];

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
    let megabytes = |mb: f64| (mb * MIB) as usize;
    let max_body_bytes = reader.number("max_request_size_mb").map_or(32 * 1024 * 1024, megabytes);
    let in_flight = reader.number("max_bytes_in_flight_mb").map(megabytes);
    let mut settings = GeneralSettings {
        master_key: if is_gateway { master_key(&mut reader, map, environment) } else { None },
        salt_key: environment
            .get("LITELLM_SALT_KEY")
            .filter(|key| is_gateway && !key.is_empty())
            .map(Secret::new),
        allow_unmanaged_response_ids: reader.flag("allow_unmanaged_response_ids").unwrap_or(false),
        client_destinations: [router.client_destinations.clone(), destinations(&mut reader)].concat(),
        key_header: reader.text("litellm_key_header_name"),
        completion_model: reader.text("completion_model"),
        max_body_bytes,
        max_bytes_in_flight: in_flight.unwrap_or(BYTES_IN_FLIGHT.max(max_body_bytes.saturating_mul(4))),
        max_reply_bytes: reader.number("max_response_size_mb").map_or(128 * 1024 * 1024, megabytes),
        strict: reader.flag("strict_config").unwrap_or(false),
        client_credentials: reader.flag("allow_client_side_credentials").unwrap_or(false),
        metrics_need_key: router.metrics_need_key,
        request_arrival_timeout: reader.seconds("request_arrival_timeout").unwrap_or(Duration::from_secs(60)),
        max_connections: reader.count("max_connections").map_or(10_000, |count| count as usize),
        database_url: ledger::database_url(&mut reader),
        tag_grants: reader.flag("tag_grants").unwrap_or(router.mode == RoutingMode::Tagrail),
        reserved_tags: ledger::reserved_tags(&mut reader, router),
        fallback_price,
        default_max_output_tokens: reader.count("default_max_output_tokens").map_or(16_384, u64::from),
        spend_retention: ledger::retention(&mut reader),
        daily_spend_retention: ledger::daily_retention(&mut reader),
        disable_spend_logs: reader.flag("disable_spend_logs").unwrap_or(false),
        journal_sync: ledger::journal_sync(&mut reader),
    };
    for key in DECISIVE {
        reader.needs_variable(key, "nothing is started without it");
    }
    no_header_name(&mut reader, &settings);
    serves_nothing(&mut reader, &settings);
    reserves_nothing(&mut reader, &settings);
    holds_no_body(&mut reader, &settings);
    reader.refuse_wrong();
    if is_gateway && settings.database_url.is_none() {
        settings.database_url = ledger::database_of(environment, findings);
    }
    settings
}

/// `provider_url_destination_allowed_hosts`, which LiteLLM reads in `litellm_settings` too.
pub(super) fn destinations(reader: &mut Reader<'_, '_>) -> Vec<Destination> {
    let key = "provider_url_destination_allowed_hosts";
    let Some(written) = reader.texts(key) else { return Vec::new() };
    let items = reader.entry(key).and_then(|entry| entry.value.as_list()).unwrap_or_default();
    let mut listed = Vec::with_capacity(written.len());
    for (text, node) in written.iter().zip(items) {
        match Destination::parse(text) {
            Ok(destination) => listed.push(destination),
            Err(what) => {
                let help = "write a host, HOST:PORT, an address, or a network such as 10.1.0.0/16";
                reader.reject(
                    "bad-value",
                    node.at,
                    format!("`{text}` in `{key}` {what}"),
                    Some(help.to_owned()),
                );
            }
        }
    }
    listed
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

/// A reservation that is too small for any answer.
fn reserves_nothing(reader: &mut Reader<'_, '_>, settings: &GeneralSettings) {
    if let (0, Some(entry)) = (settings.default_max_output_tokens, reader.entry("default_max_output_tokens"))
    {
        let message =
            "with `default_max_output_tokens: 0` no answer is reserved and budgets do not hold".to_owned();
        reader.reject(
            "bad-value",
            entry.value.at,
            message,
            Some("write a number of tokens from 1".to_owned()),
        );
    }
}

/// Room for bodies that the longest one does not fit into. An eighth of it is kept for short ones.
fn holds_no_body(reader: &mut Reader<'_, '_>, settings: &GeneralSettings) {
    let least = settings.max_body_bytes.saturating_add(settings.max_body_bytes / 7 + 1);
    if let Some(entry) = reader.entry("max_bytes_in_flight_mb")
        && settings.max_bytes_in_flight < least
    {
        let message = format!(
            "`max_bytes_in_flight_mb` has no room for one request of `max_request_size_mb`: it must be {} at least",
            (least as f64 / MIB).ceil()
        );
        reader.reject("bad-value", entry.value.at, message, None);
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
    if let (Some(""), Some(entry)) = (key.as_deref().map(str::trim), written) {
        let message = "the master key is empty: nothing is started without it".to_owned();
        reader.reject(
            "no-master-key",
            entry.value.at,
            message,
            Some("write a key, or remove the line".to_owned()),
        );
    }
    let fallback = || environment.get("LITELLM_MASTER_KEY");
    if written.is_none_or(|entry| entry.value.is_null())
        && fallback().is_some_and(|key| key.trim().is_empty())
    {
        let message = "the environment variable `LITELLM_MASTER_KEY` is empty: nothing is started without it";
        let help = "give it a key, or unset it to serve this machine alone";
        reader.refuse("no-master-key", message.to_owned(), Some(help.to_owned()));
        return None;
    }
    if written.is_some_and(|entry| !entry.value.is_null()) { key } else { fallback() }.map(Secret::new)
}
