//! Teams: who belongs together, with which tags, models, limits and budget.
//!
//! Map: `team/taken.rs` what bodies may hold; `team/change.rs` making, changing and ending teams;
//! `team/members.rs` who belongs to one; `team/models.rs` what one may call; `team/looked_up.rs` info and lists;
//! `team/shown.rs` how LiteLLM shows one.

mod change;
mod looked_up;
pub(crate) mod members;
mod models;
pub(crate) mod shown;
mod taken;

use axum::routing::{get, post};
use http::StatusCode;

use crate::app::Shared;
use crate::error::Problem;
use crate::fields::Field;
use crate::routes::{Needs, Route};

/// What there is.
pub(crate) const ROUTES: &[Route] = &[
    change_of("/team/new", "Makes a team; tags that it is granted become reserved.", taken::NEW),
    change_of("/team/update", "Changes what is written; what is not stays.", taken::UPDATE),
    change_of(
        "/team/delete",
        "Ends teams and all of their keys: all that are named, or none.",
        taken::DELETE,
    ),
    change_of("/team/block", "Refuses all keys of a team until it is unblocked.", taken::ONE),
    change_of("/team/unblock", "Lets the keys of a blocked team in again.", taken::ONE),
    change_of("/team/member_add", "Adds members; users that nobody knows yet are made.", taken::MEMBER_ADD),
    change_of("/team/member_delete", "Takes a member away, and its keys of the team.", taken::MEMBER_DELETE),
    change_of("/team/model/add", "Adds models that the team may call.", taken::MODELS),
    change_of("/team/model/delete", "Takes models away that the team may call.", taken::MODELS),
    Route {
        method: "GET",
        path: "/team/info",
        needs: Needs::Key,
        says: "One team with its keys; for others than viewers the caller's own.",
        body: &[],
        query: taken::INFO,
    },
    Route {
        method: "GET",
        path: "/team/list",
        needs: Needs::Viewer,
        says: "All teams with their keys.",
        body: &[],
        query: taken::LIST,
    },
    Route {
        method: "GET",
        path: "/v2/team/list",
        needs: Needs::Viewer,
        says: "Teams, page by page.",
        body: &[],
        query: taken::PAGES,
    },
];

const fn change_of(path: &'static str, says: &'static str, body: &'static [Field]) -> Route {
    Route { method: "POST", path, needs: Needs::Admin, says, body, query: &[] }
}

/// The handlers of [`ROUTES`].
pub(crate) fn router() -> axum::Router<Shared> {
    axum::Router::new()
        .route("/team/new", post(change::new))
        .route("/team/update", post(change::update))
        .route("/team/delete", post(change::delete))
        .route("/team/block", post(change::block))
        .route("/team/unblock", post(change::unblock))
        .route("/team/member_add", post(members::add))
        .route("/team/member_delete", post(members::delete))
        .route("/team/model/add", post(models::add))
        .route("/team/model/delete", post(models::delete))
        .route("/team/info", get(looked_up::info))
        .route("/team/list", get(looked_up::list))
        .route("/v2/team/list", get(looked_up::pages))
}

/// There is no such team.
fn unknown(id: &str) -> Problem {
    Problem::detailed(StatusCode::NOT_FOUND, format!("Team not found, passed team_id={id}"))
}
