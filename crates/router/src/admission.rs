//! What a caller may use up: reserved before an attempt, settled when the call is over. Whoever keeps
//! the counts implements it.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use tagrail_money::Money;
use tagrail_routing::RequestTag;

/// What an attempt may use up, at most. Estimated before it is made.
#[derive(Clone, Copy, Debug)]
pub struct Need<'a> {
    /// What is asked for, whichever of its names was used: the `model_name` of the group, so that neither
    /// an alias nor a deployment's id gets around a limit by model; behind a wildcard the name asked for, its
    /// aliases followed.
    /// After a fallback, the fallback's.
    pub model: &'a str,
    /// The tags that the call counts under.
    pub tags: &'a [RequestTag<'a>],
    /// The most tokens of all prompts and all answers: up to the limit that the request or the deployment sets,
    /// else the model's longest answer. What the call was charged for already is among them.
    pub tokens: u64,
    /// Of these, what the call uses in any case: prompt tokens and the answer's limit where the request sets
    /// one. A window of tokens per minute without room for this much refuses the call; one that has it admits
    /// the call, and takes `tokens`.
    pub tokens_least: u64,
    /// What `tokens` cost at the deployment about to be tried; `None` when it has no price.
    pub cost: Option<Money>,
}

/// What a call has used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Prompt and answer.
    pub tokens: u64,
    /// What it cost.
    pub cost: Money,
}

/// A caller's limits and budgets. Asked on the request's own core; must not wait.
pub trait Allowance: Send + Sync {
    /// Reserves what an attempt may use up, in every count that it falls under, or in none.
    ///
    /// # Errors
    /// The first count that has no room.
    fn reserve(&self, need: &Need<'_>) -> Result<Box<dyn Reservation>, OverLimit>;

    /// Whether a budget is kept, so that a deployment without a price cannot be paid from it. Asked with
    /// the tags of the call, which may have budgets of their own.
    fn has_budget(&self, tags: &[RequestTag<'_>]) -> bool;

    /// `x-litellm-key-*` and `x-ratelimit-*` of the answer, as the counts are now.
    fn facts(&self) -> AllowanceFacts;
}

/// What is reserved for one call. Dropped without having been settled, it gives back tokens and money
/// (the request itself counts), and its place among the parallel ones.
pub trait Reservation: Send + Sync {
    /// The call goes on with another deployment or another name: reserves what that needs beyond what
    /// is reserved already. The request itself is counted once for each name.
    ///
    /// # Errors
    /// As [`Allowance::reserve`]; what was reserved stays.
    fn extend(&mut self, need: &Need<'_>) -> Result<(), OverLimit>;

    /// The call is over, and has used this up; its outcome was recorded just before.
    fn settle(self: Box<Self>, used: Used);
}

/// Counts of a caller, for the headers of its answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AllowanceFacts {
    /// `x-litellm-key-spend`: since the last reset.
    pub key_spend: Money,
    /// `x-litellm-key-max-budget`.
    pub key_max_budget: Option<Money>,
    /// `x-litellm-key-rpm-limit`.
    pub key_rpm_limit: Option<u64>,
    /// `x-litellm-key-tpm-limit`.
    pub key_tpm_limit: Option<u64>,
    /// `x-ratelimit-api_key-{limit,remaining}-{requests,tokens}` and `x-ratelimit-team-…`, ready made.
    pub rates: Vec<(HeaderName, HeaderValue)>,
}

/// A limit or budget without room: 429.
#[derive(Clone, Debug)]
pub struct OverLimit {
    /// `throttling_error` or `budget_exceeded`.
    pub kind: &'static str,
    /// LiteLLM's text; it names the limit, and nobody but the caller, its team, user and tags.
    pub message: String,
    /// `retry-after`.
    pub retry_after: Option<Duration>,
    /// `x-ratelimit-*`, `rate_limit_type`, `reset_at`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}
