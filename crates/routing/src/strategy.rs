//! Who picks among equals: a strategy is one file in `strategy/` and one line in [`STRATEGIES`].

mod simple_shuffle;

use crate::Chance;
use crate::bits::Bits;
use crate::group::ModelGroup;

/// Picks one of the candidates that every stage has kept.
pub(crate) trait Strategy: Send + Sync {
    /// A position in `candidates`; `None` only when there is none. Randomness comes from `chance`
    /// alone, so that the same question has the same answer.
    fn pick(&self, group: &ModelGroup, candidates: &Bits, chance: Chance) -> Option<usize>;
}

/// Every strategy, by its name in `router_settings.routing_strategy`. The first is the default.
pub(crate) const STRATEGIES: &[(&str, &dyn Strategy)] = &[("simple-shuffle", &simple_shuffle::SimpleShuffle)];
