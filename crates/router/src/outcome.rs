//! What came of a call: the answer for the client, the outcome for whoever keeps count.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::HeaderMap;
use tagrail_money::Money;
use tagrail_providers::{Cost, Operation, Usage};
use tagrail_routing::{Decision, DeploymentIndex};

use crate::{Caller, ReplyStream, Snapshot};

/// A call that was answered.
#[derive(Debug)]
pub struct Answer {
    /// For the headers.
    pub facts: Facts,
    /// For the client.
    pub body: AnswerBody,
}

/// The answer's body.
#[derive(Debug)]
pub enum AnswerBody {
    /// JSON, whole, in pieces.
    Whole(Vec<Bytes>),
    /// Server-sent events, as they come.
    Stream(Box<ReplyStream>),
    /// Server-sent events that are all there already (`mock_response`).
    Events(Vec<Bytes>),
}

/// Who answered, and how.
#[derive(Debug)]
pub struct Facts {
    /// The configuration that decided.
    pub snapshot: Arc<Snapshot>,
    /// Who answered.
    pub deployment: DeploymentIndex,
    /// The name asked for; after a fallback, the fallback's name.
    pub group: String,
    /// The upstream model with its provider, when it differs from the deployment's own (wildcards).
    pub upstream_model: Option<String>,
    /// `api_base` to show, when it differs from the deployment's own.
    pub shown_base: Option<String>,
    /// Retries within the group that answered.
    pub retries: u32,
    /// How many there could have been; `None` when there was none.
    pub max_retries: Option<u32>,
    /// Fallback groups (and order levels) tried.
    pub fallbacks: u32,
    /// Tries in all groups.
    pub attempts: u32,
    /// The tags that it was decided by, where a fallback brought others than the call's.
    pub tags: Option<Vec<String>>,
    /// What the deployment was chosen by; of a stream, [`ReplyStream::decision`] has it.
    pub decision: Option<Decision>,
    /// The upstream's response headers; empty for a mocked response.
    pub upstream_headers: HeaderMap,
    /// When the call came.
    pub started: Instant,
    /// From the start of the attempt that answered to the head (or, when whole, the end) of its reply.
    pub upstream_time: Duration,
    /// Tokens, when the answer is whole and says them.
    pub usage: Option<Usage>,
    /// What it cost, when prices are known and the answer is whole.
    pub cost: Option<Cost>,
    /// On whose behalf.
    pub caller: Arc<Caller>,
}

/// One finished call, written once.
#[derive(Clone, Debug)]
pub struct Outcome<'a> {
    /// What was asked for.
    pub operation: Operation,
    /// `model_name` of the group as configured; empty when the name led nowhere.
    pub group: &'a str,
    /// The deployment's id that answered or failed last; empty when none was tried.
    pub deployment: &'a str,
    /// HTTP status given to the client.
    pub status: u16,
    /// From the call's start to its end (of the stream, too).
    pub duration: Duration,
    /// Until the first byte for the client, for streams.
    pub first_byte: Option<Duration>,
    /// Tokens, as far as known.
    pub usage: Option<Usage>,
    /// What it cost, when prices are known.
    pub cost: Option<Money>,
    /// Tries in all groups.
    pub attempts: u32,
    /// Whether an upstream was asked: a try can be refused before, by a limit of the caller.
    pub asked: bool,
    /// A stream that broke or was left by its client.
    pub cut_short: bool,
    /// On whose behalf.
    pub caller: &'a Caller,
    /// `x-litellm-call-id`.
    pub call_id: &'a str,
    /// The name asked for, as sent (no alias followed); empty when there was none.
    pub model: &'a str,
    /// The upstream model with its provider, captures filled in; empty when no deployment was tried.
    pub upstream_model: &'a str,
    /// The provider's name; empty when no deployment was tried.
    pub provider: &'a str,
    /// Where it was sent, as shown; empty when nowhere.
    pub api_base: &'a str,
    /// The tags that were routed on, but for those that are reserved for others.
    pub tags: &'a [String],
    /// `user` of the body.
    pub end_user: Option<&'a str>,
    /// Tokens (and cost) are an estimate, since the upstream said nothing of them.
    pub estimated: bool,
    /// How it was decided, in one line to be read by people and grep: `exact gpt-4 free->gpt-4-free 1/3 r0 f0`.
    /// What it says is described in `decided.rs`.
    pub decision: &'a str,
    /// When the call came, by the system's clock.
    pub started: SystemTime,
}

/// Whoever keeps count. Called from the request's own core; must not wait.
pub trait Recorder: Send + Sync {
    /// One call is over.
    fn record(&self, outcome: &Outcome<'_>);

    /// A deployment has started to cool down.
    fn cooled(&self, deployment: &str, until: Duration) {
        let _ = (deployment, until);
    }

    /// Whether everything of an [`Outcome`] is wanted. Otherwise what costs something to gather is left
    /// empty: call id, start by the clock, names of models, tags, address, end user, decision, and
    /// estimates of tokens for callers that nothing is counted against.
    fn wants_details(&self) -> bool {
        true
    }
}

/// Nobody counts.
impl Recorder for () {
    fn record(&self, _: &Outcome<'_>) {}

    fn wants_details(&self) -> bool {
        false
    }
}

impl Outcome<'_> {
    /// One line for every call; louder when it was nobody's fault but the gateway's or the upstream's.
    /// It holds nothing that a client or an upstream wrote.
    pub(crate) fn log(&self) {
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    operation = self.operation.name(),
                    group = self.group,
                    deployment = self.deployment,
                    status = self.status,
                    ms = self.duration.as_millis() as u64,
                    attempts = self.attempts,
                    cut_short = self.cut_short,
                    "call"
                )
            };
        }
        if self.status >= 500 { line!(info) } else { line!(debug) }
    }
}
