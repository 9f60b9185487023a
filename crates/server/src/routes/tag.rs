//! Tags: descriptions, reservations, budgets and limits. A tag needs no row to be routed by; one that
//! was granted to a team has one, and only `/tag/update {"reserved": false}` ends what it reserves.
//!
//! Map: `tag/taken.rs` what bodies may hold; `tag/change.rs` making, changing and ending rows;
//! `tag/looked_up.rs` info and list; `tag/shown.rs` how LiteLLM shows one.

mod change;
mod looked_up;
mod shown;
mod taken;

use axum::routing::{get, post};
use http::StatusCode;

use crate::app::Shared;
use crate::error::Problem;
use crate::fields::Field;
use crate::routes::{Needs, Route};

/// What there is.
pub(crate) const ROUTES: &[Route] = &[
    post_of(
        "/tag/new",
        Needs::Admin,
        "Gives a tag a description, budget and limits, or reserves it.",
        taken::NEW,
    ),
    post_of(
        "/tag/update",
        Needs::Admin,
        "Changes what is written; what is not stays. \"reserved\": false opens what the tag reserved.",
        taken::UPDATE,
    ),
    post_of(
        "/tag/delete",
        Needs::Admin,
        "Forgets description, budget and limits; a reserved tag stays reserved.",
        taken::ONE,
    ),
    post_of("/tag/info", Needs::Viewer, "Tags by name.", taken::INFO),
    Route {
        method: "GET",
        path: "/tag/list",
        needs: Needs::Viewer,
        says: "Every tag that somebody has said something about, or that a deployment carries.",
        body: &[],
        query: taken::LIST,
    },
];

const fn post_of(path: &'static str, needs: Needs, says: &'static str, body: &'static [Field]) -> Route {
    Route { method: "POST", path, needs, says, body, query: &[] }
}

/// The handlers of [`ROUTES`].
pub(crate) fn router() -> axum::Router<Shared> {
    axum::Router::new()
        .route("/tag/new", post(change::new))
        .route("/tag/update", post(change::update))
        .route("/tag/delete", post(change::delete))
        .route("/tag/info", post(looked_up::info))
        .route("/tag/list", get(looked_up::list))
}

/// There is no such tag.
fn unknown(name: &str) -> Problem {
    Problem::detail(StatusCode::NOT_FOUND, format!("Tag {name} not found"))
}
