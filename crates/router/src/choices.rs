//! Whether a failure may be noted against a deployment. It may not where the caller's own choice explains it: one
//! caller would otherwise take a deployment away from all others. Everything else about cooldowns is the
//! scoreboard's.

use std::time::Duration;

use tagrail_providers::{Envelope, ErrorKind, Operation, UpstreamError};

use crate::references::References;
use crate::{Call, Caller};

/// Codes by which upstreams say that the model, and nothing else in the request, is not there.
const UNKNOWN_MODEL: [&str; 3] = ["model_not_found", "DeploymentNotFound", "deployment_not_found"];
/// OpenAI's 429 for a request that alone is larger than the limit per minute.
const TOO_LARGE: &str = "Request too large for";

/// What a caller chose for its call, as far as it may explain a failure.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Choices<'a> {
    /// Credentials, an address or headers of its own.
    pub(crate) steers: bool,
    /// A time limit that is shorter than the configured one.
    pub(crate) hurries: bool,
    /// The time ran out before the deployment was asked, waiting for `max_parallel_requests`.
    pub(crate) unasked: bool,
    /// What it asked. `None` once a reply has started: a name that is not there is reported before.
    pub(crate) asked: Option<(Operation, &'a Envelope)>,
    /// Who it is; see [`caller_mark`].
    pub(crate) caller: u32,
}

impl<'a> Choices<'a> {
    /// The choices of a call whose limit would be `configured` without its own.
    pub(crate) fn of(call: &'a Call, configured: Duration) -> Choices<'a> {
        Choices {
            steers: steers(call),
            hurries: call.timeout().is_some_and(|own| own < configured),
            unasked: false,
            asked: Some((call.operation, &call.envelope)),
            caller: caller_mark(&call.caller),
        }
    }

    /// The same for a reply that has started.
    pub(crate) fn of_reply(self) -> Choices<'static> {
        let Choices { steers, hurries, unasked, caller, .. } = self;
        Choices { steers, hurries, unasked, asked: None, caller }
    }

    /// Whether they explain a failure.
    pub(crate) fn explain(&self, error: &UpstreamError) -> bool {
        if self.steers || self.unasked {
            return true;
        }
        match error.kind {
            // A 408 or 504 of the upstream's own comes with a head.
            ErrorKind::Timeout => self.hurries && error.headers.is_none(),
            ErrorKind::NotFound => self.explain_not_found(error),
            ErrorKind::Authentication => names_another_field(error),
            ErrorKind::RateLimit => error.message.contains(TOO_LARGE),
            _ => false,
        }
    }

    /// A 404 is the deployment's where its model or its address is not there, and the caller's where a name that
    /// stands in the request is not: an earlier response, a file, an assistant.
    fn explain_not_found(&self, error: &UpstreamError) -> bool {
        let Some((operation, envelope)) = self.asked else { return true };
        if names_another_field(error) {
            return true;
        }
        let says_model = error.upstream_code.as_deref().is_some_and(|code| UNKNOWN_MODEL.contains(&code));
        let references = References::of(operation, envelope.body());
        references.models || (references.objects && !says_model)
    }
}

/// Whether a call brings credentials, an address or headers of its own. What becomes of it says nothing of the
/// deployment, well or badly.
pub(crate) fn steers(call: &Call) -> bool {
    !call.envelope.steering().is_empty()
}

/// A number for a caller, to tell whether failures are those of one or of several. Two callers may share one.
pub(crate) fn caller_mark(caller: &Caller) -> u32 {
    // Keys are digests; their first digits differ.
    let digits = caller.identity.key.as_bytes().iter().take(16);
    digits.fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Whether the upstream names a field of the request other than `model`.
fn names_another_field(error: &UpstreamError) -> bool {
    error.param.as_deref().is_some_and(|param| !param.is_empty() && param != "model")
}
