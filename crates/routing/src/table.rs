//! `RoutingTable::decide`: the stages, one line each.

use std::borrow::Cow;
use std::sync::Arc;

use crate::{
    Chance, Decision, DeploymentIndex, DeploymentSpec, Explanation, LeftOutSpec, Mistake, Moment, NoRoute,
    RequestTag, RoutingMode, Rules, Signals,
};

/// Which provider a bare model name belongs to; the price table knows.
pub trait ProviderGuess: Send + Sync {
    /// `gpt-4o` is `Some("openai")`.
    fn provider_of(&self, model: &str) -> Option<&str>;
}

/// Nothing is ever guessed.
impl ProviderGuess for () {
    fn provider_of(&self, _: &str) -> Option<&str> {
        None
    }
}

/// `model_group_alias`: one hop.
#[derive(Clone, Debug, Default)]
pub struct AliasSpec {
    /// What clients may call.
    pub name: String,
    /// What it stands for.
    pub target: String,
    /// Callable, but not listed.
    pub hidden: bool,
}

/// Which table of fallbacks an error asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FallbackKind {
    /// `fallbacks`.
    General,
    /// `context_window_fallbacks`.
    ContextWindow,
    /// `content_policy_fallbacks`.
    ContentPolicy,
}

/// The configured fallbacks: (key, names) in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct FallbackSpec {
    /// `fallbacks`; a key `*` counts as `default_fallbacks`.
    pub general: Vec<(String, Vec<String>)>,
    /// `context_window_fallbacks`.
    pub context_window: Vec<(String, Vec<String>)>,
    /// `content_policy_fallbacks`.
    pub content_policy: Vec<(String, Vec<String>)>,
    /// `default_fallbacks`.
    pub default: Vec<String>,
}

/// Everything that a table is compiled from.
#[derive(Clone)]
pub struct TableSpec {
    /// In the order of the file.
    pub deployments: Vec<DeploymentSpec>,
    /// Those left out for a mistake before the table was made.
    pub left_out: Vec<LeftOutSpec>,
    /// `model_group_alias`.
    pub aliases: Vec<AliasSpec>,
    /// All fallbacks.
    pub fallbacks: FallbackSpec,
    /// `enable_tag_filtering` of the router.
    pub tag_filtering: bool,
    /// `tag_filtering_match_any`.
    pub match_any: bool,
    /// `tag_routing_prefix`.
    pub tag_prefix: String,
    /// `routing_mode`.
    pub mode: RoutingMode,
    /// Provider inference for bare names.
    pub guess: Arc<dyn ProviderGuess>,
}

/// A table, and what could not be put into it.
pub struct Compiled {
    /// Ready to decide; deployments at fault are left out of it (they keep their index).
    pub table: RoutingTable,
    /// Every mistake, not the first.
    pub mistakes: Vec<Mistake>,
}

/// One question.
#[derive(Clone, Copy)]
pub struct RouteRequest<'a> {
    /// The name as the client sent it.
    pub model: &'a str,
    /// All tags, with their origin, in LiteLLM's order.
    pub tags: &'a [RequestTag<'a>],
    /// The value of the `User-Agent` header, for `tag_regex`.
    pub user_agent: Option<&'a str>,
    /// Forces tag filtering on for this call; cannot switch it off.
    pub force_tag_filtering: bool,
    /// Now.
    pub moment: Moment,
    /// The randomness of this decision.
    pub chance: Chance,
}

/// The compiled, immutable table.
pub struct RoutingTable {
    rules: Rules,
    deployments: Vec<DeploymentSpec>,
}

impl RoutingTable {
    /// Compiles; reports every mistake, not the first.
    pub fn compile(spec: TableSpec) -> Compiled {
        let table = RoutingTable { rules: spec.mode.into(), deployments: spec.deployments };
        Compiled { table, mistakes: Vec::new() }
    }

    /// Who may serve this call, in which order. Computes no reasons.
    ///
    /// # Errors
    /// Says why nobody may.
    pub fn decide(&self, _request: &RouteRequest<'_>, _signals: &dyn Signals) -> Result<Decision, NoRoute> {
        Err(NoRoute::UnknownModel { wildcards_configured: false })
    }

    /// The same decision by the same stages, with the reason for every deployment of the group.
    pub fn explain(&self, request: &RouteRequest<'_>, signals: &dyn Signals) -> Explanation {
        let decision = self.decide(request, signals);
        Explanation { decision, group: None, verdicts: Vec::new(), notes: Vec::new() }
    }

    /// The provider-qualified upstream model of `deployment` for this decision, captures filled in.
    pub fn upstream_model<'a>(&'a self, _decision: &'a Decision, deployment: DeploymentIndex) -> Cow<'a, str> {
        Cow::Borrowed(&self.deployments[deployment.slot()].model)
    }

    /// The fallback names for a requested name: key matching by the literal name, else the
    /// provider-stripped name, else a pattern (row D18). Empty when none is configured.
    pub fn fallbacks(&self, _requested: &str, _kind: FallbackKind) -> &[String] {
        &[]
    }

    /// `default_fallbacks` (and the key `*`).
    pub fn default_fallbacks(&self) -> &[String] {
        &[]
    }

    /// The rules that the mode turned on.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// All deployments as given, left-out ones included.
    pub fn deployments(&self) -> &[DeploymentSpec] {
        &self.deployments
    }

    /// The deployment of this id.
    pub fn by_id(&self, _id: &str) -> Option<DeploymentIndex> {
        None
    }

    /// Names to list, in LiteLLM's order: visible aliases first, then groups as in the file
    /// (wildcards included, as written).
    pub fn names(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Whether any group is a wildcard.
    pub fn has_wildcards(&self) -> bool {
        false
    }

    /// Deployments that `name` stands for (exact group, alias, wildcard text as written).
    pub fn members(&self, _name: &str) -> Vec<DeploymentIndex> {
        Vec::new()
    }
}

impl Moment {
    /// Milliseconds from `self` until `later`, 0 when it has passed.
    pub fn until(self, later: Moment) -> u64 {
        later.0.saturating_sub(self.0)
    }
}

impl Chance {
    /// The chance of the next pick in one plan.
    #[must_use]
    pub fn next(self) -> Chance {
        Chance { sequence: self.sequence, draw: self.draw.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31) ^ self.draw }
    }
}
