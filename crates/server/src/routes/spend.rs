//! What calls have cost: single calls, sums, reports. Whatever is asked right after a call holds that
//! call. Who may not look at everything sees the calls of its own key.
//!
//! Map: `spend/taken.rs` what may be asked; `spend/logs.rs` single calls; `spend/sums.rs` totals of keys,
//! users, tags and teams; `spend/report.rs` for whoever sends the bills; `spend/activity.rs` by day, in the
//! shape of LiteLLM's dashboard; `spend/period.rs` from when to when; `spend/calculate.rs` what a call would
//! cost.

mod activity;
mod calculate;
mod logs;
mod period;
mod report;
mod sums;
mod taken;

use axum::routing::{get, post};
use http::StatusCode;
use tagrail_store::{DailyBy, DailyFilter, DailySpend, Store, StoreError};

use crate::app::Shared;
use crate::error::Problem;
use crate::fields::Field;
use crate::routes::{Needs, Route};

/// What there is.
pub(crate) const ROUTES: &[Route] = &[
    look(
        "/spend/logs",
        Needs::Key,
        "Calls, the newest first; those of the caller's own key but for viewers.",
        taken::LOGS,
    ),
    look("/spend/tags", Needs::Viewer, "Spend by tag.", taken::PERIOD),
    look("/spend/keys", Needs::Viewer, "Keys, those that spent most first.", &[]),
    look("/spend/users", Needs::Viewer, "Users, those that spent most first.", taken::USERS),
    look("/global/spend", Needs::Viewer, "The sum of everything.", &[]),
    look(
        "/global/spend/report",
        Needs::Viewer,
        "Spend by day and team, key, user, tag or model; CSV too.",
        taken::REPORT,
    ),
    look("/global/spend/tags", Needs::Viewer, "Spend by tag between two days.", taken::TAGS),
    look("/global/spend/teams", Needs::Viewer, "Spend by team and day; the last 30 days.", taken::PERIOD),
    look("/global/spend/keys", Needs::Viewer, "The keys that spent most.", taken::TOP),
    look("/tag/daily/activity", Needs::Viewer, "What was called with tags, by day.", taken::TAG_ACTIVITY),
    look("/team/daily/activity", Needs::Viewer, "What teams called, by day.", taken::TEAM_ACTIVITY),
    look(
        "/user/daily/activity",
        Needs::Key,
        "What users called, by day; for others than viewers what was called with their own key.",
        taken::USER_ACTIVITY,
    ),
    Route {
        method: "POST",
        path: "/spend/calculate",
        needs: Needs::Key,
        says: "What a call would cost, or has cost.",
        body: taken::CALCULATE,
        query: &[],
    },
];

const fn look(path: &'static str, needs: Needs, says: &'static str, query: &'static [Field]) -> Route {
    Route { method: "GET", path, needs, says, body: &[], query }
}

/// The handlers of [`ROUTES`].
pub(crate) fn router() -> axum::Router<Shared> {
    axum::Router::new()
        .route("/spend/logs", get(logs::logs))
        .route("/spend/tags", get(sums::tags))
        .route("/spend/keys", get(sums::keys))
        .route("/spend/users", get(sums::users))
        .route("/global/spend", get(sums::all))
        .route("/global/spend/report", get(report::report))
        .route("/global/spend/tags", get(sums::tags_between))
        .route("/global/spend/teams", get(sums::teams))
        .route("/global/spend/keys", get(sums::top_keys))
        .route("/tag/daily/activity", get(activity::tags))
        .route("/team/daily/activity", get(activity::teams))
        .route("/user/daily/activity", get(activity::users))
        .route("/spend/calculate", post(calculate::calculate))
}

/// Sums in one answer.
const SUMS: u64 = 50_000;

/// Keys, users or tags in one list, those that spent most.
const MOST: usize = 1000;

/// Sums by day, one more than a report may have; [`few`] refuses more.
async fn daily(store: &dyn Store, by: DailyBy, filter: DailyFilter) -> Result<Vec<DailySpend>, StoreError> {
    store.daily(by, &DailyFilter { limit: SUMS + 1, ..filter }).await
}

/// What is too long for one answer is not cut off in silence.
fn few(sums: &[DailySpend]) -> Result<(), Problem> {
    if sums.len() as u64 <= SUMS {
        return Ok(());
    }
    let message = format!(
        "The answer would have more than {SUMS} sums. Ask for fewer days with start_date and end_date, or for one team, key, user or tag."
    );
    Err(Problem::new(StatusCode::BAD_REQUEST, message).param("start_date"))
}

/// Goes through a list page by page, so that it is never whole in memory.
macro_rules! every {
    ($item:ident of $store:ident.$list:ident($($filter:expr)?) => $take:expr) => {{
        let mut page = tagrail_store::Page { number: 1, size: 500 };
        loop {
            let items = $store.$list($($filter,)? Some(page)).await?.items;
            let is_last = (items.len() as u64) < page.size;
            for $item in items {
                $take;
            }
            if is_last {
                break;
            }
            page.number += 1;
        }
    }};
}
use every;
