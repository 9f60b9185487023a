//! The one map from errors to status and body. Texts, types and shapes are LiteLLM's, because
//! clients look for them; under `tagrail` rules a refusal says, behind that text, what helps.

use std::borrow::Cow;
use std::fmt::Write;

use axum::response::IntoResponse;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};
use tagrail::routing::{DeploymentIndex, FallbackKind, Holder, NoRoute, RoutingMode, Rules};
use tagrail::{CallError, Operation, Refusal, Snapshot, UpstreamError};
use tagrail_providers::EnvelopeError;
use tagrail_store::StoreError;

use crate::headers;
use crate::reply::Reply;
use crate::routes::explain;

/// The longest `Retry-After` of an upstream's that is passed on, in seconds; nobody cools for longer
/// on its word either.
const LONGEST_WAIT: f64 = 3600.0;

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
        let problem = Problem::new(status, error.to_string());
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

/// A failed call, in the operation's dialect.
pub(crate) fn problem(operation: Operation, error: &CallError) -> Problem {
    let problem = match &error.refusal {
        Refusal::Body(error) => return body(operation, error),
        Refusal::MissingModel => unknown_model(operation, "None", &error.snapshot),
        Refusal::MissingField(field) => {
            let message = format!("/{}: Missing required parameter: '{field}'.", operation.path());
            Problem::new(StatusCode::BAD_REQUEST, message).param(*field)
        }
        Refusal::NoRoute(no_route) => {
            let problem = refused(operation, no_route, &error.snapshot, &error.model);
            if error.snapshot.table.rules() == &Rules::from(RoutingMode::Tagrail) {
                helped(problem, no_route, error)
            } else {
                problem
            }
        }
        Refusal::OverLimit(over) => {
            let mut problem =
                Problem::new(StatusCode::TOO_MANY_REQUESTS, over.message.clone()).kind(over.kind);
            for (name, value) in &over.headers {
                problem.0.headers.insert(name, value.clone());
            }
            match over.retry_after {
                Some(time) => problem.retry_after(time.as_secs_f64().ceil() as u64),
                None => problem,
            }
        }
        Refusal::Unpriced { model } => {
            let message = format!(
                "Nothing says what model={model} costs, and what is called with this key is paid from a budget. Set input_cost_per_token and output_cost_per_token in the deployment's litellm_params, or general_settings.fallback_price."
            );
            Problem::new(StatusCode::FORBIDDEN, message).kind("budget_without_price").param("model")
        }
        Refusal::NotServed { operation, provider } => {
            let message = format!(
                "Deployments of provider {provider} do not serve /{} in this version.",
                operation.path()
            );
            Problem::new(StatusCode::NOT_IMPLEMENTED, message)
        }
        Refusal::Upstream(upstream) => failed(upstream, error),
    };
    problem.for_operation(operation).uncharged()
}

/// A body that cannot be routed, in the operation's dialect.
pub(crate) fn body(operation: Operation, error: &EnvelopeError) -> Problem {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
    let problem = Problem::new(status, error.message.clone()).kind("invalid_request_error");
    problem.param(error.param.clone()).for_operation(operation).uncharged()
}

fn failed(upstream: &UpstreamError, error: &CallError) -> Problem {
    let status = StatusCode::from_u16(upstream.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let end = if upstream.message.ends_with('.') { "" } else { "." };
    let message = format!("{}{end} {}", upstream.message, received(&error.snapshot, &error.model));
    let mut problem = Problem::new(status, message);
    problem.0.code = upstream.upstream_code.clone();
    problem.0.param = upstream.param.clone().map(Cow::Owned);
    if status == StatusCode::UNPROCESSABLE_ENTITY {
        problem.0.kind = upstream.upstream_type.clone().map(Cow::Owned);
    }
    if let Some(timeout) = error.timeout {
        headers::timeout(&mut problem.0.headers, timeout);
    }
    match upstream.retry_after {
        Some(seconds) if seconds.is_finite() && seconds >= 0.0 => {
            problem.retry_after(seconds.ceil().min(LONGEST_WAIT) as u64)
        }
        _ => problem,
    }
}

/// A call that no deployment may serve, in LiteLLM's words.
pub(crate) fn refused(operation: Operation, no_route: &NoRoute, snapshot: &Snapshot, model: &str) -> Problem {
    match no_route {
        NoRoute::UnknownModel { wildcards_configured: false } => unknown_model(operation, model, snapshot),
        NoRoute::UnknownModel { wildcards_configured: true } | NoRoute::NoDeployments => {
            Problem::new(StatusCode::BAD_REQUEST, no_healthy(snapshot, model))
        }
        NoRoute::WildcardId => {
            let message = format!(
                "litellm.BadRequestError: model={model} is the id of a wildcard deployment, which says no model to send upstream. Send a name that its model_name matches. {}",
                received(snapshot, model)
            );
            Problem::new(StatusCode::BAD_REQUEST, message)
        }
        NoRoute::ModelDenied { holder, .. } => {
            let kind = match holder {
                Holder::Key => "key_model_access_denied",
                Holder::Team => "team_model_access_denied",
                Holder::User => "user_model_access_denied",
            };
            Problem::new(StatusCode::FORBIDDEN, no_route.public_message(model, &snapshot.table))
                .kind(kind)
                .param("model")
        }
        NoRoute::ReservationsUnknown => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, no_route.public_message(model, &snapshot.table))
        }
        NoRoute::TagMismatch { tags } => {
            let message = format!(
                "Not allowed to access model due to tags configuration. Passed model={model} and tags={}",
                python_list(tags.iter().map(String::as_str))
            );
            Problem::new(StatusCode::UNAUTHORIZED, message).kind("internal_server_error")
        }
        NoRoute::Cooling { retry_after_ms, cooling } => {
            all_cooling(snapshot, model, *retry_after_ms, cooling)
        }
    }
}

fn unknown_model(operation: Operation, model: &str, snapshot: &Snapshot) -> Problem {
    if snapshot.table.has_wildcards() {
        return Problem::new(StatusCode::BAD_REQUEST, no_healthy(snapshot, model));
    }
    let message = format!(
        "/{}: Invalid model name passed in model={model}. Call `/v1/models` to view available models for your key.",
        operation.path()
    );
    let mut problem = Problem::new(StatusCode::BAD_REQUEST, message);
    problem.0.twice = true;
    problem
}

fn no_healthy(snapshot: &Snapshot, model: &str) -> String {
    format!(
        "litellm.BadRequestError: You passed in model={model}. There are no healthy deployments for this model. {}",
        received(snapshot, model)
    )
}

/// LiteLLM prints its whole fallback table here, which is nobody's business (row D13): what is told
/// is the group's own list.
fn received(snapshot: &Snapshot, model: &str) -> String {
    let fallbacks = match snapshot.table.fallbacks(model, FallbackKind::General) {
        [] => "None".to_owned(),
        names => python_list(names.iter().map(String::as_str)),
    };
    format!("Received Model Group={model}\nAvailable Model Group Fallbacks={fallbacks}")
}

fn all_cooling(
    snapshot: &Snapshot,
    model: &str,
    retry_after_ms: u64,
    cooling: &[DeploymentIndex],
) -> Problem {
    let seconds = retry_after_ms.div_ceil(1000).max(1);
    let ids = python_list(cooling.iter().map(|&index| snapshot.spec(index).id.as_str()));
    let message = format!(
        "No deployments available for selected model, Try again in {seconds} seconds. Passed model={model}. pre-call-checks=False, cooldown_list={ids}"
    );
    Problem::new(StatusCode::TOO_MANY_REQUESTS, message).kind("internal_server_error").retry_after(seconds)
}

/// Says behind LiteLLM's text what the admin can do about it.
fn helped(mut problem: Problem, no_route: &NoRoute, error: &CallError) -> Problem {
    let message = &mut problem.0.message;
    if let NoRoute::TagMismatch { .. } = no_route {
        let known = explain::known_tags(&error.snapshot, &error.model);
        if known.is_empty() {
            message.push_str(". No deployment of this model carries tags");
        } else {
            message.push_str(". Deployments of this model carry the tags ");
            message.push_str(&python_list(known.into_iter()));
        }
    }
    if error.snapshot.left_out.iter().any(|left_out| left_out.group == error.model) {
        message.push_str(
            ". Deployments of this name were left out of the configuration; `tagrail check` says why",
        );
    }
    message.push_str(". POST /route/explain with the same headers and body shows the decision step by step.");
    problem
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

/// A list of strings as Python prints it.
pub(crate) fn python_list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::from("[");
    for (position, item) in items.enumerate() {
        if position > 0 {
            text.push_str(", ");
        }
        let quote = if item.contains('\'') && !item.contains('"') { '"' } else { '\'' };
        text.push(quote);
        for character in item.chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                control if u32::from(control) < 0x20 || u32::from(control) == 0x7f => {
                    let _ = write!(text, "\\x{:02x}", u32::from(control));
                }
                same if same == quote => {
                    text.push('\\');
                    text.push(same);
                }
                other => text.push(other),
            }
        }
        text.push(quote);
    }
    text.push(']');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_look_as_python_prints_them() {
        assert_eq!(python_list(["!default", "a"].into_iter()), "['!default', 'a']");
        assert_eq!(python_list([].into_iter()), "[]");
        assert_eq!(python_list(["it's"].into_iter()), "[\"it's\"]");
        assert_eq!(python_list(["it's \"so\""].into_iter()), r#"['it\'s "so"']"#);
        assert_eq!(python_list(["a\\b\nc\u{1}"].into_iter()), r"['a\\b\nc\x01']");
        assert_eq!(python_list(["ü"].into_iter()), "['ü']");
    }

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
