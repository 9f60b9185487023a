//! What each route does.

pub(crate) mod edit;
pub(crate) mod explain;
pub(crate) mod health;
pub(crate) mod index;
pub(crate) mod key;
pub(crate) mod metrics;
pub(crate) mod model;
pub(crate) mod model_info;
pub(crate) mod models;
pub(crate) mod openapi;
pub(crate) mod probe;
pub(crate) mod spend;
pub(crate) mod tag;
pub(crate) mod team;
pub(crate) mod user;

use crate::fields::Field;

/// One route, for `/routes`, `/openapi.json`, and the tests that call each as everybody.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    pub(crate) method: &'static str,
    /// As axum writes it: `/key/{key}/regenerate`.
    pub(crate) path: &'static str,
    pub(crate) needs: Needs,
    /// What it does, one line.
    pub(crate) says: &'static str,
    /// What its body may hold; empty when it has none.
    pub(crate) body: &'static [Field],
    /// What its query string may hold.
    pub(crate) query: &'static [Field],
}

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Anybody who can connect.
    Nothing,
    /// A valid key; what it shows depends on whose.
    Key,
    /// Somebody who may look at everything.
    Viewer,
    /// An admin.
    Admin,
}

/// Every route but those of models, which are found by `path.rs`.
pub(crate) fn all() -> impl Iterator<Item = Route> {
    let tables =
        [index::ROUTES, team::ROUTES, user::ROUTES, tag::ROUTES, key::ROUTES, spend::ROUTES, openapi::ROUTES];
    tables.into_iter().flatten().copied()
}
