//! Teams.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tagrail_money::Money;

use crate::{Budget, Limits, Timestamp};

/// A team.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Team {
    /// `team_id`.
    pub id: String,
    /// `team_alias`.
    pub alias: Option<String>,
    /// The tags that its calls carry and that it holds, as the admin wrote them.
    pub tags: Vec<String>,
    /// `models`; empty is everything.
    pub models: Vec<String>,
    /// `model_aliases`.
    pub model_aliases: BTreeMap<String, String>,
    /// Limits of all its keys together.
    pub limits: Limits,
    /// Budget of all its keys together.
    pub budget: Budget,
    /// `blocked`.
    pub blocked: bool,
    /// `members_with_roles`.
    pub members: Vec<Member>,
    /// `metadata` without its `tags`, which are in [`Team::tags`].
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

/// Somebody of a team.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Member {
    /// `user_id`.
    pub user_id: Option<String>,
    /// `user_email`.
    pub user_email: Option<String>,
    /// `admin` or `user`.
    pub role: String,
    /// `max_budget_in_team`.
    #[serde(with = "tagrail_money::exact::option")]
    pub max_budget: Option<Money>,
}

/// Which teams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TeamFilter {
    /// With this member.
    pub user_id: Option<String>,
    /// Of this organisation.
    pub organization_id: Option<String>,
}

/// What `/team/delete` took away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Ids of teams.
    pub teams: Vec<String>,
    /// Hashes of their keys.
    pub keys: Vec<String>,
}
