//! Keys as LiteLLM shows them.

use serde_json::{Map, Value, json};
use tagrail_store::{Key, Timestamp};

use crate::fields::labels;
use crate::fields::limits::{show_budget, show_limits};
use crate::routes::key::taken::{self, KEY_TYPES};

/// The row of `/key/info`: everything but `token`.
pub(crate) fn row(key: &Key) -> Map<String, Value> {
    let mut row = empty();
    for (name, value) in &key.kept {
        if !NEVER_KEPT.contains(&name.as_str()) {
            row.insert(name.clone(), value.clone());
        }
    }
    let mut put = |name: &str, value: Value| row.insert(name.to_owned(), value);
    put("key_name", json!(key.name));
    put("key_alias", json!(key.alias));
    put("expires", moment(key.expires));
    put("models", json!(key.models));
    put("aliases", json!(key.aliases));
    put("user_id", json!(key.user_id));
    put("team_id", json!(key.team_id));
    put("metadata", labels::shown(&key.metadata, &key.tags, &key.limits));
    put("blocked", json!(key.blocked));
    put("allowed_routes", json!(key.allowed_routes));
    put("created_at", moment(Some(key.created_at)));
    put("created_by", json!(key.created_by));
    put("updated_at", moment(Some(key.updated_at)));
    put("last_active", moment(key.last_active));
    show_limits(&key.limits, &mut row);
    show_budget(&key.budget, key.spend, &mut row);
    row
}

/// The row with its hash.
pub(crate) fn whole(key: &Key) -> Map<String, Value> {
    let mut whole = Map::new();
    whole.insert("token".to_owned(), json!(key.hash));
    whole.extend(row(key));
    whole
}

/// The answer that a new key is in; the only one.
pub(crate) fn fresh(key: &Key, secret: &str, blocked: Option<&Value>) -> Map<String, Value> {
    let mut fresh = Map::new();
    for (name, value) in [
        ("key", json!(secret)),
        ("key_name", json!(key.name)),
        ("key_alias", json!(key.alias)),
        ("key_type", json!(key_type(key))),
        ("token", json!(key.hash)),
        ("token_id", json!(key.hash)),
    ] {
        fresh.insert(name.to_owned(), value);
    }
    for field in taken::GENERATE {
        fresh.entry(field.name).or_insert(Value::Null);
    }
    fresh.extend(row(key));
    for (name, by_model) in
        [("model_rpm_limit", &key.limits.model_rpm), ("model_tpm_limit", &key.limits.model_tpm)]
    {
        if !by_model.is_empty() {
            fresh.insert(name.to_owned(), json!(by_model));
        }
    }
    fresh.insert("tags".to_owned(), if key.tags.is_empty() { Value::Null } else { json!(key.tags) });
    fresh.insert("duration".to_owned(), Value::Null);
    fresh.insert("blocked".to_owned(), blocked.cloned().unwrap_or_default());
    fresh.insert("updated_by".to_owned(), json!(key.created_by));
    fresh
}

/// Which group of routes the key was made for.
fn key_type(key: &Key) -> &'static str {
    let same = |(_, groups): &&(&str, &[&str])| {
        key.allowed_routes.iter().map(String::as_str).eq(groups.iter().copied())
    };
    KEY_TYPES.iter().find(same).map_or("default", |(name, _)| name)
}

fn moment(time: Option<Timestamp>) -> Value {
    time.map_or(Value::Null, |time| json!(time.to_rfc3339()))
}

/// What must not come out of what is kept, however it got in there.
const NEVER_KEPT: [&str; 4] = ["key", "new_key", "token", "token_id"];

/// The columns of LiteLLM's table of keys that hold something else than null when they hold nothing.
const LISTS: [&str; 5] =
    ["models", "allowed_cache_controls", "allowed_routes", "policies", "access_group_ids"];
const OBJECTS: [&str; 7] =
    ["aliases", "config", "router_settings", "permissions", "metadata", "model_spend", "model_max_budget"];

/// The others that have no field of their own here.
const NULLS: [&str; 13] = [
    "agent_id",
    "project_id",
    "budget_id",
    "budget_limits",
    "organization_id",
    "object_permission_id",
    "object_permission",
    "updated_by",
    "rotation_interval",
    "last_rotation_at",
    "key_rotation_at",
    "litellm_budget_table",
    "last_active",
];

/// Those columns, empty.
fn empty() -> Map<String, Value> {
    let mut empty = Map::new();
    empty.extend(LISTS.map(|name| (name.to_owned(), json!([]))));
    empty.extend(OBJECTS.map(|name| (name.to_owned(), json!({}))));
    empty.extend(NULLS.map(|name| (name.to_owned(), Value::Null)));
    empty.insert("soft_budget_cooldown".to_owned(), json!(false));
    empty.insert("rotation_count".to_owned(), json!(0));
    empty.insert("auto_rotate".to_owned(), json!(false));
    empty
}
