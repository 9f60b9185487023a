//! What teams, keys, users and tags share: limits and budgets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tagrail_money::Money;

use crate::Timestamp;

/// Per minute, and at a time. `None` is no limit; zero lets nothing through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// `rpm_limit`: requests per minute.
    pub rpm: Option<u64>,
    /// `tpm_limit`: tokens per minute, of prompts and answers.
    pub tpm: Option<u64>,
    /// `max_parallel_requests`.
    pub parallel: Option<u64>,
    /// `model_rpm_limit`: requests per minute by the model's name as asked for.
    pub model_rpm: BTreeMap<String, u64>,
    /// `model_tpm_limit`.
    pub model_tpm: BTreeMap<String, u64>,
}

/// How much may be spent, and since when. What has been spent is the store's: writing a
/// record back does not change it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Budget {
    /// `max_budget`.
    #[serde(with = "tagrail_money::exact::option")]
    pub max: Option<Money>,
    /// `soft_budget`: nothing is refused for it.
    #[serde(with = "tagrail_money::exact::option")]
    pub soft: Option<Money>,
    /// `budget_duration` as written: `30s`, `1h`, `7d`, `30d`, `1mo`.
    pub duration: Option<String>,
    /// `budget_reset_at`: when what was spent begins anew at zero.
    pub reset_at: Option<Timestamp>,
}
