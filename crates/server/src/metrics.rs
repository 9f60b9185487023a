//! What is counted, in Prometheus' terms. Labels are names from the configuration, never what a
//! client sent, so their number is bounded.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tagrail::{Outcome, Recorder};
use tagrail_store::JournalHealth;

/// Seconds. A call takes milliseconds when mocked and minutes when a model thinks.
const SECONDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// Most label sets that a core remembers the counters of; beyond that it asks the registry.
const REMEMBERED: usize = 4096;

/// The counters of a server. One for all cores.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<Call, Counter>,
    durations: Family<Served, Histogram, fn() -> Histogram>,
    first_bytes: Family<Served, Histogram, fn() -> Histogram>,
    tokens: Family<Tokens, Counter>,
    cost: Family<Served, Counter<f64, AtomicU64>>,
    cut_short: Family<Served, Counter>,
    further_attempts: Family<Served, Counter>,
    refused: Family<Refused, Counter>,
    in_flight: Gauge,
    left_out: Gauge,
    cooldowns: Family<Deployment, Counter>,
    keys_refused: Family<KeyRefused, Counter>,
    over_limit: Family<OverLimit, Counter>,
    store: StoreGauges,
    panics: Counter,
    log_lines_dropped: Counter,
}

/// How the store and the way to it are; all zero for a gateway without one.
#[derive(Debug, Default)]
struct StoreGauges {
    unreachable: Gauge,
    unwritable: Gauge,
    waiting: Gauge,
    lost: Gauge,
    damaged: Gauge,
    behind: Gauge,
    failing: Gauge,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Call {
    operation: &'static str,
    group: String,
    deployment: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Served {
    operation: &'static str,
    group: String,
    deployment: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Tokens {
    group: String,
    deployment: String,
    direction: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Refused {
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Deployment {
    deployment: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KeyRefused {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OverLimit {
    limit: &'static str,
    of: &'static str,
}

/// The counters of one label set, found once per core: the registry's families hash owned strings
/// under a lock that all cores share.
struct Handles {
    requests: Counter,
    duration: Histogram,
    /// Only streams have one.
    first_byte: OnceLock<Histogram>,
    input: Counter,
    output: Counter,
    cost: Counter<f64, AtomicU64>,
    cut_short: Counter,
    further_attempts: Counter,
}

/// One core's way to the counters: what it has counted into before it finds without a shared lock.
struct CoreRecorder {
    metrics: Arc<Metrics>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Those of the call before: mostly the next one's too.
    last: Option<(Call, Arc<Handles>)>,
    all: HashMap<Call, Arc<Handles>>,
}

impl Metrics {
    /// No call counted yet.
    pub fn new() -> Metrics {
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        let mut metrics = Metrics {
            registry: Registry::with_prefix("tagrail"),
            requests: Family::default(),
            durations: Family::new_with_constructor(histogram),
            first_bytes: Family::new_with_constructor(histogram),
            tokens: Family::default(),
            cost: Family::default(),
            cut_short: Family::default(),
            further_attempts: Family::default(),
            refused: Family::default(),
            in_flight: Gauge::default(),
            left_out: Gauge::default(),
            cooldowns: Family::default(),
            keys_refused: Family::default(),
            over_limit: Family::default(),
            store: StoreGauges::default(),
            panics: Counter::default(),
            log_lines_dropped: Counter::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The running version", build);
        registry.register("requests", "Finished calls", self.requests.clone());
        registry.register(
            "request_duration_seconds",
            "From a call's start to the end of its reply",
            self.durations.clone(),
        );
        registry.register(
            "first_byte_seconds",
            "From a call's start to the first byte of its streamed reply",
            self.first_bytes.clone(),
        );
        registry.register("tokens", "Tokens that upstreams reported", self.tokens.clone());
        registry.register("cost_dollars", "What calls cost, where prices are known", self.cost.clone());
        registry.register("cut_short", "Streams that broke or were left", self.cut_short.clone());
        registry.register(
            "further_attempts",
            "Tries beyond a call's first, by whom the last was made: retries and fallbacks",
            self.further_attempts.clone(),
        );
        registry.register(
            "refused_requests",
            "Requests that were refused before they were calls: no key, too large, not readable, no such route",
            self.refused.clone(),
        );
        registry.register("requests_in_flight", "Calls that are being answered", self.in_flight.clone());
        registry.register(
            "deployments_left_out",
            "Deployments left out for a mistake in the configuration",
            self.left_out.clone(),
        );
        registry.register("deployment_cooldowns", "Cooldowns begun", self.cooldowns.clone());
        registry.register("keys_refused", "Virtual keys that were refused", self.keys_refused.clone());
        registry.register(
            "over_limit",
            "Calls that were refused for a limit or a budget, by whose it was",
            self.over_limit.clone(),
        );
        registry.register("panics", "Panics: each cost one connection or task", self.panics.clone());
        registry.register(
            "log_lines_dropped",
            "Log lines that were dropped, since standard error was not read or is closed",
            self.log_lines_dropped.clone(),
        );
        let StoreGauges { unreachable, unwritable, waiting, lost, damaged, behind, failing } = &self.store;
        for (name, help, gauge) in [
            ("database_unreachable", "Whether there is a database that does not answer", unreachable),
            ("database_unwritable", "Whether there is a database that takes no changes", unwritable),
            (
                "journal_waiting_rows",
                "Rows of spend that could not be written down and wait in memory",
                waiting,
            ),
            ("journal_lost_rows", "Rows of spend that are gone", lost),
            ("journal_damaged_lines", "Lines of the journal that could not be read", damaged),
            ("journal_behind_bytes", "Spend that is not in the database yet", behind),
            ("journal_failing", "Whether the journal cannot be written or synced", failing),
        ] {
            registry.register(name, help, gauge.clone());
        }
    }

    /// A recorder for one core.
    pub fn recorder(self: &Arc<Self>) -> Arc<dyn Recorder> {
        Arc::new(CoreRecorder { metrics: self.clone(), known: Mutex::default() })
    }

    /// The text that `GET /metrics` answers.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// The same for those who do not read OpenMetrics: Prometheus' text format 0.0.4, where counters are
    /// called by the whole of their names, and nothing is an info or has an end.
    pub(crate) fn plain_text(&self) -> String {
        let mut plain = String::new();
        for line in self.text().lines() {
            let described = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '));
            // Writing into a String does not fail.
            let _ = match described {
                Some((name, "counter")) => writeln!(plain, "# TYPE {name}_total counter"),
                Some((name, "info")) => writeln!(plain, "# TYPE {name}_info gauge"),
                None if line == "# EOF" => Ok(()),
                _ => writeln!(plain, "{line}"),
            };
        }
        plain
    }

    /// Counts a request that did not become a call.
    pub(crate) fn refused(&self, status: StatusCode) {
        self.refused.get_or_create(&Refused { status: status.as_u16() }).inc();
    }

    /// Counts a virtual key that did not open.
    pub(crate) fn key_refused(&self, reason: &'static str) {
        self.keys_refused.get_or_create(&KeyRefused { reason }).inc();
    }

    /// Counts a call that a limit or a budget refused.
    pub(crate) fn over_limit(&self, limit: &'static str, of: &'static str) {
        self.over_limit.get_or_create(&OverLimit { limit, of }).inc();
    }

    /// Counts a panic, wherever it was.
    pub fn panicked(&self) {
        self.panics.inc();
    }

    /// Counts log lines that could not be written.
    pub fn log_lines_dropped(&self, lines: u64) {
        self.log_lines_dropped.inc_by(lines);
    }

    /// Takes down how the store and the journal are.
    pub(crate) fn set_store(&self, connected: bool, writable: bool, journal: &JournalHealth) {
        let of = |gauge: &Gauge, value: u64| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        of(&self.store.unreachable, u64::from(!connected));
        of(&self.store.unwritable, u64::from(!writable));
        of(&self.store.waiting, journal.waiting);
        of(&self.store.lost, journal.lost);
        of(&self.store.damaged, journal.damaged);
        of(&self.store.behind, journal.behind);
        of(&self.store.failing, u64::from(journal.failing));
    }

    /// Counts a call until the guard is dropped.
    pub(crate) fn enter(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    pub(crate) fn set_left_out(&self, count: usize) {
        self.left_out.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    fn handles(&self, outcome: &Outcome<'_>) -> Handles {
        let served = Served::of(outcome);
        let tokens = |direction| {
            let Served { group, deployment, .. } = served.clone();
            let labels = Tokens { group, deployment, direction };
            self.tokens.get_or_create_owned(&labels)
        };
        Handles {
            requests: self.requests.get_or_create_owned(&Call::of(outcome)),
            duration: self.durations.get_or_create_owned(&served),
            first_byte: OnceLock::new(),
            input: tokens("input"),
            output: tokens("output"),
            cost: self.cost.get_or_create_owned(&served),
            cut_short: self.cut_short.get_or_create_owned(&served),
            further_attempts: self.further_attempts.get_or_create_owned(&served),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

impl Handles {
    fn record(&self, outcome: &Outcome<'_>, metrics: &Metrics) {
        self.requests.inc();
        self.duration.observe(outcome.duration.as_secs_f64());
        if let Some(first_byte) = outcome.first_byte {
            let of_call = || metrics.first_bytes.get_or_create_owned(&Served::of(outcome));
            self.first_byte.get_or_init(of_call).observe(first_byte.as_secs_f64());
        }
        if let Some(usage) = outcome.usage {
            self.input.inc_by(usage.input);
            self.output.inc_by(usage.output);
        }
        if let Some(cost) = outcome.cost {
            self.cost.inc_by(cost.dollars());
        }
        if outcome.cut_short {
            self.cut_short.inc();
        }
        if outcome.attempts > 1 {
            self.further_attempts.inc_by(u64::from(outcome.attempts - 1));
        }
    }
}

/// For a router that has no cores; on one, [`Metrics::recorder`] is cheaper.
impl Recorder for Metrics {
    fn record(&self, outcome: &Outcome<'_>) {
        self.handles(outcome).record(outcome, self);
    }

    fn cooled(&self, deployment: &str, _until: Duration) {
        self.cooldowns.get_or_create(&Deployment { deployment: deployment.to_owned() }).inc();
    }

    fn wants_details(&self) -> bool {
        false
    }
}

impl Recorder for CoreRecorder {
    fn record(&self, outcome: &Outcome<'_>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((labels, handles)) = &known.last
            && labels.fit(outcome)
        {
            handles.record(outcome, &self.metrics);
            return;
        }
        let labels = Call::of(outcome);
        let handles = match known.all.get(&labels) {
            Some(handles) => handles.clone(),
            None => Arc::new(self.metrics.handles(outcome)),
        };
        handles.record(outcome, &self.metrics);
        if known.all.len() < REMEMBERED {
            known.all.entry(labels.clone()).or_insert_with(|| handles.clone());
        }
        known.last = Some((labels, handles));
    }

    fn cooled(&self, deployment: &str, until: Duration) {
        self.metrics.cooled(deployment, until);
    }

    fn wants_details(&self) -> bool {
        false
    }
}

impl Call {
    fn of(outcome: &Outcome<'_>) -> Call {
        Call {
            operation: outcome.operation.name(),
            group: outcome.group.to_owned(),
            deployment: outcome.deployment.to_owned(),
            status: outcome.status,
        }
    }

    fn fit(&self, outcome: &Outcome<'_>) -> bool {
        self.status == outcome.status
            && self.deployment == outcome.deployment
            && self.group == outcome.group
            && self.operation == outcome.operation.name()
    }
}

impl Served {
    fn of(outcome: &Outcome<'_>) -> Served {
        Served {
            operation: outcome.operation.name(),
            group: outcome.group.to_owned(),
            deployment: outcome.deployment.to_owned(),
        }
    }
}

/// A call that is being answered.
pub(crate) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use tagrail::{Operation, Usage};

    use super::*;

    fn outcome() -> Outcome<'static> {
        Outcome {
            operation: Operation::ChatCompletions,
            group: "gpt",
            deployment: "one",
            status: 200,
            duration: Duration::from_millis(20),
            first_byte: None,
            usage: Some(Usage { input: 3, output: 4, ..Usage::default() }),
            cost: Some(tagrail::Money::saturating_from_dollars(0.5)),
            attempts: 1,
            asked: true,
            cut_short: false,
            caller: Box::leak(Box::default()),
            call_id: "",
            model: "gpt",
            upstream_model: "",
            provider: "",
            api_base: "",
            tags: &[],
            end_user: None,
            estimated: false,
            decision: "",
            started: std::time::SystemTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn an_outcome_is_counted_once_under_its_labels() {
        let metrics = Arc::new(Metrics::new());
        let (one_core, another) = (metrics.recorder(), metrics.recorder());
        one_core.record(&outcome());
        another.record(&outcome());
        one_core.record(&Outcome { status: 429, usage: None, cost: None, ..outcome() });
        let text = metrics.text();
        let labels = r#"operation="chat_completions",group="gpt",deployment="one""#;
        for line in [
            format!("tagrail_requests_total{{{labels},status=\"200\"}} 2"),
            format!("tagrail_requests_total{{{labels},status=\"429\"}} 1"),
            format!("tagrail_request_duration_seconds_count{{{labels}}} 3"),
            format!("tagrail_cost_dollars_total{{{labels}}} 1.0"),
            r#"tagrail_tokens_total{group="gpt",deployment="one",direction="input"} 6"#.to_owned(),
            r#"tagrail_tokens_total{group="gpt",deployment="one",direction="output"} 8"#.to_owned(),
        ] {
            assert!(text.lines().any(|seen| seen == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn further_attempts_are_counted_and_first_bytes_of_streams_alone() {
        let metrics = Arc::new(Metrics::new());
        let recorder = metrics.recorder();
        recorder.record(&outcome());
        let labels = r#"{operation="chat_completions",group="gpt",deployment="one"}"#;
        assert!(metrics.text().contains(&format!("tagrail_further_attempts_total{labels} 0")));
        assert!(!metrics.text().contains("first_byte_seconds_count"));
        let streamed = Outcome { attempts: 3, first_byte: Some(Duration::from_millis(1)), ..outcome() };
        recorder.record(&streamed);
        recorder.record(&streamed);
        assert!(metrics.text().contains(&format!("tagrail_further_attempts_total{labels} 4")));
        assert!(metrics.text().contains(&format!("tagrail_first_byte_seconds_count{labels} 2")));
    }

    #[test]
    fn a_cooldown_is_counted_by_deployment() {
        let metrics = Arc::new(Metrics::new());
        metrics.recorder().cooled("one", Duration::from_secs(5));
        assert!(metrics.text().contains("tagrail_deployment_cooldowns_total{deployment=\"one\"} 1"));
    }

    #[test]
    fn the_store_and_the_journal_are_told_of() {
        let metrics = Metrics::new();
        assert!(metrics.plain_text().contains("\ntagrail_database_unreachable 0\n"));
        metrics.set_store(false, false, &JournalHealth { behind: 7, ..JournalHealth::default() });
        for line in [
            "tagrail_database_unreachable 1",
            "tagrail_database_unwritable 1",
            "tagrail_journal_behind_bytes 7",
        ] {
            let text = metrics.plain_text();
            assert!(text.lines().any(|seen| seen == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn panics_and_dropped_log_lines_are_counted() {
        let metrics = Metrics::new();
        metrics.panicked();
        metrics.log_lines_dropped(7);
        for line in ["tagrail_panics_total 1", "tagrail_log_lines_dropped_total 7"] {
            assert!(metrics.text().lines().any(|seen| seen == line), "{line}");
        }
    }

    #[test]
    fn what_is_in_flight_is_counted_until_it_is_dropped() {
        let metrics = Metrics::new();
        let call = metrics.enter();
        assert!(metrics.text().contains("tagrail_requests_in_flight 1"));
        drop(call);
        assert!(metrics.text().contains("tagrail_requests_in_flight 0"));
    }
}
