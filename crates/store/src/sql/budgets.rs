//! Budgets that begin anew.

use super::change::Writing;
use super::key::texts;
use super::{Done, Failure, Session, values};
use crate::{Budget, Change, Kind, Timestamp, next_reset};

/// What differs between the four tables.
struct Table {
    kind: Kind,
    /// Not all at once, when many begin anew at midnight.
    due: &'static str,
    reset: &'static str,
}

macro_rules! table {
    ($kind:expr, $table:literal, $id:literal) => {
        Table {
            kind: $kind,
            due: concat!(
                "SELECT ",
                $id,
                ", body FROM tagrail_",
                $table,
                " WHERE reset_at <= $1 ORDER BY ",
                $id,
                " LIMIT 200"
            ),
            reset: concat!(
                "UPDATE tagrail_",
                $table,
                " SET spend = 0, reset_at = $2, version = version + 1 WHERE ",
                $id,
                " = $1"
            ),
        }
    };
}

/// In the order in which settling locks them.
const TABLES: [Table; 4] = [
    table!(Kind::Key, "keys", "hash"),
    table!(Kind::Team, "teams", "id"),
    table!(Kind::User, "users", "id"),
    table!(Kind::Tag, "tags", "name"),
];

#[derive(serde::Deserialize)]
struct Budgeted {
    budget: Budget,
}

/// Whether there is any.
pub(crate) async fn due(session: &mut Session, now: Timestamp) -> Done<bool> {
    for table in &TABLES {
        if !session.rows(table.due, values![now.0]).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Resets a batch of them. Whoever comes second waits for the generation, and finds none due.
pub(crate) async fn reset(writing: &mut Writing, now: Timestamp) -> Done<Vec<Change>> {
    let mut all = Vec::new();
    for table in &TABLES {
        let rows = writing.session.rows(table.due, values![now.0]).await?;
        for (row, id) in rows.iter().zip(texts(&rows)?) {
            let body = row.text(1)?.unwrap_or_default();
            let record: Budgeted =
                serde_json::from_str(&body).map_err(|error| Failure::unreadable(&error))?;
            let next = record.budget.duration.and_then(|duration| next_reset(&duration, now));
            let next = next.map(|time| time.0);
            writing.session.run(table.reset, values![id.as_str(), next]).await?;
            writing.note(table.kind, id.as_str());
            all.push(Change { kind: table.kind, id });
        }
    }
    Ok(all)
}
