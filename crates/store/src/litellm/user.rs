//! A user of LiteLLM's.

use super::row::Row;
use crate::{Timestamp, User};

/// Reads one; `None` without an id. Its password, and what it is called by who signs it in, stay.
pub(super) fn read(mut row: Row) -> Option<User> {
    let id = row.text("user_id")?;
    let mut metadata = row.map("metadata");
    let created_at = row.moment("created_at").unwrap_or_else(Timestamp::now);
    Some(User {
        email: row.text("user_email"),
        alias: row.text("user_alias"),
        role: row.text("user_role"),
        models: row.texts("models"),
        limits: row.limits(&mut metadata),
        budget: row.budget(),
        metadata,
        spend: row.money("spend").unwrap_or_default(),
        created_at,
        updated_at: row.moment("updated_at").unwrap_or(created_at),
        kept: row.rest(&["password"]),
        id,
        ..User::default()
    })
}
