//! What `litellm_params` and `model_info` say of a deployment.

use std::time::Duration;

use tagrail_providers::TargetSpec;
use tagrail_routing::DeploymentSpec;

use super::deployment::Surroundings;
use super::{identity, policy, target};
use crate::confidential;
use crate::findings::Findings;
use crate::keys::is_price;
use crate::node::{Map, Place, Value};
use crate::reading::{Reader, Wrong, as_number};
use crate::settings::{AllowedFails, PriceOverride};

/// A deployment as far as the file says; its target is not built yet.
#[derive(Clone, Default)]
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
}

/// The maps of one deployment.
pub(super) struct Written<'a> {
    /// `model_name`.
    pub(super) group: &'a str,
    /// `litellm_params` as written: what the generated id is made of.
    pub(super) params: &'a Map,
    /// The same with what its credential and the router's defaults add.
    pub(super) filled: &'a Map,
    /// `model_info`.
    pub(super) info: &'a Map,
    /// Where `litellm_params` stands.
    pub(super) at: Place,
}

/// Reads them, with every mistake in them.
pub(super) fn read(
    written: &Written<'_>,
    around: &Surroundings<'_>,
    findings: &mut Findings,
) -> (Draft, Vec<Wrong>) {
    let (mut draft, mut wrong) = start(written, findings);
    let mut reader = Reader::new(written.filled, findings);
    let model = model(&mut reader, written.filled, written.at);
    for key in ["api_base", "base_url"] {
        reader.needs_variable(key, "its calls would go to another address");
    }
    for key in ["tags", "tag_regex"] {
        reader.needs_variable(key, "it would serve other requests than those meant");
    }
    draft.target = target::read(model.clone(), &mut reader, written.filled, around);
    draft.spec = routing(draft.spec, model, &mut reader);
    draft.timeout = reader.seconds("timeout");
    draft.stream_timeout = reader.seconds("stream_timeout");
    draft.num_retries = reader.count("num_retries");
    draft.cooldown_time = draft.cooldown_time.or(reader.seconds("cooldown_time"));
    draft.mock_response = reader.text("mock_response");
    draft.max_parallel_requests = reader.count("max_parallel_requests");
    let price = PriceOverride {
        input: reader.number("input_cost_per_token"),
        output: reader.number("output_cost_per_token"),
        cache_read: reader.number("cache_read_input_token_cost"),
        cache_creation: reader.number("cache_creation_input_token_cost"),
    };
    draft.price = price_of_info(price, written.info);
    wrong.append(&mut reader.wrong);
    (draft, wrong)
}

/// What `model_info` says, and what is listed.
fn start(written: &Written<'_>, findings: &mut Findings) -> (Draft, Vec<Wrong>) {
    let mut reader = Reader::new(written.info, findings);
    for key in ["blocked", "access_groups", "enable_tag_filtering", "allow_fail_open"] {
        reader.needs_variable(key, "it would serve other callers than those meant");
    }
    let id = id(&mut reader).unwrap_or_else(|| identity::generated(written.group, written.params));
    let draft = Draft {
        info: shown_info(&id, written.filled, written.info),
        shown_params: confidential::shown(written.params),
        spec: DeploymentSpec {
            id,
            group: written.group.to_owned(),
            tag_filtering: reader.flag("enable_tag_filtering"),
            allow_fail_open: reader.flag("allow_fail_open").unwrap_or(false),
            blocked: reader.flag("blocked").unwrap_or(false),
            access_groups: reader.texts("access_groups").unwrap_or_default(),
            ..DeploymentSpec::default()
        },
        cooldown_time: reader.seconds("cooldown_time"),
        allowed_fails: policy::allowed_fails(&mut reader),
        ..Draft::default()
    };
    (draft, reader.wrong)
}

/// What `litellm_params` says to routing.
fn routing(spec: DeploymentSpec, model: String, reader: &mut Reader<'_, '_>) -> DeploymentSpec {
    DeploymentSpec {
        model,
        tags: reader.texts("tags").unwrap_or_default(),
        tag_regex: reader.texts("tag_regex").unwrap_or_default(),
        order: reader.whole("order"),
        weight: reader.number("weight"),
        rpm: reader.number("rpm"),
        tpm: reader.number("tpm"),
        ..spec
    }
}

/// `model`, without which there is no deployment.
fn model(reader: &mut Reader<'_, '_>, params: &Map, at: Place) -> String {
    if reader.entry("model").is_none() {
        let entry = params.entry("model");
        let message = match entry.and_then(|entry| entry.value.variable.as_deref()) {
            Some(variable) => format!("`litellm_params` needs `model`, and `{variable}` is not set"),
            None => "`litellm_params` needs `model`".to_owned(),
        };
        let help = "add `model: provider/name`, for instance `model: openai/gpt-4o`".to_owned();
        reader.reject("missing-key", entry.map_or(at, |entry| entry.at), message, Some(help));
    }
    reader.text("model").unwrap_or_default()
}

/// `model_info.id`; a number becomes text.
fn id(reader: &mut Reader<'_, '_>) -> Option<String> {
    let entry = reader.entry("id")?;
    match &entry.value.value {
        Value::Text(text) => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        _ => reader.not(entry, "text", Some(reader.advice("write it in quotes", "give it as text"))),
    }
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
