//! `GET /health` and the probes. LiteLLM calls every deployment to answer `/health`, which costs
//! money and time; this reports what is known: who is cooling down, and who was left out for a
//! mistake in the configuration.

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};
use tagrail::Snapshot;
use tagrail::routing::DeploymentIndex;

use crate::app::Shared;
use crate::caller::Admin;

/// Whether a path is one of the probes, which need neither key nor a local peer.
pub(crate) fn is_probe(path: &str) -> bool {
    matches!(path, "/health/liveliness" | "/health/liveness" | "/health/readiness")
}

/// The process runs.
pub(crate) async fn alive() -> Json<&'static str> {
    Json("I'm alive!")
}

/// Calls are taken. There is no database that could be missing.
pub(crate) async fn ready() -> Json<Value> {
    Json(json!({ "status": "healthy", "db": "Not connected" }))
}

/// Every deployment, sorted into healthy and not.
pub(crate) async fn report(_: Admin, State(shared): State<Shared>) -> Json<Value> {
    let snapshot = shared.router.snapshot();
    let (mut healthy, mut unhealthy) = (Vec::new(), Vec::new());
    for index in deployments(&snapshot) {
        let mut entry = entry(&snapshot, index);
        let spec = snapshot.spec(index);
        if spec.blocked {
            entry.insert("error".to_owned(), json!("paused by model_info.blocked"));
            unhealthy.push(Value::Object(entry));
        } else if let Some(milliseconds) = shared.router.cooling_ms(index) {
            entry.insert("error".to_owned(), json!("cooling down after failures"));
            entry.insert("cooling_seconds".to_owned(), json!(milliseconds as f64 / 1000.0));
            unhealthy.push(Value::Object(entry));
        } else {
            healthy.push(Value::Object(entry));
        }
    }
    for left_out in &snapshot.left_out {
        let error = format!("left out of the configuration: {}", left_out.reason);
        unhealthy.push(json!({ "model_name": left_out.group, "model_id": left_out.id, "error": error }));
    }
    Json(json!({
        "healthy_count": healthy.len(),
        "unhealthy_count": unhealthy.len(),
        "healthy_endpoints": healthy,
        "unhealthy_endpoints": unhealthy,
    }))
}

/// The deployments that serve, in the order of the configuration.
pub(crate) fn deployments(snapshot: &Snapshot) -> impl Iterator<Item = DeploymentIndex> {
    let by_id = |index: &DeploymentIndex| snapshot.table.by_id(&snapshot.spec(*index).id) == Some(*index);
    // Those left out while the table was compiled keep their index, but not their id.
    (0..snapshot.table.deployments().len() as u32).map(DeploymentIndex).filter(by_id)
}

fn entry(snapshot: &Snapshot, index: DeploymentIndex) -> Map<String, Value> {
    let (spec, labels) = (snapshot.spec(index), snapshot.labels(index));
    let mut entry = Map::new();
    entry.insert("model".to_owned(), json!(spec.model));
    entry.insert("model_name".to_owned(), json!(spec.group));
    entry.insert("model_id".to_owned(), json!(spec.id));
    if let Some(base) = labels.base.as_ref().and_then(|base| base.to_str().ok()) {
        entry.insert("api_base".to_owned(), json!(base));
    }
    if !spec.tags.is_empty() {
        entry.insert("tags".to_owned(), json!(spec.tags));
    }
    entry
}
