//! The configuration in use: routing table, targets and settings, swapped as one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use http::HeaderValue;
use tagrail_config::{DeploymentSettings, GeneralSettings, LeftOut, PriceOverride, Resolved, RouterSettings};
use tagrail_providers::{Catalogue, ModelFacts, ModelLimits, Price, Told, UpstreamError, Usage};
use tagrail_routing::{
    Access, Decision, DeploymentIndex, DeploymentSpec, Moment, Reservations, Reserved, RoutingTable,
};

use crate::choices::Choices;
use crate::header_text::header_text;
use crate::response_id::ResponseIds;
use crate::scoreboard::{Board, Failure, Scoreboard, State};
use crate::{Caller, Recorder};

/// One configuration, immutable.
pub struct Snapshot {
    /// The compiled table.
    pub table: RoutingTable,
    /// Parallel to the table's deployments.
    pub deployments: Vec<DeploymentSettings>,
    /// `router_settings`.
    pub router: RouterSettings,
    /// `general_settings`.
    pub general: GeneralSettings,
    /// Left out for a mistake.
    pub left_out: Vec<LeftOut>,
    /// Which tags are reserved, resolved for this very table; see [`crate::Router::reserve`].
    pub reserved: ArcSwap<Reserved>,
    pub(crate) response_ids: ResponseIds,
    labels: Vec<Labels>,
    board: Board,
    /// Of the models as configured, each looked up at its first call: reading the catalogue would
    /// hold up the start. Wildcards are looked up by call.
    listed: Vec<OnceLock<Listed>>,
    /// When each deployment's usage was last warned of, in seconds since 1970.
    warned: Vec<AtomicU64>,
}

/// What is known of a model at a deployment: what it says of itself before what the catalogue says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listed {
    /// `None` when neither says anything.
    pub(crate) price: Option<Price>,
    /// How much it takes and says.
    pub(crate) limits: ModelLimits,
}

/// A deployment's constant header values, made once.
#[derive(Clone, Debug)]
pub struct Labels {
    /// Its id.
    pub id: HeaderValue,
    /// Its upstream model with provider, as configured.
    pub model: HeaderValue,
    /// Its base as shown.
    pub base: Option<HeaderValue>,
}

impl Snapshot {
    pub(crate) fn new(resolved: Resolved, scoreboard: &Scoreboard, reservations: &Reservations) -> Snapshot {
        let Resolved { table, deployments, router, general, left_out, .. } = resolved;
        let specs = table.deployments();
        let labels =
            specs.iter().zip(&deployments).map(|(spec, settings)| Labels::new(spec, settings)).collect();
        let listed = specs.iter().map(|_| OnceLock::new()).collect();
        let warned = specs.iter().map(|_| AtomicU64::new(0)).collect();
        let state = |(spec, settings): (&DeploymentSpec, &DeploymentSettings)| {
            scoreboard.state(&spec.id, settings.max_parallel_requests)
        };
        let board = Board(specs.iter().zip(&deployments).map(state).collect());
        scoreboard.retain(|id| table.by_id(id).is_some());
        let reserved = ArcSwap::from_pointee(resolve(&table, &general, reservations));
        let response_ids = ResponseIds::new(&general);
        Snapshot {
            table,
            deployments,
            router,
            general,
            left_out,
            reserved,
            response_ids,
            labels,
            board,
            listed,
            warned,
        }
    }

    /// Puts other reservations in use.
    pub(crate) fn reserve(&self, reservations: &Reservations) {
        self.reserved.store(Arc::new(resolve(&self.table, &self.general, reservations)));
    }

    /// Asks something of the table as a caller: with its policy, and what is reserved at this moment.
    pub fn as_caller<T>(&self, caller: &Caller, ask: impl FnOnce(Access<'_>) -> T) -> T {
        match &caller.policy {
            None => ask(Access::Admin),
            Some(policy) => ask(Access::Caller { policy, reserved: &self.reserved.load() }),
        }
    }

    pub(crate) fn board(&self) -> &Board {
        &self.board
    }

    pub(crate) fn state(&self, index: DeploymentIndex) -> &Arc<State> {
        &self.board.0[index.slot()]
    }

    /// A deployment that was chosen by this decision has failed. It is noted, unless what its caller chose explains
    /// it.
    pub(crate) fn note_failure(
        &self,
        decision: &Decision,
        deployment: DeploymentIndex,
        error: &UpstreamError,
        now: Moment,
        choices: Choices<'_>,
        recorder: &dyn Recorder,
    ) {
        if choices.explain(error) {
            return;
        }
        let failure = Failure {
            error,
            settings: self.deployment(deployment),
            router: &self.router,
            rules: self.table.rules(),
            group_size: decision.group_size(),
            captured: decision.captured(),
            caller: choices.caller,
        };
        if let Some(time) = self.state(deployment).failed(&failure, now) {
            recorder.cooled(&self.spec(deployment).id, time);
        }
    }

    /// What is known of a model at a deployment.
    pub(crate) fn listed(&self, index: DeploymentIndex, provider: &str, model: &str) -> Listed {
        let settings = self.deployment(index);
        if self.spec(index).model.contains('*') {
            return Listed::of(settings, provider, model);
        }
        *self.listed[index.slot()].get_or_init(|| Listed::of(settings, provider, model))
    }

    /// Says that an upstream reports tokens that cannot be: once a minute for each deployment.
    pub(crate) fn warn_of_usage(&self, index: DeploymentIndex, told: &Told, charged: Usage) {
        /// Seconds between two warnings about one deployment.
        const PAUSE: u64 = 60;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let last = &self.warned[index.slot()];
        let before = last.load(Ordering::Relaxed);
        let is_due = now.abs_diff(before) >= PAUSE;
        if !is_due || last.compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        let said = |count: Option<u64>| count.map_or("no count".to_owned(), |count| count.to_string());
        tracing::warn!(
            deployment = %self.spec(index).id,
            reported_input = said(told.input),
            reported_output = said(told.output),
            has_invalid_counts = told.is_odd,
            charged_input = charged.input,
            charged_output = charged.output,
            "the upstream reports a usage that cannot be; an estimate is charged"
        );
    }

    /// What a model without a price costs a caller with a budget.
    pub(crate) fn fallback_price(&self) -> Option<Price> {
        let price = self.general.fallback_price?;
        let PriceOverride { input, output, cache_read, cache_creation } = price;
        Some(Price { input, output, cache_read, cache_creation, long_input: input, long_output: output })
    }

    /// What routing knows of a deployment.
    pub fn spec(&self, index: DeploymentIndex) -> &DeploymentSpec {
        &self.table.deployments()[index.slot()]
    }

    /// What else is known of it.
    pub fn deployment(&self, index: DeploymentIndex) -> &DeploymentSettings {
        &self.deployments[index.slot()]
    }

    /// Its header values.
    pub fn labels(&self, index: DeploymentIndex) -> &Labels {
        &self.labels[index.slot()]
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshot({} deployments)", self.deployments.len())
    }
}

/// What the configuration reserves is reserved whatever else is known, so that a new configuration never
/// runs with the old one's.
fn resolve(table: &RoutingTable, general: &GeneralSettings, reservations: &Reservations) -> Reserved {
    match reservations {
        Reservations::Known(tags) if !general.reserved_tags.is_empty() => {
            let own = general.reserved_tags.iter().cloned();
            table.reserve(&Reservations::Known(tags.iter().cloned().chain(own).collect()))
        }
        _ => table.reserve(reservations),
    }
}

impl Listed {
    fn of(settings: &DeploymentSettings, provider: &str, model: &str) -> Listed {
        let base = settings.info.get("base_model").and_then(|name| name.as_str()).unwrap_or(model);
        let facts = Catalogue.facts(provider, base);
        let listed = facts.map(ModelFacts::price).unwrap_or_default();
        let own = settings.price;
        let price = Price {
            input: own.input.or(listed.input),
            output: own.output.or(listed.output),
            cache_read: own.cache_read.or(listed.cache_read),
            cache_creation: own.cache_creation.or(listed.cache_creation),
            // A price of one's own is meant for prompts of any length.
            long_input: own.input.or(listed.long_input),
            long_output: own.output.or(listed.long_output),
        };
        let number =
            |key: &str| settings.info.get(key).and_then(|value| value.as_u64()).filter(|most| *most > 0);
        let limits = ModelLimits {
            max_input_tokens: number("max_input_tokens").or_else(|| facts?.max_input_tokens),
            configured_output: number("max_output_tokens").or_else(|| number("max_tokens")),
            listed_output: facts.and_then(|facts| facts.max_output_tokens),
            default_output: 0,
            supports_reasoning: match settings
                .info
                .get("supports_reasoning")
                .and_then(|value| value.as_bool())
            {
                Some(stated) => Some(stated),
                None => facts.map(|facts| facts.supports_reasoning),
            },
        };
        Listed { price: (price.input.is_some() || price.output.is_some()).then_some(price), limits }
    }
}

impl Labels {
    fn new(spec: &DeploymentSpec, settings: &DeploymentSettings) -> Labels {
        let base =
            settings.target.resolve(&spec.model).ok().and_then(|place| place.shown_base.map(header_text));
        Labels { id: header_text(&spec.id), model: header_text(&spec.model), base }
    }
}
