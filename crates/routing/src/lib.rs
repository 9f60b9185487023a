//! Pure routing: configuration in, decision out. No async, no clock, no randomness, no I/O.
//!
//! The vocabulary: a *deployment* is one way to serve a model; deployments of one name (exact or
//! wildcard) form a *model group*; a [`RoutingTable`] is compiled from [`TableSpec`] once;
//! [`RoutingTable::decide`] takes a [`RouteRequest`] and what is currently observed ([`Signals`])
//! and gives a [`Decision`], which yields deployments one after the other, or a [`NoRoute`].
//!
//! Map: `table.rs` the stages; `compile.rs` specs to table; `deployment.rs`, `group.rs`,
//! `pattern.rs`, `tag.rs` the nouns; `signals.rs` what is passed in; `strategy.rs` who picks among
//! equals; `decision.rs` the outcome and its reasons; `rules.rs` the two routing modes as named rules.

mod decision;
mod deployment;
mod error;
mod rules;
mod signals;
mod table;
mod tag;

pub use decision::{Decision, Explanation, Reason, Resolution, Verdict};
pub use deployment::{DeploymentIndex, DeploymentSpec, LeftOutSpec};
pub use error::{Mistake, NoRoute};
pub use rules::{RoutingMode, Rules};
pub use signals::{Chance, Moment, Observed, Signals};
pub use table::{
    AliasSpec, Compiled, FallbackKind, FallbackSpec, ProviderGuess, RouteRequest, RoutingTable, TableSpec,
};
pub use tag::{RequestTag, TagOrigin};
