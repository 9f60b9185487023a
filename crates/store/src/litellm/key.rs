//! A virtual key of LiteLLM's.

use std::collections::HashMap;

use super::row::{Row, tags};
use crate::{Key, Timestamp};

/// Keys of this team are sessions of LiteLLM's own pages.
const UI_TEAM: &str = "litellm-dashboard";

/// What becomes of a row.
pub(super) enum Fate {
    /// It comes.
    Comes(Box<Key>),
    /// It does not, for this reason.
    Stays(String),
    /// It is nobody's key, and nobody asks for it.
    Session,
}

/// Reads one.
pub(super) fn read(mut row: Row, budgets: &HashMap<String, Row>) -> Fate {
    let Some(hash) = row.text("token") else {
        return Fate::Stays("it has no token".to_owned());
    };
    if row.id("team_id").as_deref() == Some(UI_TEAM) {
        return Fate::Session;
    }
    if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)) {
        return Fate::Stays("its token is not a SHA-256, so the key cannot be recognised".to_owned());
    }
    if let Some(raw) = row.0.get("expires").filter(|value| !value.is_null())
        && row.clone().moment("expires").is_none()
    {
        return Fate::Stays(format!("`expires` is {raw}, which is no moment"));
    }
    let mut metadata = row.map("metadata");
    let created_at = row.moment("created_at").unwrap_or_else(Timestamp::now);
    let shared = row.id("budget_id").and_then(|id| budgets.get(&id)).cloned();
    let mut key = Key {
        name: row.text("key_name").unwrap_or_else(|| "sk-...".to_owned()),
        alias: row.text("key_alias"),
        team_id: row.text("team_id"),
        user_id: row.text("user_id"),
        tags: tags(&mut metadata),
        models: row.texts("models"),
        aliases: row.text_map("aliases"),
        limits: row.limits(&mut metadata),
        budget: row.budget(),
        blocked: row.flag("blocked"),
        expires: row.moment("expires"),
        allowed_routes: row.texts("allowed_routes"),
        metadata,
        spend: row.money("spend").unwrap_or_default(),
        last_active: row.moment("last_active"),
        created_by: row.text("created_by"),
        created_at,
        updated_at: row.moment("updated_at").unwrap_or(created_at),
        kept: row.rest(&["soft_budget_cooldown"]),
        hash,
        ..Key::default()
    };
    if let Some(shared) = shared {
        fill(&mut key, shared);
    }
    Fate::Comes(Box::new(key))
}

/// A shared budget counts where the key's own row says nothing.
fn fill(key: &mut Key, mut shared: Row) {
    let (limits, budget) = (shared.limits(&mut serde_json::Map::new()), shared.budget());
    key.limits.rpm = key.limits.rpm.or(limits.rpm);
    key.limits.tpm = key.limits.tpm.or(limits.tpm);
    key.limits.parallel = key.limits.parallel.or(limits.parallel);
    key.budget.soft = key.budget.soft.or(budget.soft);
    if key.budget.max.is_none() {
        key.budget.max = budget.max;
    }
    if key.budget.duration.is_none() {
        key.budget.duration = budget.duration;
        key.budget.reset_at = key.budget.reset_at.or(budget.reset_at);
    }
}

/// What to call a key: its alias, else its last characters; with the beginning of the hash.
pub(super) fn name(row: &Row) -> String {
    let text = |column: &str| row.id(column).filter(|text| !text.is_empty());
    let called = text("key_alias").or_else(|| text("key_name")).unwrap_or_else(|| "a key".to_owned());
    let hash: String = text("token").unwrap_or_default().chars().take(8).collect();
    format!("{called} ({hash}\u{2026})")
}
