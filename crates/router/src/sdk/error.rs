//! Why a call has no answer, and whose fault that was.

use std::fmt;
use std::time::Duration;

use tagrail_providers::{EnvelopeError, ErrorKind, UpstreamError};
use tagrail_routing::NoRoute;

use crate::{Blame, Call, CallError, Facts, RateLimits, Refusal, Told};

/// Why a call has no answer, or no whole one. [`Error::fault`] says whose fault it was; what there is to
/// tell is in the [`Failure`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The request cannot be routed, or cannot be said to any deployment: a field is missing, of the wrong
    /// type, or not permitted.
    Request(Box<Failure>),
    /// Nothing is configured under this name.
    UnknownModel(Box<Failure>),
    /// A list of the caller's does not admit the name.
    Denied(Box<Failure>),
    /// Tags leave no deployment, or none that is within the caller's reach.
    Tags(Box<Failure>),
    /// A limit or a budget of the caller's has no room.
    OverLimit(Box<Failure>),
    /// The caller has a budget, and nothing says what the model costs.
    Unpriced(Box<Failure>),
    /// The name is configured, and all its deployments were left out or are paused.
    NoDeployments(Box<Failure>),
    /// It is not known which tags are reserved.
    ReservationsUnknown(Box<Failure>),
    /// No deployment of the name serves this API.
    NotServed(Box<Failure>),
    /// Everything that name and tags permit is cooling down after failures.
    Cooling(Box<Failure>),
    /// The upstream refused or failed, after all retries and fallbacks.
    Upstream(Box<Failure>),
    /// A stream broke after it had begun.
    Broken(Box<Failure>),
    /// The call's deadline has passed.
    Deadline(Box<Failure>),
}

/// Who can do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// Whoever made the call: another request would be answered.
    Caller,
    /// Whoever wrote the configuration, or holds the accounts that it names.
    Operator,
    /// The provider, or the network on the way to it: another time it may be answered.
    Upstream,
    /// Nobody in particular: there was not enough time.
    Deadline,
}

/// What there is to tell of a failed call.
#[derive(Debug)]
pub struct Failure {
    told: Told,
    fault: Fault,
    model: String,
    deployment: Option<String>,
    attempts: u32,
    upstream: Option<UpstreamError>,
}

impl Error {
    /// Whose fault it was.
    pub fn fault(&self) -> Fault {
        self.failure().fault
    }

    /// What there is to tell.
    pub fn failure(&self) -> &Failure {
        match self {
            Error::Request(failure)
            | Error::UnknownModel(failure)
            | Error::Denied(failure)
            | Error::Tags(failure)
            | Error::OverLimit(failure)
            | Error::Unpriced(failure)
            | Error::NoDeployments(failure)
            | Error::ReservationsUnknown(failure)
            | Error::NotServed(failure)
            | Error::Cooling(failure)
            | Error::Upstream(failure)
            | Error::Broken(failure)
            | Error::Deadline(failure) => failure,
        }
    }

    /// The HTTP status that LiteLLM gives it.
    pub fn status(&self) -> u16 {
        self.failure().told.status
    }

    /// LiteLLM's text, where it has one.
    pub fn message(&self) -> &str {
        &self.failure().told.message
    }

    /// What can be done about it, where that is known.
    pub fn help(&self) -> Option<&str> {
        self.failure().told.help.as_deref()
    }

    /// After how long another try makes sense.
    pub fn retry_after(&self) -> Option<Duration> {
        self.failure().told.retry_after
    }

    /// The name asked for; empty when there was none.
    pub fn model(&self) -> &str {
        &self.failure().model
    }

    /// The deployment whose failure it is, when one was tried.
    pub fn deployment_id(&self) -> Option<&str> {
        self.failure().deployment.as_deref()
    }

    /// Tries in all groups. Where the deadline has passed they are not known, and 0.
    pub fn attempts(&self) -> u32 {
        self.failure().attempts
    }

    /// The field of the request that is to blame.
    pub fn param(&self) -> Option<&str> {
        self.failure().told.param.as_deref()
    }

    /// The provider's own code of the failure.
    pub fn code(&self) -> Option<&str> {
        self.failure().told.code.as_deref()
    }

    /// What the upstream said.
    pub fn upstream(&self) -> Option<&UpstreamError> {
        self.failure().upstream.as_ref()
    }

    /// What the provider that refused said of its limits.
    pub fn rate_limits(&self) -> RateLimits {
        let headers = self.upstream().and_then(|upstream| upstream.headers.as_deref());
        headers.map(RateLimits::of).unwrap_or_default()
    }

    /// A call that the router refused, or that nobody answered.
    pub(super) fn of(error: CallError, call: &Call) -> Error {
        let told = error.told();
        let deployment = error.blame.as_ref().map(|blame| error.snapshot.spec(blame.deployment).id.clone());
        let (make, fault): (fn(Box<Failure>) -> Error, _) = match &error.refusal {
            Refusal::Body(_) | Refusal::MissingModel | Refusal::MissingField(_) => {
                (Error::Request, Fault::Caller)
            }
            Refusal::NoRoute(no_route) => match no_route {
                NoRoute::UnknownModel { .. } | NoRoute::WildcardId => (Error::UnknownModel, Fault::Caller),
                NoRoute::NoDeployments => (Error::NoDeployments, Fault::Operator),
                NoRoute::ModelDenied { .. } => (Error::Denied, Fault::Caller),
                NoRoute::ReservationsUnknown => (Error::ReservationsUnknown, Fault::Operator),
                NoRoute::TagMismatch { .. } => (Error::Tags, Fault::Caller),
                NoRoute::Cooling { .. } => (Error::Cooling, Fault::Upstream),
            },
            Refusal::Response(_) => (Error::Request, Fault::Caller),
            Refusal::NotServed { .. } => (Error::NotServed, Fault::Operator),
            Refusal::OverLimit(_) => (Error::OverLimit, Fault::Caller),
            Refusal::Unpriced { .. } => (Error::Unpriced, Fault::Operator),
            Refusal::Upstream(upstream) => (Error::Upstream, fault_of(upstream, call)),
        };
        let CallError { refusal, model, attempts, .. } = error;
        let upstream = match refusal {
            Refusal::Upstream(upstream) => Some(upstream),
            _ => None,
        };
        make(Box::new(Failure { told, fault, model, deployment, attempts, upstream }))
    }

    /// A body that is none.
    pub(super) fn of_body(error: EnvelopeError, model: &str) -> Error {
        let told = Told::of_body(&error);
        let (fault, model) = (Fault::Caller, model.to_owned());
        Error::Request(Box::new(Failure {
            told,
            fault,
            model,
            deployment: None,
            attempts: 0,
            upstream: None,
        }))
    }
}

/// A stream that has begun.
pub(super) fn broken(call: &Call, facts: &Facts, upstream: UpstreamError) -> Error {
    let refusal = Refusal::Upstream(upstream);
    let asked = call.model().unwrap_or_default().into_owned();
    let error = CallError::new(call, facts.snapshot.clone(), asked, refusal);
    let (deployment, upstream_model) = (facts.deployment, facts.model().to_owned());
    let blame = Blame { deployment, upstream_model, retries: facts.retries };
    let error = CallError { blame: Some(blame), attempts: facts.attempts, ..error };
    match Error::of(error, call) {
        Error::Upstream(failure) => Error::Broken(failure),
        other => other,
    }
}

/// A call that took too long.
pub(super) fn overdue(call: &Call, deadline: Duration) -> Error {
    let model = call.model().unwrap_or_default().into_owned();
    let message =
        format!("litellm.Timeout: the deadline of {deadline:?} has passed before model={model} had answered");
    let (told, fault) = (Told::plain(408, message), Fault::Deadline);
    Error::Deadline(Box::new(Failure { told, fault, model, deployment: None, attempts: 0, upstream: None }))
}

/// A key of the call's own is the caller's to change.
fn fault_of(error: &UpstreamError, call: &Call) -> Fault {
    match error.kind {
        _ if error.unsent => {
            if error.status < 500 {
                Fault::Caller
            } else {
                Fault::Operator
            }
        }
        ErrorKind::BadRequest
        | ErrorKind::ContextWindow
        | ErrorKind::ContentPolicy
        | ErrorKind::Unprocessable => Fault::Caller,
        ErrorKind::Authentication | ErrorKind::PermissionDenied if call.envelope.has("api_key") => {
            Fault::Caller
        }
        ErrorKind::Authentication | ErrorKind::PermissionDenied | ErrorKind::NotFound => Fault::Operator,
        ErrorKind::Other if error.status < 500 => Fault::Caller,
        _ => Fault::Upstream,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.failure().told.text())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.upstream().map(|error| error as &(dyn std::error::Error + 'static))
    }
}
