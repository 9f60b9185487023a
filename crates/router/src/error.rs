//! Why a call failed, and whose fault it was.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tagrail_providers::{EnvelopeError, Operation, UpstreamError};
use tagrail_routing::{DeploymentIndex, NoRoute};

use crate::{Call, Caller, OverLimit, Snapshot};

/// A failed call: what happened, and what the reply's headers need.
#[derive(Debug)]
pub struct CallError {
    /// What happened.
    pub refusal: Refusal,
    /// The configuration that it was decided with.
    pub snapshot: Arc<Snapshot>,
    /// The name asked for, for LiteLLM's `Received Model Group=`; empty when there was none.
    pub model: String,
    /// The limit of the attempt, for `x-litellm-timeout`, when one was made.
    pub timeout: Option<Duration>,
    /// What was asked for.
    pub operation: Operation,
    /// On whose behalf.
    pub caller: Arc<Caller>,
    /// Whether the operator's own program asked; see [`Call::in_process`].
    pub in_process: bool,
    /// Whose failure it is, when a deployment was tried.
    pub blame: Option<Blame>,
    /// Tries in all groups.
    pub attempts: u32,
    /// Whether `max_attempts_per_call` has ended the call, where another attempt would have followed.
    pub exhausted: bool,
    /// It continues a stored response, which one deployment alone has.
    pub is_pinned: bool,
}

/// The deployment whose failure is told: after fallbacks have failed too, one of the group asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blame {
    /// Which one.
    pub deployment: DeploymentIndex,
    /// What it was asked for, provider in front, captures filled in.
    pub upstream_model: String,
    /// Retries within its group.
    pub retries: u32,
}

impl CallError {
    /// A call that is refused before anybody was tried. `model` is the name that it asked for.
    pub fn new(call: &Call, snapshot: Arc<Snapshot>, model: String, refusal: Refusal) -> CallError {
        CallError {
            refusal,
            snapshot,
            model,
            timeout: None,
            operation: call.operation,
            caller: call.caller.clone(),
            in_process: call.in_process,
            blame: None,
            attempts: 0,
            exhausted: false,
            is_pinned: false,
        }
    }
}

/// What is told of it.
impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told().text())
    }
}

impl std::error::Error for CallError {}

/// What happened.
#[derive(Debug)]
pub enum Refusal {
    /// The caller's body: 400.
    Body(EnvelopeError),
    /// No model anywhere: 400.
    MissingModel,
    /// A field that the operation needs is not there: 400.
    MissingField(&'static str),
    /// No deployment may serve it right now.
    NoRoute(NoRoute),
    /// A stored response that the call cannot continue: 400.
    Response(ResponseRefusal),
    /// The deployments speak another dialect: 501.
    NotServed {
        /// What was asked for.
        operation: Operation,
        /// Who cannot do it.
        provider: &'static str,
    },
    /// A limit or budget of the caller's has no room: 429.
    OverLimit(OverLimit),
    /// The caller has a budget, and nothing says what the model costs: 403. The message names the
    /// setting that is missing, and no deployment.
    Unpriced {
        /// The name asked for.
        model: String,
    },
    /// The upstream's fault, or the network's.
    Upstream(UpstreamError),
}

/// Why a call cannot continue stored state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseRefusal {
    /// There is no such response for this caller: none of this id, or it belongs to another.
    NotFound {
        /// As it was sent.
        id: String,
    },
    /// Its deployment is not part of the configuration any more.
    Gone {
        /// As it was sent.
        id: String,
    },
    /// The name asked for does not lead to the deployment that has it.
    Elsewhere {
        /// The name.
        model: String,
    },
    /// `conversation`: its owner is not known.
    Conversation,
}

impl Refusal {
    /// The HTTP status, LiteLLM's.
    pub fn status(&self) -> u16 {
        match self {
            Refusal::Body(error) => error.status,
            Refusal::MissingModel | Refusal::MissingField(_) | Refusal::Response(_) => 400,
            Refusal::NoRoute(no_route) => no_route.status(),
            Refusal::NotServed { .. } => 501,
            Refusal::OverLimit(_) => 429,
            Refusal::Unpriced { .. } => 403,
            Refusal::Upstream(error) => error.status,
        }
    }
}
