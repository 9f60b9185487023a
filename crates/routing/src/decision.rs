//! The outcome of a decision: a plan that yields the first choice at once and the next on demand.

use crate::bits::Bits;
use crate::group::{GroupId, ModelGroup};
use crate::strategy::Strategy;
use crate::{Chance, DeploymentIndex, Moment, RoutingTable, Signals};

/// By which step a requested name was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// A deployment's id.
    DeploymentId,
    /// An exact `model_name`.
    Exact,
    /// A wildcard, on the name as sent.
    Wildcard,
    /// A wildcard, on `<guessed provider>/<name>`.
    GuessedProvider,
    /// The deployments whose `litellm_params.model` is the name.
    UpstreamName,
}

/// What [`RoutingTable::decide`] found: who may serve the call, in which order.
#[derive(Clone, Debug)]
pub struct Decision {
    pub(crate) group: GroupId,
    pub(crate) resolution: Resolution,
    pub(crate) captured: Option<Box<str>>,
    pub(crate) group_size: u32,
    /// What tags permit, whatever its health: the plan never leaves it.
    pub(crate) permitted: Bits,
    pub(crate) tried: Bits,
    pub(crate) first: Choice,
    pub(crate) current: Choice,
}

/// One pick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) position: u32,
    pub(crate) deployment: DeploymentIndex,
    pub(crate) order: Option<i64>,
}

impl Decision {
    /// The first choice.
    pub fn first(&self) -> DeploymentIndex {
        self.first.deployment
    }

    /// The next choice after the current one failed: untried deployments of the permitted first
    /// (smallest order, then strategy), then again among all that are healthy (row D11), the one
    /// that has just failed only when there is no other. `None` when everything permitted is cooling.
    pub fn next(
        &mut self,
        table: &RoutingTable,
        signals: &dyn Signals,
        moment: Moment,
        chance: Chance,
    ) -> Option<DeploymentIndex> {
        let group = table.group(self.group);
        let mut healthy = self.permitted.without(&self.cooling(group, signals, moment));
        group.drop_unordered(&mut healthy);
        let mut candidates = healthy.without(&self.tried);
        if candidates.is_empty() {
            // A new round.
            self.tried = Bits::only(group.size(), self.current.position as usize);
            candidates = healthy.without(&self.tried);
        }
        if candidates.is_empty() {
            candidates = healthy;
        }
        self.step(table, candidates, chance)
    }

    /// A choice of the next greater `order`, whoever of the current one is untried: where the
    /// retries are spent. `None` when there is no such order or all of it is cooling.
    pub fn next_level(
        &mut self,
        table: &RoutingTable,
        signals: &dyn Signals,
        moment: Moment,
        chance: Chance,
    ) -> Option<DeploymentIndex> {
        let group = table.group(self.group);
        let mut healthy = self.permitted.without(&self.cooling(group, signals, moment));
        healthy.keep(&group.ordered_after(self.current.order?));
        self.step(table, healthy, chance)
    }

    fn step(&mut self, table: &RoutingTable, candidates: Bits, chance: Chance) -> Option<DeploymentIndex> {
        let choice = pick(table.group(self.group), table.strategy(), candidates, chance, |_| true)?;
        self.tried.insert(choice.position as usize);
        self.current = choice;
        Some(choice.deployment)
    }

    /// `order` of the current choice.
    pub fn level(&self) -> Option<i64> {
        self.current.order
    }

    /// Whether the current choice is of another `order` than the first was: LiteLLM counts that
    /// step as a fallback.
    pub fn changed_level(&self) -> bool {
        self.current.order != self.first.order
    }

    /// How the name was found.
    pub fn resolution(&self) -> Resolution {
        self.resolution
    }

    /// The requested name, when the deployments stand behind a wildcard: the key of their
    /// cooldowns, see [`Signals::observe`]. With a guessed provider it is in front, so that both
    /// spellings of one model share their cooldown.
    pub fn captured(&self) -> Option<&str> {
        self.captured.as_deref()
    }

    /// Number of deployments configured in the group (whatever their health and tags).
    pub fn group_size(&self) -> usize {
        self.group_size as usize
    }

    /// Whether another than `current` is healthy and permitted.
    pub fn has_other(
        &self,
        table: &RoutingTable,
        current: DeploymentIndex,
        signals: &dyn Signals,
        moment: Moment,
    ) -> bool {
        let group = table.group(self.group);
        let mut healthy = self.permitted.without(&self.cooling(group, signals, moment));
        group.drop_unordered(&mut healthy);
        healthy.iter().any(|position| group.member(position) != current)
    }

    /// Every deployment that the plan can yield while its health does not change: ascending.
    pub fn permitted(&self, table: &RoutingTable) -> Vec<DeploymentIndex> {
        let group = table.group(self.group);
        self.permitted.iter().map(|position| group.member(position)).collect()
    }

    fn cooling(&self, group: &ModelGroup, signals: &dyn Signals, moment: Moment) -> Bits {
        cooling(group, &self.permitted, signals, self.captured(), moment)
    }
}

/// Those of `candidates` that are cooling down.
pub(crate) fn cooling(
    group: &ModelGroup,
    candidates: &Bits,
    signals: &dyn Signals,
    captured: Option<&str>,
    moment: Moment,
) -> Bits {
    let mut cooling = Bits::none(group.size());
    for position in candidates.iter() {
        let until = signals.observe(group.member(position), captured).cooling_until;
        if until.is_some_and(|until| until > moment) {
            cooling.insert(position);
        }
    }
    cooling
}

/// Picks that may turn out to be cooling before all candidates are asked.
const LUCKY_DRAWS: usize = 8;

/// The strategy's pick of the smallest order, asking for the health of what was picked and not of
/// all. Taking out a cooling pick and drawing again leaves every healthy candidate the chance that
/// it would have had among the healthy alone.
pub(crate) fn pick(
    group: &ModelGroup,
    strategy: &dyn Strategy,
    mut candidates: Bits,
    mut chance: Chance,
    healthy: impl Fn(DeploymentIndex) -> bool,
) -> Option<Choice> {
    for draw in 0.. {
        if draw == LUCKY_DRAWS {
            let sick: Vec<usize> =
                candidates.iter().filter(|position| !healthy(group.member(*position))).collect();
            sick.into_iter().for_each(|position| candidates.remove(position));
        }
        let (order, level) = group.first_level(&candidates);
        let position = strategy.pick(group, &level, chance)?;
        let deployment = group.member(position);
        if draw >= LUCKY_DRAWS || healthy(deployment) {
            return Some(Choice { position: u32::try_from(position).unwrap_or(u32::MAX), deployment, order });
        }
        candidates.remove(position);
        chance = chance.next();
    }
    None
}
