//! `GET /health` and the probes. LiteLLM calls every deployment to answer `/health`, which costs
//! money and time; this reports what is known: who is cooling down, who has no credentials, and who
//! was left out for a mistake in the configuration. `GET /health?probe=true` makes a small call to
//! each of the others as well. `probed` in the report says which of the two it is.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tagrail::routing::DeploymentIndex;
use tagrail::{Router, Snapshot};

use crate::app::Shared;
use crate::asked::{Query, is_on};
use crate::caller::Viewer;
use crate::ledger::StoreHealth;
use crate::routes::probe::{Probed, probe};

/// Whether a path is one of the probes, which need neither key nor a local peer.
pub(crate) fn is_probe(path: &str) -> bool {
    matches!(path, "/health/liveliness" | "/health/liveness" | "/health/readiness")
}

/// The process runs.
pub(crate) async fn alive() -> Json<&'static str> {
    Json("I'm alive!")
}

/// Calls are taken, and what they cost is written down. Without its database, where it has one, this gateway
/// knows some keys and not others, and others do better; it goes on for those who come nevertheless.
pub(crate) async fn ready(State(shared): State<Shared>) -> (StatusCode, Json<Value>) {
    // A gateway without any deployment would answer every call with an error.
    if deployments(&shared.router.snapshot()).next().is_none() {
        let told = json!({ "status": "unhealthy", "error": "no deployment is configured" });
        return (StatusCode::SERVICE_UNAVAILABLE, Json(told));
    }
    let store = shared.ledger.store_health();
    let database = store.as_ref().map_or("Not connected", connected);
    // A thread that does not get its turn: its clients wait, whatever the others do.
    if let Some((name, silent)) = shared.ledger.vitals().pulses.stuck() {
        let stuck = format!("{name} has not run for {} s", silent.as_secs());
        let report = json!({ "status": "unhealthy", "db": database, "stuck": stuck });
        return (StatusCode::SERVICE_UNAVAILABLE, Json(report));
    }
    let is_failing = shared.ledger.journal_health().is_some_and(|journal| journal.failing);
    match store.and_then(|store| store.reason).or(is_failing.then_some("journal_failing")) {
        None => (StatusCode::OK, Json(json!({ "status": "healthy", "db": database }))),
        Some(reason) => {
            let report = json!({ "status": "unhealthy", "db": database, "reason": reason });
            (StatusCode::SERVICE_UNAVAILABLE, Json(report))
        }
    }
}

/// In LiteLLM's words.
fn connected(store: &StoreHealth) -> &'static str {
    if store.readable { "connected" } else { "Not connected" }
}

/// What the query string may ask for.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    probe: Option<String>,
}

/// Every deployment, sorted into healthy and not.
pub(crate) async fn report(
    _: Viewer,
    State(shared): State<Shared>,
    Query(wanted): Query<Wanted>,
) -> Json<Value> {
    let snapshot = shared.router.snapshot();
    let all = deployments(&snapshot).map(|index| (index, known(&shared.router, &snapshot, index)));
    let mut all: Vec<_> = all.collect();
    let probing = is_on(wanted.probe.as_deref());
    if probing {
        let well = all.iter().filter(|(_, sick)| sick.is_none()).map(|(index, _)| *index);
        let well: Vec<_> = well.collect();
        let mut probed = probe(&shared.router, &snapshot, well.into_iter()).await;
        for (index, told) in &mut all {
            *told = told.take().or_else(|| probed.remove(index).map(outcome));
        }
    }
    let (mut healthy, mut unhealthy) = (Vec::new(), Vec::new());
    for (index, told) in all {
        let mut entry = entry(&snapshot, index);
        let told = told.unwrap_or_default();
        let list = if told.contains_key("error") { &mut unhealthy } else { &mut healthy };
        entry.extend(told);
        list.push(Value::Object(entry));
    }
    for left_out in &snapshot.left_out {
        let error = format!("left out of the configuration: {}", left_out.reason);
        unhealthy.push(json!({ "model_name": left_out.group, "model_id": left_out.id, "error": error }));
    }
    let mut report = json!({
        "probed": probing,
        "healthy_count": healthy.len(),
        "unhealthy_count": unhealthy.len(),
        "healthy_endpoints": healthy,
        "unhealthy_endpoints": unhealthy,
    });
    if let (Some(store), Some(journal)) = (shared.ledger.store_health(), shared.ledger.journal_health()) {
        report["db"] = json!(connected(&store));
        report["database"] = json!({
            "state": store.reason.unwrap_or("writable"),
            "since": store.since.to_rfc3339(),
        });
        report["journal"] = json!({
            "failing": journal.failing,
            "waiting_rows": journal.waiting,
            "lost_rows": journal.lost,
            "damaged_lines": journal.damaged,
            "behind_bytes": journal.behind,
        });
    }
    Json(report)
}

/// Why a deployment is not healthy, as far as that is known without asking it.
fn known(router: &Router, snapshot: &Snapshot, index: DeploymentIndex) -> Option<Map<String, Value>> {
    let settings = snapshot.deployment(index);
    let mut told = Map::new();
    let error = if snapshot.spec(index).blocked {
        "paused by model_info.blocked"
    } else if let Some(milliseconds) = router.cooling_ms(index) {
        told.insert("cooling_seconds".to_owned(), json!(milliseconds as f64 / 1000.0));
        "cooling down after failures"
    } else {
        settings.target.missing_credentials().filter(|_| settings.mock_response.is_none())?
    };
    told.insert("error".to_owned(), json!(error));
    Some(told)
}

/// What came of asking it.
fn outcome(probed: Probed) -> Map<String, Value> {
    let (key, value) = match probed {
        Probed::Answered(time) => ("answered_seconds", json!(time.as_secs_f64())),
        Probed::Failed(why) => ("error", json!(why)),
        Probed::Skipped(why) => ("skipped", json!(why)),
    };
    Map::from_iter([(key.to_owned(), value)])
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
