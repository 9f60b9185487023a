//! `POST /route/explain`: the decision for a request and the reason for every deployment; nothing
//! is sent anywhere.

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use serde_json::{Value, json};
use tagrail::routing::{Chance, Moment, Reason, Resolution, RouteRequest, TagOrigin, Verdict};
use tagrail::{Call, Explained, Operation, Snapshot};

use crate::app::Shared;
use crate::caller::Admin;
use crate::error::{self, Problem};
use crate::inbound;

/// Explains a chat request: the same body and headers as the request in question.
pub(crate) async fn explain(
    _: Admin,
    State(shared): State<Shared>,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    let operation = Operation::ChatCompletions;
    let (parts, body) = request.into_parts();
    let snapshot = shared.router.snapshot();
    let body = inbound::read(&parts.headers, body, &snapshot.general).await?;
    let call =
        Call::read(operation, parts.headers, body, None).map_err(|error| error::body(operation, &error))?;
    let explained = shared.router.explain(&call).map_err(|error| error::problem(operation, &error))?;
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
    let deployments: Vec<_> = explanation.verdicts.iter().map(|verdict| told(snapshot, verdict)).collect();
    Ok(Json(json!({
        "model": model,
        "group": explanation.group,
        "tags": tags,
        "decision": decision,
        "deployments": deployments,
        "notes": explanation.notes,
    })))
}

/// The tags that the deployments of a name's group carry, in the order of the configuration.
pub(crate) fn known_tags<'a>(snapshot: &'a Snapshot, model: &str) -> Vec<&'a str> {
    let request = RouteRequest {
        model,
        tags: &[],
        user_agent: None,
        force_tag_filtering: false,
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
