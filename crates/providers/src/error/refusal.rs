//! What an upstream's error body says, in whatever shape.

use std::time::Duration;

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};
use serde_json::Value;

use super::{ErrorKind, UpstreamError};
use crate::target::Secrets;

/// How much of an upstream's error body is looked at.
const BODY_LIMIT: usize = 64 * 1024;
/// How much of its message is passed on, in bytes.
const MESSAGE_LIMIT: usize = 4096;

/// What an error body says about itself.
#[derive(Default)]
pub(super) struct Refusal {
    message: String,
    kind: Option<String>,
    code: Option<String>,
    param: Option<String>,
}

impl Refusal {
    pub(super) fn read(body: &[u8]) -> Refusal {
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

    /// The error that a client gets with this status; `secrets` are masked wherever they are repeated.
    pub(super) fn into_error(self, provider: &str, status: u16, secrets: &Secrets) -> UpstreamError {
        let kind = match ErrorKind::of_status(status) {
            ErrorKind::BadRequest => special(&self),
            kind => kind,
        };
        // Masked before it is cut, so that no cut goes through a secret.
        let clean = |text: String| shorten(&secrets.masked(text)).to_owned();
        UpstreamError {
            upstream_type: self.kind.map(clean).map(String::into_boxed_str),
            upstream_code: self.code.map(clean),
            param: self.param.map(clean),
            ..UpstreamError::new(kind, status, provider, &clean(self.message))
        }
    }

    /// The HTTP status behind an error event: OpenAI-compatible servers put it into `code`, Anthropic
    /// documents a type for each.
    pub(super) fn status(&self) -> u16 {
        let said = self.code.as_deref().and_then(|code| code.parse().ok());
        if let Some(status) = said.filter(|status| (400..600).contains(status)) {
            return status;
        }
        match self.kind.as_deref() {
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

/// Seconds, or a date and the reply's own clock. Never negative.
pub fn retry_after(headers: &HeaderMap) -> Option<f64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return (seconds.is_finite() && seconds >= 0.0).then_some(seconds);
    }
    let then = httpdate::parse_http_date(text).ok()?;
    let now = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    Some(then.duration_since(now).unwrap_or(Duration::ZERO).as_secs_f64())
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
