//! The configuration in use: routing table, targets and settings, swapped as one.

use std::sync::Arc;

use http::HeaderValue;
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use tagrail_config::{DeploymentSettings, GeneralSettings, LeftOut, PriceOverride, Resolved, RouterSettings};
use tagrail_providers::{Catalogue, ModelFacts, Usage};
use tagrail_routing::{DeploymentIndex, DeploymentSpec, RoutingTable};

use crate::scoreboard::{Board, Scoreboard, State};

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
    labels: Vec<Labels>,
    board: Board,
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
    pub(crate) fn new(resolved: Resolved, scoreboard: &Scoreboard) -> Snapshot {
        let Resolved { table, deployments, router, general, left_out, .. } = resolved;
        let specs = table.deployments();
        let labels =
            specs.iter().zip(&deployments).map(|(spec, settings)| Labels::new(spec, settings)).collect();
        let state = |(spec, settings): (&DeploymentSpec, &DeploymentSettings)| {
            scoreboard.state(&spec.id, settings.max_parallel_requests)
        };
        let board = Board(specs.iter().zip(&deployments).map(state).collect());
        scoreboard.retain(|id| table.by_id(id).is_some());
        Snapshot { table, deployments, router, general, left_out, labels, board }
    }

    pub(crate) fn board(&self) -> &Board {
        &self.board
    }

    pub(crate) fn state(&self, index: DeploymentIndex) -> &Arc<State> {
        &self.board.0[index.slot()]
    }

    /// What a model costs at a deployment: its own prices before the catalogue's.
    pub(crate) fn price(&self, index: DeploymentIndex, provider: &str, model: &str) -> Price {
        let settings = self.deployment(index);
        let base = settings.info.get("base_model").and_then(|name| name.as_str()).unwrap_or(model);
        Price { own: settings.price, listed: Catalogue.facts(provider, base) }
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

impl Labels {
    fn new(spec: &DeploymentSpec, settings: &DeploymentSettings) -> Labels {
        let base =
            settings.target.resolve(&spec.model).ok().and_then(|place| place.shown_base.map(header_text));
        Labels { id: header_text(&spec.id), model: header_text(&spec.model), base }
    }
}

/// A text as a header's value: what fits no header is percent-encoded (row D33).
pub fn header_text(text: &str) -> HeaderValue {
    const UNFIT: &AsciiSet = &CONTROLS.add(b'%');
    let fits = text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) && text.trim() == text;
    let plain = if fits { HeaderValue::from_str(text).ok() } else { None };
    plain.unwrap_or_else(|| {
        let encoded: String = percent_encode(text.as_bytes(), UNFIT).collect();
        let encoded = encoded.replace(' ', "%20");
        HeaderValue::from_str(&encoded).unwrap_or_else(|_| HeaderValue::from_static(""))
    })
}

/// US dollars per token of one model at one deployment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Price {
    own: PriceOverride,
    listed: Option<&'static ModelFacts>,
}

impl Price {
    /// (input, output) of a call; `None` when neither price is known.
    pub(crate) fn cost(&self, usage: Usage) -> Option<(f64, f64)> {
        let listed = |of: fn(&ModelFacts) -> Option<f64>| self.listed.and_then(of);
        let input = self.own.input.or_else(|| listed(|facts| facts.input_cost_per_token));
        let output = self.own.output.or_else(|| listed(|facts| facts.output_cost_per_token));
        if input.is_none() && output.is_none() {
            return None;
        }
        let input = input.unwrap_or(0.0);
        let read =
            self.own.cache_read.or_else(|| listed(|facts| facts.cache_read_cost_per_token)).unwrap_or(input);
        let write = self
            .own
            .cache_creation
            .or_else(|| listed(|facts| facts.cache_creation_cost_per_token))
            .unwrap_or(input);
        let plain = usage.input.saturating_sub(usage.cache_read + usage.cache_creation);
        let times = |tokens: u64, price: f64| {
            #[allow(clippy::cast_precision_loss, reason = "token counts are far below 2^53")]
            let tokens = tokens as f64;
            tokens * price
        };
        let input = times(plain, input) + times(usage.cache_read, read) + times(usage.cache_creation, write);
        Some((input, times(usage.output, output.unwrap_or(0.0))))
    }
}
