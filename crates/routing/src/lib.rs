//! Pure routing: configuration in, decision out. No async, no clock, no randomness, no I/O.
//!
//! The vocabulary: a *deployment* is one way to serve a model; deployments of one name (exact or
//! wildcard) form a *model group*; a [`RoutingTable`] is compiled from [`TableSpec`] once;
//! [`RoutingTable::decide`] takes a [`RouteRequest`] and what is currently observed ([`Signals`])
//! and gives a [`Decision`], which yields deployments one after the other, or a [`NoRoute`].
//!
//! ```
//! use std::sync::Arc;
//! use tagrail_routing::*;
//!
//! let deployment = |id: &str, tag: &str| DeploymentSpec {
//!     id: id.into(),
//!     group: "anthropic/*".into(),
//!     model: "anthropic/*".into(),
//!     tags: vec![tag.into()],
//!     ..DeploymentSpec::default()
//! };
//! let table = RoutingTable::compile(TableSpec {
//!     deployments: vec![deployment("cheap", "free"), deployment("quick", "paid")],
//!     left_out: Vec::new(),
//!     aliases: Vec::new(),
//!     fallbacks: FallbackSpec::default(),
//!     tag_filtering: true,
//!     match_any: true,
//!     tag_prefix: String::new(),
//!     mode: RoutingMode::Tagrail,
//!     tag_grants: true,
//!     guess: Arc::new(()),
//! })
//! .table;
//! let request = RouteRequest {
//!     model: "anthropic/claude-sonnet-4-5",
//!     tags: &[RequestTag { text: "paid".into(), origin: TagOrigin::Body }],
//!     user_agent: None,
//!     force_tag_filtering: false,
//!     access: Access::Admin,
//!     operators_choice: false,
//!     moment: Moment(0),
//!     chance: Chance::default(),
//! };
//! let decision = table.decide(&request, &()).expect("somebody is paid");
//! assert_eq!(table.by_id("quick"), Some(decision.first()));
//! assert_eq!(table.upstream_model(&decision, decision.first()), "anthropic/claude-sonnet-4-5");
//! ```
//!
//! Who asks ([`Access`]) is the operator, or a caller with a [`Policy`]: what its lists do not admit is
//! refused, and what is [`Reserved`] for others is as if it were not there.
//!
//! Map: `table.rs` the stages and `course.rs` what each does; `compile.rs` specs to table;
//! `names.rs` name to group, with `pattern.rs` and `index.rs` for wildcards; `policy.rs` what a caller
//! holds, `access.rs` which names that opens, `reserved.rs` which deployments; `tag.rs` and
//! `tag_filter.rs` the tags; `deployment.rs`, `group.rs`, `fallback.rs` the nouns, `left_out.rs` what
//! mistakes in the config still count for, `bits.rs` sets of them; `signals.rs` what is passed in;
//! `strategy.rs` who picks among equals; `decision.rs` the outcome, `explain.rs` and `tag_reasons.rs` its
//! reasons; `rules.rs` the two routing modes as named rules; `error.rs` what can be wrong.

mod access;
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
mod left_out;
mod names;
mod pattern;
mod policy;
mod reserved;
mod rules;
mod signals;
mod strategy;
mod table;
mod tag;
mod tag_filter;
mod tag_reasons;

pub use compile::{AliasSpec, Compiled, ProviderGuess, TableSpec, regex_mistake};
pub use decision::{Decision, Resolution};
pub use deployment::{DeploymentIndex, DeploymentSpec, LeftOutSpec};
pub use error::{Mistake, NoRoute, Severity};
pub use explain::{Explanation, Reason, Verdict};
pub use fallback::{FallbackKind, FallbackSpec};
pub use index::PatternIndex;
pub use pattern::{ModelPattern, Specificity};
pub use policy::{Access, AccessList, Holder, Policy, Reservations};
pub use reserved::Reserved;
pub use rules::{RoutingMode, Rules};
pub use signals::{Chance, Moment, Observed, Signals};
pub use table::{RouteRequest, RoutingTable};
pub use tag::{RequestTag, TagOrigin};
