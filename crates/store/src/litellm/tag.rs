//! A tag of LiteLLM's: its budget is a row of another table.

use std::collections::HashMap;

use super::row::Row;
use crate::{Tag, Timestamp};

/// Reads one; `None` without a name. Whether it is reserved, nobody has decided there.
pub(super) fn read(mut row: Row, budgets: &HashMap<String, Row>) -> Option<Tag> {
    let name = row.text("tag_name")?;
    let mut budget = row.id("budget_id").and_then(|id| budgets.get(&id)).cloned().unwrap_or_default();
    let created_at = row.moment("created_at").unwrap_or_else(Timestamp::now);
    Some(Tag {
        description: row.text("description"),
        models: row.texts("models"),
        limits: budget.limits(&mut serde_json::Map::new()),
        budget: budget.budget(),
        spend: row.money("spend").unwrap_or_default(),
        created_at,
        updated_at: row.moment("updated_at").unwrap_or(created_at),
        kept: row.rest(&[]),
        name,
        ..Tag::default()
    })
}
