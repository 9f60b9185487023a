//! What is observed at the moment of a decision: passed in, never looked up.

use crate::DeploymentIndex;

/// Milliseconds on a clock that never goes back; only differences mean anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(pub u64);

/// The randomness of one decision, drawn outside so that the same question has the same answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Chance {
    /// Number of the decision, for strategies that go round.
    pub sequence: u64,
    /// Uniform over all `u64`. Later picks of one plan derive theirs from it.
    pub draw: u64,
}

/// What is known of one deployment right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Observed {
    /// Cooling down until then; in the past means healthy.
    pub cooling_until: Option<Moment>,
}

/// The health of deployments. Asked only of those that every other stage has kept.
pub trait Signals {
    /// `captured` is the requested name when the deployment stands behind a wildcard, whose
    /// cooldowns are kept per concrete model (row D8).
    fn observe(&self, deployment: DeploymentIndex, captured: Option<&str>) -> Observed;
}

/// Everything healthy: for `explain` and `check`, which observe nothing.
impl Signals for () {
    fn observe(&self, _: DeploymentIndex, _: Option<&str>) -> Observed {
        Observed::default()
    }
}
