//! What a caller's limits say to an attempt, before anything of it is sent.

use tagrail_providers::{
    Asked, Bound, Coder, Ending, Envelope, ModelLimits, Passed, Price, Told, Usage, prompt_tokens, settle,
};
use tagrail_routing::{Decision, DeploymentIndex, NoRoute};

use super::{Attempts, Miss, Question};
use crate::account::Spent;
use crate::snapshot::Listed;
use crate::{Need, Refusal, Snapshot};

/// The upstream's names of provider and model.
pub(super) type Named<'a> = (&'a str, &'a str);

impl Attempts<'_> {
    /// Reserves what the attempt may use up, where anything is counted against the caller. Gives what it is
    /// charged by.
    ///
    /// A budget cannot be kept on what has no price. That is the deployment's fault alone: another one of
    /// the group may have one. A limit without room ends the call, whoever could serve it.
    pub(super) fn admit(
        &mut self,
        question: Question<'_>,
        decision: &Decision,
        deployment: DeploymentIndex,
        listed: Listed,
        (provider, model): Named<'_>,
    ) -> Result<Terms, Miss> {
        let mut terms = Terms { price: listed.price, bound: Bound::default() };
        if !self.account.estimates() {
            return Ok(terms);
        }
        let (operation, envelope) = (question.call.operation, &question.call.envelope);
        let target = &self.snapshot.deployment(deployment).target;
        let limits =
            ModelLimits { default_output: self.snapshot.general.default_max_output_tokens, ..listed.limits };
        terms.bound = Asked { operation, envelope, target, provider, model, limits }.bound();
        let Some(allowance) = question.call.caller.allowance.as_deref() else { return Ok(terms) };
        if terms.price.is_none() && allowance.has_budget(question.counted) {
            let unpriced = || Miss::Unfit(Refusal::Unpriced { model: question.model.to_owned() });
            terms.price = Some(self.snapshot.fallback_price().ok_or_else(unpriced)?);
        }
        terms.bound = terms.bound.measured(envelope);
        let Bound { prompt, answer, is_limited, .. } = terms.bound;
        let prompt = prompt.unwrap_or_default();
        let limit = if is_limited { answer } else { 0 };
        let need = Need {
            model: counted_as(self.snapshot, decision, deployment),
            tags: question.counted,
            tokens: prompt.saturating_add(answer),
            tokens_least: prompt_tokens(envelope).min(prompt).saturating_add(limit),
            cost: terms.price.map(|price| price.at_most(prompt, answer)),
        };
        let reserved = self.account.reserve(allowance, &need);
        reserved.map(|()| terms).map_err(|over| Miss::Caller(Refusal::OverLimit(over)))
    }

    /// A plan is as old as its call: what has been reserved since then is no choice of it any more.
    pub(super) fn still_reaches(
        &self,
        question: Question<'_>,
        deployment: DeploymentIndex,
    ) -> Result<(), Miss> {
        let snapshot = self.snapshot;
        let caller = &question.call.caller;
        if snapshot.as_caller(caller, |access| snapshot.table.reaches(deployment, access)) {
            return Ok(());
        }
        let tags = question.tags.iter().map(|tag| tag.text.to_string()).collect();
        Err(Miss::Unfit(Refusal::NoRoute(NoRoute::TagMismatch { tags })))
    }

    /// Refuses a call whose client names a fallback that its lists do not admit, before anything is sent;
    /// the name asked for comes first. Gives the name at fault with the refusal.
    pub(super) fn admit_fallbacks(&self, question: Question<'_>) -> Result<(), Box<(Refusal, String)>> {
        if question.call.caller.policy.is_none() || question.call.envelope.disable_fallbacks() {
            return Ok(());
        }
        let Some(steps) = self.asked_fallbacks(question) else { return Ok(()) };
        let names = std::iter::once(question.model).chain(steps.iter().map(|step| step.model.as_str()));
        for model in names {
            let asked = self.decide(self.snapshot, Question { model, ..question });
            if let Err(refusal @ Refusal::NoRoute(NoRoute::ModelDenied { .. })) = asked {
                return Err(Box::new((refusal, model.to_owned())));
            }
        }
        Ok(())
    }
}

/// The name that limits by model know it by: the group's, and behind a wildcard the name that it took,
/// with the provider in front where that was guessed, so that both spellings are one model.
fn counted_as<'a>(snapshot: &'a Snapshot, decision: &'a Decision, deployment: DeploymentIndex) -> &'a str {
    decision.captured().unwrap_or_else(|| &snapshot.spec(deployment).group)
}

/// What an attempt is charged by.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms {
    pub(crate) price: Option<Price>,
    pub(crate) bound: Bound,
}

impl Terms {
    /// What a reply has used up: by its upstream's count as far as that can be, else by an estimate. Where
    /// nobody counts, `asked` is missing, and the upstream is taken at its word.
    pub(crate) fn spent(&self, coder: &dyn Coder, asked: Option<&Envelope>, ending: Ending) -> Charged {
        let told = coder.told();
        let Some(asked) = asked else {
            return Charged { told, is_absurd: false, spent: self.priced(coder.usage(), false) };
        };
        let settled = settle(&told, coder.passed_on(), &self.bound, asked, ending);
        let spent = self.priced(Some(settled.usage), settled.is_estimated);
        Charged { told, is_absurd: settled.is_absurd, spent }
    }

    /// What a call has used up that was left before anything was heard of it.
    pub(crate) fn unheard(&self, asked: &Envelope, is_whole: bool) -> Spent {
        // A stream ends with its client, a whole answer is worked out.
        let ending = if is_whole { Ending::Abandoned } else { Ending::CutShort };
        let settled = settle(&Told::default(), Passed::default(), &self.bound, asked, ending);
        self.priced(Some(settled.usage), true)
    }

    pub(super) fn priced(&self, usage: Option<Usage>, estimated: bool) -> Spent {
        Spent { usage, cost: usage.zip(self.price).map(|(usage, price)| price.cost(&usage)), estimated }
    }
}

/// What a reply is charged for.
pub(crate) struct Charged {
    told: Told,
    is_absurd: bool,
    pub(crate) spent: Spent,
}

impl Charged {
    /// Warns of a report that cannot be.
    pub(crate) fn warned(self, snapshot: &Snapshot, deployment: DeploymentIndex) -> Spent {
        if self.is_absurd {
            snapshot.warn_of_usage(deployment, &self.told, self.spent.usage.unwrap_or_default());
        }
        self.spent
    }
}
