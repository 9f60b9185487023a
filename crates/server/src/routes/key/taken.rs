//! What the routes of keys take.

use crate::fields::labels::LABELS;
use crate::fields::limits::{BUDGET, LIMITS};
use crate::fields::{Field, Holds, acts, kept, lists};

/// `key_type`, and the groups of routes that each stands for.
pub(crate) const KEY_TYPES: [(&str, &[&str]); 4] = [
    ("default", &[]),
    ("llm_api", &["llm_api_routes"]),
    ("management", &["management_routes"]),
    ("read_only", &["info_routes"]),
];

/// What a key is, however it comes about: generated, updated, regenerated. With limits and budget.
const ACTING: &[Field] = &[
    acts("key_alias", Holds::Text, "A name for people; unique among all keys."),
    acts("team_id", Holds::Text, "The team whose tags, models, limits and budget hold for the key."),
    acts("user_id", Holds::Text, "The user whose models, limits and budget hold for the key."),
    acts(
        "models",
        Holds::Texts,
        "Names, wildcards and access groups that the key may call; empty is everything.",
    ),
    acts("aliases", Holds::TextMap, "Names that stand for others, for this key alone."),
    acts(
        "duration",
        Holds::Lifetime,
        "How long the key is valid from now: 30s, 15m, 1h, 7d, 1mo; -1 is for ever.",
    ),
    acts("blocked", Holds::Flag, "Whether the key is refused."),
    acts(
        "allowed_routes",
        Holds::Texts,
        "Paths, paths that end in `*`, or groups of routes; empty is every route. They only take away.",
    ),
    acts(
        "key_type",
        Holds::OneOf(&["default", "llm_api", "management", "read_only"]),
        "Which group of routes the key may call, where allowed_routes says nothing.",
    ),
];

/// What LiteLLM knows and is kept.
pub(crate) const KEPT: &[Field] = &[
    kept("spend", Holds::Money, "it is the sum of what calls have cost"),
    kept("organization_id", Holds::Text, ""),
    kept("project_id", Holds::Text, ""),
    kept("agent_id", Holds::Text, ""),
    kept("config", Holds::Object, ""),
    kept("prompts", Holds::Texts, ""),
    kept("allowed_cache_controls", Holds::List, ""),
    kept("send_invite_email", Holds::Flag, ""),
    kept("rpm_limit_type", Holds::OneOf(LIMIT_TYPES), ""),
    kept("tpm_limit_type", Holds::OneOf(LIMIT_TYPES), ""),
    kept("router_settings", Holds::Object, ""),
    kept("enable_prompt_caching", Holds::Flag, ""),
    kept("default_estimated_output_tokens", Holds::Count, ""),
    kept("default_estimated_output_tokens_per_model", Holds::CountMap, ""),
    kept("disable_global_guardrails", Holds::Flag, ""),
    kept("throttle_on_budget_exceeded", Holds::Flag, ""),
    kept("allowed_passthrough_routes", Holds::List, ""),
    kept("budget_fallbacks", Holds::Object, ""),
    kept("permissions", Holds::Object, "use models and allowed_routes"),
    kept("model_max_budget", Holds::Object, "use max_budget"),
    kept("budget_limits", Holds::List, "use max_budget and budget_duration"),
    kept("budget_id", Holds::Text, "use max_budget and budget_duration"),
    kept("end_user_budget_id", Holds::Text, "end users have no budgets"),
    kept("temp_budget_increase", Holds::Money, "use max_budget"),
    kept("temp_budget_expiry", Holds::Text, "use max_budget"),
    kept("tpd_limit", Holds::Count, "use tpm_limit"),
    kept("tag_rpm_limit", Holds::CountMap, "use rpm_limit of /tag/new"),
    kept("mcp_rpm_limit", Holds::CountMap, "there are no MCP servers in this version"),
    kept("guardrails", Holds::Texts, "there are no guardrails in this version"),
    kept("policies", Holds::Texts, "there are no policies in this version"),
    kept("object_permission", Holds::Object, "there are no such objects in this version"),
    kept("enforced_params", Holds::Texts, "no parameter is enforced"),
    kept("access_group_ids", Holds::Texts, "name access groups in models"),
    kept("auto_rotate", Holds::Flag, "use /key/regenerate"),
    kept("rotation_interval", Holds::Text, "use /key/regenerate"),
    kept("denied_passthrough_routes", Holds::Texts, "there are no pass-through routes in this version"),
    kept("allowed_vector_store_indexes", Holds::List, "there are no vector stores in this version"),
];

const LIMIT_TYPES: &[&str] = &["guaranteed_throughput", "best_effort_throughput", "dynamic"];

const OWN: &[Field] = &[acts(
    "key",
    Holds::Text,
    "The key itself, where it is not to be random: `sk-` and at least 13 more characters.",
)];

const NEW: &[Field] = &[
    acts("new_key", Holds::Text, "The new key, where it is not to be random."),
    kept("grace_period", Holds::Text, "the old key is refused from now on"),
];

/// `POST /key/generate`.
pub(crate) const GENERATE: &[Field] = lists!(OWN, ACTING, LABELS, LIMITS, BUDGET, KEPT);

/// `POST /key/update`.
pub(crate) const UPDATE: &[Field] = lists!(ONE, ACTING, LABELS, LIMITS, BUDGET, KEPT);

/// `POST /key/regenerate`, and the one with the key in its path.
pub(crate) const REGENERATE: &[Field] = lists!(ONE, NEW, ACTING, LABELS, LIMITS, BUDGET, KEPT);

/// `POST /key/block` and `/key/unblock`.
pub(crate) const ONE: &[Field] = &[acts("key", Holds::Text, "The key, or its hash.")];

/// `POST /key/delete`.
pub(crate) const DELETE: &[Field] = &[
    acts("keys", Holds::Texts, "Keys, or their hashes."),
    acts("key_aliases", Holds::Texts, "Their aliases."),
];

/// `GET /key/info`.
pub(crate) const INFO: &[Field] =
    &[acts("key", Holds::Text, "The key, or its hash; the caller's own when missing.")];

/// `GET /key/list`.
pub(crate) const LIST: &[Field] = &[
    acts("page", Holds::Count, "From 1."),
    acts("size", Holds::Count, "Keys on a page: 10, at most 100."),
    acts("user_id", Holds::Text, "Of this user."),
    acts("team_id", Holds::Text, "Of this team."),
    acts("key_alias", Holds::Text, "With this alias."),
    acts("key_hash", Holds::Text, "This one alone; the key will do as well."),
    acts("return_full_object", Holds::Flag, "Objects, as `/key/info` has them, instead of hashes."),
];
