//! What is told when there is no answer: facts for `tagrail.exceptions`, which has the classes.

use http::HeaderMap;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;
use tagrail::routing::NoRoute;
use tagrail::{CallError, EnvelopeError, ErrorKind, Facts, Refusal, UpstreamError};

/// What is known of a call before it is answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    /// The name asked for.
    pub(crate) model: String,
    /// `litellm_call_id`, where the program gave one.
    pub(crate) call_id: Option<String>,
    /// Retries that the call asks for itself.
    num_retries: Option<u32>,
    deployment: Option<String>,
    provider: Option<&'static str>,
}

impl About {
    pub(crate) fn new(model: String, call_id: Option<String>, num_retries: Option<u32>) -> About {
        About { model, call_id, num_retries, deployment: None, provider: None }
    }

    /// The same, of a stream that has begun.
    pub(crate) fn answered_by(&self, facts: &Facts) -> About {
        let spec = facts.snapshot.spec(facts.deployment);
        let model = facts.upstream_model.as_deref().unwrap_or(&spec.model);
        let place = facts.snapshot.deployment(facts.deployment).target.resolve(model).ok();
        let provider = place.map(|place| place.provider.name());
        About { deployment: Some(spec.id.clone()), provider, ..self.clone() }
    }
}

/// Headers as a dict of lower-case names; of a repeated one the last.
pub(crate) fn headers<'py>(py: Python<'py>, headers: &HeaderMap) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in headers {
        dict.set_item(name.as_str(), String::from_utf8_lossy(value.as_bytes()))?;
    }
    Ok(dict)
}

/// A call that failed.
pub(crate) fn of_call(py: Python<'_>, error: &CallError, about: &About) -> PyErr {
    raised(py, |details| {
        details.set_item("status", error.refusal.status())?;
        details.set_item("model", &error.model)?;
        let told = error.told();
        details.set_item("message", told.text())?;
        details.set_item("attempts", error.attempts)?;
        tried(details, error)?;
        details.set_item("timeout", error.timeout.map(|time| time.as_secs_f64()))?;
        details.set_item("call_id", about.call_id.as_deref())?;
        match &error.refusal {
            Refusal::Body(refused) => {
                details.set_item("kind", "body")?;
                details.set_item("param", &refused.param)
            }
            Refusal::Response(_) => {
                details.set_item("kind", "body")?;
                details.set_item("param", "previous_response_id")
            }
            Refusal::MissingModel => details.set_item("kind", "missing_model"),
            Refusal::MissingField(field) => {
                details.set_item("kind", "missing_field")?;
                details.set_item("param", field)
            }
            Refusal::NoRoute(no_route) => no_way(details, no_route, error),
            Refusal::NotServed { provider, .. } => {
                details.set_item("kind", "not_served")?;
                details.set_item("provider", provider)
            }
            Refusal::OverLimit(_) => details.set_item("kind", "over_limit"),
            Refusal::Unpriced { .. } => details.set_item("kind", "unpriced"),
            Refusal::Upstream(upstream) => {
                let configured = error.snapshot.router.num_retries;
                // LiteLLM says neither of a group that was tried once.
                if let Some(retries) =
                    error.blame.as_ref().map(|blame| blame.retries).filter(|tries| *tries > 0)
                {
                    details.set_item("num_retries", retries)?;
                    details.set_item("max_retries", about.num_retries.unwrap_or(configured))?;
                }
                failed(details, upstream)
            }
        }
    })
}

/// A body that is none.
pub(crate) fn of_body(py: Python<'_>, error: &EnvelopeError, about: &About) -> PyErr {
    raised(py, |details| {
        details.set_item("kind", "body")?;
        details.set_item("message", &error.message)?;
        details.set_item("status", error.status)?;
        details.set_item("param", &error.param)?;
        details.set_item("model", &about.model)
    })
}

/// A stream that broke.
pub(crate) fn of_upstream(py: Python<'_>, error: &UpstreamError, about: &About) -> PyErr {
    raised(py, |details| {
        details.set_item("message", &error.message)?;
        details.set_item("status", error.status)?;
        details.set_item("model", &about.model)?;
        details.set_item("deployment_id", about.deployment.as_deref())?;
        details.set_item("provider", about.provider)?;
        details.set_item("mid_stream", true)?;
        failed(details, error)
    })
}

/// Something that belongs to the parent process.
pub(crate) fn forked(py: Python<'_>, what: &str) -> PyErr {
    raised(py, |details| {
        details.set_item("kind", "forked")?;
        details.set_item(
            "message",
            format!("this {what} was begun before the process forked, and belongs to the parent"),
        )
    })
}

/// A stream that is none, or is over.
pub(crate) fn closed(py: Python<'_>) -> PyErr {
    raised(py, |details| {
        details.set_item("kind", "closed")?;
        details.set_item("message", "this reply has nothing of that kind to read")
    })
}

/// Whose failure it is, and what was asked for.
fn tried(details: &Bound<'_, PyDict>, error: &CallError) -> PyResult<()> {
    let Some(blame) = &error.blame else { return Ok(()) };
    details.set_item("deployment_id", &error.snapshot.spec(blame.deployment).id)?;
    let target = &error.snapshot.deployment(blame.deployment).target;
    let Ok(place) = target.resolve(&blame.upstream_model) else { return Ok(()) };
    details.set_item("provider", place.provider.name())?;
    details.set_item("upstream_model", place.model)
}

fn no_way(details: &Bound<'_, PyDict>, no_route: &NoRoute, error: &CallError) -> PyResult<()> {
    let kind = match no_route {
        NoRoute::UnknownModel { .. } | NoRoute::NoDeployments => {
            // As the message has it: what an alias stands for is told to the operator.
            if error.caller.policy.is_none() {
                details.set_item("model", error.snapshot.table.behind_alias(&error.model))?;
            }
            if let NoRoute::NoDeployments = no_route { "no_deployments" } else { "unknown_model" }
        }
        NoRoute::WildcardId => "wildcard_id",
        NoRoute::ModelDenied { .. } => "model_denied",
        NoRoute::ReservationsUnknown => "reservations_unknown",
        NoRoute::TagMismatch { tags } => {
            details.set_item("tags", tags)?;
            "tag_mismatch"
        }
        NoRoute::Cooling { retry_after_ms, cooling } => {
            let seconds = *retry_after_ms as f64 / 1e3;
            let ids: Vec<_> = cooling.iter().map(|index| error.snapshot.spec(*index).id.as_str()).collect();
            details.set_item("cooldown_time", seconds)?;
            details.set_item("retry_after", seconds)?;
            details.set_item("cooldown_list", ids)?;
            "cooling"
        }
    };
    details.set_item("kind", kind)
}

fn failed(details: &Bound<'_, PyDict>, error: &UpstreamError) -> PyResult<()> {
    details.set_item("kind", kind(error.kind))?;
    details.set_item("param", error.param.as_deref())?;
    details.set_item("code", error.upstream_code.as_deref())?;
    details.set_item("type", error.upstream_type.as_deref())?;
    if let Some(received) = &error.headers {
        details.set_item("headers", headers(details.py(), received)?)?;
    }
    details.set_item("retry_after", error.retry_after)
}

fn kind(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::BadRequest => "bad_request",
        ErrorKind::ContextWindow => "context_window",
        ErrorKind::ContentPolicy => "content_policy",
        ErrorKind::Authentication => "authentication",
        ErrorKind::PermissionDenied => "permission_denied",
        ErrorKind::NotFound => "not_found",
        ErrorKind::Timeout => "timeout",
        ErrorKind::Unprocessable => "unprocessable",
        ErrorKind::RateLimit => "rate_limit",
        ErrorKind::Internal => "internal",
        ErrorKind::BadGateway => "bad_gateway",
        ErrorKind::Unavailable => "unavailable",
        ErrorKind::Other => "other",
        ErrorKind::Connection => "connection",
    }
}

/// What Python makes of the details, or why it could not.
fn raised(py: Python<'_>, say: impl FnOnce(&Bound<'_, PyDict>) -> PyResult<()>) -> PyErr {
    static OF_FAILURE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let details = PyDict::new(py);
    let made = say(&details)
        .and_then(|()| OF_FAILURE.import(py, "tagrail.exceptions", "of_failure"))
        .and_then(|of_failure| of_failure.call1((details,)));
    made.map_or_else(|error| error, PyErr::from_value)
}

/// A configuration of which nothing runs.
pub(crate) fn of_configuration(py: Python<'_>, diagnostics: &serde_json::Value) -> PyErr {
    static OF_CONFIGURATION: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let made = crate::json::told(py, diagnostics).and_then(|diagnostics| {
        let of_configuration = OF_CONFIGURATION.import(py, "tagrail.exceptions", "of_configuration")?;
        of_configuration.call1((diagnostics,))
    });
    made.map_or_else(|error| error, PyErr::from_value)
}
