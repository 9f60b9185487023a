//! The SDK as a program uses it: over real sockets, with nothing of what is inside.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "whatever goes wrong here is a failed test, and a test fails by panicking"
)]

mod books;
mod callers;
mod configuration;
mod deadlines;
mod failures;
mod models;
mod replies;
mod routing;
mod streams;

use tagrail::{Completion, Deployment, RouterBuilder};
use tagrail_testkit::FakeUpstream;

/// A deployment at the upstream, whose model there is its id.
fn at(upstream: &FakeUpstream, group: &str, id: &str) -> Deployment {
    Deployment::new(group, format!("openai/{id}")).api_base(upstream.base()).api_key("sk-upstream").id(id)
}

/// A router that does not look into this process's environment.
fn builder() -> RouterBuilder {
    tagrail::Router::builder().env(|_| None)
}

/// A question.
fn ask(model: &str) -> Completion {
    Completion::new(model).user("hi")
}
