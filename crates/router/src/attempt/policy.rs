//! How often a failure is tried again, and after how long a pause.

use std::time::Duration;

use tagrail_providers::{ErrorKind, UpstreamError};
use tagrail_routing::DeploymentIndex;

use super::{Attempts, Question, Walk};

/// `INITIAL_RETRY_DELAY` and `MAX_RETRY_DELAY`, seconds.
const FIRST_PAUSE: f64 = 0.5;
const LONGEST_PAUSE: f64 = 8.0;
/// `JITTER`: up to this many seconds are added.
const JITTER: f64 = 0.75;
/// Retries that a caller can ask for; only the operator can allow more.
const MOST_RETRIES: u32 = 10;
/// A longer `Retry-After` is not waited for within a call.
const LONGEST_RETRY_AFTER: f64 = 60.0;

impl Attempts<'_> {
    /// Retries that a deployment's failures get when no policy names their class: the call's own
    /// number within bounds, the deployment's, the router's.
    pub(super) fn retry_limit(&self, question: Question<'_>, deployment: DeploymentIndex) -> u32 {
        let own = self.snapshot.deployment(deployment).num_retries;
        let configured = own.unwrap_or(self.snapshot.router.num_retries);
        match question.call.num_retries() {
            Some(asked) => asked.min(configured.max(MOST_RETRIES)),
            None => configured,
        }
    }

    /// Whether there is to be another try.
    pub(super) fn may_retry(
        &self,
        question: Question<'_>,
        walk: &Walk,
        current: DeploymentIndex,
        error: &UpstreamError,
    ) -> bool {
        let snapshot = self.snapshot;
        let others = walk.decision.has_other(&snapshot.table, current, snapshot.board(), self.router.now());
        let router = &snapshot.router;
        let policy =
            router.group_retry_policy.get(&snapshot.spec(current).group).unwrap_or(&router.retry_policy);
        let limit = match policy.retries(error.kind) {
            Some(limit) => limit,
            None if retried(error, others) => self.retry_limit(question, current),
            None => return false,
        };
        walk.retries < limit
    }
}

/// Which errors are tried again by default.
fn retried(error: &UpstreamError, others: bool) -> bool {
    match error.kind {
        ErrorKind::BadRequest
        | ErrorKind::ContextWindow
        | ErrorKind::ContentPolicy
        | ErrorKind::NotFound
        | ErrorKind::Unprocessable => false,
        // The same key will not do better.
        ErrorKind::Authentication => others,
        ErrorKind::Other => error.status == 409 || error.status >= 500,
        _ => true,
    }
}

/// The pause before a deployment is asked again that has failed in this call; one that was not asked
/// yet is asked at once. Seconds as LiteLLM counts them: what the upstream asked for, else twice as
/// long each time.
pub(super) fn pause(retries: u32, error: &UpstreamError, least: Duration) -> Duration {
    let asked = error.retry_after.filter(|seconds| *seconds > 0.0 && *seconds <= LONGEST_RETRY_AFTER);
    let seconds = asked.unwrap_or_else(|| {
        let doubled = FIRST_PAUSE * f64::from(1_u32 << retries.min(8));
        doubled.min(LONGEST_PAUSE).max(least.as_secs_f64())
    });
    Duration::from_secs_f64(seconds + fastrand::f64() * JITTER)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use bytes::Bytes;
    use http::HeaderMap;
    use serde_json::json;
    use tagrail_config::load_text;
    use tagrail_providers::Operation;

    use super::*;
    use crate::{Call, Router};

    fn router(deployments: usize) -> Router {
        let list: Vec<_> = (0..deployments)
            .map(|id| json!({"model_name": "g", "litellm_params": {"model": format!("openai/m{id}"), "api_key": "k"}}))
            .collect();
        let config = json!({"model_list": list, "router_settings": {"disable_cooldowns": true}});
        let loaded = load_text(&config.to_string(), Path::new("test.yaml"), &|_| None);
        Router::new(loaded.resolved.unwrap(), Arc::new(()))
    }

    /// The pauses before every further try of a call that always fails.
    fn pauses(router: &Router, num_retries: u32) -> Vec<Duration> {
        let body = json!({"model": "g", "messages": [], "num_retries": num_retries}).to_string();
        let call = Call::read(Operation::ChatCompletions, HeaderMap::new(), Bytes::from(body), None).unwrap();
        let snapshot = router.snapshot();
        let attempts = Attempts::new(router, &snapshot, &call);
        let (call, tags, counted) = (&call, &[][..], &[][..]);
        let question = Question { call, tags, counted, model: "g", depth: 0, operators_choice: false };
        let error = UpstreamError::new(ErrorKind::Internal, 500, "openai", "down");
        let mut walk = Walk::new(attempts.decide(&snapshot, question).unwrap());
        let mut current = walk.decision.first();
        let mut pauses = Vec::new();
        while let (Some(next), pause) = attempts.after(question, &snapshot, &mut walk, current, &error) {
            pauses.push(pause);
            current = next;
        }
        pauses
    }

    #[tokio::test]
    async fn the_untried_are_asked_at_once_and_the_tried_after_a_pause() {
        let pauses = pauses(&router(3), 6);
        let waits: Vec<_> = pauses.iter().map(|pause| !pause.is_zero()).collect();
        assert_eq!(waits, [false, false, true, true, true, true]);
        assert!(pauses[5] > pauses[2], "they grow: {pauses:?}");
    }

    #[tokio::test]
    async fn a_caller_cannot_ask_for_any_number_of_retries() {
        assert_eq!(pauses(&router(2), u32::MAX).len(), 10);
    }
}
