//! Calls through a router over real sockets: retries, fallbacks, cooldowns, streams, reloads.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "whatever goes wrong here is a failed test, and a test fails by panicking"
)]

mod access;
mod admission;
mod blame;
mod books;
mod certificates;
mod cooldown;
mod explained;
mod fallbacks;
mod hostile;
mod in_process;
mod logging;
mod parameters;
mod reload;
mod reserve;
mod retries;
mod rig;
mod settling;
mod steering;
mod stored;
mod streaming;
mod upstreams;
mod usage;
