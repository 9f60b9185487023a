//! Errors of calls, told to whoever called. Under `tagrail` rules a refusal says, behind LiteLLM's text,
//! what helps. The operator hears which deployments and tags there are; everybody else hears of nothing
//! but what was sent.

use std::borrow::Cow;

use http::StatusCode;
use tagrail::routing::{DeploymentIndex, FallbackKind, Holder, NoRoute, RoutingMode, Rules};
use tagrail::{CallError, Caller, Operation, OverLimit, Refusal, Snapshot, UpstreamError};

use super::{Problem, body, python_list};
use crate::headers;
use crate::routes::explain;

/// The longest `Retry-After` of an upstream's that is passed on, in seconds; nobody cools for longer
/// on its word either.
const LONGEST_WAIT: f64 = 3600.0;

/// What was asked for, and by whom.
#[derive(Clone, Copy)]
pub(crate) struct Refused<'a> {
    pub(crate) operation: Operation,
    pub(crate) snapshot: &'a Snapshot,
    /// The name asked for; empty when there was none.
    pub(crate) model: &'a str,
    pub(crate) caller: &'a Caller,
}

impl<'a> Refused<'a> {
    /// A failed call, in the operation's dialect.
    pub(crate) fn problem(operation: Operation, error: &'a CallError, caller: &'a Caller) -> Problem {
        let refused = Refused { operation, snapshot: &error.snapshot, model: &error.model, caller };
        let problem = match &error.refusal {
            Refusal::Body(error) => return body(operation, error),
            Refusal::MissingModel => Refused { model: "None", ..refused }.unknown_model(),
            Refusal::MissingField(field) => {
                let message = format!("/{}: Missing required parameter: '{field}'.", operation.path());
                Problem::new(StatusCode::BAD_REQUEST, message).param(*field)
            }
            Refusal::NoRoute(no_route) => {
                let problem = refused.no_route(no_route);
                if error.snapshot.table.rules() == &Rules::from(RoutingMode::Tagrail) {
                    refused.helped(problem, no_route)
                } else {
                    problem
                }
            }
            Refusal::OverLimit(over) => over_limit(over),
            Refusal::Unpriced { model } => {
                let message = format!(
                    "Nothing says what model={model} costs, and what is called with this key is paid from a budget. Set input_cost_per_token and output_cost_per_token in the deployment's litellm_params, or general_settings.fallback_price."
                );
                Problem::new(StatusCode::FORBIDDEN, message).kind("budget_without_price").param("model")
            }
            Refusal::NotServed { operation, provider } => {
                let path = operation.path();
                let message =
                    format!("Deployments of provider {provider} do not serve /{path} in this version.");
                Problem::new(StatusCode::NOT_IMPLEMENTED, message)
            }
            Refusal::Upstream(upstream) => refused.failed(upstream, error),
        };
        problem.for_operation(operation).uncharged()
    }

    fn failed(self, upstream: &UpstreamError, error: &CallError) -> Problem {
        let status = StatusCode::from_u16(upstream.status).unwrap_or(StatusCode::BAD_GATEWAY);
        let end = if upstream.message.ends_with('.') { "" } else { "." };
        let message = format!("{}{end} {}", upstream.message, self.received());
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
    pub(crate) fn no_route(self, no_route: &NoRoute) -> Problem {
        let model = self.model;
        match no_route {
            NoRoute::UnknownModel { wildcards_configured: false } => self.unknown_model(),
            NoRoute::UnknownModel { wildcards_configured: true } | NoRoute::NoDeployments => {
                Problem::new(StatusCode::BAD_REQUEST, self.no_healthy())
            }
            NoRoute::WildcardId => {
                let message = format!(
                    "litellm.BadRequestError: model={model} is the id of a wildcard deployment, which says no model to send upstream. Send a name that its model_name matches. {}",
                    self.received()
                );
                Problem::new(StatusCode::BAD_REQUEST, message)
            }
            NoRoute::ModelDenied { holder, .. } => {
                let kind = match holder {
                    Holder::Key => "key_model_access_denied",
                    Holder::Team => "team_model_access_denied",
                    Holder::User => "user_model_access_denied",
                };
                let message = no_route.public_message(model, &self.snapshot.table);
                Problem::new(StatusCode::FORBIDDEN, message).kind(kind).param("model")
            }
            NoRoute::ReservationsUnknown => {
                let message = no_route.public_message(model, &self.snapshot.table);
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, message).retry_after(1)
            }
            NoRoute::TagMismatch { tags } => {
                let message = format!(
                    "Not allowed to access model due to tags configuration. Passed model={model} and tags={}",
                    python_list(tags.iter().map(String::as_str))
                );
                Problem::new(StatusCode::UNAUTHORIZED, message).kind("internal_server_error")
            }
            NoRoute::Cooling { retry_after_ms, cooling } => self.all_cooling(*retry_after_ms, cooling),
        }
    }

    fn unknown_model(self) -> Problem {
        // Of wildcards that are reserved for others nobody else hears.
        let table = &self.snapshot.table;
        if self.snapshot.as_caller(self.caller, |access| table.has_wildcards(access)) {
            return Problem::new(StatusCode::BAD_REQUEST, self.no_healthy());
        }
        let message = format!(
            "/{}: Invalid model name passed in model={}. Call `/v1/models` to view available models for your key.",
            self.operation.path(),
            self.model
        );
        let mut problem = Problem::new(StatusCode::BAD_REQUEST, message);
        problem.0.twice = true;
        problem
    }

    fn no_healthy(self) -> String {
        let (model, received) = (self.model, self.received());
        format!(
            "litellm.BadRequestError: You passed in model={model}. There are no healthy deployments for this model. {received}"
        )
    }

    /// LiteLLM prints its whole fallback table here, which is nobody's business (row D13): what is told
    /// is the group's own list, and of that what the caller could ask for itself.
    fn received(self) -> String {
        let all = self.snapshot.table.fallbacks(self.model, FallbackKind::General);
        let own = self.snapshot.as_caller(self.caller, |access| {
            let own = all.iter().filter(|name| self.is_privy() || self.snapshot.table.admits(name, access));
            own.map(String::as_str).collect::<Vec<_>>()
        });
        let fallbacks = if own.is_empty() { "None".to_owned() } else { python_list(own.into_iter()) };
        format!("Received Model Group={}\nAvailable Model Group Fallbacks={fallbacks}", self.model)
    }

    fn all_cooling(self, retry_after_ms: u64, cooling: &[DeploymentIndex]) -> Problem {
        let (seconds, model) = (retry_after_ms.div_ceil(1000).max(1), self.model);
        let mut message = format!(
            "No deployments available for selected model, Try again in {seconds} seconds. Passed model={model}."
        );
        if self.is_privy() {
            message.push_str(" pre-call-checks=False, cooldown_list=");
            message
                .push_str(&python_list(cooling.iter().map(|&index| self.snapshot.spec(index).id.as_str())));
        }
        Problem::new(StatusCode::TOO_MANY_REQUESTS, message)
            .kind("internal_server_error")
            .retry_after(seconds)
    }

    /// Says behind LiteLLM's text what can be done about it.
    fn helped(self, mut problem: Problem, no_route: &NoRoute) -> Problem {
        // They have said it all.
        if let NoRoute::ModelDenied { .. } | NoRoute::ReservationsUnknown = no_route {
            return problem;
        }
        let message = &mut problem.0.message;
        if self.is_privy() {
            if let NoRoute::TagMismatch { .. } = no_route {
                let known = explain::known_tags(self.snapshot, self.model);
                if known.is_empty() {
                    message.push_str(". No deployment of this model carries tags");
                } else {
                    message.push_str(". Deployments of this model carry the tags ");
                    message.push_str(&python_list(known.into_iter()));
                }
            }
            if self.snapshot.left_out.iter().any(|left_out| left_out.group == self.model) {
                message.push_str(
                    ". Deployments of this name were left out of the configuration; `tagrail check` says why",
                );
            }
        }
        message.push_str(
            ". POST /route/explain with the same headers and body shows the decision step by step.",
        );
        problem
    }

    /// Whether this is for the operator.
    fn is_privy(self) -> bool {
        self.caller.policy.is_none()
    }
}

/// A limit or a budget.
fn over_limit(over: &OverLimit) -> Problem {
    let mut problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, over.message.clone()).kind(over.kind);
    for (name, value) in &over.headers {
        problem.0.headers.insert(name, value.clone());
    }
    match over.retry_after {
        Some(time) => problem.retry_after(time.as_secs_f64().ceil() as u64),
        None => problem,
    }
}
