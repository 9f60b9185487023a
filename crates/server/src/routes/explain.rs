//! `POST /route/explain`: the decision for a request and the reason for every deployment; nothing
//! is sent anywhere.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tagrail::routing::{FallbackKind, Reason, Resolution, TagOrigin, Verdict};
use tagrail::{Call, Caller, Explained, Operation, Refusal, Refused, Snapshot};

use crate::app::Shared;
use crate::asked::Query;
use crate::caller::{Known, Role, hash_of, policy};
use crate::error::{self, Problem};
use crate::inbound;
use crate::ledger::Ledger;
use crate::path::{self, ModelRoute};

/// What the query string may ask for.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    /// The path that the request in question goes to, or the operation's name.
    route: Option<String>,
    /// As whom: a key, or its hash.
    key: Option<String>,
    /// As whom: any key of this team.
    team_id: Option<String>,
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
/// path where that is not chat's. Everybody is told of what is within their reach; who may look at everything
/// is told everything, and may ask as somebody else.
pub(crate) async fn explain(
    known: Known,
    State(shared): State<Shared>,
    Query(wanted): Query<Wanted>,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    let ModelRoute { operation, model, .. } = wanted.route()?;
    let is_privy = known.role >= Role::Viewer;
    let caller = match wanted.somebody(&shared.ledger).await {
        Some(_) if !is_privy => return Err(known.may_not("/route/explain")),
        Some(somebody) => somebody?,
        None => known.caller,
    };
    let (parts, body) = request.into_parts();
    let snapshot = shared.router.snapshot();
    let body = inbound::read(&parts.headers, body, &snapshot.general).await?;
    let call = Call::read(operation, parts.headers, body, model);
    let call = call.map_err(|error| error::body(operation, &error))?;
    let call = call.by(caller, HeaderValue::from_static(""));
    let router = &shared.router;
    let explained = if is_privy { router.explain_as(&call) } else { router.explain(&call) };
    let explained = explained.map_err(|mut error| {
        // Nothing is asked here under a name that may be missing.
        if matches!(error.refusal, Refusal::MissingModel) {
            error.refusal = Refusal::MissingField("model");
        }
        error::refused(&error)
    })?;
    Ok(Json(answer(&call, &explained, is_privy)))
}

impl Wanted {
    /// As whom, if somebody is named.
    async fn somebody(&self, ledger: &Ledger) -> Option<Result<Arc<Caller>, Problem>> {
        let missing = |field: &'static str| {
            let message = format!("There is no such {field}.");
            Problem::new(StatusCode::NOT_FOUND, message).kind("not_found_error").param(field)
        };
        if let Some(key) = self.key.clone() {
            let hash = if key.starts_with("sk-") { hash_of(key.as_bytes()) } else { key };
            let asked = ledger.ask(|store| async move { store.identity(&hash).await }).await;
            return Some(
                asked.and_then(|identity| ledger.caller_of(identity.ok_or_else(|| missing("key"))?)),
            );
        }
        let id = self.team_id.clone()?;
        let asked = ledger.ask(|store| async move { store.team(&id).await }).await;
        Some(asked.and_then(|team| {
            let policy = policy(None, Some(&team.ok_or_else(|| missing("team_id"))?), None);
            Ok(Arc::new(Caller { policy: Some(policy), ..Caller::default() }))
        }))
    }
}

fn answer(call: &Call, explained: &Explained, is_privy: bool) -> Value {
    let Explained { explanation, snapshot, model, tags } = explained;
    let tags: Vec<_> =
        tags.iter().map(|(tag, origin)| json!({ "tag": tag, "from": came_from(*origin) })).collect();
    let decision = match &explanation.decision {
        Ok(decision) => json!({
            "found_by": found_by(decision.resolution()),
            "first": snapshot.spec(decision.first()).id,
            "permitted": kept(snapshot, &explanation.verdicts),
        }),
        Err(no_route) => {
            let (operation, caller) = (call.operation, &*call.caller);
            let told = Refused { operation, snapshot, model, caller, in_process: false }.no_route(no_route);
            json!({ "status": told.status, "error": told.message })
        }
    };
    let mut notes = explanation.notes.clone();
    notes.extend(steering(call, explained));
    let verdicts = explanation.verdicts.iter().map(|verdict| told(snapshot, verdict));
    let group = explanation.group.as_deref().unwrap_or_else(|| snapshot.table.behind_alias(model));
    let left_out = left_out(snapshot, group).filter(|_| is_privy);
    let deployments: Vec<_> = verdicts.chain(left_out).collect();
    let admits = |name: &str| {
        is_privy || snapshot.as_caller(&call.caller, |access| snapshot.table.admits(name, access))
    };
    json!({
        "model": model,
        "group": explanation.group,
        "tags": tags,
        "decision": decision,
        "deployments": deployments,
        "notes": notes,
        "num_retries": snapshot.router.num_retries,
        "fallbacks": fallbacks(snapshot, model, &admits),
    })
}

/// Deployments of a group that a mistake in the configuration left out.
fn left_out(snapshot: &Snapshot, group: &str) -> impl Iterator<Item = Value> {
    let of_group = snapshot.left_out.iter().filter(move |left_out| left_out.group == group);
    of_group.map(|it| json!({ "id": it.id, "kept": false, "stage": "config", "text": it.reason }))
}

/// Who is asked when the group fails, by the kind of failure, as far as the caller may know of them.
fn fallbacks(snapshot: &Snapshot, model: &str, admits: &dyn Fn(&str) -> bool) -> Value {
    let shown = |names: &[String]| names.iter().filter(|name| admits(name)).cloned().collect::<Vec<_>>();
    let of = |kind| shown(snapshot.table.fallbacks(model, kind));
    json!({
        "general": of(FallbackKind::General),
        "context_window": of(FallbackKind::ContextWindow),
        "content_policy": of(FallbackKind::ContentPolicy),
        "default": shown(snapshot.table.default_fallbacks()),
    })
}

/// What is looked at only once a deployment is chosen: whether it lets clients set what this one sets.
fn steering(call: &Call, explained: &Explained) -> Option<String> {
    let first = explained.explanation.decision.as_ref().ok()?.first();
    let refused = explained.snapshot.deployment(first).target.admit(&call.envelope).err()?;
    let id = &explained.snapshot.spec(first).id;
    Some(format!("{id} refuses the call with {}: {}", refused.status, refused.message))
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
