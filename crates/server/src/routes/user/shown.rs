//! Users as LiteLLM shows them.

use serde_json::{Map, Value, json};
use tagrail_store::{Team, User};

use crate::fields::labels;
use crate::fields::limits::{show_budget, show_limits};

/// The row of a user.
pub(crate) fn row(user: &User) -> Map<String, Value> {
    let mut row = Map::new();
    for (name, value) in &user.kept {
        row.insert(name.clone(), value.clone());
    }
    for (name, value) in [
        ("user_id", json!(user.id)),
        ("user_email", json!(user.email)),
        ("user_alias", json!(user.alias)),
        ("user_role", json!(user.role)),
        ("models", json!(user.models)),
        ("metadata", labels::shown(&user.metadata, &[], &user.limits)),
        ("created_at", json!(user.created_at.to_rfc3339())),
        ("updated_at", json!(user.updated_at.to_rfc3339())),
    ] {
        row.insert(name.to_owned(), value);
    }
    for (name, empty) in [("model_max_budget", json!({})), ("model_spend", json!({}))] {
        row.entry(name).or_insert(empty);
    }
    show_limits(&user.limits, &mut row);
    show_budget(&user.budget, user.spend, &mut row);
    row
}

/// The row with the ids of the teams that it belongs to.
pub(super) fn with_teams(user: &User, teams: &[Team]) -> Map<String, Value> {
    let mut row = row(user);
    let ids: Vec<_> = teams.iter().map(|team| team.id.as_str()).collect();
    row.insert("teams".to_owned(), json!(ids));
    row
}
