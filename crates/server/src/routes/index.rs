//! `GET /` and `GET /routes`: what there is to call.

use axum::Json;
use serde_json::{Value, json};

use crate::headers::COMPATIBLE_WITH;
use crate::path::MODEL_PATHS;
use crate::routes::{Needs, Route};

/// The routes that are as old as the gateway.
pub(crate) const ROUTES: &[Route] = &[
    Route {
        method: "GET",
        path: "/",
        needs: Needs::Nothing,
        says: "What answers here.",
        body: &[],
        query: &[],
    },
    Route {
        method: "GET",
        path: "/routes",
        needs: Needs::Nothing,
        says: "Every route.",
        body: &[],
        query: &[],
    },
    Route {
        method: "GET",
        path: "/models",
        needs: Needs::Key,
        says: "The models that the caller may use.",
        body: &[],
        query: &[],
    },
    Route {
        method: "GET",
        path: "/models/{*id}",
        needs: Needs::Key,
        says: "One model.",
        body: &[],
        query: &[],
    },
    Route {
        method: "GET",
        path: "/v1/models",
        needs: Needs::Key,
        says: "The models that the caller may use.",
        body: &[],
        query: &[],
    },
    Route {
        method: "GET",
        path: "/v1/models/{*id}",
        needs: Needs::Key,
        says: "One model.",
        body: &[],
        query: &[],
    },
    Route {
        method: "GET",
        path: "/model/info",
        needs: Needs::Key,
        says: "The deployments that the caller may use, without secrets.",
        body: &[],
        query: &[],
    },
    Route {
        method: "GET",
        path: "/v1/model/info",
        needs: Needs::Key,
        says: "The deployments that the caller may use, without secrets.",
        body: &[],
        query: &[],
    },
    Route {
        method: "GET",
        path: "/model_group/info",
        needs: Needs::Key,
        says: "What is known of the models that the caller may use.",
        body: &[],
        query: &[],
    },
    Route {
        method: "GET",
        path: "/health",
        needs: Needs::Viewer,
        says: "How every deployment is.",
        body: &[],
        query: &[],
    },
    Route {
        method: "GET",
        path: "/health/liveliness",
        needs: Needs::Nothing,
        says: "Whether the process lives.",
        body: &[],
        query: &[],
    },
    Route {
        method: "GET",
        path: "/health/liveness",
        needs: Needs::Nothing,
        says: "Whether the process lives.",
        body: &[],
        query: &[],
    },
    Route {
        method: "GET",
        path: "/health/readiness",
        needs: Needs::Nothing,
        says: "Whether it can serve, and the database.",
        body: &[],
        query: &[],
    },
    Route {
        method: "GET",
        path: "/metrics",
        needs: Needs::Viewer,
        says: "Prometheus' text.",
        body: &[],
        query: &[],
    },
    Route {
        method: "POST",
        path: "/route/explain",
        needs: Needs::Key,
        says: "The decision for a request, and the reasons.",
        body: &[],
        query: &[],
    },
];

/// Says what answers here.
pub(crate) async fn home() -> Json<Value> {
    Json(json!({
        "name": "tagrail",
        "version": env!("CARGO_PKG_VERSION"),
        "compatible_with": format!("litellm {COMPATIBLE_WITH}"),
        "routes": "/routes",
    }))
}

/// Lists every route.
pub(crate) async fn routes() -> Json<Value> {
    let models = MODEL_PATHS.iter().map(|path| (*path, "POST"));
    let others = crate::routes::all().map(|route| (route.path, route.method));
    let all: Vec<_> =
        models.chain(others).map(|(path, method)| json!({ "path": path, "methods": [method] })).collect();
    Json(json!({ "routes": all }))
}
