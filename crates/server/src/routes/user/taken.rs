//! What the routes of users take.

use crate::fields::limits::{BUDGET, LIMITS};
use crate::fields::{Field, Holds, acts, kept, lists};

/// What a user is. With limits and budget.
const ACTING: &[Field] = &[
    acts("user_id", Holds::Text, "The user's id."),
    acts("user_email", Holds::Text, "Its address."),
    acts("user_alias", Holds::Text, "A name for people."),
    acts(
        "user_role",
        Holds::OneOf(&[
            "proxy_admin",
            "proxy_admin_viewer",
            "internal_user",
            "internal_user_viewer",
            "team",
            "customer",
        ]),
        "What its keys may do: proxy_admin everything, proxy_admin_viewer look at everything.",
    ),
    acts(
        "models",
        Holds::Texts,
        "Names, wildcards and access groups that its keys without a team may call; empty is everything.",
    ),
    acts("metadata", Holds::Object, "Anything."),
    acts("blocked", Holds::Flag, "Whether all keys of the user are refused."),
];

/// What LiteLLM knows and is kept.
pub(super) const KEPT: &[Field] = &[
    kept("organizations", Holds::Texts, ""),
    kept("organization_id", Holds::Text, ""),
    kept("sso_user_id", Holds::Text, ""),
    kept("agent_id", Holds::Text, ""),
    kept("send_invite_email", Holds::Flag, ""),
    kept("spend", Holds::Money, ""),
    kept("config", Holds::Object, ""),
    kept("prompts", Holds::Texts, ""),
    kept("allowed_cache_controls", Holds::List, ""),
    kept("permissions", Holds::Object, "use models and allowed_routes of keys"),
    kept("model_max_budget", Holds::Object, "use max_budget"),
    kept("budget_limits", Holds::List, "use max_budget and budget_duration"),
    kept("budget_id", Holds::Text, "use max_budget and budget_duration"),
    kept("guardrails", Holds::Texts, "there are no guardrails in this version"),
    kept("policies", Holds::Texts, "there are no policies in this version"),
    kept("object_permission", Holds::Object, "there are no such objects in this version"),
];

/// What the key takes that is made with a user.
pub(super) const OF_KEY: &[Field] = &[
    acts("key_alias", Holds::Text, "A name of the key for people; unique among all keys."),
    acts("duration", Holds::Lifetime, "How long the key is valid from now: 30s, 15m, 1h, 7d, 1mo."),
    acts("aliases", Holds::TextMap, "Names that stand for others, for the key alone."),
    acts("team_id", Holds::Text, "The team of user and key."),
];

const WITH: &[Field] = &[
    acts("auto_create_key", Holds::Flag, "Whether a key is made as well; it is unless this is false."),
    acts("teams", Holds::List, "Teams that it belongs to: ids, or {\"team_id\", \"user_role\"}."),
];

/// `POST /user/new`.
pub(super) const NEW: &[Field] = lists!(ACTING, WITH, OF_KEY, LIMITS, BUDGET, KEPT);

/// `POST /user/update`.
pub(super) const UPDATE: &[Field] = lists!(ACTING, LIMITS, BUDGET, KEPT);

/// `POST /user/delete`.
pub(super) const DELETE: &[Field] = &[acts("user_ids", Holds::Texts, "The users.")];

/// `GET /user/info`.
pub(super) const INFO: &[Field] = &[acts("user_id", Holds::Text, "The user; the caller's own when missing.")];

/// `GET /user/list`.
pub(super) const LIST: &[Field] = &[
    acts("page", Holds::Count, "From 1."),
    acts("page_size", Holds::Count, "Users on a page: 25, at most 100."),
];
