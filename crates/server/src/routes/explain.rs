//! `POST /route/explain`: the decision for a request and the reason for every deployment; nothing
//! is sent anywhere.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tagrail::{Caller, Operation, Refusal};

use crate::app::Shared;
use crate::asked::Query;
use crate::caller::{Known, Role, hash_of, policy};
use crate::error::{self, Problem};
use crate::inbound;
use crate::ledger::Ledger;
use crate::parse;
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
    let (body, _held) = inbound::read(&parts.headers, body, &snapshot.general, &caller.identity.key).await?;
    let call = parse::call(operation, parts.headers, body, model).await;
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
    Ok(Json(explained.to_json()))
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
