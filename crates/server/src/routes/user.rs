//! Users, as far as keys, teams and budgets need them: whom a key belongs to, and what that allows.
//!
//! Map: `user/taken.rs` what bodies may hold; `user/change.rs` making, changing and ending users;
//! `user/looked_up.rs` info and list; `user/shown.rs` how LiteLLM shows one.

mod change;
mod looked_up;
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
    change_of("/user/new", "Makes a user, and a key for it unless auto_create_key is false.", taken::NEW),
    change_of("/user/update", "Changes what is written; what is not stays.", taken::UPDATE),
    change_of(
        "/user/delete",
        "Ends users and all of their keys: all that are named, or none.",
        taken::DELETE,
    ),
    Route {
        method: "GET",
        path: "/user/info",
        needs: Needs::Key,
        says: "One user with its keys and teams; for others than viewers the caller's own.",
        body: &[],
        query: taken::INFO,
    },
    Route {
        method: "GET",
        path: "/user/list",
        needs: Needs::Viewer,
        says: "Users, page by page.",
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
        .route("/user/new", post(change::new))
        .route("/user/update", post(change::update))
        .route("/user/delete", post(change::delete))
        .route("/user/info", get(looked_up::info))
        .route("/user/list", get(looked_up::list))
}

/// There is no such user.
fn unknown(id: &str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("User {id} not found"))
        .kind("not_found_error")
        .param("user_id")
}
