//! What a caller's limits say to an attempt, before anything of it is sent.

use tagrail_providers::{Envelope, Price, Usage, answer_tokens, prompt_tokens};
use tagrail_routing::{Decision, DeploymentIndex, NoRoute};

use super::{Attempts, Miss, Question};
use crate::account::Spent;
use crate::snapshot::Listed;
use crate::{Need, Refusal, Snapshot};

impl Attempts<'_> {
    /// Reserves what the attempt may use up, where anything is counted against the caller. Gives the
    /// price that it is charged by.
    ///
    /// A budget cannot be kept on what has no price. That is the deployment's fault alone: another one of
    /// the group may have one. A limit without room ends the call, whoever could serve it.
    pub(super) fn admit(
        &mut self,
        question: Question<'_>,
        decision: &Decision,
        deployment: DeploymentIndex,
        listed: Listed,
    ) -> Result<Option<Price>, Miss> {
        let Some(allowance) = question.call.caller.allowance.as_deref() else { return Ok(listed.price) };
        let mut price = listed.price;
        if price.is_none() && allowance.has_budget(question.counted) {
            let unpriced = || Miss::Unfit(Refusal::Unpriced { model: question.model.to_owned() });
            price = Some(self.snapshot.fallback_price().ok_or_else(unpriced)?);
        }
        let (operation, envelope) = (question.call.operation, &question.call.envelope);
        let target = &self.snapshot.deployment(deployment).target;
        let prompt = prompt_tokens(envelope);
        let answer = answer_tokens(operation, envelope, target, listed.max_output_tokens);
        let need = Need {
            model: counted_as(self.snapshot, decision, deployment),
            tags: question.counted,
            tokens: prompt.saturating_add(answer),
            tokens_least: prompt.saturating_add(answer),
            cost: price.map(|price| price.at_most(prompt, answer)),
        };
        let reserved = self.account.reserve(allowance, &need);
        reserved.map(|()| price).map_err(|over| Miss::Caller(Refusal::OverLimit(over)))
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

/// What a reply has used up by its upstream's count, or by an estimate where that says nothing and
/// `asked` is the body to estimate by.
pub(crate) fn spent(
    told: Option<Usage>,
    passed_on: u64,
    asked: Option<&Envelope>,
    price: Option<Price>,
) -> Spent {
    let (usage, estimated) = match (told, asked) {
        (Some(told), _) => (Some(told), false),
        (None, Some(asked)) => {
            (Some(Usage { input: prompt_tokens(asked), output: passed_on, ..Usage::default() }), true)
        }
        (None, None) => (None, false),
    };
    let cost = usage.zip(price).map(|(usage, price)| price.cost(&usage));
    Spent { usage, cost, estimated }
}
