//! A call that the operator's own program makes, without a gateway in between.

use serde_json::Value;
use tagrail_providers::{EnvelopeError, Target};

use crate::Call;

impl Call {
    /// The same call, made by the operator's own program without a gateway in between, as LiteLLM's Router
    /// is called in contrast to its proxy. The reply keeps the upstream's `model`; an unknown name has
    /// `default_fallbacks` in both modes; and the body may hold what a client's may not: `mock_response`,
    /// `enable_tag_filtering`, its own `context_window_fallbacks` and `content_policy_fallbacks`, and for this
    /// call alone `api_key`, `api_base` and `extra_headers`. The last three are the operator's: where the call is
    /// on behalf of a [`Caller`](crate::Caller) with a policy, a deployment has to allow them, as it has to in a gateway.
    #[must_use]
    pub fn in_process(mut self) -> Call {
        self.in_process = true;
        self
    }

    /// Whether a deployment lets the call say what its body says of address and credentials.
    pub(crate) fn admitted_by(&self, target: &Target) -> Result<(), EnvelopeError> {
        if self.is_operators() {
            target.admit_in_process(&self.envelope)
        } else {
            target.admit(&self.envelope)
        }
    }

    /// Whether the operator's own program speaks for itself: what it was handed by a caller of its own, it may
    /// well have put into the body as it came.
    pub(crate) fn is_operators(&self) -> bool {
        self.in_process && self.caller.policy.is_none()
    }

    /// `mock_response`, where the program itself wants no upstream asked.
    pub(crate) fn mock_response(&self) -> Option<String> {
        self.own("mock_response")?.as_str().map(str::to_owned)
    }

    /// `enable_tag_filtering`, where the program itself switches it on.
    pub(crate) fn forces_tag_filtering(&self) -> bool {
        self.own("enable_tag_filtering").is_some_and(|value| value == true)
    }

    /// A field that counts only within a process.
    pub(crate) fn own(&self, field: &str) -> Option<Value> {
        if !self.in_process {
            return None;
        }
        serde_json::from_str(self.envelope.raw(field)?).ok()
    }
}
