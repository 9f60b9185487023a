//! Transactions that change records: each takes the generation first, so that they are committed one
//! after the other, in the order of their numbers.

use std::collections::BTreeSet;

use super::{Done, Failure, Session, each, values};
use crate::{Change, Changes, Generation, Kind, StoreError};

/// So many generations are remembered; who is further behind looks at everything again.
const REMEMBERED: Generation = 10_000;

/// The channel of notices, on PostgreSQL.
pub(crate) const CHANNEL: &str = "tagrail_changes";

impl Kind {
    /// As stored.
    fn text(self) -> &'static str {
        match self {
            Kind::Key => "key",
            Kind::Team => "team",
            Kind::User => "user",
            Kind::Tag => "tag",
        }
    }

    fn of(text: &str) -> Done<Kind> {
        match text {
            "key" => Ok(Kind::Key),
            "team" => Ok(Kind::Team),
            "user" => Ok(Kind::User),
            "tag" => Ok(Kind::Tag),
            other => Err(StoreError::Broken(format!("a change of `{other}`")).into()),
        }
    }
}

/// A transaction that changes records.
pub(crate) struct Writing {
    pub(crate) session: Session,
    generation: Generation,
    changes: BTreeSet<(&'static str, String)>,
}

impl Writing {
    /// Counts up. The row stays locked until the end, which is what puts writers in line.
    pub(crate) async fn begin(mut session: Session) -> Done<Writing> {
        let row = session
            .row("UPDATE tagrail_generation SET value = value + 1 WHERE id = 1 RETURNING value", values![])
            .await?;
        let generation = row.ok_or_else(Failure::no_row)?.int(0)?.unwrap_or_default();
        Ok(Writing { session, generation, changes: BTreeSet::new() })
    }

    /// Says what it changes.
    pub(crate) fn note(&mut self, kind: Kind, id: impl Into<String>) {
        self.changes.insert((kind.text(), id.into()));
    }

    /// Makes it last, and tells the others.
    pub(crate) async fn commit(self) -> Done<()> {
        let Writing { mut session, generation, changes } = self;
        let changes = serde_json::json!(changes).to_string();
        session
            .run(
                each!(
                    "INSERT INTO tagrail_changes (generation, kind, id)
                     SELECT $2, value->>0, value->>1 FROM",
                    ""
                ),
                values![changes, generation],
            )
            .await?;
        if generation % (REMEMBERED / 10) == 0 {
            let pruned = generation - REMEMBERED;
            session.run("DELETE FROM tagrail_changes WHERE generation <= $1", values![pruned]).await?;
            session
                .run(
                    "UPDATE tagrail_generation SET pruned = $1 WHERE id = 1 AND pruned < $1",
                    values![pruned],
                )
                .await?;
        }
        if session.is_postgres() {
            session.rows("SELECT pg_notify($1, $2)", values![CHANNEL, generation.to_string()]).await?;
        }
        Ok(session.commit().await?)
    }

    /// Undoes it.
    pub(crate) async fn rollback(self) {
        self.session.rollback().await;
    }
}

/// What changed behind a generation, and in which store; one statement, so that it is one moment.
pub(crate) async fn changes(session: &mut Session, since: Generation) -> Done<(Changes, Option<String>)> {
    let rows = session
        .rows(
            "SELECT g.value, g.pruned, c.kind, c.id, (SELECT store_id FROM tagrail_store WHERE id = 1)
             FROM tagrail_generation g
             LEFT JOIN tagrail_changes c ON c.generation > $1 AND $1 > 0 AND $1 >= g.pruned WHERE g.id = 1",
            values![since],
        )
        .await?;
    let first = rows.first().ok_or_else(Failure::no_row)?;
    let generation = first.int(0)?.unwrap_or_default();
    let pruned = first.int(1)?.unwrap_or_default();
    let store = first.text(4)?;
    // A generation that is still to come was another database's, before a backup was put back.
    if since <= 0 || since < pruned || since > generation {
        return Ok((Changes { generation, changes: None }, store));
    }
    let mut changes = BTreeSet::new();
    for row in &rows {
        if let (Some(kind), Some(id)) = (row.text(2)?, row.text(3)?) {
            changes.insert((Kind::of(&kind)?, id));
        }
    }
    let changes = changes.into_iter().map(|(kind, id)| Change { kind, id }).collect();
    Ok((Changes { generation, changes: Some(changes) }, store))
}
