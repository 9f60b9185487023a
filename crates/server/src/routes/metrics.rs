//! `GET /metrics`: the counters, in OpenMetrics' text form.

use axum::extract::State;
use axum::response::IntoResponse;
use http::HeaderMap;
use http::header::CONTENT_TYPE;

use crate::app::Shared;
use crate::caller;
use crate::error::Problem;

/// Needs the key, unless `litellm_settings.require_auth_for_metrics_endpoint` is false.
pub(crate) async fn text(
    State(shared): State<Shared>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let snapshot = shared.router.snapshot();
    if snapshot.general.metrics_need_key {
        caller::authenticate(&headers, &snapshot.general)?;
    }
    shared.metrics.set_left_out(snapshot.left_out.len());
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, kind)], shared.metrics.text()))
}
