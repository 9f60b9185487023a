//! Tags that somebody has said something about: reserved ones, and those with a budget or limits.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tagrail_money::Money;

use crate::{Budget, Limits, Timestamp};

/// A tag.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tag {
    /// The tag, without sign and routing prefix.
    pub name: String,
    /// `description`.
    pub description: Option<String>,
    /// Whether only holders reach deployments that carry it. `None`: nobody has decided, and the first
    /// grant to a team reserves it.
    pub reserved: Option<bool>,
    /// `models`, as LiteLLM keeps them; nothing is routed by them.
    pub models: Vec<String>,
    /// Limits of all calls that carry it together.
    pub limits: Limits,
    /// Budget of all calls that carry it together.
    pub budget: Budget,
    /// Every other field that LiteLLM knows, kept as it came.
    pub kept: Map<String, Value>,
    /// What was spent since the budget's last reset. Read from the store; never written back.
    pub spend: Money,
    /// When it was made.
    pub created_at: Timestamp,
    /// When an admin last changed it.
    pub updated_at: Timestamp,
    /// Counts changes. An update names the version that it was made from, or is a conflict.
    pub version: i64,
}
