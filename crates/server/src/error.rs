//! The one map from errors to status and body. Texts, types and shapes are LiteLLM's, because
//! clients look for them. `call.rs` has those of calls of models.

use std::borrow::Cow;

use axum::response::IntoResponse;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};
use tagrail::Operation;
use tagrail_providers::EnvelopeError;
use tagrail_store::StoreError;

use crate::headers;
use crate::reply::Reply;

mod call;

pub(crate) use call::refused;
pub(crate) use tagrail::python_list;

/// An error on its way to the client; boxed, because it is rare and what it is returned beside is small.
#[derive(Debug)]
pub(crate) struct Problem(Box<Fields>);

#[derive(Debug)]
struct Fields {
    status: StatusCode,
    message: String,
    shape: Shape,
    kind: Option<Cow<'static, str>>,
    param: Option<Cow<'static, str>>,
    code: Option<String>,
    /// LiteLLM's copy of the message for errors that began as HTTP exceptions.
    twice: bool,
    headers: HeaderMap,
}

/// How the body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// `{"error": {...}}`.
    OpenAi,
    /// `{"type": "error", "error": {...}}`.
    Anthropic,
    /// `{"detail": ...}`.
    Detail,
    /// `{"detail": {"error": ...}}`.
    Detailed,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Problem {
        Problem(Box::new(Fields {
            status,
            message: message.into(),
            shape: Shape::OpenAi,
            kind: None,
            param: None,
            code: None,
            twice: false,
            headers: HeaderMap::new(),
        }))
    }

    /// What the store did not do. Routes for which LiteLLM has a text of its own look at the error first.
    pub(crate) fn of_store(error: &StoreError) -> Problem {
        let status = match error {
            StoreError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            StoreError::Taken { .. } | StoreError::Conflict => StatusCode::CONFLICT,
            StoreError::Missing { .. } => StatusCode::NOT_FOUND,
            StoreError::Broken(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let message = match error {
            // What the driver says names hosts, files and statements: that is for the log.
            StoreError::Unavailable(why) => {
                tracing::debug!(why, "the database cannot be reached");
                "the database cannot be reached".to_owned()
            }
            StoreError::Broken(why) => {
                tracing::error!(why, "the database cannot be used");
                "the database cannot be used; the gateway's log says why".to_owned()
            }
            told => told.to_string(),
        };
        let problem = Problem::new(status, message);
        match error {
            StoreError::Unavailable(_) => problem.kind("no_db_connection").retry_after(1),
            _ => problem,
        }
    }

    /// `{"detail": "Not Found"}`.
    pub(crate) fn not_found() -> Problem {
        Problem::detail(StatusCode::NOT_FOUND, "Not Found")
    }

    /// `{"detail": "Method Not Allowed"}`.
    pub(crate) fn method(allowed: &'static str) -> Problem {
        let mut problem = Problem::detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
        problem.0.headers.insert(ALLOW, HeaderValue::from_static(allowed));
        problem
    }

    pub(crate) fn detail(status: StatusCode, message: impl Into<String>) -> Problem {
        let mut problem = Problem::new(status, message);
        problem.0.shape = Shape::Detail;
        problem
    }

    /// `{"detail": {"error": ...}}`: what LiteLLM's routes of teams answer.
    pub(crate) fn detailed(status: StatusCode, message: impl Into<String>) -> Problem {
        let mut problem = Problem::new(status, message);
        problem.0.shape = Shape::Detailed;
        problem
    }

    /// Sets `type`; otherwise it follows from the status.
    pub(crate) fn kind(mut self, kind: &'static str) -> Problem {
        self.0.kind = Some(Cow::Borrowed(kind));
        self
    }

    pub(crate) fn param(mut self, param: impl Into<Cow<'static, str>>) -> Problem {
        self.0.param = Some(param.into());
        self
    }

    /// Ends the connection: what is left of the request cannot be told from the next one.
    pub(crate) fn closing(mut self) -> Problem {
        self.0.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        self
    }

    /// In the dialect that the operation's clients speak.
    pub(crate) fn for_operation(mut self, operation: Operation) -> Problem {
        if operation == Operation::Messages {
            self.0.shape = Shape::Anthropic;
        }
        self
    }

    /// Headers that tell what a failed call cost: nothing.
    pub(crate) fn uncharged(mut self) -> Problem {
        headers::uncharged(&mut self.0.headers);
        self
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.0.status
    }

    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    /// Sets `retry-after`.
    pub(crate) fn retry_after(mut self, seconds: u64) -> Problem {
        self.0.headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        self
    }

    fn body(&self) -> Value {
        let message = &self.0.message;
        match self.0.shape {
            Shape::Detail => json!({ "detail": message }),
            Shape::Detailed => json!({ "detail": { "error": message } }),
            Shape::Anthropic => {
                let kind = anthropic_type(self.0.status.as_u16());
                json!({ "type": "error", "error": { "type": kind, "message": message } })
            }
            Shape::OpenAi => {
                let status = self.0.status.as_u16();
                let mut error = Map::new();
                error.insert("message".to_owned(), json!(message));
                error.insert("type".to_owned(), json!(self.0.kind.as_deref().unwrap_or(openai_type(status))));
                error.insert("param".to_owned(), json!(self.0.param));
                error.insert(
                    "code".to_owned(),
                    json!(self.0.code.clone().unwrap_or_else(|| status.to_string())),
                );
                if self.0.twice {
                    error.insert("provider_specific_fields".to_owned(), json!({ "error": message }));
                }
                json!({ "error": error })
            }
        }
    }

    /// The response, without the headers that every response has.
    pub(crate) fn into_reply(self) -> Response<Reply> {
        let body = self.body().to_string();
        let mut response = Response::new(Reply::of(body));
        *response.status_mut() = self.0.status;
        *response.headers_mut() = self.0.headers;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> axum::response::Response {
        self.into_reply().map(axum::body::Body::new)
    }
}

/// A body that cannot be routed, in the operation's dialect.
pub(crate) fn body(operation: Operation, error: &EnvelopeError) -> Problem {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
    let problem = Problem::new(status, error.message.clone()).kind("invalid_request_error");
    problem.param(error.param.clone()).for_operation(operation).uncharged()
}

fn openai_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "throttling_error",
        400..500 => "invalid_request_error",
        _ => "internal_server_error",
    }
}

fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        400..500 => "invalid_request_error",
        _ => "api_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_reads_the_shape_of_its_dialect() {
        let problem = || Problem::new(StatusCode::TOO_MANY_REQUESTS, "slow down");
        assert_eq!(
            problem().body(),
            json!({"error": {"message": "slow down", "type": "throttling_error", "param": null, "code": "429"}})
        );
        assert_eq!(
            problem().for_operation(Operation::Messages).body(),
            json!({"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}})
        );
        assert_eq!(Problem::not_found().body(), json!({"detail": "Not Found"}));
    }
}
