//! `mock_response`: answered here, without an upstream, in the client's dialect.

use http::HeaderMap;
use tagrail_providers::{MOCK_USAGE, Mock, Operation};
use tagrail_routing::DeploymentIndex;
use tokio::time::Instant;

use super::call_once::created;
use super::{Attempts, Question};
use crate::{Answer, AnswerBody, Facts};

impl Attempts<'_> {
    pub(super) fn mocked(
        &mut self,
        question: Question<'_>,
        deployment: DeploymentIndex,
        upstream_model: &str,
        text: &str,
    ) -> Answer {
        let snapshot = self.snapshot;
        let spec = snapshot.spec(deployment);
        let settings = snapshot.deployment(deployment);
        let envelope = &question.call.envelope;
        let operation = question.call.operation;
        let mock =
            Mock { model: question.model, text, created: created(), wants_usage: envelope.wants_usage() };
        let stream = envelope.stream() && operation != Operation::Embeddings;
        let body = if stream {
            AnswerBody::Events(mock.stream(operation))
        } else {
            AnswerBody::Whole(vec![mock.whole(operation)])
        };
        let place = settings.target.resolve(upstream_model).ok();
        let price = place.and_then(|place| snapshot.price(deployment, place.provider.name(), place.model));
        let cost = price.map(|price| price.cost(&MOCK_USAGE));
        self.account.settle_whole(Some(MOCK_USAGE), cost, Instant::now());
        let facts = Facts {
            snapshot: snapshot.clone(),
            deployment,
            group: question.model.to_owned(),
            upstream_model: (upstream_model != spec.model).then(|| upstream_model.to_owned()),
            shown_base: None,
            retries: 0,
            max_retries: None,
            fallbacks: 0,
            upstream_headers: HeaderMap::new(),
            started: self.account.started().into_std(),
            upstream_time: std::time::Duration::ZERO,
            usage: Some(MOCK_USAGE),
            cost,
            caller: question.call.caller.clone(),
        };
        Answer { facts, body }
    }
}
