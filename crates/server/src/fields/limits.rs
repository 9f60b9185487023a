//! Limits and budgets: the fields that teams, keys, users and tags share.

use serde_json::{Map, Value, json};
use tagrail::Money;
use tagrail_store::{Budget, Limits, Timestamp, next_reset};

use crate::fields::{Asked, Field, Holds, acts};

/// Per minute, and at a time.
pub(crate) const LIMITS: &[Field] = &[
    acts("rpm_limit", Holds::Count, "Requests per minute."),
    acts("tpm_limit", Holds::Count, "Tokens per minute, of prompts and answers."),
    acts("max_parallel_requests", Holds::Count, "Requests at a time."),
    acts("model_rpm_limit", Holds::CountMap, "Requests per minute by the model asked for."),
    acts("model_tpm_limit", Holds::CountMap, "Tokens per minute by the model asked for."),
];

/// How much may be spent.
pub(crate) const BUDGET: &[Field] = &[
    acts("max_budget", Holds::Money, "US dollars that may be spent; calls are refused from then on."),
    acts("soft_budget", Holds::Money, "US dollars after which nothing is refused yet."),
    acts(
        "budget_duration",
        Holds::Duration,
        "After what time spending begins anew at zero: 1h, 7d, 30d, 1mo.",
    ),
];

/// Sets the limits that were written; `null` takes one away.
pub(crate) fn set_limits(asked: &Asked, limits: &mut Limits) {
    for (name, limit) in [
        ("rpm_limit", &mut limits.rpm),
        ("tpm_limit", &mut limits.tpm),
        ("max_parallel_requests", &mut limits.parallel),
    ] {
        if asked.is_there(name) {
            *limit = asked.count(name);
        }
    }
    for (name, by_model) in
        [("model_rpm_limit", &mut limits.model_rpm), ("model_tpm_limit", &mut limits.model_tpm)]
    {
        if asked.is_there(name) {
            *by_model = asked.counts(name).unwrap_or_default();
        }
    }
}

/// Sets what was written of a budget. A duration that is written, the same one too, counts from now.
pub(crate) fn set_budget(asked: &Asked, budget: &mut Budget, now: Timestamp) {
    for (name, sum) in [("max_budget", &mut budget.max), ("soft_budget", &mut budget.soft)] {
        if asked.is_there(name) {
            *sum = asked.money(name);
        }
    }
    if asked.is_there("budget_duration") {
        budget.duration = asked.text("budget_duration").map(str::to_owned);
        budget.reset_at = budget.duration.as_deref().and_then(|duration| next_reset(duration, now));
    }
}

/// Writes limits as LiteLLM shows them; those by model are in the metadata.
pub(crate) fn show_limits(limits: &Limits, into: &mut Map<String, Value>) {
    into.insert("tpm_limit".to_owned(), json!(limits.tpm));
    into.insert("rpm_limit".to_owned(), json!(limits.rpm));
    into.insert("max_parallel_requests".to_owned(), json!(limits.parallel));
}

/// Writes a budget and what was spent of it.
pub(crate) fn show_budget(budget: &Budget, spend: Money, into: &mut Map<String, Value>) {
    into.insert("max_budget".to_owned(), json!(budget.max));
    into.insert("soft_budget".to_owned(), json!(budget.soft));
    into.insert("budget_duration".to_owned(), json!(budget.duration));
    into.insert("budget_reset_at".to_owned(), json!(budget.reset_at.map(Timestamp::to_rfc3339)));
    into.insert("spend".to_owned(), json!(spend));
}
