//! What the routes of tags take.

use crate::fields::limits::{BUDGET, LIMITS};
use crate::fields::{Field, Holds, acts, kept, lists};

const ACTING: &[Field] = &[
    acts("description", Holds::Prose, "What it stands for."),
    acts(
        "reserved",
        Holds::Flag,
        "Whether deployments that carry it are reached only by teams and keys that hold it.",
    ),
    kept("models", Holds::Texts, "write the tag into `tags` of the deployments' litellm_params"),
];

/// What LiteLLM knows and is kept.
pub(super) const KEPT: &[Field] = &[
    kept("budget_id", Holds::Text, "use max_budget and budget_duration"),
    kept("model_max_budget", Holds::Object, "use max_budget"),
];

/// Which tag.
pub(super) const ONE: &[Field] = &[acts("name", Holds::Text, "The tag, without `&` or `!`.")];

/// `POST /tag/new`.
pub(super) const NEW: &[Field] = lists!(ONE, ACTING, LIMITS, BUDGET, KEPT);

/// `POST /tag/update`.
pub(super) const UPDATE: &[Field] = NEW;

/// `POST /tag/info`.
pub(super) const INFO: &[Field] = &[acts("names", Holds::Texts, "The tags.")];

/// `GET /tag/list`.
pub(super) const LIST: &[Field] = &[kept("start_date", Holds::Text, ""), kept("end_date", Holds::Text, "")];
