//! What went wrong upstream, in one vocabulary for all providers.

/// The classes that retries, cooldowns and fallbacks distinguish (LiteLLM's exception classes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// 400 without a more special meaning.
    BadRequest,
    /// 400: the prompt is longer than the model's context.
    ContextWindow,
    /// 400: refused by a content policy.
    ContentPolicy,
    /// 401.
    Authentication,
    /// 403.
    PermissionDenied,
    /// 404.
    NotFound,
    /// 408 and 504, and the gateway's own timeouts.
    Timeout,
    /// 422.
    Unprocessable,
    /// 429.
    RateLimit,
    /// 500.
    Internal,
    /// 502.
    BadGateway,
    /// 503.
    Unavailable,
    /// Any other status (409, 413, 529, ...).
    Other,
    /// No answer: refused, reset, cut, or not HTTP.
    Connection,
}

/// A failed call to a provider.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamError {
    /// Its class.
    pub kind: ErrorKind,
    /// The HTTP status that the client gets.
    pub status: u16,
    /// LiteLLM's text: `litellm.RateLimitError: RateLimitError: OpenAIException - <upstream's message>`.
    pub message: String,
    /// The provider's own `error.type`, when it sent one.
    pub upstream_type: Option<String>,
    /// The provider's own `error.code`, when it sent one (row D20).
    pub upstream_code: Option<String>,
    /// `error.param`.
    pub param: Option<String>,
    /// `Retry-After` as sent, in seconds (row D20).
    pub retry_after: Option<f64>,
}
