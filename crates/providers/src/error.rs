//! What went wrong upstream, in one vocabulary for all providers.
//!
//! OpenAI-compatible providers and Anthropic refuse in nearly the same shape, `{"error": {"message",
//! "type", "code", "param"}}`; the rest (`{"error": "text"}`, `{"message": …}`, `{"detail": …}`, plain
//! text) is read as far as it goes. Bodies are somebody else's text: bounded, and masked where they
//! repeat a secret that was sent.

mod refusal;

use std::fmt;

use http::HeaderMap;

use crate::target::Secrets;
use refusal::Refusal;
pub use refusal::retry_after;

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
    /// Set where `message` names parts of the configuration (variables, settings): callers read
    /// [`Misconfigured::text`] instead.
    pub misconfigured: Option<Misconfigured>,
    /// The provider's own `error.type`, when it sent one.
    pub upstream_type: Option<Box<str>>,
    /// The provider's own `error.code`, when it sent one (row D20).
    pub upstream_code: Option<String>,
    /// `error.param`.
    pub param: Option<String>,
    /// `Retry-After` as sent, in seconds (row D20).
    pub retry_after: Option<f64>,
    /// Nothing was sent: the deployment cannot serve such a call, or the call cannot be said to it.
    pub unsent: bool,
    /// All headers of the reply that refused; `None` where there was no such reply.
    pub headers: Option<Box<HeaderMap>>,
}

impl ErrorKind {
    /// The class of a status, before the text is looked at.
    pub fn of_status(status: u16) -> ErrorKind {
        match status {
            400 => ErrorKind::BadRequest,
            401 => ErrorKind::Authentication,
            403 => ErrorKind::PermissionDenied,
            404 => ErrorKind::NotFound,
            408 | 504 => ErrorKind::Timeout,
            422 => ErrorKind::Unprocessable,
            429 => ErrorKind::RateLimit,
            500 => ErrorKind::Internal,
            502 => ErrorKind::BadGateway,
            503 => ErrorKind::Unavailable,
            _ => ErrorKind::Other,
        }
    }

    /// LiteLLM's text in front of `<Provider>Exception - …`.
    fn prefix(self) -> &'static str {
        match self {
            ErrorKind::BadRequest => "litellm.BadRequestError: ",
            ErrorKind::ContextWindow => "litellm.ContextWindowExceededError: ContextWindowExceededError: ",
            ErrorKind::ContentPolicy => "litellm.ContentPolicyViolationError: ContentPolicyViolationError: ",
            ErrorKind::Authentication => "litellm.AuthenticationError: AuthenticationError: ",
            ErrorKind::PermissionDenied | ErrorKind::Other => "litellm.APIError: APIError: ",
            ErrorKind::NotFound => "litellm.NotFoundError: NotFoundError: ",
            ErrorKind::Timeout => "litellm.Timeout: Timeout Error: ",
            ErrorKind::Unprocessable => "litellm.UnprocessableEntityError: ",
            ErrorKind::RateLimit => "litellm.RateLimitError: RateLimitError: ",
            ErrorKind::Internal => "litellm.InternalServerError: InternalServerError: ",
            ErrorKind::BadGateway => "litellm.BadGatewayError: BadGatewayError: ",
            ErrorKind::Unavailable => "litellm.ServiceUnavailableError: ServiceUnavailableError: ",
            ErrorKind::Connection => "litellm.APIConnectionError: APIConnectionError: ",
        }
    }
}

/// What a deployment lacks to be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misconfigured {
    /// A credential.
    NoCredential,
    /// Something else, such as an address.
    Incomplete,
}

impl Misconfigured {
    /// What callers read of it.
    pub fn text(self) -> &'static str {
        match self {
            Misconfigured::NoCredential => {
                "Missing credentials: the deployment for this model has none. Ask the operator of this gateway."
            }
            Misconfigured::Incomplete => {
                "The deployment for this model is not configured completely. Ask the operator of this gateway."
            }
        }
    }
}

impl UpstreamError {
    /// An error of this class with LiteLLM's text around `message`. `provider` is its name
    /// (`openai`).
    pub fn new(kind: ErrorKind, status: u16, provider: &str, message: &str) -> UpstreamError {
        let message = format!("{}{} - {message}", kind.prefix(), exception(provider));
        UpstreamError::plain(kind, status, message)
    }

    /// An error whose text stands as it is.
    pub fn plain(kind: ErrorKind, status: u16, message: impl Into<String>) -> UpstreamError {
        UpstreamError {
            kind,
            status,
            message: message.into(),
            misconfigured: None,
            upstream_type: None,
            upstream_code: None,
            param: None,
            retry_after: None,
            unsent: false,
            headers: None,
        }
    }

    /// The same, as a fault of the deployment's configuration.
    pub(crate) fn misconfigured(self, how: Misconfigured) -> UpstreamError {
        UpstreamError { misconfigured: Some(how), ..self }
    }

    /// The upstream did not answer, or broke off (500, as LiteLLM has it).
    pub fn connection(provider: &str, message: &str) -> UpstreamError {
        UpstreamError::new(ErrorKind::Connection, 500, provider, message)
    }

    /// A reply that neither answers nor refuses.
    fn no_answer(provider: &str, status: u16) -> UpstreamError {
        let message = format!(
            "The upstream answered with status {status}, which is neither an answer nor an error. Redirects are \
             not followed: api_base must be the final address."
        );
        UpstreamError::new(ErrorKind::BadGateway, 502, provider, &message)
    }

    /// The request cannot be said in the provider's dialect: 400, never retried.
    pub(crate) fn unsayable(param: &str, message: String) -> UpstreamError {
        let message = format!("litellm.BadRequestError: {message}");
        let error = UpstreamError::plain(ErrorKind::BadRequest, 400, message);
        UpstreamError { param: Some(param.to_owned()), ..error }
    }

    /// The request takes too much to be translated: 413, never retried.
    pub(crate) fn too_large(message: String) -> UpstreamError {
        let message = format!("litellm.BadRequestError: {message}");
        let error = UpstreamError::plain(ErrorKind::BadRequest, 413, message);
        UpstreamError { param: Some("request_body".to_owned()), ..error }
    }

    /// The operation is not served by this provider: 501, and a retry would change nothing.
    pub(crate) fn not_served(provider: &str, operation: crate::Operation) -> UpstreamError {
        let message = format!(
            "litellm.BadRequestError: {} is not available on deployments of provider {provider} in this \
             release; use a deployment that speaks that API",
            operation.name()
        );
        UpstreamError::plain(ErrorKind::BadRequest, 501, message)
    }

    /// Reads a refusal: its status, its headers, its body. `secrets` are masked wherever the body
    /// repeats them. A `Retry-After` that is a date is measured against the reply's own `Date`.
    /// A status that is no error (a redirect, to begin with) is the gateway's 502.
    pub(crate) fn from_reply(
        provider: &str,
        status: u16,
        headers: &HeaderMap,
        body: &[u8],
        secrets: &Secrets,
    ) -> UpstreamError {
        let error = match status {
            400..600 => Refusal::read(body).into_error(provider, status, secrets),
            _ => UpstreamError::no_answer(provider, status),
        };
        UpstreamError { retry_after: retry_after(headers), ..error }
    }

    /// An error event inside a stream that began with 200: the status that its `code` or type names,
    /// else 500.
    pub(crate) fn from_event(provider: &str, event: &[u8], secrets: &Secrets) -> UpstreamError {
        let refusal = Refusal::read(event);
        let status = refusal.status();
        refusal.into_error(provider, status, secrets)
    }
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for UpstreamError {}

/// `openai` → `OpenAIException`, `groq` → `GroqException`.
fn exception(provider: &str) -> String {
    if provider == "openai" {
        return "OpenAIException".to_owned();
    }
    let mut letters = provider.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    format!("{}{}Exception", first.map_or_else(String::new, String::from), letters.as_str())
}

#[cfg(test)]
mod tests;
