//! What went wrong upstream, in one vocabulary for all providers.
//!
//! OpenAI-compatible providers and Anthropic refuse in nearly the same shape, `{"error": {"message",
//! "type", "code", "param"}}`; the rest (`{"error": "text"}`, `{"message": …}`, `{"detail": …}`, plain
//! text) is read as far as it goes. Bodies are somebody else's text: bounded, and masked where they
//! repeat the key that was sent.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};
use serde_json::Value;

use crate::Secret;

/// How much of an upstream's error body is looked at.
const BODY_LIMIT: usize = 64 * 1024;
/// How much of its message is passed on, in bytes.
const MESSAGE_LIMIT: usize = 4096;
/// Shorter keys are words that a message may hold by chance.
const SHORTEST_MASKED_KEY: usize = 8;

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

/// What an error body says about itself.
#[derive(Default)]
struct Refusal {
    message: String,
    kind: Option<String>,
    code: Option<String>,
    param: Option<String>,
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
            upstream_type: None,
            upstream_code: None,
            param: None,
            retry_after: None,
        }
    }

    /// The upstream did not answer, or broke off (500, as LiteLLM has it).
    pub fn connection(provider: &str, message: &str) -> UpstreamError {
        UpstreamError::new(ErrorKind::Connection, 500, provider, message)
    }

    /// The request cannot be said in the provider's dialect: 400, never retried.
    pub(crate) fn unsayable(param: &str, message: String) -> UpstreamError {
        let message = format!("litellm.BadRequestError: {message}");
        let error = UpstreamError::plain(ErrorKind::BadRequest, 400, message);
        UpstreamError { param: Some(param.to_owned()), ..error }
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

    /// Reads a refusal: its status, its headers, its body. `key` is masked wherever the body repeats
    /// it. A `Retry-After` that is a date is measured against the reply's own `Date`.
    pub fn from_reply(
        provider: &str,
        status: u16,
        headers: &HeaderMap,
        body: &[u8],
        key: Option<&Secret>,
    ) -> UpstreamError {
        let refusal = Refusal::read(body);
        let mut error = UpstreamError::from_refusal(provider, status, refusal, key);
        error.retry_after = retry_after(headers);
        error
    }

    /// An error event inside a stream that began with 200: the status that its `code` or type names,
    /// else 500.
    pub(crate) fn from_event(provider: &str, event: &[u8], key: Option<&Secret>) -> UpstreamError {
        let refusal = Refusal::read(event);
        let status = status_of(&refusal);
        UpstreamError::from_refusal(provider, status, refusal, key)
    }

    fn from_refusal(provider: &str, status: u16, refusal: Refusal, key: Option<&Secret>) -> UpstreamError {
        let kind = match ErrorKind::of_status(status) {
            ErrorKind::BadRequest => special(&refusal),
            ErrorKind::Other if status == 413 => special_size(&refusal),
            kind => kind,
        };
        // Masked before it is cut, so that no cut goes through a key.
        let clean = |text: String| shorten(&mask(&text, key)).to_owned();
        UpstreamError {
            upstream_type: refusal.kind.map(clean),
            upstream_code: refusal.code.map(clean),
            param: refusal.param.map(clean),
            ..UpstreamError::new(kind, status, provider, &clean(refusal.message))
        }
    }
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for UpstreamError {}

impl Refusal {
    fn read(body: &[u8]) -> Refusal {
        let body = &body[..body.len().min(BODY_LIMIT)];
        let Ok(Value::Object(whole)) = serde_json::from_slice::<Value>(body) else {
            let message = String::from_utf8_lossy(body).trim().to_owned();
            return Refusal { message, ..Refusal::default() };
        };
        let inner = match whole.get("error") {
            Some(Value::Object(inner)) => inner,
            Some(Value::String(text)) => {
                return Refusal { message: text.clone(), ..Refusal::default() };
            }
            _ => &whole,
        };
        let message = ["message", "detail", "error", "msg"].iter().find_map(|key| inner.get(*key)).map(text);
        Refusal {
            message: message.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned()),
            kind: inner.get("type").and_then(optional),
            code: inner.get("code").and_then(optional),
            param: inner.get("param").and_then(optional),
        }
    }
}

/// `openai` → `OpenAIException`, `groq` → `GroqException`.
fn exception(provider: &str) -> String {
    if provider == "openai" {
        return "OpenAIException".to_owned();
    }
    let mut letters = provider.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    format!("{}{}Exception", first.map_or_else(String::new, String::from), letters.as_str())
}

/// Tells apart the 400s that have fallbacks of their own. OpenAI names them by code, the others (and
/// most servers that imitate OpenAI) by words.
fn special(refusal: &Refusal) -> ErrorKind {
    const TOO_LONG: [&str; 9] = [
        "maximum context length",
        "maximum context limit",
        "context length exceeded",
        "context_length_exceeded",
        "exceeds the context window",
        "exceed context limit",
        "longer than the model's context length",
        "input tokens exceed the configured limit",
        "prompt is too long",
    ];
    const POLICY: [&str; 3] = [
        "content filtering policy",
        "violating our usage policy",
        "rejected as a result of our safety system",
    ];
    let words = refusal.message.to_lowercase();
    let said = |texts: &[&str]| texts.iter().any(|text| words.contains(text));
    match (refusal.kind.as_deref(), refusal.code.as_deref()) {
        (_, Some("context_length_exceeded")) => ErrorKind::ContextWindow,
        _ if said(&TOO_LONG) => ErrorKind::ContextWindow,
        // The code alone is not enough for LiteLLM, whose general fallbacks then apply.
        (Some("invalid_request_error"), Some("content_policy_violation")) => ErrorKind::ContentPolicy,
        (_, Some("content_filter")) => ErrorKind::ContentPolicy,
        _ if said(&POLICY) => ErrorKind::ContentPolicy,
        _ => ErrorKind::BadRequest,
    }
}

/// A 413 is about the body's bytes, unless its text speaks of the context.
fn special_size(refusal: &Refusal) -> ErrorKind {
    match special(refusal) {
        ErrorKind::ContextWindow => ErrorKind::ContextWindow,
        _ => ErrorKind::Other,
    }
}

/// The HTTP status behind an error event: OpenAI-compatible servers put it into `code`, Anthropic
/// documents a type for each.
fn status_of(refusal: &Refusal) -> u16 {
    let said = refusal.code.as_deref().and_then(|code| code.parse().ok());
    if let Some(status) = said.filter(|status| (400..600).contains(status)) {
        return status;
    }
    match refusal.kind.as_deref() {
        Some("invalid_request_error") => 400,
        Some("authentication_error") => 401,
        Some("permission_error") => 403,
        Some("not_found_error") => 404,
        Some("request_too_large") => 413,
        Some("rate_limit_error" | "rate_limit_exceeded" | "tokens" | "requests") => 429,
        Some("timeout_error") => 504,
        Some("overloaded_error") => 529,
        _ => 500,
    }
}

/// Seconds, or a date and the reply's own clock. Never negative.
fn retry_after(headers: &HeaderMap) -> Option<f64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return (seconds.is_finite() && seconds >= 0.0).then_some(seconds);
    }
    let then = httpdate::parse_http_date(text).ok()?;
    let now = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    Some(then.duration_since(now).unwrap_or(Duration::ZERO).as_secs_f64())
}

fn mask<'a>(message: &'a str, key: Option<&Secret>) -> Cow<'a, str> {
    match key.map(Secret::reveal) {
        Some(key) if key.len() >= SHORTEST_MASKED_KEY && message.contains(key) => {
            Cow::Owned(message.replace(key, "***"))
        }
        _ => Cow::Borrowed(message),
    }
}

fn shorten(message: &str) -> &str {
    let mut end = message.len().min(MESSAGE_LIMIT);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}

/// A string as it is, anything else as JSON (Mistral nests its validation errors).
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn optional(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &str) -> UpstreamError {
        UpstreamError::from_reply("openai", status, &HeaderMap::new(), body.as_bytes(), None)
    }

    #[test]
    fn texts_are_those_that_were_recorded() {
        let body = |status: u16| {
            format!(
                r#"{{"error":{{"message":"no {status}","type":"mock_error","param":null,"code":"{status}"}}}}"#
            )
        };
        for (status, text) in [
            (400, "litellm.BadRequestError: OpenAIException - no 400"),
            (401, "litellm.AuthenticationError: AuthenticationError: OpenAIException - no 401"),
            (403, "litellm.APIError: APIError: OpenAIException - no 403"),
            (404, "litellm.NotFoundError: NotFoundError: OpenAIException - no 404"),
            (429, "litellm.RateLimitError: RateLimitError: OpenAIException - no 429"),
            (500, "litellm.InternalServerError: InternalServerError: OpenAIException - no 500"),
            (503, "litellm.ServiceUnavailableError: ServiceUnavailableError: OpenAIException - no 503"),
            (529, "litellm.APIError: APIError: OpenAIException - no 529"),
        ] {
            let error = refused(status, &body(status));
            assert_eq!((error.message.as_str(), error.status), (text, status));
            assert_eq!(error.upstream_type.as_deref(), Some("mock_error"));
            assert_eq!(error.upstream_code, Some(status.to_string()));
        }
    }

    #[test]
    fn other_providers_are_named() {
        let error = UpstreamError::new(ErrorKind::Internal, 500, "groq", "x");
        assert_eq!(error.message, "litellm.InternalServerError: InternalServerError: GroqException - x");
    }

    #[test]
    fn every_shape_of_body_gives_a_message() {
        for (body, message) in [
            (r#"{"error":"plain"}"#, "plain"),
            (r#"{"message":"top"}"#, "top"),
            (r#"{"detail":[{"loc":["body"]}]}"#, r#"[{"loc":["body"]}]"#),
            (r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, "Overloaded"),
            ("<html>Bad gateway</html>\n", "<html>Bad gateway</html>"),
            (r#"{"odd":1}"#, r#"{"odd":1}"#),
            ("", ""),
        ] {
            let expected = format!("litellm.BadRequestError: OpenAIException - {message}");
            assert_eq!(refused(400, body).message, expected);
        }
    }

    #[test]
    fn too_long_prompts_and_policies_are_classes_of_their_own() {
        for body in [
            r#"{"error":{"message":"x","code":"context_length_exceeded"}}"#,
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens."}}"#,
            r#"{"error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#,
        ] {
            assert_eq!(refused(400, body).kind, ErrorKind::ContextWindow, "{body}");
            assert_eq!(refused(500, body).kind, ErrorKind::Internal);
        }
        for body in [
            r#"{"error":{"message":"Output blocked by content filtering policy"}}"#,
            r#"{"error":{"message":"x","type":"invalid_request_error","code":"content_policy_violation"}}"#,
        ] {
            assert_eq!(refused(400, body).kind, ErrorKind::ContentPolicy, "{body}");
        }
    }

    #[test]
    fn a_generic_policy_sentence_from_openai_is_a_bad_request() {
        let body = r#"{"error":{"message":"The response was filtered due to our content management policy",
            "code":"content_policy_violation"}}"#;
        assert_eq!(refused(400, body).kind, ErrorKind::BadRequest);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let read = |after: &str, date: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, after.parse().unwrap());
            date.map(|date| headers.insert(DATE, date.parse().unwrap()));
            UpstreamError::from_reply("openai", 429, &headers, b"", None).retry_after
        };
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(read("2", None), Some(2.0));
        assert_eq!(read("0.5", None), Some(0.5));
        assert_eq!(read("Sun, 06 Nov 1994 08:50:07 GMT", Some(date)), Some(30.0));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:07 GMT", Some(date)), Some(0.0));
        assert_eq!(read("Sun, 06 Nov 1994 08:50:07 GMT", None), None);
        assert_eq!(read("-1", None), None);
        assert_eq!(read("soon", None), None);
    }

    #[test]
    fn a_repeated_key_is_masked() {
        let key = Secret::new("sk-very-secret");
        let body = br#"{"error":{"message":"Incorrect API key provided: sk-very-secret."}}"#;
        let error = UpstreamError::from_reply("openai", 401, &HeaderMap::new(), body, Some(&key));
        assert!(error.message.ends_with("Incorrect API key provided: ***."));
    }

    #[test]
    fn huge_bodies_are_cut() {
        let error = refused(500, &"é".repeat(100_000));
        assert!(error.message.len() < MESSAGE_LIMIT + 100);
    }

    #[test]
    fn error_events_carry_their_status() {
        let status = |event: &str| UpstreamError::from_event("openai", event.as_bytes(), None).status;
        assert_eq!(status(r#"{"error":{"message":"x","code":"429"}}"#), 429);
        assert_eq!(status(r#"{"error":{"message":"x","code":503}}"#), 503);
        assert_eq!(status(r#"{"type":"error","error":{"type":"overloaded_error","message":"x"}}"#), 529);
        assert_eq!(status(r#"{"error":{"message":"x","code":"weird"}}"#), 500);
    }
}
