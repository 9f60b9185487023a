//! `GET /` and `GET /routes`: what there is to call.

use axum::Json;
use serde_json::{Value, json};

use crate::headers::COMPATIBLE_WITH;
use crate::path::MODEL_PATHS;

/// Every route but those of models: path and method.
pub(crate) const ROUTES: [(&str, &str); 15] = [
    ("/", "GET"),
    ("/routes", "GET"),
    ("/models", "GET"),
    ("/models/{id}", "GET"),
    ("/v1/models", "GET"),
    ("/v1/models/{id}", "GET"),
    ("/model/info", "GET"),
    ("/v1/model/info", "GET"),
    ("/model_group/info", "GET"),
    ("/health", "GET"),
    ("/health/liveliness", "GET"),
    ("/health/liveness", "GET"),
    ("/health/readiness", "GET"),
    ("/metrics", "GET"),
    ("/route/explain", "POST"),
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
    let all: Vec<_> =
        models.chain(ROUTES).map(|(path, method)| json!({ "path": path, "methods": [method] })).collect();
    Json(json!({ "routes": all }))
}
