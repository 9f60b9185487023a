//! What calls cost: one row for each, and sums by day.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tagrail_money::Money;

use crate::{Kind, Timestamp};

/// One finished call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SpendRow {
    /// Our own id, 32 hex digits, ascending in time; no client can choose it.
    pub id: String,
    /// `x-litellm-call-id`: the client may have chosen it, so it may repeat.
    pub call_id: String,
    /// `call_type`: `acompletion`, `aembedding`, ...: LiteLLM's name of the operation.
    pub call_type: String,
    /// Hash of the key in hex; `litellm_proxy_master_key` for the master key; empty without a master key.
    pub key: String,
    /// `key_alias`.
    pub key_alias: Option<String>,
    /// `team_id`.
    pub team_id: Option<String>,
    /// `user_id` of the key.
    pub user_id: Option<String>,
    /// `user` of the body.
    pub end_user: Option<String>,
    /// The tags that were routed on, each once.
    pub tags: Vec<String>,
    /// The upstream model with its provider; empty when no deployment was tried.
    pub model: String,
    /// The name asked for.
    pub model_group: String,
    /// The deployment's id; empty when none was tried.
    pub deployment: String,
    /// The provider's name; empty when none was tried.
    pub provider: String,
    /// Where it was sent, as shown.
    pub api_base: String,
    /// Prompt tokens.
    pub input_tokens: u64,
    /// Completion tokens.
    pub output_tokens: u64,
    /// Tokens were estimated: the upstream did not say them.
    pub estimated: bool,
    /// What it cost. A negative amount counts as nothing.
    #[serde(with = "tagrail_money::exact")]
    pub cost: Money,
    /// When the call came.
    pub started: Timestamp,
    /// When its first byte left; streams only.
    pub first_byte: Option<Timestamp>,
    /// When it was over.
    pub ended: Timestamp,
    /// HTTP status given to the client; 499 when it left before.
    pub status: u16,
    /// A stream that broke off, or was left by its client.
    pub cut_short: bool,
    /// How it was decided, in a compact form.
    pub decision: String,
    /// `x-litellm-spend-logs-metadata` and the like.
    pub metadata: Map<String, Value>,
    /// The name asked for is summed by day as [`OTHER`]. The row keeps it.
    #[serde(skip)]
    pub sums_other_model: bool,
    /// Those of the tags that are summed by day as [`OTHER`], without signs. The row keeps them.
    #[serde(skip)]
    pub sums_other_tags: Vec<String>,
}

/// What made-up names are summed by day as, beyond a number of them.
pub const OTHER: &str = "(other)";

/// Calls that were refused before anything was asked, of one caller on one day. They have no rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Counted {
    /// As [`SpendRow::key`].
    pub key: String,
    /// `team_id`.
    pub team_id: Option<String>,
    /// `user_id` of the key.
    pub user_id: Option<String>,
    /// A name that the configuration knows, or nothing.
    pub model_group: String,
    /// Days since 1970, UTC.
    pub day: i64,
    /// How many.
    pub calls: u64,
}

/// Whose spend a sum is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Spender {
    /// Of what kind.
    pub kind: Kind,
    /// Hash, id or name.
    pub id: String,
}

/// One spender's sum.
#[derive(Clone, Debug, PartialEq)]
pub struct Spent {
    /// Who.
    pub spender: Spender,
    /// What the rows cost that were written by this very call.
    pub added: Money,
    /// What was spent since the budget's last reset, with them.
    pub spend: Money,
}

/// What came of writing rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settled {
    /// How many rows were new; the others were there already, and counted nothing.
    pub new: usize,
    /// The spenders that exist as records, with what they have spent. A deleted one is not in it.
    pub spent: Vec<Spent>,
}

/// Which rows. The newest come first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpendFilter {
    /// Of the key with this hash.
    pub key: Option<String>,
    /// Of this user.
    pub user_id: Option<String>,
    /// Of this team.
    pub team_id: Option<String>,
    /// With this id or call id.
    pub request_id: Option<String>,
    /// Started then or later.
    pub from: Option<Timestamp>,
    /// Started before.
    pub until: Option<Timestamp>,
    /// The most rows; 0 is no limit.
    pub limit: u64,
    /// Leaves out this many of the newest.
    pub offset: u64,
    /// Only those that come behind the row of this start and id.
    pub behind: Option<(Timestamp, String)>,
}

/// By what spend is summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DailyBy {
    /// Keys, by hash.
    Key,
    /// Teams, by id.
    Team,
    /// Users, by id.
    User,
    /// Tags; a call with several counts for each.
    Tag,
    /// Names asked for.
    Model,
}

/// Which sums.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DailyFilter {
    /// From this day (`2026-11-21`, UTC), itself included.
    pub from: Option<String>,
    /// Up to this day, itself included.
    pub until: Option<String>,
    /// Of this one alone.
    pub id: Option<String>,
    /// How far they are added up.
    pub sum: SumBy,
    /// The most rows; 0 is no limit.
    pub limit: u64,
}

/// How far sums of days are added up; what is not told apart is empty in [`DailySpend`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SumBy {
    /// Not at all.
    #[default]
    Each,
    /// By spender.
    Id,
    /// By day and spender.
    DayAndId,
    /// By spender and model.
    IdAndModel,
    /// To one sum.
    All,
}

/// The sum of one day, one spender and one model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DailySpend {
    /// The day, `2026-11-21`, UTC.
    pub day: String,
    /// Hash, id or name; empty for calls that have none.
    pub id: String,
    /// The name asked for.
    pub model: String,
    /// What the calls cost.
    pub cost: Money,
    /// Prompt tokens.
    pub input_tokens: u64,
    /// Completion tokens.
    pub output_tokens: u64,
    /// Calls.
    pub requests: u64,
    /// Those of them that were not answered.
    pub failed: u64,
}
