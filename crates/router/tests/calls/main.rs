//! Calls through a router over real sockets: retries, fallbacks, cooldowns, streams, reloads.

mod rig;
mod cooldown;
mod fallbacks;
mod reload;
mod retries;
mod steering;
mod streaming;
