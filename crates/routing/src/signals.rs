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

/// The health of deployments. Asked only of those that the tags have kept, and of the group when
/// they keep nothing.
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
        // One step of SplitMix64: no short cycle, and no draw that stays what it is.
        let mut draw = self.draw.wrapping_add(0x9E37_79B9_7F4A_7C15);
        draw = (draw ^ (draw >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        draw = (draw ^ (draw >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Chance { sequence: self.sequence, draw: draw ^ (draw >> 31) }
    }

    /// A number below `bound` (0 when it is 0), every one as likely.
    pub(crate) fn below(self, bound: usize) -> usize {
        // The high half of the product: unlike a remainder it favours no small number.
        ((u128::from(self.draw) * bound as u128) >> 64) as usize
    }

    /// Uniform in `0.0..1.0`.
    pub(crate) fn fraction(self) -> f64 {
        // 53 bits are what an f64 holds exactly.
        (self.draw >> 11) as f64 / (1u64 << 53) as f64
    }
}
