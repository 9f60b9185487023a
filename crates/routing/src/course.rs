//! What each stage does. A course starts with the group that the name led to and narrows its
//! candidates down until one is chosen.

use crate::access;
use crate::bits::Bits;
use crate::decision::{Choice, cooling, pick};
use crate::explain::Collector;
use crate::group::ModelGroup;
use crate::names::{Found, Lost};
use crate::reserved::{Reach, View};
use crate::tag::{ParsedTag, Wish};
use crate::tag_filter::{Refusal, TagFilter};
use crate::{
    Chance, Decision, DeploymentIndex, NoRoute, Resolution, RouteRequest, RoutingTable, Rules, Signals,
};

mod reach;

/// One question on its way through the stages.
pub(crate) struct Course<'a> {
    table: &'a RoutingTable,
    request: &'a RouteRequest<'a>,
    signals: &'a dyn Signals,
    found: Found<'a>,
    group: &'a ModelGroup,
    view: View<'a>,
    /// What of the group is there for the caller; `None` is everything.
    reach: Option<Reach>,
    candidates: Bits,
    /// The candidates that the tags were matched against, when they were.
    before_tags: Option<Bits>,
    /// Only one deployment can serve the call.
    pinned: bool,
}

impl<'a> Course<'a> {
    /// The name: see [`crate::names::Names::resolve`]; and whether the caller may use it: see
    /// [`access::refusal`]. Who may not is told nothing of what the name means.
    pub(crate) fn by_name(
        table: &'a RoutingTable,
        request: &'a RouteRequest<'a>,
        signals: &'a dyn Signals,
        seen: &mut impl Collector,
    ) -> Result<Self, NoRoute> {
        let view = View::of(table, request.access);
        let denied = access::refusal(table, request, &view);
        let told = seen.is_privy();
        let denied = match denied {
            Some(denied) if !told => return Err(denied),
            denied => denied,
        };
        let found = Course::find(table, request, &view, seen).map_err(|lost| match (&denied, lost) {
            (Some(denied), _) => denied.clone(),
            (None, Lost::Unknown) => {
                NoRoute::UnknownModel { wildcards_configured: table.names.has_wildcards(&view) }
            }
            (None, Lost::Deserted) => NoRoute::NoDeployments,
        })?;
        let group = table.group(found.group);
        seen.enter(group, || view.told(found.group, group));
        if let Some(denied) = denied {
            let text = || denied.public_message(request.model, table);
            seen.remove("access", group.all(), |_| text());
            return Err(denied);
        }
        let left_out = group.left_out().all().count();
        // Mistakes in the config are the operator's business.
        if left_out > 0 && (told || matches!(view, View::All)) {
            seen.note(|| format!("{left_out} of `{}` left out for a mistake in the config", group.name()));
        }
        let (candidates, reach) = (group.all().clone(), view.reach(found.group));
        let (before_tags, pinned) = (None, false);
        let mut course =
            Course { table, request, signals, found, group, view, reach, candidates, before_tags, pinned };
        course.single_out(seen)?;
        Ok(course)
    }

    /// The caller's own alias comes before the router's; it does not touch what an operator chose.
    fn find(
        table: &'a RoutingTable,
        request: &'a RouteRequest<'a>,
        view: &View<'a>,
        seen: &mut impl Collector,
    ) -> Result<Found<'a>, Lost> {
        let name = match request.operators_choice {
            true => request.model,
            false => request.access.behind_alias(request.model),
        };
        if name != request.model {
            seen.note(|| format!("`{}` is the caller's own alias of `{name}`", request.model));
        }
        table.names.resolve(name, view, seen)
    }

    /// A deployment's id leaves that deployment alone.
    fn single_out(&mut self, seen: &mut impl Collector) -> Result<(), NoRoute> {
        let Some(position) = self.found.only.and_then(|only| self.group.position(only)) else {
            return Ok(());
        };
        let only = Bits::only(self.group.size(), position);
        seen.remove("name", &self.candidates.without(&only), |_| {
            "another deployment's id was asked for".into()
        });
        self.candidates = only;
        let starred =
            self.table.deployment(self.group.member(position)).is_some_and(|spec| spec.model.contains('*'));
        if self.rules().wildcard_id_is_refused && self.group.pattern().is_some() && starred {
            seen.remove("name", &self.candidates, |_| {
                "a wildcard's id names no model to ask the upstream for".into()
            });
            let doubtful = self.view.in_doubt(self.group).is_some_and(|doubtful| doubtful.contains(position));
            return Err(if doubtful { NoRoute::ReservationsUnknown } else { NoRoute::WildcardId });
        }
        Ok(())
    }

    /// Leaves the one deployment that can serve the call; see [`RoutingTable::decide_pinned`].
    pub(crate) fn pin(
        &mut self,
        deployment: DeploymentIndex,
        seen: &mut impl Collector,
    ) -> Result<(), NoRoute> {
        let mut only = match self.group.position(deployment) {
            Some(position) => Bits::only(self.group.size(), position),
            None => Bits::none(self.group.size()),
        };
        only.keep(&self.candidates);
        seen.remove("name", &self.candidates.without(&only), |_| {
            "the call continues a response that another deployment has".into()
        });
        self.candidates = only;
        self.pinned = true;
        if self.candidates.is_empty() { Err(NoRoute::NoDeployments) } else { Ok(()) }
    }

    /// What the operator has paused.
    pub(crate) fn drop_paused(&mut self, seen: &mut impl Collector) -> Result<(), NoRoute> {
        if self.skips_stages() {
            return Ok(());
        }
        seen.remove("blocked", &self.candidates.and(self.group.paused()), |_| {
            "paused by model_info.blocked".into()
        });
        self.candidates.drop(self.group.paused());
        if self.candidates.is_empty() { Err(NoRoute::NoDeployments) } else { Ok(()) }
    }

    /// The tags: see [`TagFilter`]. Under LiteLLM's rule what is cooling is invisible to them; under
    /// row D3 they are matched first, so that an outage is not mistaken for a refusal.
    pub(crate) fn apply_tags(&mut self, seen: &mut impl Collector) -> Result<(), NoRoute> {
        if self.skips_stages() {
            self.confine(seen)?;
            seen.keep(&self.candidates, |_| {
                "asked for by its id, which passes by tags, health and order".into()
            });
            return Ok(());
        }
        if !self.filters_tags() {
            self.confine(seen)?;
            seen.keep(&self.candidates, |_| "tag filtering is off".into());
            return Ok(());
        }
        if !self.rules().cooling_is_not_refusal {
            self.drop_cooling(seen)?;
        }
        self.note_prefixed(seen);
        let permitted = self.tag_filter().permitted(&self.candidates, seen);
        let reachable = match permitted {
            Ok(permitted) => std::mem::replace(&mut self.candidates, permitted),
            Err(Refusal::NoDefaultLeft) => return Err(NoRoute::NoDeployments),
            Err(Refusal::Mismatch) => return Err(self.refusal()),
        };
        self.before_tags = Some(reachable);
        Ok(())
    }

    /// Health, order and strategy.
    pub(crate) fn choose(mut self, seen: &mut impl Collector) -> Result<Decision, NoRoute> {
        let mut first = self.pick(self.request.chance);
        if first.is_none() {
            first = self.pick_failing_open(seen);
        }
        self.explain_plan(seen);
        match first {
            Some(first) => Ok(self.decision(first)),
            None => Err(self.all_cooling(&self.candidates)),
        }
    }

    fn decision(self, first: Choice) -> Decision {
        Decision {
            group: self.found.group,
            resolution: self.found.resolution,
            captured: self.found.captured.map(|name| name.into_owned().into_boxed_str()),
            group_size: u32::try_from(self.group.size()).unwrap_or(u32::MAX),
            tried: Bits::only(self.group.size(), first.position as usize),
            permitted: self.candidates,
            first,
            current: first,
        }
    }

    /// Where the group fails open, it also does when all that the tags permit is cooling.
    fn pick_failing_open(&mut self, seen: &mut impl Collector) -> Option<Choice> {
        let wider = self.tag_filter().fail_open(self.before_tags.as_ref()?)?;
        let permitted = std::mem::replace(&mut self.candidates, wider);
        let choice = self.pick(self.request.chance.next());
        if choice.is_none() {
            self.candidates = permitted;
            return None;
        }
        seen.note(|| "all that the tags permit is cooling down, so the group fails open".into());
        seen.remove("health", &permitted, |position| self.cooling_text(position));
        seen.keep(&self.candidates, |_| "allow_fail_open".into());
        choice
    }

    fn pick(&self, chance: Chance) -> Option<Choice> {
        let healthy = |deployment| self.skips_stages() || !self.is_cooling(deployment);
        pick(self.group, self.table.strategy(), self.candidates.clone(), chance, healthy)
    }

    fn drop_cooling(&mut self, seen: &mut impl Collector) -> Result<(), NoRoute> {
        let cooling = self.cooling(&self.candidates);
        seen.remove("health", &cooling, |position| self.cooling_text(position));
        if cooling == self.candidates {
            return Err(self.all_cooling(&cooling));
        }
        self.candidates.drop(&cooling);
        Ok(())
    }

    /// 401, unless everything is cooling: then no tags would have helped, and there is something to
    /// wait for.
    fn refusal(&self) -> NoRoute {
        if self.cooling(&self.candidates) == self.candidates {
            return self.all_cooling(&self.candidates);
        }
        self.tag_mismatch()
    }

    fn tag_mismatch(&self) -> NoRoute {
        NoRoute::TagMismatch {
            tags: self.request.tags.iter().map(|tag| tag.text.clone().into_owned()).collect(),
        }
    }

    fn all_cooling(&self, cooling: &Bits) -> NoRoute {
        let waits = cooling.iter().map(|position| self.cooling_ms(position));
        NoRoute::Cooling {
            retry_after_ms: waits.min().unwrap_or(1).max(1),
            cooling: cooling.iter().map(|position| self.group.member(position)).collect(),
        }
    }

    fn cooling(&self, candidates: &Bits) -> Bits {
        cooling(self.group, candidates, self.signals, self.captured(), self.request.moment)
    }

    fn is_cooling(&self, deployment: DeploymentIndex) -> bool {
        let until = self.signals.observe(deployment, self.captured()).cooling_until;
        until.is_some_and(|until| until > self.request.moment)
    }

    fn cooling_ms(&self, position: usize) -> u64 {
        let until = self.signals.observe(self.group.member(position), self.captured()).cooling_until;
        until.map_or(0, |until| self.request.moment.until(until))
    }

    fn captured(&self) -> Option<&str> {
        self.found.captured.as_deref()
    }

    fn rules(&self) -> &'a Rules {
        &self.table.rules
    }

    /// In LiteLLM an id reaches its deployment past every stage; row D6 ends that.
    fn skips_stages(&self) -> bool {
        self.found.only.is_some() && !self.rules().ids_pass_the_stages
    }

    /// Whether the group's own settings and tags count, or only the router's (row D21).
    fn is_known_group(&self) -> bool {
        match self.found.resolution {
            Resolution::DeploymentId | Resolution::Exact => true,
            Resolution::Wildcard | Resolution::GuessedProvider => self.rules().wildcard_groups_are_groups,
            Resolution::UpstreamName => false,
        }
    }

    fn filters_tags(&self) -> bool {
        let own = self.group.filtering().filter(|_| self.is_known_group());
        self.request.force_tag_filtering || own.unwrap_or(self.table.tag_filtering)
    }

    fn tag_filter(&self) -> TagFilter<'_> {
        TagFilter {
            group: self.group,
            tags: &self.table.tags,
            rules: self.rules(),
            prefix: &self.table.tag_prefix,
            match_any: self.table.match_any,
            knows_tags: self.is_known_group(),
            by_id: self.pinned || self.found.only.is_some(),
            request: self.request.tags,
            granted: self.request.access.granted(),
            reach: self.reach.as_ref(),
            declares_tags: self.view.declares_tags(self.group, self.reach.as_ref()),
            user_agent: self.request.user_agent,
        }
    }

    fn note_prefixed(&self, seen: &mut impl Collector) {
        for tag in self.request.tags {
            let parsed = ParsedTag::read(&tag.text, &self.table.tag_prefix);
            if parsed.prefixed {
                seen.note(|| {
                    format!(
                        "`{}` is `{}` behind the routing prefix",
                        tag.text,
                        &tag.text[self.table.tag_prefix.len()..]
                    )
                });
            }
            if parsed.wish == Wish::Nothing {
                seen.note(|| format!("`{}` names no tag and is ignored", tag.text));
            }
        }
    }

    /// Health and order of what is left, for the reasons alone: a decision asks for the health of
    /// what it picks.
    fn explain_plan<C: Collector>(&self, seen: &mut C) {
        if !C::KEEPS || self.skips_stages() {
            return;
        }
        let cooling = self.cooling(&self.candidates);
        seen.remove("health", &cooling, |position| self.cooling_text(position));
        let healthy = self.candidates.without(&cooling);
        let mut planned = healthy.clone();
        self.group.drop_unordered(&mut planned);
        seen.remove("order", &healthy.without(&planned), |_| {
            "has no order, and another one that may serve has".into()
        });
        let (first, _) = self.group.first_level(&planned);
        if let Some(first) = first {
            seen.keep(&planned, |position| match self.group.order(position) {
                Some(order) if order > first => format!("order {order}, after order {first} fails"),
                _ => format!("order {first}, the first"),
            });
        }
    }

    fn cooling_text(&self, position: usize) -> String {
        format!("cooling down for {} more seconds", self.cooling_ms(position).div_ceil(1000))
    }
}
