//! HTTP: the only crate that knows the HTTP server library.
//!
//! [`serve`] binds the address and starts one thread for every core, each with a runtime, a
//! listener and upstream connections of its own; a request stays on the core that accepted it.
//!
//! Map: `listen.rs` cores and the accept loop; `connections.rs` how many clients there may be, `file_limit.rs` what the
//! system allows, `connection.rs` one of them, `client_stream.rs` its socket, `activity.rs` what happens on it;
//! `shutdown.rs` the drain and signals; `supervise.rs` threads and tasks that must live;
//! `app.rs` every route and every layer, in order; `asked.rs` what an address asks for; `path.rs` which path calls a model; `caller.rs`
//! who calls, and what that allows; `inbound.rs` reading a request within its limits, `parse.rs` making a call of it; `routes/` what
//! each route does; `reply.rs` the bodies that leave; `headers.rs` the response headers, all of them,
//! with `call_id.rs` and `number.rs`; `ledger.rs` teams, keys and spend over the store; `fields.rs` what
//! the management routes take; `error.rs` errors to HTTP; `metrics.rs` what is counted.

mod activity;
mod app;
mod asked;
mod call_id;
mod caller;
mod client_stream;
mod connection;
mod connections;
pub mod demo_upstream;
mod error;
mod fields;
mod file_limit;
mod headers;
mod inbound;
mod ledger;
mod listen;
mod metrics;
mod number;
mod parse;
mod path;
mod reply;
mod routes;
mod shutdown;
mod supervise;

pub use file_limit::raise_file_limit;
pub use ledger::{Clock, Ledger, LedgerParts, Opening, OpeningError};
pub use listen::{Parts, Running, serve};
pub use metrics::Metrics;
pub use shutdown::{Shutdown, Signals};
