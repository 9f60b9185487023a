//! Failed calls as HTTP. What is said is the router's (`told.rs`); here is only where it stands.

use http::StatusCode;
use tagrail::{CallError, Refusal, Told};

use super::Problem;
use crate::headers;

/// A failed call, in the operation's dialect.
pub(crate) fn refused(error: &CallError) -> Problem {
    let mut problem = problem(error.told());
    if let (Refusal::Upstream(_), Some(timeout)) = (&error.refusal, error.timeout) {
        headers::timeout(&mut problem.0.headers, timeout);
    }
    if let Refusal::OverLimit(over) = &error.refusal {
        for (name, value) in &over.headers {
            problem.0.headers.insert(name, value.clone());
        }
    }
    problem.for_operation(error.operation).uncharged()
}

fn problem(told: Told) -> Problem {
    let status = StatusCode::from_u16(told.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut problem = Problem::new(status, told.text());
    problem.0.kind = told.kind;
    problem.0.param = told.param;
    problem.0.code = told.code;
    problem.0.twice = told.is_proxys;
    match told.retry_after {
        Some(time) => problem.retry_after(time.as_secs_f64().ceil() as u64),
        None => problem,
    }
}
