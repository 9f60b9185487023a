//! The router for a program in Rust: a configuration from typed values or plain ones, calls with tags
//! and a deadline, answers with their facts, errors that say whose fault it was. All of it is made of
//! [`Call`](crate::Call) and [`Router::call`](crate::Router::call), which do the work for everybody.
//!
//! Map: `build.rs` configuration to router, `settings.rs` its settings, `deployment.rs` one entry of its
//! model list, `models.rs` changes while it runs; `request.rs` what is asked, `calls.rs` asking; `reply.rs` a
//! whole answer, `chunks.rs` one that comes in pieces, `text.rs` what they say; `facts.rs` who answered,
//! `chosen.rs` why that one, `rate_limits.rs` what its provider leaves; `error.rs` what went wrong.

mod build;
mod calls;
mod chosen;
mod chunks;
mod deployment;
mod error;
mod facts;
mod models;
mod rate_limits;
mod reply;
mod request;
mod settings;
mod text;

pub use build::{ConfigError, RouterBuilder};
pub use chosen::Chosen;
pub use chunks::{Chunk, Chunks};
pub use deployment::{Deployment, ModelList};
pub use error::{Error, Failure, Fault};
pub use rate_limits::{RateLimits, Window};
pub use reply::Reply;
pub use request::{Completion, Embedding, Kind, Messages, Request, Responses, TextCompletion, kind};

pub(crate) use build::Origin;
