//! Pure routing: configuration in, decision out. No async, no clock, no randomness, no I/O.
//!
//! The vocabulary: a *deployment* is one way to serve a model; deployments of one name (exact or
//! wildcard) form a *model group*; a [`RoutingTable`] is compiled from [`TableSpec`] once;
//! [`RoutingTable::decide`] takes a [`RouteRequest`] and what is currently observed ([`Signals`])
//! and gives a [`Decision`], which yields deployments one after the other, or a [`NoRoute`].
//!
//! Map: `table.rs` the stages and `course.rs` what each does; `compile.rs` specs to table;
//! `names.rs` name to group, with `pattern.rs` and `index.rs` for wildcards; `tag.rs` and
//! `tag_filter.rs` the tags; `deployment.rs`, `group.rs`, `fallback.rs` the nouns, `bits.rs` sets of
//! them; `signals.rs` what is passed in; `strategy.rs` who picks among equals; `decision.rs` the
//! outcome, `explain.rs` and `tag_reasons.rs` its reasons; `rules.rs` the two routing modes as named
//! rules; `error.rs` what can be wrong.

mod bits;
mod compile;
mod course;
mod decision;
mod deployment;
mod error;
mod explain;
mod fallback;
mod group;
mod index;
mod names;
mod pattern;
mod rules;
mod signals;
mod strategy;
mod table;
mod tag;
mod tag_filter;
mod tag_reasons;

pub use compile::{AliasSpec, Compiled, ProviderGuess, TableSpec};
pub use decision::{Decision, Resolution};
pub use deployment::{DeploymentIndex, DeploymentSpec, LeftOutSpec};
pub use error::{Mistake, NoRoute, Severity};
pub use explain::{Explanation, Reason, Verdict};
pub use fallback::{FallbackKind, FallbackSpec};
pub use index::PatternIndex;
pub use pattern::{ModelPattern, Specificity};
pub use rules::{RoutingMode, Rules};
pub use signals::{Chance, Moment, Observed, Signals};
pub use table::{RouteRequest, RoutingTable};
pub use tag::{RequestTag, TagOrigin};
