//! Keys, limits, budgets and changes over real sockets, on SQLite and on PostgreSQL: started servers, a
//! fake upstream behind them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "whatever goes wrong here is a failed test, and a test fails by panicking"
)]

mod budgets;
mod changes;
mod gone;
mod keys;
mod limits;
mod reach;
mod rig;
mod shared;
