//! Looking at tags.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{Request, StatusCode, Uri};
use serde_json::{Map, Value};
use tagrail_store::{Store, Tag};

use crate::app::Shared;
use crate::caller::Viewer;
use crate::error::{Problem, python_list};
use crate::fields::{Asked, missing};
use crate::routes::tag::{shown, taken};

/// `POST /tag/info`.
pub(super) async fn info(
    _: Viewer,
    State(shared): State<Shared>,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    let snapshot = shared.router.snapshot();
    let asked = Asked::read(request, &snapshot.general, taken::INFO).await?;
    let names = asked.texts("names").ok_or_else(|| missing("names"))?;
    shared.ledger.settled().await;
    let wanted = names.clone();
    let look = async move |store: Arc<dyn Store>| store.tags(Some(&wanted)).await;
    let tags = shared.ledger.ask(look).await?;
    let known: HashSet<&String> = tags.iter().map(|tag| &tag.name).collect();
    let unknown = names.iter().filter(|name| !known.contains(name));
    let unknown: Vec<_> = unknown.map(String::as_str).collect();
    if !unknown.is_empty() {
        let message = format!("Tags not found: {}", python_list(unknown.into_iter()));
        return Err(Problem::detail(StatusCode::NOT_FOUND, message));
    }
    let shown = tags.iter().map(|tag| (tag.name.clone(), shown::tag(tag, &snapshot)));
    Ok(Json(Value::Object(shown.collect::<Map<_, _>>())))
}

/// `GET /tag/list`.
pub(super) async fn list(_: Viewer, State(shared): State<Shared>, uri: Uri) -> Result<Response, Problem> {
    Asked::query(&uri, taken::LIST)?;
    let snapshot = shared.router.snapshot();
    shared.ledger.settled().await;
    let look = async |store: Arc<dyn Store>| store.tags(None).await;
    let show = move |tags: Vec<Tag>| {
        let carried = snapshot.table.deployments().iter().flat_map(|spec| &spec.tags);
        let mut bare: BTreeSet<_> = carried.chain(&snapshot.general.reserved_tags).collect();
        for tag in &tags {
            bare.remove(&tag.name);
        }
        let rows = tags.iter().map(|tag| shown::tag(tag, &snapshot));
        rows.chain(bare.into_iter().map(|name| shown::bare(name, &snapshot))).collect::<Vec<_>>()
    };
    shared.ledger.show(look, show).await
}
