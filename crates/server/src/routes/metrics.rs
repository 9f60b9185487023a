//! `GET /metrics`: the counters, in OpenMetrics' text form when asked for it, else in Prometheus' own.

use axum::extract::State;
use axum::response::IntoResponse;
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};

use crate::app::Shared;
use crate::caller::{self, Role};
use crate::error::Problem;

const PATH: &str = "/metrics";

/// Needs a viewer's key, unless `litellm_settings.require_auth_for_metrics_endpoint` is false.
pub(crate) async fn text(
    State(shared): State<Shared>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let snapshot = shared.router.snapshot();
    if snapshot.general.metrics_need_key {
        let known = caller::authenticate(&headers, &shared, &snapshot.general, PATH).await?;
        if known.role < Role::Viewer {
            return Err(known.may_not(PATH));
        }
    }
    shared.metrics.set_left_out(snapshot.left_out.len());
    if let (Some(store), Some(journal)) = (shared.ledger.store_health(), shared.ledger.journal_health()) {
        shared.metrics.set_store(store.readable, store.reason.is_none(), &journal);
    }
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|accepted| accepted.to_str().ok());
    let (kind, text) = if accepted.into_iter().any(|kinds| kinds.contains("application/openmetrics-text")) {
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", shared.metrics.text())
    } else {
        ("text/plain; version=0.0.4; charset=utf-8", shared.metrics.plain_text())
    };
    Ok(([(CONTENT_TYPE, kind)], text))
}
