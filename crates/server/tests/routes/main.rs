//! The routes over real sockets: a started server, a fake upstream behind it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "whatever goes wrong here is a failed test, and a test fails by panicking"
)]

mod access;
mod caller;
mod errors;
mod explain;
mod fields;
mod gateway;
mod health;
mod index;
mod key;
mod limits;
mod members;
mod metrics;
mod model;
mod model_info;
mod models;
mod openapi;
mod people;
mod shutdown;
mod spend;
mod tag;
mod team;
mod user;
