//! Budgets that begin anew.

use super::change::Writing;
use super::key::texts;
use super::{Done, Failure, Session, values};
use crate::{Budget, Change, Kind, Timestamp, corrected_reset, next_reset};

/// What differs between the four tables.
struct Table {
    kind: Kind,
    /// Not all at once, when many begin anew at midnight.
    due: &'static str,
    reset: &'static str,
    /// A page of those that are reset later.
    later: &'static str,
    correct: &'static str,
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
            later: concat!(
                "SELECT ",
                $id,
                ", body, reset_at FROM tagrail_",
                $table,
                " WHERE reset_at > $1 AND ",
                $id,
                " > $2 ORDER BY ",
                $id,
                " LIMIT 200"
            ),
            correct: concat!(
                "UPDATE tagrail_",
                $table,
                " SET reset_at = $2, version = version + 1 WHERE ",
                $id,
                " = $1 AND reset_at = $3"
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

/// A reset that is further ahead than its budget's duration allows.
pub(crate) struct TooFar {
    table: usize,
    id: String,
    is: i64,
    should_be: i64,
}

/// Where a search for them goes on: a table, and behind which id.
#[derive(Default)]
pub(crate) struct Search {
    table: usize,
    after: String,
}

/// Looks at one page of budgets; `None` when there are no more.
pub(crate) async fn too_far(
    session: &mut Session,
    search: &mut Search,
    now: Timestamp,
) -> Done<Option<Vec<TooFar>>> {
    let Some(table) = TABLES.get(search.table) else { return Ok(None) };
    let rows = session.rows(table.later, values![now.0, search.after.as_str()]).await?;
    let ids = texts(&rows)?;
    let mut found = Vec::new();
    for (row, id) in rows.iter().zip(&ids) {
        let body = row.text(1)?.unwrap_or_default();
        let record: Budgeted = serde_json::from_str(&body).map_err(|error| Failure::unreadable(&error))?;
        let is = row.int(2)?.unwrap_or_default();
        let duration = record.budget.duration;
        if let Some(next) = duration.and_then(|text| corrected_reset(&text, Timestamp(is), now)) {
            found.push(TooFar { table: search.table, id: id.clone(), is, should_be: next.0 });
        }
    }
    match ids.into_iter().next_back() {
        Some(last) => search.after = last,
        None => *search = Search { table: search.table + 1, after: String::new() },
    }
    Ok(Some(found))
}

/// Corrects them, where they are still as they were found.
pub(crate) async fn correct(writing: &mut Writing, found: &[TooFar]) -> Done<Vec<Change>> {
    let mut all = Vec::new();
    for TooFar { table, id, is, should_be } in found {
        let Some(table) = TABLES.get(*table) else { continue };
        let values = values![id.as_str(), *should_be, *is];
        if writing.session.run(table.correct, values).await? > 0 {
            writing.note(table.kind, id.as_str());
            all.push(Change { kind: table.kind, id: id.clone() });
        }
    }
    Ok(all)
}
