//! Virtual keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tagrail_money::Money;

use crate::{Budget, Limits, Team, Timestamp, User};

/// SHA-256 of a key as it is sent; lower-case hex of it is what LiteLLM calls `token`.
pub type KeyHash = [u8; 32];

/// A virtual key. The key itself is nowhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Key {
    /// `token`: lower-case hex of the SHA-256 of the key.
    pub hash: String,
    /// `key_name`: `sk-...` and the last four characters.
    pub name: String,
    /// `key_alias`: unique where there is one.
    pub alias: Option<String>,
    /// `team_id`.
    pub team_id: Option<String>,
    /// `user_id`.
    pub user_id: Option<String>,
    /// The key's own tags, as the admin wrote them.
    pub tags: Vec<String>,
    /// `models`; empty is everything.
    pub models: Vec<String>,
    /// `aliases`.
    pub aliases: BTreeMap<String, String>,
    /// Limits.
    pub limits: Limits,
    /// Budget.
    pub budget: Budget,
    /// `blocked`.
    pub blocked: bool,
    /// `expires`.
    pub expires: Option<Timestamp>,
    /// `allowed_routes`: paths, paths that end in `*`, or the names of groups of routes; empty is every
    /// route that its role may call. They only take away.
    pub allowed_routes: Vec<String>,
    /// `metadata` without its `tags`, which are in [`Key::tags`].
    pub metadata: Map<String, Value>,
    /// Every other field that LiteLLM knows, kept as it came.
    pub kept: Map<String, Value>,
    /// What was spent since the budget's last reset. Read from the store; never written back.
    pub spend: Money,
    /// When it was last used, as far as its spend has been written. Read from the store.
    pub last_active: Option<Timestamp>,
    /// `created_by`.
    pub created_by: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When an admin last changed it.
    pub updated_at: Timestamp,
    /// Counts changes. An update names the version that it was made from, or is a conflict.
    pub version: i64,
}

/// All that a key stands for, read in one transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The key.
    pub key: Key,
    /// Its team, when it names one that exists.
    pub team: Option<Team>,
    /// Its user, when it names one that exists.
    pub user: Option<User>,
}

/// Which keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFilter {
    /// Of this team.
    pub team_id: Option<String>,
    /// Of this user.
    pub user_id: Option<String>,
    /// With this alias.
    pub alias: Option<String>,
}
