//! For tests only: a fake upstream that fails, stalls, hangs up, and a client that sees every byte.
//!
//! Everything runs over real sockets and on threads of its own, so a test may use any runtime, none,
//! or a paused clock. Waiting is for events, never for time: what a test waits for too long ends it
//! with a message that says what did happen.
//!
//! Map: `upstream.rs` [`FakeUpstream`] and its script; `reply.rs` what it answers and how it
//! misbehaves; `answers.rs` well-formed answers of every dialect; `exchange.rs` what was seen;
//! `connection.rs` one connection, byte by byte; `gate.rs` holding it up; `tls.rs` its certificate;
//! `proxy.rs` a CONNECT proxy; `client.rs` the client; `program.rs` a child process; `config.rs`
//! configurations; `postgres.rs` a database server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "whatever goes wrong here is a failed test, and a test fails by panicking"
)]

mod answers;
mod client;
mod config;
mod connection;
mod exchange;
mod gate;
mod postgres;
mod program;
mod proxy;
mod reply;
mod tls;
mod upstream;

pub use client::{Client, Piece, Response, post};
pub use config::{config_text, deployment};
pub use exchange::{Exchange, Received};
pub use gate::Gate;
pub use postgres::Postgres;
pub use program::Program;
pub use proxy::ConnectProxy;
pub use reply::Reply;
pub use tls::ca_file;
pub use upstream::FakeUpstream;

/// How long an awaited event may take before the test is failed: far more than a loaded machine needs.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
