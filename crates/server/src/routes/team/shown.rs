//! Teams as LiteLLM shows them.

use serde_json::{Map, Value, json};
use tagrail_store::{Key, Member, Team};

use crate::fields::labels;
use crate::fields::limits::{show_budget, show_limits};
use crate::routes::key::OPERATOR;
use crate::routes::key::shown as key;

/// The whole team.
pub(crate) fn team(team: &Team) -> Map<String, Value> {
    let mut shown = empty();
    for (name, value) in &team.kept {
        shown.insert(name.clone(), value.clone());
    }
    let aliases = (!team.model_aliases.is_empty()).then(|| {
        json!({
            "id": 1, "model_aliases": team.model_aliases, "created_by": OPERATOR, "updated_by": OPERATOR,
            "team": null,
        })
    });
    let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
    put("team_id", json!(team.id));
    put("team_alias", json!(team.alias));
    put("models", json!(team.models));
    put("blocked", json!(team.blocked));
    put("members_with_roles", team.members.iter().map(member).collect());
    put("metadata", labels::shown(&team.metadata, &team.tags, &team.limits));
    put("model_id", aliases.as_ref().map_or(Value::Null, |table| table["id"].clone()));
    put("litellm_model_table", json!(aliases));
    put("created_at", json!(team.created_at.to_rfc3339()));
    put("updated_at", json!(team.updated_at.to_rfc3339()));
    show_limits(&team.limits, &mut shown);
    show_budget(&team.budget, team.spend, &mut shown);
    shown
}

/// The team with its keys and what its members are allowed.
pub(super) fn with_keys<'a>(of: &Team, keys: impl Iterator<Item = &'a Key>) -> Map<String, Value> {
    let mut shown = team(of);
    shown.insert("keys".to_owned(), keys.map(|it| Value::Object(key::whole(it))).collect());
    shown.insert("team_memberships".to_owned(), memberships(of, |_| true));
    shown
}

fn member(member: &Member) -> Value {
    json!({ "user_id": member.user_id, "user_email": member.user_email, "role": member.role })
}

/// Members with a budget of their own.
pub(super) fn memberships(team: &Team, wanted: impl Fn(&Member) -> bool) -> Value {
    let such = team.members.iter().filter(|member| member.max_budget.is_some() && wanted(member));
    let shown = such.map(|member| {
        json!({
            "user_id": member.user_id, "team_id": team.id, "budget_id": null, "spend": 0.0,
            "litellm_budget_table": { "max_budget": member.max_budget },
        })
    });
    shown.collect()
}

/// The columns of LiteLLM's table of teams, empty.
fn empty() -> Map<String, Value> {
    let empty = json!({
        "team_alias": null, "team_id": null, "organization_id": null, "admins": [], "members": [],
        "members_with_roles": [], "team_member_permissions": [], "metadata": {}, "tpm_limit": null,
        "rpm_limit": null, "max_budget": null, "soft_budget": null, "budget_duration": null,
        "budget_limits": null, "models": [], "blocked": false, "router_settings": {},
        "access_group_ids": [], "default_team_member_models": [], "spend": 0.0,
        "max_parallel_requests": null, "budget_reset_at": null, "model_id": null, "model_spend": {},
        "model_max_budget": {}, "policies": [], "allow_team_guardrail_config": false,
        "litellm_model_table": null, "object_permission": null, "object_permission_id": null,
        "updated_at": null, "created_at": null,
    });
    match empty {
        Value::Object(empty) => empty,
        _ => Map::new(),
    }
}
