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
/// A longer `Retry-After` is not waited for within a call.
const LONGEST_RETRY_AFTER: f64 = 60.0;

impl Attempts<'_> {
    /// Retries that a deployment's failures get when no policy names their class: the call's own
    /// number, the deployment's, the router's.
    pub(super) fn retry_limit(&self, question: Question<'_>, deployment: DeploymentIndex) -> u32 {
        let own = self.snapshot.deployment(deployment).num_retries;
        question.call.num_retries().or(own).unwrap_or(self.snapshot.router.num_retries)
    }

    /// The pause before the next try, or `None` when there is to be none.
    pub(super) fn may_retry(
        &self,
        question: Question<'_>,
        walk: &mut Walk,
        current: DeploymentIndex,
        error: &UpstreamError,
    ) -> Option<Duration> {
        let snapshot = self.snapshot;
        let others = walk.decision.has_other(&snapshot.table, current, snapshot.board(), self.router.now());
        let router = &snapshot.router;
        let policy =
            router.group_retry_policy.get(&snapshot.spec(current).group).unwrap_or(&router.retry_policy);
        let limit = match policy.retries(error.kind) {
            Some(limit) => limit,
            None if retried(error, others) => self.retry_limit(question, current),
            None => return None,
        };
        if walk.retries >= limit {
            return None;
        }
        Some(if others { Duration::ZERO } else { pause(walk.retries, error, router.retry_after) })
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

/// Seconds as LiteLLM counts them: what the upstream asked for, else twice as long each time.
fn pause(retries: u32, error: &UpstreamError, least: Duration) -> Duration {
    let asked = error.retry_after.filter(|seconds| *seconds > 0.0 && *seconds <= LONGEST_RETRY_AFTER);
    let seconds = asked.unwrap_or_else(|| {
        let doubled = FIRST_PAUSE * f64::from(1_u32 << retries.min(8));
        doubled.min(LONGEST_PAUSE).max(least.as_secs_f64())
    });
    Duration::from_secs_f64(seconds + fastrand::f64() * JITTER)
}
