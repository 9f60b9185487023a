//! From the name that a client sent to a model group: the first stage.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use crate::explain::Collector;
use crate::group::GroupId;
use crate::index::PatternIndex;
use crate::reserved::{Standing, View};
use crate::{DeploymentIndex, ProviderGuess, Resolution};

/// Everything that a name can mean, in one map: one look-up answers for id, alias, group and
/// upstream name together.
pub(crate) struct Names {
    pub(crate) entries: HashMap<Box<str>, Meaning>,
    pub(crate) patterns: PatternIndex<GroupId>,
    pub(crate) guess: Arc<dyn ProviderGuess>,
}

/// What one text means.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meaning {
    /// A deployment's id, and the group it belongs to.
    pub(crate) id: Option<(DeploymentIndex, GroupId)>,
    /// The target of an alias.
    pub(crate) alias: Option<Box<str>>,
    /// A `model_name`, the text of a pattern included.
    pub(crate) group: Option<GroupId>,
    /// All deployments of that `model_name` were left out.
    pub(crate) deserted: bool,
    /// The deployments with this `litellm_params.model`.
    pub(crate) upstream: Option<GroupId>,
}

/// Where a name led.
pub(crate) struct Found<'n> {
    pub(crate) group: GroupId,
    pub(crate) resolution: Resolution,
    /// The name as a wildcard took it.
    pub(crate) captured: Option<Cow<'n, str>>,
    /// The only deployment meant, when the name is its id.
    pub(crate) only: Option<DeploymentIndex>,
}

/// Why a name led nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Nothing is called so.
    Unknown,
    /// A group or alias is called so, but no deployment stands behind it.
    Deserted,
}

impl Names {
    /// Id, alias, exact name, wildcard, wildcard with the provider guessed, upstream name.
    pub(crate) fn resolve<'n>(
        &'n self,
        model: &'n str,
        view: &View<'_>,
        seen: &mut impl Collector,
    ) -> Result<Found<'n>, Lost> {
        let mut meaning = self.entries.get(model);
        let id = meaning.and_then(|meaning| meaning.id);
        if let Some((deployment, group)) = id.filter(|(deployment, group)| view.has(*deployment, *group)) {
            seen.note(|| format!("`{model}` is the id of a deployment"));
            return Ok(Found { only: Some(deployment), ..Found::by(Resolution::DeploymentId, group) });
        }
        let alias = meaning.and_then(|meaning| meaning.alias.as_deref());
        let name = alias.unwrap_or(model);
        if alias.is_some() {
            seen.note(|| format!("`{model}` is an alias of `{name}`"));
            meaning = self.entries.get(name);
        }
        let group = meaning.and_then(|m| Some((m.group?, view.standing(m.group?, m.deserted))));
        let deserted = matches!(group, Some((_, Standing::Deserted)));
        if deserted {
            seen.note(|| format!("all of `{name}` was left out for a mistake in the config"));
            if let Some(pattern) = self.shadowing(name, view) {
                seen.note(|| {
                    format!("`{pattern}` fits `{name}`, but does not take a name that is configured")
                });
            }
        }
        let found = match group {
            // A known name never falls to a wildcard, also when nothing is left of its group.
            Some((_, Standing::Deserted)) => None,
            // What is out of reach is refused as tags that fit nothing are.
            Some((group, Standing::Open | Standing::Closed)) => Some(Found::by(Resolution::Exact, group)),
            None => self.by_pattern(name, seen),
        };
        let by_upstream = || {
            let group = meaning?.upstream.filter(|group| view.has_some(*group))?;
            Some(Found::by(Resolution::UpstreamName, group))
        };
        let lost = if deserted || alias.is_some() { Lost::Deserted } else { Lost::Unknown };
        found.or_else(by_upstream).ok_or(lost)
    }

    fn by_pattern<'n>(&'n self, name: &'n str, seen: &mut impl Collector) -> Option<Found<'n>> {
        if self.patterns.is_empty() {
            return None;
        }
        if let Some((pattern, group)) = self.patterns.find(name) {
            seen.note(|| format!("`{name}` fits the wildcard `{}`", pattern.text()));
            return Some(Found {
                captured: Some(Cow::Borrowed(name)),
                ..Found::by(Resolution::Wildcard, *group)
            });
        }
        let guessed = format!("{}/{name}", self.guess.provider_of(name)?);
        let (pattern, group) = self.patterns.find(&guessed)?;
        seen.note(|| {
            format!(
                "no wildcard fits `{name}`, but `{}` fits `{guessed}`, its guessed provider",
                pattern.text()
            )
        });
        Some(Found { captured: Some(Cow::Owned(guessed)), ..Found::by(Resolution::GuessedProvider, *group) })
    }

    /// The wildcard that would take a name, were there not a group of that name of which all was left
    /// out.
    pub(crate) fn shadowed(&self, name: &str) -> Option<&str> {
        self.entries.get(name).filter(|meaning| meaning.deserted)?;
        self.shadowing(name, &View::All)
    }

    fn shadowing(&self, name: &str, view: &View<'_>) -> Option<&str> {
        let (pattern, _) = self.patterns.find(name).filter(|(_, group)| view.has_some(**group))?;
        Some(pattern.text())
    }

    /// Whether there is any wildcard.
    pub(crate) fn has_wildcards(&self, view: &View<'_>) -> bool {
        self.patterns.iter().any(|(_, group)| view.has_some(*group))
    }

    /// The target when `name` is an alias, else `name`.
    pub(crate) fn behind_alias<'n>(&'n self, name: &'n str) -> &'n str {
        self.entries.get(name).and_then(|meaning| meaning.alias.as_deref()).unwrap_or(name)
    }
}

impl Found<'_> {
    fn by(resolution: Resolution, group: GroupId) -> Self {
        Found { group, resolution, captured: None, only: None }
    }
}
