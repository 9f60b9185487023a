//! What an address asks for: the query and the parts of the path, read by axum and refused in this
//! program's words.

use std::fmt::Display;

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::error::Problem;

/// The query string.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

/// What stands in the path where the route has a name.
#[derive(Debug)]
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Query<T>, Problem> {
        let read = axum::extract::Query::from_request_parts(parts, state).await;
        read.map(|axum::extract::Query(asked)| Query(asked)).map_err(|why| unreadable("query string", &why))
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Path<T>, Problem> {
        let read = axum::extract::Path::from_request_parts(parts, state).await;
        read.map(|axum::extract::Path(named)| Path(named)).map_err(|why| unreadable("path", &why))
    }
}

/// As pydantic reads a flag.
pub(crate) fn is_on(flag: Option<&str>) -> bool {
    flag.is_some_and(|flag| {
        ["true", "1", "yes", "on", "t", "y"].iter().any(|on| flag.eq_ignore_ascii_case(on))
    })
}

fn unreadable(what: &str, why: &dyn Display) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, format!("The {what} cannot be read: {why}."))
}
