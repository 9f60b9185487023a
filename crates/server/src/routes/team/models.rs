//! What the keys of a team may call.

use std::collections::HashSet;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::Request;
use serde_json::Value;
use tagrail_store::{Team, Timestamp};

use crate::app::Shared;
use crate::caller::Admin;
use crate::error::Problem;
use crate::fields::{Asked, missing};
use crate::routes::edit::edit;
use crate::routes::team::{shown, taken, unknown};

/// What admits nothing. An empty list admits everything, so it cannot stand for the last one taken away.
const NOTHING: &str = "no-default-models";

/// `POST /team/model/add`.
pub(super) async fn add(
    _: Admin,
    State(shared): State<Shared>,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    change(&shared, request, |models, named| {
        models.retain(|model| model != NOTHING);
        let mut known: HashSet<String> = models.iter().cloned().collect();
        models.extend(named.iter().filter(|model| known.insert((*model).clone())).cloned());
    })
    .await
}

/// `POST /team/model/delete`.
pub(super) async fn delete(
    _: Admin,
    State(shared): State<Shared>,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    change(&shared, request, |models, named| {
        let before = models.len();
        let named: HashSet<&String> = named.iter().collect();
        models.retain(|model| !named.contains(model));
        if before > 0 && models.is_empty() {
            models.push(NOTHING.to_owned());
        }
    })
    .await
}

/// Changes a team's list of models.
async fn change(
    shared: &Shared,
    request: Request<Body>,
    apply: fn(&mut Vec<String>, &[String]),
) -> Result<Json<Value>, Problem> {
    let mut asked = Asked::read(request, &shared.router.snapshot().general, taken::MODELS).await?;
    let id = asked.needed("team_id")?.to_owned();
    let named = asked.texts("models").ok_or_else(|| missing("models"))?;
    let change = |team: &mut Team| {
        apply(&mut team.models, &named);
        team.updated_at = Timestamp::now();
        Ok(Vec::new())
    };
    let team = edit(&shared.ledger, &id, change).await?.ok_or_else(|| unknown(&id))?;
    asked.warnings.extend((team.models == [NOTHING]).then(|| NOTHING_LEFT.to_owned()));
    Ok(asked.answered(Value::Object(shown::team(&team))))
}

const NOTHING_LEFT: &str =
    "the team may call nothing now; `/team/update` with \"models\": [] lets it call everything";
