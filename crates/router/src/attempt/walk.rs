//! Where one group's walk stands, and which of several failures is told.

use tagrail_providers::UpstreamError;
use tagrail_routing::{Decision, DeploymentIndex, RoutingTable};

use super::Question;
use crate::decided::Decided;
use crate::{Answer, AnswerBody, Facts, Refusal};

/// Where one group's walk stands. Nothing here allocates before something has failed.
pub(super) struct Walk {
    pub(super) decision: Decision,
    /// Tries beyond the first, on the present level.
    pub(super) retries: u32,
    /// Further levels of `order` taken.
    pub(super) levels: u32,
    /// Who was asked and failed.
    pub(super) failed: Vec<DeploymentIndex>,
    /// Who cannot serve this call.
    pub(super) unfit: Vec<DeploymentIndex>,
    /// What the caller hears if nobody answers.
    pub(super) told: Option<Told>,
}

/// Why a group did not answer.
pub(super) struct Told {
    rank: Rank,
    pub(super) refusal: Box<Refusal>,
    /// Whose failure it is.
    pub(super) by: DeploymentIndex,
}

/// Which reason is told where there are several: what an upstream said, before what the caller can
/// change, before what only the operator can.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Operator,
    Caller,
    Upstream,
}

impl Told {
    pub(super) fn failed(error: UpstreamError, by: DeploymentIndex) -> Told {
        Told { rank: Rank::Upstream, refusal: Box::new(Refusal::Upstream(error)), by }
    }

    pub(super) fn unfit(refusal: Refusal, by: DeploymentIndex) -> Told {
        let rank = if matches!(refusal, Refusal::Body(_)) { Rank::Caller } else { Rank::Operator };
        Told { rank, refusal: Box::new(refusal), by }
    }

    /// This one, unless the one before weighs more.
    pub(super) fn or(self, before: Option<Told>) -> Told {
        match before {
            Some(before) if before.rank > self.rank => before,
            _ => self,
        }
    }
}

impl Walk {
    pub(super) fn new(decision: Decision) -> Walk {
        Walk { decision, retries: 0, levels: 0, failed: Vec::new(), unfit: Vec::new(), told: None }
    }

    /// For the books.
    pub(super) fn decided(&self, table: &RoutingTable, question: Question<'_>, groups: u32) -> Decided {
        Decided {
            how: Some(self.decision.resolution()),
            name: question.model.to_owned(),
            permitted: self.decision.permitted(table).len(),
            size: self.decision.group_size(),
            retries: self.retries,
            fallbacks: groups.saturating_sub(1) + self.levels,
        }
    }

    /// Writes into the answer how it came about.
    pub(super) fn sign(self, mut answer: Answer, limit: u32) -> Answer {
        let Facts { retries, max_retries, fallbacks, .. } = &mut answer.facts;
        *retries = self.retries;
        *max_retries = (self.retries > 0).then_some(limit);
        *fallbacks = self.levels;
        if let AnswerBody::Stream(stream) = &mut answer.body {
            stream.chosen_by(self.decision);
        } else {
            answer.facts.decision = Some(self.decision);
        }
        answer
    }
}
