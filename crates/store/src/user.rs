//! Users, as far as keys, teams and budgets need them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tagrail_money::Money;

use crate::{Budget, Limits, Timestamp};

/// A user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct User {
    /// `user_id`.
    pub id: String,
    /// `user_email`.
    pub email: Option<String>,
    /// `user_alias`.
    pub alias: Option<String>,
    /// `user_role`: `proxy_admin`, `proxy_admin_viewer`, `internal_user`, `internal_user_viewer`.
    pub role: Option<String>,
    /// `models`; empty is everything. Asked of keys without a team.
    pub models: Vec<String>,
    /// Limits of all its keys together.
    pub limits: Limits,
    /// Budget of all its keys together.
    pub budget: Budget,
    /// `metadata`.
    pub metadata: Map<String, Value>,
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
