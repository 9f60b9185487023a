//! Anthropic's Messages, as its public API reference and its guides on tool use, vision, extended and
//! adaptive thinking, prompt caching, structured outputs and streaming describe them: what Anthropic
//! speaks.

mod reply;
mod request;
mod schema;
mod stream;

pub(crate) use reply::{Broken, reply};
pub(crate) use request::{About, default_max_tokens, encode};
pub(crate) use stream::Events;

/// The error type that Anthropic documents for a status.
pub(crate) fn error_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        400..500 => "invalid_request_error",
        _ => "api_error",
    }
}
