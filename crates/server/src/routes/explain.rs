//! `POST /route/explain`: the decision for a request and the reason for every deployment; nothing
//! is sent anywhere.

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tagrail::routing::{Chance, FallbackKind, Moment, Reason, Resolution, RouteRequest, TagOrigin, Verdict};
use tagrail::{Call, Explained, Operation, Refusal, Snapshot};

use crate::app::Shared;
use crate::asked::Query;
use crate::caller::Admin;
use crate::error::{self, Problem};
use crate::inbound;
use crate::path::{self, ModelRoute};

/// What the query string may ask for.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    /// The path that the request in question goes to, or the operation's name.
    route: Option<String>,
}

impl Wanted {
    /// Chat, unless something else is asked for.
    fn route(&self) -> Result<ModelRoute, Problem> {
        let Some(route) = self.route.as_deref() else { return Ok(of_operation(Operation::ChatCompletions)) };
        let named =
            || OPERATIONS.into_iter().find(|operation| [operation.name(), operation.path()].contains(&route));
        path::model_route(route).or_else(|| named().map(of_operation)).ok_or_else(|| {
            let names = OPERATIONS.map(Operation::name).join(", ");
            let message = format!(
                "route={route} is no route of models. Write its path, for instance /v1/messages, or its operation: {names}."
            );
            Problem::new(StatusCode::BAD_REQUEST, message).param("route")
        })
    }
}

const OPERATIONS: [Operation; 5] = [
    Operation::ChatCompletions,
    Operation::Messages,
    Operation::Responses,
    Operation::Embeddings,
    Operation::Completions,
];

fn of_operation(operation: Operation) -> ModelRoute {
    ModelRoute { operation, model: None, path: "" }
}

/// Explains a request: the same body and headers as the request in question, and `?route=` with its
/// path where that is not chat's.
pub(crate) async fn explain(
    _: Admin,
    State(shared): State<Shared>,
    Query(wanted): Query<Wanted>,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    let ModelRoute { operation, model, .. } = wanted.route()?;
    let (parts, body) = request.into_parts();
    let snapshot = shared.router.snapshot();
    let body = inbound::read(&parts.headers, body, &snapshot.general).await?;
    let call =
        Call::read(operation, parts.headers, body, model).map_err(|error| error::body(operation, &error))?;
    let explained = shared.router.explain(&call).map_err(|mut error| {
        // Nothing is asked here under a name that may be missing.
        if matches!(error.refusal, Refusal::MissingModel) {
            error.refusal = Refusal::MissingField("model");
        }
        error::problem(operation, &error)
    })?;
    let Explained { explanation, snapshot, model, tags } = &explained;
    let tags: Vec<_> =
        tags.iter().map(|(tag, origin)| json!({ "tag": tag, "from": came_from(*origin) })).collect();
    let decision = match &explanation.decision {
        Ok(decision) => json!({
            "found_by": found_by(decision.resolution()),
            "first": snapshot.spec(decision.first()).id,
            "permitted": kept(snapshot, &explanation.verdicts),
        }),
        Err(no_route) => {
            let problem = error::refused(operation, no_route, snapshot, model);
            json!({ "status": problem.status().as_u16(), "error": problem.message() })
        }
    };
    let mut notes = explanation.notes.clone();
    notes.extend(steering(&call, &explained));
    let verdicts = explanation.verdicts.iter().map(|verdict| told(snapshot, verdict));
    let group = explanation.group.as_deref().unwrap_or_else(|| snapshot.table.behind_alias(model));
    let deployments: Vec<_> = verdicts.chain(left_out(snapshot, group)).collect();
    Ok(Json(json!({
        "model": model,
        "group": explanation.group,
        "tags": tags,
        "decision": decision,
        "deployments": deployments,
        "notes": notes,
        "num_retries": snapshot.router.num_retries,
        "fallbacks": fallbacks(snapshot, model),
    })))
}

/// Deployments of a group that a mistake in the configuration left out.
fn left_out(snapshot: &Snapshot, group: &str) -> impl Iterator<Item = Value> {
    let of_group = snapshot.left_out.iter().filter(move |left_out| left_out.group == group);
    of_group.map(|it| json!({ "id": it.id, "kept": false, "stage": "config", "text": it.reason }))
}

/// Who is asked when the group fails, by the kind of failure.
fn fallbacks(snapshot: &Snapshot, model: &str) -> Value {
    let of = |kind| snapshot.table.fallbacks(model, kind);
    json!({
        "general": of(FallbackKind::General),
        "context_window": of(FallbackKind::ContextWindow),
        "content_policy": of(FallbackKind::ContentPolicy),
        "default": snapshot.table.default_fallbacks(),
    })
}

/// What is looked at only once a deployment is chosen: whether it lets clients set what this one sets.
fn steering(call: &Call, explained: &Explained) -> Option<String> {
    let first = explained.explanation.decision.as_ref().ok()?.first();
    let refused = explained.snapshot.deployment(first).target.admit(&call.envelope).err()?;
    let id = &explained.snapshot.spec(first).id;
    Some(format!("{id} refuses the call with {}: {}", refused.status, refused.message))
}

/// The tags that the deployments of a name's group carry, in the order of the configuration.
pub(crate) fn known_tags<'a>(snapshot: &'a Snapshot, model: &str) -> Vec<&'a str> {
    let request = RouteRequest {
        model,
        tags: &[],
        user_agent: None,
        force_tag_filtering: false,
        access: tagrail::routing::Access::Admin,
        operators_choice: false,
        moment: Moment::default(),
        chance: Chance::default(),
    };
    let mut known = Vec::new();
    for verdict in snapshot.table.explain(&request, &()).verdicts {
        for tag in &snapshot.spec(verdict.deployment).tags {
            if !known.contains(&tag.as_str()) {
                known.push(tag.as_str());
            }
        }
    }
    known
}

fn told(snapshot: &Snapshot, verdict: &Verdict) -> Value {
    let id = &snapshot.spec(verdict.deployment).id;
    match &verdict.reason {
        Reason::Kept { text } => json!({ "id": id, "kept": true, "stage": null, "text": text }),
        Reason::Removed { stage, text } => json!({ "id": id, "kept": false, "stage": stage, "text": text }),
    }
}

fn kept<'a>(snapshot: &'a Snapshot, verdicts: &[Verdict]) -> Vec<&'a str> {
    let kept = verdicts.iter().filter(|verdict| matches!(verdict.reason, Reason::Kept { .. }));
    kept.map(|verdict| snapshot.spec(verdict.deployment).id.as_str()).collect()
}

fn found_by(resolution: Resolution) -> &'static str {
    match resolution {
        Resolution::DeploymentId => "deployment id",
        Resolution::Exact => "model_name",
        Resolution::Wildcard => "wildcard",
        Resolution::GuessedProvider => "wildcard, behind the guessed provider",
        Resolution::UpstreamName => "litellm_params.model",
    }
}

fn came_from(origin: TagOrigin) -> &'static str {
    match origin {
        TagOrigin::Metadata => "body metadata.tags",
        TagOrigin::LitellmMetadata => "body litellm_metadata.tags",
        TagOrigin::Header => "header x-litellm-tags",
        TagOrigin::Key => "key",
        TagOrigin::Team => "team",
        TagOrigin::Body => "body tags",
    }
}
