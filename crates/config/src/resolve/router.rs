//! `router_settings`, and what of `litellm_settings` counts as such where it says nothing.

use std::collections::HashMap;
use std::time::Duration;

use tagrail_providers::TlsVerify;
use tagrail_routing::{AliasSpec, FallbackSpec, RoutingMode};

use super::general::destinations;
use super::{fallbacks, policy, target};
use crate::destination::Destination;
use crate::environment::Environment;
use crate::findings::Findings;
use crate::keys::{CHECKING_CALLBACKS, LITELLM, ROUTER, says_something};
use crate::node::{Entry, Map, Node, Value};
use crate::reading::Reader;
use crate::settings::{AllowedFails, RetryPolicy, RouterSettings};

/// Attempts of one call, where `max_attempts_per_call` says nothing.
const MOST_ATTEMPTS: u32 = 20;

/// LiteLLM's strategies. Only the first is here yet.
const STRATEGIES: &[&str] = &[
    "simple-shuffle",
    "lar1",
    "least-busy",
    "usage-based-routing",
    "latency-based-routing",
    "cost-based-routing",
    "usage-based-routing-v2",
    "provider-budget-routing",
];

/// What the router's settings say, for the table and for the attempts.
pub(super) struct Router<'a> {
    pub(super) settings: RouterSettings,
    pub(super) mode: RoutingMode,
    pub(super) tag_filtering: bool,
    pub(super) match_any: bool,
    pub(super) tag_prefix: String,
    pub(super) aliases: Vec<AliasSpec>,
    pub(super) fallbacks: FallbackSpec,
    /// `default_litellm_params`.
    pub(super) defaults: Option<&'a Map>,
    /// `default_max_parallel_requests`.
    pub(super) max_parallel_requests: Option<u32>,
    /// `litellm_settings.drop_params`.
    pub(super) drop_params: bool,
    /// `SSL_VERIFY`, else `litellm_settings.ssl_verify`.
    pub(super) tls_verify: TlsVerify,
    /// `litellm_settings.require_auth_for_metrics_endpoint`.
    pub(super) metrics_need_key: bool,
    /// `litellm_settings.provider_url_destination_allowed_hosts`.
    pub(super) client_destinations: Vec<Destination>,
}

/// What `litellm_settings` says for where `router_settings` says nothing.
struct Module {
    num_retries: Option<u32>,
    timeout: Option<Duration>,
    max_fallbacks: Option<u32>,
    allowed_fails: Option<u32>,
    aliases: Vec<AliasSpec>,
    drop_params: bool,
    tls_verify: Option<TlsVerify>,
    metrics_need_key: bool,
    client_destinations: Vec<Destination>,
}

/// Reads both maps.
pub(super) fn read<'a>(
    router: &'a Map,
    litellm: &Map,
    environment: &Environment<'_>,
    findings: &mut Findings,
) -> Router<'a> {
    ROUTER.check(router, findings);
    let mut module = module(litellm, findings);
    let tls_verify = tls_verify_of(environment, findings).or(module.tls_verify.take()).unwrap_or_default();
    let fallbacks = fallbacks::read(router, litellm, findings);
    let mut reader = Reader::new(router, findings);
    strategy(&mut reader);
    refused_keys(&mut reader);
    let settings = settings(&mut reader, &module, environment);
    let mut aliases = aliases(&mut reader, "model_group_alias");
    for extra in module.aliases {
        // LiteLLM follows these before it routes and never lists them.
        if aliases.iter().all(|alias| alias.name != extra.name) {
            aliases.push(AliasSpec { hidden: true, ..extra });
        }
    }
    let read = Router {
        settings,
        mode: mode(&mut reader),
        tag_filtering: reader.flag("enable_tag_filtering").unwrap_or(false),
        match_any: reader.flag("tag_filtering_match_any").unwrap_or(true),
        tag_prefix: reader.text("tag_routing_prefix").unwrap_or_default(),
        aliases,
        fallbacks,
        defaults: reader.map("default_litellm_params"),
        max_parallel_requests: reader.count("default_max_parallel_requests"),
        drop_params: module.drop_params,
        tls_verify,
        metrics_need_key: module.metrics_need_key,
        client_destinations: module.client_destinations,
    };
    reader.refuse_wrong();
    read
}

/// `SSL_VERIFY`, which counts before `litellm_settings.ssl_verify`, as in LiteLLM.
fn tls_verify_of(environment: &Environment<'_>, findings: &mut Findings) -> Option<TlsVerify> {
    let text = environment.get("SSL_VERIFY").filter(|text| !text.trim().is_empty())?;
    match target::tls_verify_of(&text) {
        Ok(verify) => {
            if verify == TlsVerify::Off {
                let message = format!("by the environment variable `SSL_VERIFY`, {}", target::UNVERIFIED);
                findings.warn_of_environment("tls-unverified", message, Some(target::BUNDLE.to_owned()));
            }
            Some(verify)
        }
        Err(message) => {
            let message = format!("the environment variable `SSL_VERIFY`: {message}");
            findings.refuse("bad-value", None, message, Some(target::BUNDLE.to_owned()));
            None
        }
    }
}

fn module(litellm: &Map, findings: &mut Findings) -> Module {
    LITELLM.check(litellm, findings);
    callbacks(litellm, findings);
    let mut reader = Reader::new(litellm, findings);
    let module = Module {
        num_retries: reader.count("num_retries"),
        timeout: reader.seconds("request_timeout"),
        max_fallbacks: reader.count("max_fallbacks"),
        allowed_fails: reader.count("allowed_fails"),
        aliases: aliases(&mut reader, "model_alias_map"),
        drop_params: reader.flag("drop_params").unwrap_or(false),
        tls_verify: target::tls_verify(&mut reader),
        metrics_need_key: reader.flag("require_auth_for_metrics_endpoint").unwrap_or(true),
        client_destinations: destinations(&mut reader),
    };
    reader.refuse_wrong();
    module
}

/// Attempts and cooldowns. LiteLLM's constants may be set in the environment.
fn settings(reader: &mut Reader<'_, '_>, module: &Module, environment: &Environment<'_>) -> RouterSettings {
    let constant = |name: &str| environment.get(name).and_then(|text| text.trim().parse::<f64>().ok());
    let seconds = |name: &str, default: u64| {
        let set = constant(name).and_then(|value| Duration::try_from_secs_f64(value).ok());
        set.unwrap_or(Duration::from_secs(default))
    };
    let depth = reader.count("max_fallbacks").or(module.max_fallbacks);
    let allowed = policy::allowed_fails(reader).unwrap_or_default();
    RouterSettings {
        num_retries: reader.count("num_retries").or(module.num_retries).unwrap_or(2),
        max_fallbacks: depth
            .unwrap_or_else(|| constant("ROUTER_MAX_FALLBACKS").map_or(5, |depth| depth as u32)),
        max_attempts_per_call: attempts(reader),
        timeout: reader
            .seconds("timeout")
            .or(module.timeout)
            .unwrap_or_else(|| seconds("REQUEST_TIMEOUT", 6000)),
        stream_timeout: reader.seconds("stream_timeout"),
        retry_after: reader.seconds("retry_after").unwrap_or_default(),
        retry_policy: policy::retries(reader),
        group_retry_policy: group_policies(reader),
        allowed_fails: AllowedFails { all: allowed.all.or(module.allowed_fails), by_kind: allowed.by_kind },
        cooldown_time: reader
            .seconds("cooldown_time")
            .unwrap_or_else(|| seconds("DEFAULT_COOLDOWN_TIME_SECONDS", 5)),
        disable_cooldowns: reader.flag("disable_cooldowns").unwrap_or(false),
        weighted_failover: reader.flag("enable_weighted_failover").unwrap_or(false),
    }
}

/// `max_attempts_per_call`. With 0 no call could be made.
fn attempts(reader: &mut Reader<'_, '_>) -> u32 {
    let written = reader.count("max_attempts_per_call");
    if written != Some(0) {
        return written.unwrap_or(MOST_ATTEMPTS);
    }
    if let Some(entry) = reader.entry("max_attempts_per_call") {
        let message = "`max_attempts_per_call` must be at least 1".to_owned();
        let help = format!("leave it out for {MOST_ATTEMPTS}");
        reader.reject("bad-value", entry.value.at, message, Some(help));
    }
    MOST_ATTEMPTS
}

fn strategy(reader: &mut Reader<'_, '_>) {
    let Some(entry) = reader.entry("routing_strategy") else { return };
    match entry.value.as_text() {
        Some("simple-shuffle") => {}
        Some(name) if STRATEGIES.contains(&name) => {
            let message =
                format!("`routing_strategy: {name}` is not supported yet: `simple-shuffle` is used instead");
            let help = "write `routing_strategy: simple-shuffle`, or leave it out".to_owned();
            reader.warn("not-yet-supported", entry.value.at, message, Some(help));
        }
        Some(name) => {
            let options = STRATEGIES.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
            let message = format!("Invalid routing_strategy: '{name}'. Valid options: [{options}].");
            reader.reject("bad-value", entry.value.at, message, Some("write `simple-shuffle`".to_owned()));
        }
        None => {
            let _: Option<()> = reader.not(entry, "text", None);
        }
    }
}

/// Keys that LiteLLM refuses here, because they belong elsewhere.
fn refused_keys(reader: &mut Reader<'_, '_>) {
    for key in ["health_check_interval", "health_check_concurrency"] {
        if let Some(entry) = reader.entry(key) {
            let message = format!("`{key}` does not belong into `router_settings`");
            reader.reject("bad-value", entry.at, message, Some("move it to `general_settings`".to_owned()));
        }
    }
}

fn mode(reader: &mut Reader<'_, '_>) -> RoutingMode {
    let Some(entry) = reader.entry("routing_mode") else { return RoutingMode::default() };
    match entry.value.as_text().map(str::parse) {
        Some(Ok(mode)) => mode,
        _ => {
            let message = "`routing_mode` is `tagrail` or `litellm`".to_owned();
            reader.reject(
                "bad-value",
                entry.value.at,
                message,
                Some("write `routing_mode: tagrail`".to_owned()),
            );
            RoutingMode::default()
        }
    }
}

/// `name: target` or `name: {model: target, hidden: true}`.
fn aliases(reader: &mut Reader<'_, '_>, key: &str) -> Vec<AliasSpec> {
    let Some(map) = reader.map(key) else { return Vec::new() };
    let mut aliases = Vec::with_capacity(map.entries.len());
    for entry in &map.entries {
        let target = match &entry.value.value {
            Value::Text(target) => Some((target.clone(), false)),
            Value::Map(map) => map.get("model").and_then(Node::as_text).map(|target| {
                let hidden =
                    map.get("hidden").is_some_and(|hidden| matches!(hidden.value, Value::Bool(true)));
                (target.to_owned(), hidden)
            }),
            _ => None,
        };
        match target {
            Some((target, hidden)) => aliases.push(AliasSpec { name: entry.key.clone(), target, hidden }),
            None => {
                let help = format!("write `{}: NAME`, or `{{model: NAME, hidden: true}}`", entry.key);
                let _: Option<()> = reader.not(entry, "the name of a model", Some(help));
            }
        }
    }
    aliases
}

fn group_policies(reader: &mut Reader<'_, '_>) -> HashMap<String, RetryPolicy> {
    let mut policies = HashMap::new();
    let Some(map) = reader.map("model_group_retry_policy") else { return policies };
    for entry in map.entries.iter().filter(|entry| !entry.value.is_null()) {
        match entry.value.as_map() {
            Some(policy) => {
                policies.insert(entry.key.clone(), policy::retries_of(reader, policy));
            }
            None => {
                let _: Option<()> = reader.not(entry, "a map", None);
            }
        }
    }
    policies
}

/// Callbacks look on, so that they can be done without; those that check what passes cannot.
/// `prometheus` is served without being asked for.
fn callbacks(litellm: &Map, findings: &mut Findings) {
    for key in ["callbacks", "success_callback", "failure_callback"] {
        let Some(entry) = litellm.entry(key).filter(|entry| says_something(&entry.value)) else { continue };
        let names: Vec<&Node> = match &entry.value.value {
            Value::List(list) => list.iter().collect(),
            _ => vec![&entry.value],
        };
        let text = |node: &&Node| node.as_text().map(str::to_owned);
        let checking = names.iter().filter_map(text).find(|name| CHECKING_CALLBACKS.contains(&name.as_str()));
        let missing: Vec<String> =
            names.iter().filter_map(text).filter(|name| name != "prometheus").collect();
        if let Some(name) = checking {
            unprotected(&name, entry, findings);
        } else if !missing.is_empty() {
            let message = format!("`{key}` has no effect yet: nothing is told to {}", missing.join(", "));
            findings.warn("not-yet-supported", entry.at, message, None);
        }
    }
}

fn unprotected(name: &str, entry: &Entry, findings: &mut Findings) {
    let message = format!("`{name}` is not supported yet, and without it requests would pass unchecked");
    findings.unprotected(entry.at, message);
}
