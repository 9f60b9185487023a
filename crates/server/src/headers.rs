//! The response headers, all of them, in one place: `x-litellm-*`, `x-ratelimit-*`, the copies of
//! the upstream's, and those that every response has.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VARY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use tagrail::{AllowanceFacts, Cost, Facts, Money, Operation, Snapshot, header_text};

use crate::number::{milliseconds, python_float};

/// The LiteLLM release whose behaviour is declared, not this program's own version.
pub(crate) const COMPATIBLE_WITH: &str = "1.102.4";

/// Room for what all answers have.
const USUAL: usize = 48;

/// Most names of upstream headers that a core remembers the prefixed form of.
const REMEMBERED: usize = 256;

macro_rules! names {
    ($($name:ident = $text:literal;)*) => {
        $(static $name: HeaderName = HeaderName::from_static($text);)*
    };
}

/// Echoed or made: names one call.
pub(crate) static CALL_ID: HeaderName = HeaderName::from_static("x-litellm-call-id");

names! {
    VERSION = "x-litellm-version";
    MODEL_ID = "x-litellm-model-id";
    MODEL_NAME = "x-litellm-model-name";
    API_BASE = "x-litellm-model-api-base";
    MODEL_GROUP = "x-litellm-model-group";
    RETRIES = "x-litellm-attempted-retries";
    FALLBACKS = "x-litellm-attempted-fallbacks";
    MAX_RETRIES = "x-litellm-max-retries";
    COST = "x-litellm-response-cost";
    COST_ORIGINAL = "x-litellm-response-cost-original";
    COST_DISCOUNT = "x-litellm-response-cost-discount-amount";
    COST_MARGIN = "x-litellm-response-cost-margin-amount";
    COST_MARGIN_PERCENT = "x-litellm-response-cost-margin-percent";
    COST_INPUT = "x-litellm-response-cost-input";
    COST_OUTPUT = "x-litellm-response-cost-output";
    COST_TOOLS = "x-litellm-response-cost-tool-usage";
    KEY_SPEND = "x-litellm-key-spend";
    KEY_MAX_BUDGET = "x-litellm-key-max-budget";
    KEY_RPM_LIMIT = "x-litellm-key-rpm-limit";
    KEY_TPM_LIMIT = "x-litellm-key-tpm-limit";
    DURATION = "x-litellm-response-duration-ms";
    OVERHEAD = "x-litellm-overhead-duration-ms";
    CALLBACKS = "x-litellm-callback-duration-ms";
    TIMEOUT = "x-litellm-timeout";
    ACCEL_BUFFERING = "x-accel-buffering";
    KEEP_ALIVE = "keep-alive";
    PROXY_CONNECTION = "proxy-connection";
}

/// Copied from the upstream under their own names as well.
static RATE_LIMITS: [HeaderName; 4] = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
];

/// Of a call without a known cost; `x-litellm-response-cost` itself is then left out.
static NO_COST: [&HeaderName; 8] = [
    &COST_ORIGINAL,
    &COST_DISCOUNT,
    &COST_MARGIN,
    &COST_MARGIN_PERCENT,
    &COST_INPUT,
    &COST_OUTPUT,
    &COST_TOOLS,
    &KEY_SPEND,
];

static ZERO: HeaderValue = HeaderValue::from_static("0.0");

/// The headers of an answered call.
pub(crate) fn answered(
    operation: Operation,
    streamed: bool,
    facts: &Facts,
    call_id: HeaderValue,
) -> HeaderMap {
    let total = Instant::now().saturating_duration_since(facts.started);
    let own = Own { call_id, total, upstream: facts.upstream_time };
    let mut map = if !streamed && operation != Operation::Messages && is_usual(facts) {
        TEMPLATES.with_borrow_mut(|templates| templates.fill(facts, own))
    } else {
        full(operation, streamed, facts, own)
    };
    if facts.group != facts.snapshot.spec(facts.deployment).group {
        map.insert(&MODEL_GROUP, header_text(&facts.group));
    }
    attempts(&mut map, facts);
    cost(&mut map, facts);
    // What is the caller's is in no template: the next call is somebody else's.
    if let Some(allowance) = &facts.caller.allowance {
        allowed(&mut map, &allowance.facts());
    }
    map
}

/// What differs from call to call, in the order in which it stands at the head of every map.
struct Own {
    call_id: HeaderValue,
    /// From the call's start until now.
    total: Duration,
    /// The part of it that the upstream took; zero for a mocked answer, which has no upstream to be
    /// slower than.
    upstream: Duration,
}

impl Own {
    const COUNT: usize = 3;

    fn values(self) -> [HeaderValue; Own::COUNT] {
        let header = |duration| {
            let mut text = String::with_capacity(24);
            milliseconds(&mut text, duration);
            // Takes the text over instead of copying it.
            HeaderValue::try_from(text).unwrap_or_else(|_| ZERO.clone())
        };
        let (total, overhead) = (header(self.total), header(self.total.saturating_sub(self.upstream)));
        [self.call_id, total, overhead]
    }
}

/// Whether nothing of the deployment's own headers depends on the call.
fn is_usual(facts: &Facts) -> bool {
    facts.upstream_model.is_none()
        && facts.shown_base.is_none()
        && !facts.group.is_empty()
        && !facts.upstream_time.is_zero()
}

/// All headers of an answer, but for what attempts and costs add.
fn full(operation: Operation, streamed: bool, facts: &Facts, own: Own) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(USUAL);
    let mocked = own.upstream.is_zero();
    for (name, value) in [&CALL_ID, &DURATION, &OVERHEAD].into_iter().zip(own.values()) {
        map.insert(name, value);
    }
    if mocked {
        map.remove(&OVERHEAD);
    }
    content(&mut map, streamed);
    map.insert(&VERSION, HeaderValue::from_static(COMPATIBLE_WITH));
    deployment(&mut map, operation, streamed, facts);
    map.insert(&RETRIES, HeaderValue::from_static("0"));
    map.insert(&FALLBACKS, HeaderValue::from_static("0"));
    for name in NO_COST {
        map.insert(name, ZERO.clone());
    }
    map.insert(&CALLBACKS, ZERO.clone());
    everywhere(&mut map);
    // Anthropic's clients get none of the upstream's, as with LiteLLM.
    if operation != Operation::Messages {
        copied(&mut map, &facts.upstream_headers);
    }
    map
}

/// The last answer's headers of every deployment. The next answer's are mostly a copy with other
/// values in the same places, and a copy costs a third of a map that is filled name by name.
#[derive(Default)]
struct Templates {
    /// Whose deployments they are; another configuration starts anew.
    snapshot: Option<Arc<Snapshot>>,
    maps: Vec<Option<Template>>,
}

#[derive(Clone)]
struct Template {
    map: HeaderMap,
    /// How many values stand between a call's own and the upstream's.
    constant: usize,
    /// The upstream's header names, in the order in which it sent them.
    upstream: Vec<HeaderName>,
}

impl Templates {
    fn fill(&mut self, facts: &Facts, own: Own) -> HeaderMap {
        if !self.snapshot.as_ref().is_some_and(|known| Arc::ptr_eq(known, &facts.snapshot)) {
            self.snapshot = Some(facts.snapshot.clone());
            self.maps = vec![None; facts.snapshot.deployments.len()];
        }
        let kept = &mut self.maps[facts.deployment.slot()];
        match kept {
            Some(template) if template.fits(&facts.upstream_headers) => template.filled(facts, own),
            _ => {
                let map = full(Operation::ChatCompletions, false, facts, own);
                let upstream = facts.upstream_headers.keys().cloned().collect::<Vec<_>>();
                // A repeated or a rate limit's header stands in two places: such are made anew.
                let plain = upstream.len() == facts.upstream_headers.len()
                    && !upstream.iter().any(|name| RATE_LIMITS.contains(name));
                let copies = upstream.iter().filter(|name| !stays_behind(name)).count();
                let constant = map.len() - Own::COUNT - copies;
                *kept = plain.then(|| Template { map: map.clone(), constant, upstream });
                map
            }
        }
    }
}

impl Template {
    fn fits(&self, upstream: &HeaderMap) -> bool {
        upstream.len() == self.upstream.len() && upstream.keys().eq(&self.upstream)
    }

    /// A map keeps the order in which names came, and so does its copy; a test holds that.
    fn filled(&self, facts: &Facts, own: Own) -> HeaderMap {
        let mut map = self.map.clone();
        let mut places = map.values_mut();
        // The shorter one first: the other must not lose a place when it ends.
        for (value, place) in own.values().into_iter().zip(places.by_ref()) {
            *place = value;
        }
        let copies = facts.upstream_headers.iter().filter(|(name, _)| !stays_behind(name));
        for (place, (_, value)) in places.skip(self.constant).zip(copies) {
            *place = value.clone();
        }
        map
    }
}

thread_local! {
    static TEMPLATES: RefCell<Templates> = RefCell::default();
}

fn content(map: &mut HeaderMap, streamed: bool) {
    if streamed {
        map.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
        map.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        map.insert(&ACCEL_BUFFERING, HeaderValue::from_static("no"));
    } else {
        map.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
}

fn deployment(map: &mut HeaderMap, operation: Operation, streamed: bool, facts: &Facts) {
    let labels = facts.snapshot.labels(facts.deployment);
    map.insert(&MODEL_ID, labels.id.clone());
    map.insert(
        &MODEL_NAME,
        facts.upstream_model.as_deref().map_or_else(|| labels.model.clone(), header_text),
    );
    // LiteLLM's whole Messages replies go without.
    if operation != Operation::Messages || streamed {
        let base = facts.shown_base.as_deref().map(header_text).or_else(|| labels.base.clone());
        if let Some(base) = base.filter(|base| !base.is_empty()) {
            map.insert(&API_BASE, base);
        }
    }
    if !facts.group.is_empty() {
        map.insert(&MODEL_GROUP, header_text(&facts.snapshot.spec(facts.deployment).group));
    }
}

fn attempts(map: &mut HeaderMap, facts: &Facts) {
    if facts.fallbacks > 0 {
        map.insert(&FALLBACKS, HeaderValue::from(facts.fallbacks));
    }
    if facts.retries > 0 {
        map.insert(&RETRIES, HeaderValue::from(facts.retries));
        if let Some(most) = facts.max_retries {
            map.insert(&MAX_RETRIES, HeaderValue::from(most));
        }
    }
}

fn cost(map: &mut HeaderMap, facts: &Facts) {
    let Some(Cost { input, output }) = facts.cost.filter(|cost| cost.total().is_positive()) else { return };
    let text = &mut String::with_capacity(32);
    let total = dollars(text, input + output);
    map.insert(&COST, total.clone());
    map.insert(&COST_ORIGINAL, total.clone());
    map.insert(&COST_INPUT, dollars(text, input));
    map.insert(&COST_OUTPUT, dollars(text, output));
    // The master key's spend before the call is not kept, as in LiteLLM without a database.
    map.insert(&KEY_SPEND, total);
}

/// What a key has used up and what it may. A whole answer's cost is in it already, a stream's not yet.
fn allowed(map: &mut HeaderMap, facts: &AllowanceFacts) {
    let text = &mut String::with_capacity(32);
    map.insert(&KEY_SPEND, dollars(text, facts.key_spend));
    if let Some(most) = facts.key_max_budget {
        map.insert(&KEY_MAX_BUDGET, dollars(text, most));
    }
    for (name, limit) in [(&KEY_RPM_LIMIT, facts.key_rpm_limit), (&KEY_TPM_LIMIT, facts.key_tpm_limit)] {
        if let Some(limit) = limit {
            map.insert(name, HeaderValue::from(limit));
        }
    }
    for (name, value) in &facts.rates {
        map.insert(name, value.clone());
    }
}

/// Copies what the upstream sent, each under `llm_provider-`.
fn copied(map: &mut HeaderMap, upstream: &HeaderMap) {
    for name in &RATE_LIMITS {
        if let Some(value) = upstream.get(name) {
            map.insert(name, value.clone());
        }
    }
    PREFIXED.with_borrow_mut(|known| {
        for (name, value) in upstream {
            if stays_behind(name) {
                continue;
            }
            if let Some(prefixed) = known.get(name) {
                map.append(prefixed, value.clone());
            } else if let Ok(prefixed) = HeaderName::try_from(format!("llm_provider-{name}")) {
                if known.len() < REMEMBERED {
                    known.insert(name.clone(), prefixed.clone());
                }
                map.append(prefixed, value.clone());
            }
        }
    });
}

thread_local! {
    static PREFIXED: RefCell<HashMap<HeaderName, HeaderName>> = RefCell::default();
}

/// Headers that speak of the connection, not of the reply, and the upstream's session with us.
fn stays_behind(name: &HeaderName) -> bool {
    *name == CONNECTION
        || *name == TRANSFER_ENCODING
        || *name == SET_COOKIE
        || *name == TE
        || *name == TRAILER
        || *name == UPGRADE
        || *name == PROXY_AUTHENTICATE
        || *name == PROXY_AUTHORIZATION
        || *name == KEEP_ALIVE
        || *name == PROXY_CONNECTION
}

/// The headers of a call that failed, besides its id.
pub(crate) fn uncharged(map: &mut HeaderMap) {
    map.insert(&VERSION, HeaderValue::from_static(COMPATIBLE_WITH));
    map.insert(&COST, HeaderValue::from_static("0"));
    map.insert(&KEY_SPEND, ZERO.clone());
}

/// The limit of the failed attempt, in seconds.
pub(crate) fn timeout(map: &mut HeaderMap, limit: Duration) {
    let mut text = String::new();
    python_float(&mut text, limit.as_secs_f64());
    map.insert(&TIMEOUT, value(&text));
}

/// What every response has; answers have it from [`full`].
pub(crate) fn everywhere(map: &mut HeaderMap) {
    if map.contains_key(VARY) {
        return;
    }
    map.insert(VARY, HeaderValue::from_static("Origin"));
    map.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    map.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("frame-ancestors 'none'"));
    map.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

fn dollars(text: &mut String, amount: Money) -> HeaderValue {
    text.clear();
    python_float(text, amount.dollars());
    value(text)
}

/// A text of our own making: digits, signs and points.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| ZERO.clone())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tagrail::config::load_text;
    use tagrail::routing::RequestTag;
    use tagrail::{Allowance, Caller, Need, OverLimit, Reservation, Router};

    use super::*;

    const CONFIG: &str = r#"{"model_list": [
        {"model_name": "g", "litellm_params": {"model": "openai/m", "api_key": "k"}, "model_info": {"id": "a"}},
        {"model_name": "h", "litellm_params": {"model": "openai/n", "api_key": "k"}, "model_info": {"id": "b"}}
    ], "general_settings": {"master_key": "sk-1234"}}"#;

    fn facts(snapshot: &Arc<Snapshot>, id: &str, upstream: &[(&'static str, &'static str)]) -> Facts {
        let mut headers = HeaderMap::new();
        for (name, value) in upstream {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let deployment = snapshot.table.by_id(id).unwrap();
        Facts {
            snapshot: snapshot.clone(),
            deployment,
            group: snapshot.spec(deployment).group.clone(),
            upstream_model: None,
            shown_base: None,
            retries: 0,
            max_retries: None,
            fallbacks: 0,
            attempts: 1,
            tags: None,
            decision: None,
            upstream_headers: headers,
            started: Instant::now(),
            upstream_time: Duration::from_millis(1),
            usage: None,
            cost: None,
            caller: Arc::default(),
        }
    }

    /// Name and value of all headers but the durations, which differ from moment to moment.
    fn seen(map: &HeaderMap) -> Vec<(String, String)> {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let mut all: Vec<_> = map
            .iter()
            .filter(|(name, _)| *name != DURATION && *name != OVERHEAD)
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect();
        all.sort();
        all
    }

    #[test]
    fn a_copied_map_says_what_a_filled_one_says() {
        let resolved = load_text(CONFIG, Path::new("test.yaml"), &|_| None).resolved.unwrap();
        let snapshot = Router::new(resolved, Arc::new(())).snapshot();
        let answers = [
            facts(&snapshot, "a", &[("date", "1"), ("x-request-id", "r1"), ("connection", "close")]),
            facts(&snapshot, "a", &[("date", "2"), ("x-request-id", "r2"), ("connection", "close")]),
            facts(&snapshot, "b", &[("date", "3"), ("x-request-id", "r3"), ("connection", "close")]),
            facts(&snapshot, "a", &[("date", "4"), ("server", "s"), ("connection", "close")]),
            facts(&snapshot, "a", &[("date", "5"), ("server", "t"), ("connection", "close")]),
            facts(&snapshot, "a", &[("date", "6"), ("link", "x"), ("link", "y")]),
            facts(&snapshot, "a", &[("date", "7"), ("x-ratelimit-limit-requests", "9")]),
            facts(&snapshot, "a", &[("date", "8"), ("x-ratelimit-limit-requests", "8")]),
            facts(&snapshot, "a", &[]),
            facts(&snapshot, "a", &[]),
        ];
        for (number, facts) in answers.iter().enumerate() {
            let id = || HeaderValue::from_str(&format!("call-{number}")).unwrap();
            let operation = Operation::ChatCompletions;
            let own = Own { call_id: id(), total: Duration::ZERO, upstream: facts.upstream_time };
            let filled = full(operation, false, facts, own);
            assert_eq!(seen(&answered(operation, false, facts, id())), seen(&filled), "answer {number}");
        }
    }

    /// A caller who may spend so much.
    struct Spends(f64);

    impl Allowance for Spends {
        fn reserve(&self, _: &Need<'_>) -> Result<Box<dyn Reservation>, OverLimit> {
            unreachable!("nothing is called")
        }

        fn has_budget(&self, _: &[RequestTag<'_>]) -> bool {
            true
        }

        fn facts(&self) -> AllowanceFacts {
            let rate = (HeaderName::from_static("x-ratelimit-api_key-limit-requests"), HeaderValue::from(7));
            AllowanceFacts {
                key_spend: Money::saturating_from_dollars(self.0),
                key_max_budget: Some(Money::saturating_from_dollars(10.0)),
                key_rpm_limit: Some(7),
                rates: vec![rate],
                ..AllowanceFacts::default()
            }
        }
    }

    #[test]
    fn a_copied_map_says_nothing_of_another_caller() {
        let resolved = load_text(CONFIG, Path::new("test.yaml"), &|_| None).resolved.unwrap();
        let snapshot = Router::new(resolved, Arc::new(())).snapshot();
        let upstream = [("date", "1"), ("server", "s")];
        let asked = |spends: Option<f64>| {
            let allowance = spends.map(|spends| Arc::new(Spends(spends)) as Arc<dyn Allowance>);
            let caller = Arc::new(Caller { allowance, ..Caller::default() });
            let facts = Facts { caller, ..facts(&snapshot, "a", &upstream) };
            let map = answered(Operation::ChatCompletions, false, &facts, HeaderValue::from_static("id"));
            let of = |name: &str| map.get(name).map(|value| value.to_str().unwrap().to_owned());
            [KEY_SPEND.as_str(), KEY_MAX_BUDGET.as_str(), KEY_RPM_LIMIT.as_str(), KEY_TPM_LIMIT.as_str()]
                .map(of)
                .map(Option::unwrap_or_default)
        };
        for _ in 0..2 {
            assert_eq!(asked(Some(1.5)), ["1.5", "10.0", "7", ""]);
            assert_eq!(asked(Some(0.25)), ["0.25", "10.0", "7", ""]);
            assert_eq!(asked(None), ["0.0", "", "", ""]);
        }
    }

    #[test]
    fn the_upstreams_headers_are_copied_but_not_its_connection() {
        let mut upstream = HeaderMap::new();
        for (name, value) in [
            ("x-request-id", "req_1"),
            ("content-type", "application/json"),
            ("x-ratelimit-limit-requests", "1000"),
            ("set-cookie", "session=1"),
            ("transfer-encoding", "chunked"),
            ("connection", "close"),
            ("keep-alive", "timeout=5"),
        ] {
            upstream.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let mut map = HeaderMap::new();
        copied(&mut map, &upstream);
        let mut seen: Vec<_> =
            map.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        seen.sort();
        assert_eq!(
            seen,
            [
                "llm_provider-content-type: application/json",
                "llm_provider-x-ratelimit-limit-requests: 1000",
                "llm_provider-x-request-id: req_1",
                "x-ratelimit-limit-requests: 1000",
            ]
        );
    }
}
