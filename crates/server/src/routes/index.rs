//! `GET /` and `GET /routes`: what there is to call.

use axum::Json;
use serde_json::{Value, json};

use crate::fields::{Field, Holds, acts};
use crate::headers::COMPATIBLE_WITH;
use crate::path::MODEL_PATHS;
use crate::routes::{Needs, Route};

/// The routes that are as old as the gateway.
pub(crate) const ROUTES: &[Route] = &[
    get("/", Needs::Nothing, "What answers here.", &[]),
    get("/routes", Needs::Nothing, "Every route.", &[]),
    get("/models", Needs::Key, "The models that the caller may use.", LISTING),
    get("/models/{*id}", Needs::Key, "One model.", &[]),
    get("/v1/models", Needs::Key, "The models that the caller may use.", LISTING),
    get("/v1/models/{*id}", Needs::Key, "One model.", &[]),
    get(
        "/model/info",
        Needs::Key,
        "The deployments that the caller may use, without secrets.",
        ONE_DEPLOYMENT,
    ),
    get(
        "/v1/model/info",
        Needs::Key,
        "The deployments that the caller may use, without secrets.",
        ONE_DEPLOYMENT,
    ),
    get("/model_group/info", Needs::Key, "What is known of the models that the caller may use.", ONE_GROUP),
    get("/health", Needs::Viewer, "How every deployment is, and the database.", PROBING),
    get("/health/liveliness", Needs::Nothing, "Whether the process lives.", &[]),
    get("/health/liveness", Needs::Nothing, "Whether the process lives.", &[]),
    get("/health/readiness", Needs::Nothing, "Whether it can serve, and the database.", &[]),
    get("/metrics", Needs::Viewer, "Prometheus' text.", &[]),
    Route {
        method: "POST",
        path: "/route/explain",
        needs: Needs::Key,
        says: "The decision for a request, and the reasons. The body is the request's own.",
        body: &[],
        query: EXPLAINED,
    },
];

const LISTING: &[Field] = &[
    acts("return_wildcard_routes", Holds::Flag, "Lists wildcards too, as they are written."),
    acts("include_model_access_groups", Holds::Flag, "Lists the names of access groups too."),
];

const ONE_DEPLOYMENT: &[Field] =
    &[acts("litellm_model_id", Holds::Text, "Only the deployment with this id.")];

const ONE_GROUP: &[Field] = &[acts("model_group", Holds::Text, "Only this name.")];

const PROBING: &[Field] = &[acts("probe", Holds::Flag, "Makes a small call to each deployment.")];

const EXPLAINED: &[Field] = &[
    acts("route", Holds::Text, "The path that the request goes to, or its operation; else chat."),
    acts("key", Holds::Text, "As whom it is made: a key or its hash. For those who may look at everything."),
    acts("team_id", Holds::Text, "As whom it is made: a key of this team that says nothing itself."),
];

const fn get(path: &'static str, needs: Needs, says: &'static str, query: &'static [Field]) -> Route {
    Route { method: "GET", path, needs, says, body: &[], query }
}

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
