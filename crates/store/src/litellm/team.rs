//! A team of LiteLLM's.

use std::collections::HashMap;

use serde_json::Value;

use super::row::{Row, tags};
use crate::{Member, Team, Timestamp};

/// Tables that say more of a team than its own row.
#[derive(Default)]
pub(super) struct Around {
    /// `LiteLLM_BudgetTable` by `budget_id`.
    pub(super) budgets: HashMap<String, Row>,
    /// `LiteLLM_ModelTable` by `id`: aliases.
    pub(super) aliases: HashMap<String, Row>,
    /// `LiteLLM_TeamMembership`: the budget of each member, by team and user.
    pub(super) memberships: HashMap<(String, String), String>,
}

/// Reads one; `None` without an id.
pub(super) fn read(mut row: Row, around: &Around) -> Option<Team> {
    let id = row.text("team_id")?;
    let mut metadata = row.map("metadata");
    let aliases = row.id("model_id").and_then(|id| around.aliases.get(&id)).cloned();
    let members = members(&mut row, &id, around);
    let created_at = row.moment("created_at").unwrap_or_else(Timestamp::now);
    Some(Team {
        alias: row.text("team_alias"),
        tags: tags(&mut metadata),
        models: row.texts("models"),
        model_aliases: aliases.map(|mut row| row.text_map("aliases")).unwrap_or_default(),
        limits: row.limits(&mut metadata),
        budget: row.budget(),
        blocked: row.flag("blocked"),
        members,
        metadata,
        spend: row.money("spend").unwrap_or_default(),
        created_at,
        updated_at: row.moment("updated_at").unwrap_or(created_at),
        kept: row.rest(&["model_id"]),
        id,
        ..Team::default()
    })
}

/// `members_with_roles` (an object where nobody is in it), and those whom only older lists name.
fn members(row: &mut Row, team: &str, around: &Around) -> Vec<Member> {
    let listed = match row.0.remove("members_with_roles") {
        Some(Value::Array(list)) => list,
        Some(Value::String(text)) => serde_json::from_str(&text).unwrap_or_default(),
        _ => Vec::new(),
    };
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut members: Vec<Member> = listed
        .iter()
        .map(|member| Member {
            user_id: text(member, "user_id"),
            user_email: text(member, "user_email"),
            role: text(member, "role").unwrap_or_else(|| "user".to_owned()),
            max_budget: None,
        })
        .filter(|member| member.user_id.is_some() || member.user_email.is_some())
        .collect();
    for (column, role) in [("admins", "admin"), ("members", "user")] {
        for user in row.texts(column) {
            if !members.iter().any(|member| member.user_id.as_deref() == Some(&user)) {
                members.push(Member { user_id: Some(user), role: role.to_owned(), ..Member::default() });
            }
        }
    }
    for member in &mut members {
        let user = member.user_id.clone().unwrap_or_default();
        let budget = around.memberships.get(&(team.to_owned(), user)).and_then(|id| around.budgets.get(id));
        member.max_budget = budget.and_then(|row| row.clone().money("max_budget"));
    }
    members
}
