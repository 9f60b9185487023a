//! `RoutingTable::decide`: the stages, one line each.

use std::borrow::Cow;
use std::sync::Arc;

use crate::course::Course;
use crate::explain::{Collector, Reasons};
use crate::fallback::Fallbacks;
use crate::group::{DEFAULT_TAG, GroupId, ModelGroup};
use crate::names::Names;
use crate::reserved::View;
use crate::strategy::{STRATEGIES, Strategy};
use crate::tag::{ParsedTag, Tags};
use crate::{
    Access, AliasSpec, Chance, Decision, DeploymentIndex, DeploymentSpec, Explanation, FallbackKind, Moment,
    NoRoute, RequestTag, Reservations, Reserved, Rules, Signals,
};

/// So many tags that no deployment carries and no admin has given does a call count under.
const MOST_UNKNOWN: usize = 64;

/// Bytes of one of them; as many as those have that admins give.
const LONGEST_UNKNOWN: usize = 256;

/// One question.
#[derive(Clone, Copy)]
pub struct RouteRequest<'a> {
    /// The name as the client sent it: lists are asked of it, and the caller's own aliases are followed
    /// here.
    pub model: &'a str,
    /// All tags, with their origin, in LiteLLM's order.
    pub tags: &'a [RequestTag<'a>],
    /// The value of the `User-Agent` header, for `tag_regex`.
    pub user_agent: Option<&'a str>,
    /// Forces tag filtering on for this call; cannot switch it off.
    pub force_tag_filtering: bool,
    /// Who asks.
    pub access: Access<'a>,
    /// The operator named the model (a fallback of the config), so the caller's `models` are not asked,
    /// nor its aliases.
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
    /// Whether reservations are asked.
    pub(crate) tag_grants: bool,
    /// What tells this table from every other.
    pub(crate) identity: Arc<()>,
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
        self.run(request, None, signals, &mut ())
    }

    /// The same for a call that one deployment alone can serve, because only its upstream has what the
    /// call refers to. As with an id under row D6 (here in both modes), the deployment has to be one of
    /// the name's, and access, reservations, tags and health hold for it.
    ///
    /// # Errors
    /// Says why it may not; [`NoRoute::NoDeployments`] also where the name does not lead to it.
    pub fn decide_pinned(
        &self,
        request: &RouteRequest<'_>,
        deployment: DeploymentIndex,
        signals: &dyn Signals,
    ) -> Result<Decision, NoRoute> {
        self.run(request, Some(deployment), signals, &mut ())
    }

    /// The same decision by the same stages, with the reason for every deployment of the group that is
    /// within the caller's reach; of others it says nothing.
    pub fn explain(&self, request: &RouteRequest<'_>, signals: &dyn Signals) -> Explanation {
        self.reasoned(request, None, signals, false)
    }

    /// The decision for a caller, told to an admin: also of what the caller does not reach, and why.
    pub fn explain_as(&self, request: &RouteRequest<'_>, signals: &dyn Signals) -> Explanation {
        self.reasoned(request, None, signals, true)
    }

    /// The reasons of [`RoutingTable::decide_pinned`], told to the caller or to an admin.
    pub fn explain_pinned(
        &self,
        request: &RouteRequest<'_>,
        deployment: DeploymentIndex,
        signals: &dyn Signals,
        is_privy: bool,
    ) -> Explanation {
        self.reasoned(request, Some(deployment), signals, is_privy)
    }

    fn reasoned(
        &self,
        request: &RouteRequest<'_>,
        pinned: Option<DeploymentIndex>,
        signals: &dyn Signals,
        is_privy: bool,
    ) -> Explanation {
        let mut reasons = Reasons::new(is_privy);
        let decision = self.run(request, pinned, signals, &mut reasons);
        reasons.explanation(decision)
    }

    /// The stages. By name: also whether the caller may use that name at all.
    fn run(
        &self,
        request: &RouteRequest<'_>,
        pinned: Option<DeploymentIndex>,
        signals: &dyn Signals,
        seen: &mut impl Collector,
    ) -> Result<Decision, NoRoute> {
        let mut course = Course::by_name(self, request, signals, seen)?;
        if let Some(deployment) = pinned {
            course.pin(deployment, seen)?;
        }
        course.drop_reserved(seen)?;
        course.drop_paused(seen)?;
        course.apply_tags(seen)?;
        course.drop_doubtful(seen)?;
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
        Reserved::new(self, reservations)
    }

    /// The tag names that `tags` of a team reserve when they are granted: prefix and sign off, each once,
    /// without `default` and without exclusions.
    pub fn reserving<S: AsRef<str>>(&self, tags: &[S]) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for tag in tags {
            let held = ParsedTag::read(tag.as_ref(), &self.tag_prefix).wish.held();
            let name = held.filter(|name| !name.is_empty() && *name != DEFAULT_TAG);
            names.extend(name.filter(|name| !names.iter().any(|known| known == name)).map(str::to_owned));
        }
        names
    }

    /// The tags by which a call is limited, paid and written down.
    ///
    /// Not those that are reserved and that its caller does not hold: to it they are unknown, and whoever they
    /// belong to has a budget by them, which nobody else may look into, let alone use up. And of those that
    /// nobody has configured so many and so long ones as people write: each is a sum that is kept, and in a
    /// heap of them the admin's would be lost.
    pub fn counted<'t, 'a>(
        &self,
        tags: &'t [RequestTag<'a>],
        access: Access<'_>,
    ) -> Cow<'t, [RequestTag<'a>]> {
        let view = View::of(self, access);
        let is_short = |tag: &RequestTag<'_>| tag.text.len() <= LONGEST_UNKNOWN;
        if tags.len() <= MOST_UNKNOWN && tags.iter().all(|tag| is_short(tag) && view.counts(&tag.text)) {
            return Cow::Borrowed(tags);
        }
        let mut room = MOST_UNKNOWN;
        let mut counts = |tag: &RequestTag<'_>| {
            if !view.counts(&tag.text) {
                return false;
            }
            let about = ParsedTag::read(&tag.text, &self.tag_prefix).wish.tag();
            if tag.origin.is_policy() || about.is_some_and(|name| self.tags.find(name).is_some()) {
                return true;
            }
            let fits = is_short(tag) && room > 0;
            room -= usize::from(fits);
            fits
        };
        tags.iter().filter(|tag| counts(tag)).cloned().collect()
    }

    /// Whether this caller may call `model` and something behind it is within its reach: what listings
    /// show, by the stages that decide a call. Health and pauses do not matter.
    pub fn admits(&self, model: &str, access: Access<'_>) -> bool {
        self.leads(model, access, false)
    }

    fn leads(&self, model: &str, access: Access<'_>, operators_choice: bool) -> bool {
        let request = RouteRequest {
            model,
            tags: &[],
            user_agent: None,
            force_tag_filtering: false,
            access,
            operators_choice,
            moment: Moment::default(),
            chance: Chance::default(),
        };
        let course = Course::by_name(self, &request, &(), &mut ());
        course.is_ok_and(|mut course| course.drop_reserved(&mut ()).is_ok() && course.can_serve())
    }

    /// Whether a deployment is within this caller's reach, a left-out one included.
    pub fn reaches(&self, deployment: DeploymentIndex, access: Access<'_>) -> bool {
        let Some(spec) = self.deployment(deployment) else { return false };
        View::of(self, access).reaches(&spec.tags)
            && (!self.tag_grants || access.is_left(&spec.tags, &self.tag_prefix))
    }

    /// `tag_routing_prefix`, which comes off a tag before it is read; mostly empty.
    pub fn tag_prefix(&self) -> &str {
        &self.tag_prefix
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

    /// Names to list for a caller: those of [`RoutingTable::names`] that it may call, and its own aliases.
    /// A wildcard is there when something behind it is within reach, whatever the lists say, because they
    /// may admit what it expands to: ask [`RoutingTable::admits`] of every name that is shown.
    pub fn names_for<'a>(&'a self, access: Access<'a>) -> Vec<&'a str> {
        let names = self.names().into_iter();
        let mut names: Vec<&str> =
            names.filter(|name| self.leads(name, access, name.contains('*'))).collect();
        if let Access::Caller { policy, .. } = access {
            let own = policy.aliases.keys().map(String::as_str);
            let new: Vec<&str> = own.filter(|name| !names.contains(name)).collect();
            names.extend(new.into_iter().filter(|name| self.admits(name, access)));
        }
        names
    }

    /// Whether any group is a wildcard, as far as the caller may know.
    pub fn has_wildcards(&self, access: Access<'_>) -> bool {
        self.names.has_wildcards(&View::of(self, access))
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
