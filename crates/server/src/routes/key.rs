//! Virtual keys: making, changing, ending them. A key itself is in the request that names it and in the
//! answer that creates it, and nowhere else; what is kept and shown is its hash.
//!
//! Map: `key/taken.rs` what bodies may hold; `key/minted.rs` keys themselves and their names; `key/made.rs`
//! a new key; `key/change.rs` fields into a record; `key/updated.rs` changes of one that is there;
//! `key/looked_up.rs` info and list; `key/shown.rs` how LiteLLM shows one.

pub(crate) mod change;
pub(crate) mod looked_up;
pub(crate) mod made;
pub(crate) mod minted;
pub(crate) mod shown;
pub(crate) mod taken;
pub(crate) mod updated;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::routing::{get, post};
use http::Request;
use serde_json::Value;

use crate::app::Shared;
use crate::caller::{Admin, Known};
use crate::error::Problem;
use crate::fields::{Asked, Field};
use crate::routes::team::members::maker;
use crate::routes::{Needs, Route};

/// LiteLLM's name for the holder of the master key.
pub(crate) const OPERATOR: &str = "default_user_id";

/// What there is.
pub(crate) const ROUTES: &[Route] = &[
    change_of(
        "/key/generate",
        "Makes a key; its answer is the only place where the key is shown.",
        taken::GENERATE,
    ),
    change_of("/key/update", "Changes what is written; what is not stays.", taken::UPDATE),
    change_of("/key/delete", "Ends keys: all that are named, or none.", taken::DELETE),
    change_of("/key/block", "Refuses a key until it is unblocked.", taken::ONE),
    change_of("/key/unblock", "Lets a blocked key in again.", taken::ONE),
    change_of(
        "/key/regenerate",
        "Gives a key another value; the old one is refused from then on.",
        taken::REGENERATE,
    ),
    change_of("/key/{key}/regenerate", "The same, with the key or its hash in the path.", taken::REGENERATE),
    Route {
        method: "GET",
        path: "/key/info",
        needs: Needs::Key,
        says: "One key: the caller's own; for viewers any.",
        body: &[],
        query: taken::INFO,
    },
    Route {
        method: "GET",
        path: "/key/list",
        needs: Needs::Key,
        says: "All keys; for others than viewers those of the caller's user.",
        body: &[],
        query: taken::LIST,
    },
];

const fn change_of(path: &'static str, says: &'static str, body: &'static [Field]) -> Route {
    Route { method: "POST", path, needs: Needs::Admin, says, body, query: &[] }
}

/// The handlers of [`ROUTES`].
pub(crate) fn router() -> axum::Router<Shared> {
    axum::Router::new()
        .route("/key/generate", post(generate))
        .route("/key/update", post(updated::update))
        .route("/key/delete", post(updated::delete))
        .route("/key/block", post(updated::block))
        .route("/key/unblock", post(updated::unblock))
        .route("/key/regenerate", post(updated::regenerate))
        .route("/key/{key}/regenerate", post(updated::regenerate_named))
        .route("/key/info", get(looked_up::info))
        .route("/key/list", get(looked_up::list))
}

/// `POST /key/generate`.
async fn generate(
    _: Admin,
    known: Known,
    State(shared): State<Shared>,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    let general = &shared.router.snapshot().general;
    let asked = Asked::read(request, general, taken::GENERATE).await?;
    let made = made::create(&shared.ledger, general, &asked, &maker(&known)).await?;
    let answer = Value::Object(made.shown(&asked));
    Ok(asked.answered(answer))
}
