//! Calls through a router over real sockets: retries, fallbacks, cooldowns, streams, reloads.

mod cooldown;
mod fallbacks;
mod reload;
mod retries;
mod rig;
mod steering;
mod streaming;
