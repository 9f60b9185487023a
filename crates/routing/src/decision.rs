//! The outcome of a decision: a plan that yields the first choice at once and the next on demand,
//! and, when asked, a verdict for every deployment.

use crate::{Chance, DeploymentIndex, Moment, NoRoute, RoutingTable, Signals};

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
    // private: the group, captures, the permitted bitmap, the tried bitmap
    _private: (),
}

impl Decision {
    /// The first choice.
    pub fn first(&self) -> DeploymentIndex {
        DeploymentIndex(0)
    }

    /// The next choice after the current one failed: untried deployments of the permitted first
    /// (smallest order, then strategy), then again among all that are healthy (row D11). `None`
    /// when everything permitted is cooling. With `other_only`, never the current one again.
    pub fn next(
        &mut self,
        _table: &RoutingTable,
        _signals: &dyn Signals,
        _moment: Moment,
        _chance: Chance,
    ) -> Option<DeploymentIndex> {
        None
    }

    /// How the name was found.
    pub fn resolution(&self) -> Resolution {
        Resolution::Exact
    }

    /// The requested name, when the deployments stand behind a wildcard: the key of their
    /// cooldowns, see [`Signals::observe`].
    pub fn captured(&self) -> Option<&str> {
        None
    }

    /// Number of deployments configured in the group (whatever their health and tags).
    pub fn group_size(&self) -> usize {
        0
    }

    /// Whether one that has not been tried, or another than `current`, is healthy and permitted.
    pub fn has_other(&self, _current: DeploymentIndex, _signals: &dyn Signals, _moment: Moment) -> bool {
        false
    }
}

/// A decision with its reasons.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What `decide` says to the same question.
    pub decision: Result<Decision, NoRoute>,
    /// The group that the name led to, if any: `model_name` as configured.
    pub group: Option<String>,
    /// One verdict for every deployment of the group, in the order of the config.
    pub verdicts: Vec<Verdict>,
    /// Notes on the name and the tags: alias followed, provider guessed, prefix stripped, failed open.
    pub notes: Vec<String>,
}

/// What became of one deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Which.
    pub deployment: DeploymentIndex,
    /// Why it was kept or removed.
    pub reason: Reason,
}

/// Why a deployment was kept or removed. `Display` is made to be read: it names the tag, the order,
/// the rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// In the plan; `text` says why (which tags matched, default pool, ...).
    Kept {
        /// For a person.
        text: String,
    },
    /// Not in the plan.
    Removed {
        /// The stage: `blocked`, `tags`, `health`, `order`.
        stage: &'static str,
        /// For a person.
        text: String,
    },
}
