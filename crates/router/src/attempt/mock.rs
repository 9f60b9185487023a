//! `mock_response`: answered here, without an upstream, in the client's dialect.

use http::HeaderMap;
use tagrail_providers::{MOCK_USAGE, Mock, ModelLimits, Operation, Usage};
use tagrail_routing::{Decision, DeploymentIndex};
use tokio::time::Instant;

use super::call_once::created;
use super::{Attempts, Miss, Question};
use crate::snapshot::Listed;
use crate::{Answer, AnswerBody, Facts, response_id};

/// The upstream's id of a response that no upstream has.
const MOCK_RESPONSE: &str = "resp_mock";

impl Attempts<'_> {
    pub(super) fn mocked(
        &mut self,
        question: Question<'_>,
        decision: &Decision,
        deployment: DeploymentIndex,
        upstream_model: &str,
        text: &str,
    ) -> Result<Answer, Miss> {
        let snapshot = self.snapshot;
        let spec = snapshot.spec(deployment);
        let settings = snapshot.deployment(deployment);
        let place = settings.target.resolve(upstream_model).ok();
        let nothing = Listed { price: None, limits: ModelLimits::default() };
        let named = place.as_ref().map_or(("", ""), |place| (place.provider.name(), place.model));
        let listed = place.as_ref().map(|place| {
            self.account.placed(upstream_model, place);
            snapshot.listed(deployment, place.provider.name(), place.model)
        });
        let terms = self.admit(question, decision, deployment, listed.unwrap_or(nothing), named)?;
        let envelope = &question.call.envelope;
        let operation = question.call.operation;
        let names = response_id::names(snapshot, question.call, deployment, None);
        let response_id = names.map_or(MOCK_RESPONSE.to_owned(), |names| names.names.name(MOCK_RESPONSE));
        let mock = Mock {
            model: question.model,
            text,
            response_id: &response_id,
            created: created(),
            wants_usage: envelope.wants_usage(),
        };
        let stream = envelope.stream() && operation != Operation::Embeddings;
        let body = if stream {
            AnswerBody::Events(mock.stream(operation))
        } else {
            AnswerBody::Whole(vec![mock.whole(operation)])
        };
        let output = if operation == Operation::Embeddings { 0 } else { MOCK_USAGE.output };
        let spent = terms.priced(Some(Usage { output, ..MOCK_USAGE }), false);
        self.account.settle_whole(spent, Instant::now());
        let facts = Facts {
            snapshot: snapshot.clone(),
            deployment,
            group: question.model.to_owned(),
            upstream_model: (upstream_model != spec.model).then(|| upstream_model.to_owned()),
            shown_base: None,
            retries: 0,
            max_retries: None,
            fallbacks: 0,
            attempts: 0,
            tags: None,
            decision: None,
            upstream_headers: HeaderMap::new(),
            started: self.account.started().into_std(),
            upstream_time: std::time::Duration::ZERO,
            usage: spent.usage,
            cost: spent.cost,
            caller: question.call.caller.clone(),
        };
        Ok(Answer { facts, body })
    }
}
