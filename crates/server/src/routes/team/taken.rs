//! What the routes of teams take.

use crate::fields::labels::LABELS;
use crate::fields::limits::{BUDGET, LIMITS};
use crate::fields::{Field, Holds, acts, kept, lists};

/// What a team is, when it is made and when it is changed. With limits and budget.
const ACTING: &[Field] = &[
    acts("team_alias", Holds::Text, "A name for people."),
    acts(
        "models",
        Holds::Texts,
        "Names, wildcards and access groups that the team's keys may call; empty is everything.",
    ),
    acts("model_aliases", Holds::TextMap, "Names that stand for others, for this team alone."),
    acts("blocked", Holds::Flag, "Whether all keys of the team are refused."),
];

/// What LiteLLM knows and is kept.
pub(super) const KEPT: &[Field] = &[
    kept("organization_id", Holds::Text, ""),
    kept("admins", Holds::List, ""),
    kept("members", Holds::List, ""),
    kept("router_settings", Holds::Object, ""),
    kept("prompts", Holds::Texts, ""),
    kept("secret_manager_settings", Holds::Object, ""),
    kept("rpm_limit_type", Holds::Text, ""),
    kept("tpm_limit_type", Holds::Text, ""),
    kept("default_estimated_output_tokens", Holds::Count, ""),
    kept("default_estimated_output_tokens_per_model", Holds::CountMap, ""),
    kept("disable_global_guardrails", Holds::Flag, ""),
    kept("allow_team_guardrail_config", Holds::Flag, ""),
    kept("allowed_passthrough_routes", Holds::List, ""),
    kept("default_team_member_models", Holds::Texts, "use models of the team or of keys"),
    kept("team_member_permissions", Holds::Texts, "only admins manage keys in this version"),
    kept("team_member_budget", Holds::Money, "use max_budget of keys, users or the team"),
    kept("team_member_budget_duration", Holds::Text, "use budget_duration of keys, users or the team"),
    kept("team_member_rpm_limit", Holds::Count, "use rpm_limit of keys or the team"),
    kept("team_member_tpm_limit", Holds::Count, "use tpm_limit of keys or the team"),
    kept("team_member_key_duration", Holds::Text, "use duration of keys"),
    kept("budget_limits", Holds::List, "use max_budget and budget_duration"),
    kept("model_max_budget", Holds::Object, "use max_budget"),
    kept("mcp_rpm_limit", Holds::CountMap, "there are no MCP servers in this version"),
    kept("guardrails", Holds::Texts, "there are no guardrails in this version"),
    kept("policies", Holds::Texts, "there are no policies in this version"),
    kept("object_permission", Holds::Object, "there are no such objects in this version"),
    kept("access_group_ids", Holds::Texts, "name access groups in models"),
    kept("allowed_vector_store_indexes", Holds::List, "there are no vector stores in this version"),
    kept("enforced_batch_output_expires_after", Holds::Object, "there are no batches in this version"),
    kept("enforced_file_expires_after", Holds::Object, "there are no files in this version"),
];

const OPTIONAL_ID: &[Field] = &[acts("team_id", Holds::Text, "The team's id; one is drawn when missing.")];

const MEMBERS: &[Field] = &[acts(
    "members_with_roles",
    Holds::List,
    "Members: {\"user_id\" or \"user_email\", \"role\": \"admin\" or \"user\"}.",
)];

/// Which team.
pub(super) const ONE: &[Field] = &[acts("team_id", Holds::Text, "The team.")];

/// `POST /team/new`.
pub(super) const NEW: &[Field] = lists!(OPTIONAL_ID, ACTING, MEMBERS, LABELS, LIMITS, BUDGET, KEPT);

/// `POST /team/update`.
pub(super) const UPDATE: &[Field] = lists!(ONE, ACTING, LABELS, LIMITS, BUDGET, KEPT);

/// `POST /team/delete`.
pub(super) const DELETE: &[Field] = &[acts("team_ids", Holds::Texts, "The teams.")];

/// `POST /team/member_add`.
pub(super) const MEMBER_ADD: &[Field] = lists!(
    ONE,
    &[
        acts("member", Holds::Any, "A member, as in `members_with_roles`, or a list of them."),
        kept("max_budget_in_team", Holds::Money, "use max_budget of keys, users or the team"),
        kept("budget_duration", Holds::Duration, "use budget_duration of keys, users or the team"),
        kept("tpm_limit", Holds::Count, "use tpm_limit of keys or the team"),
        kept("rpm_limit", Holds::Count, "use rpm_limit of keys or the team"),
        kept("allowed_models", Holds::Texts, "use models of keys or the team"),
    ],
);

/// `POST /team/member_delete`.
pub(super) const MEMBER_DELETE: &[Field] = lists!(
    ONE,
    &[acts("user_id", Holds::Text, "Whom, by id."), acts("user_email", Holds::Text, "Whom, by address."),],
);

/// `POST /team/model/add` and `/team/model/delete`.
pub(super) const MODELS: &[Field] =
    lists!(ONE, &[acts("models", Holds::Texts, "Names, wildcards and access groups.")]);

/// `GET /team/info`.
pub(super) const INFO: &[Field] = ONE;

/// `GET /team/list`.
pub(super) const LIST: &[Field] = &[
    acts("user_id", Holds::Text, "With this member."),
    acts("organization_id", Holds::Text, "Of this organisation."),
    acts("page", Holds::Count, "From 1."),
    acts("page_size", Holds::Count, "Teams on a page: 1000, at most 1000."),
];

/// `GET /v2/team/list`.
pub(super) const PAGES: &[Field] = &[
    acts("user_id", Holds::Text, "With this member."),
    acts("organization_id", Holds::Text, "Of this organisation."),
    acts("page", Holds::Count, "From 1."),
    acts("page_size", Holds::Count, "Teams on a page: 10, at most 100."),
];
