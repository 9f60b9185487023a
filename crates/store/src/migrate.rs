//! The tables, brought up to date when a store is opened: all that is missing in one transaction, by
//! one process at a time.

use crate::StoreError;
use crate::sql::{Done, Session, Statement, values};

/// A step, in both dialects.
struct Migration {
    number: i64,
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

macro_rules! migration {
    ($number:literal, $name:literal) => {
        Migration {
            number: $number,
            name: $name,
            sqlite: include_str!(concat!("../migrations/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!("../migrations/postgres/", $name, ".sql")),
        }
    };
}

/// All steps. What has been released is never changed, only added to.
const MIGRATIONS: [Migration; 3] =
    [migration!(1, "0001_begin"), migration!(2, "0002_money"), migration!(3, "0003_store_id")];

/// For `pg_advisory_xact_lock`: `tagrail` in ASCII.
const LOCK: i64 = 0x74_61_67_72_61_69_6c;

/// Brings the tables up to date. The session must be a transaction; on SQLite one that has begun by
/// taking the right to write.
pub(crate) async fn migrate(mut session: Session) -> Done<()> {
    match steps(&mut session).await {
        Ok(()) => Ok(session.commit().await?),
        Err(failure) => {
            session.rollback().await;
            Err(failure)
        }
    }
}

async fn steps(session: &mut Session) -> Done<()> {
    if session.is_postgres() {
        session.rows("SELECT pg_advisory_xact_lock($1)", values![LOCK]).await?;
    }
    let done = applied(session).await?;
    let newest = MIGRATIONS.last().map_or(0, |last| last.number);
    if let Some((number, name)) = done.iter().find(|(number, _)| *number > newest) {
        let why = format!(
            "a newer release of Tagrail has changed it (migration {number}, `{name}`; this one knows \
             those up to {newest}): start that release, or put back a backup from before"
        );
        return Err(StoreError::Broken(why).into());
    }
    for migration in &MIGRATIONS {
        match done.iter().find(|(number, _)| *number == migration.number) {
            None => apply(session, migration).await?,
            Some((_, name)) if name == migration.name => {}
            Some((number, name)) => {
                let why = format!("its migration {number} is `{name}`, and not `{}`", migration.name);
                return Err(StoreError::Broken(why).into());
            }
        }
    }
    Ok(())
}

async fn applied(session: &mut Session) -> Done<Vec<(i64, String)>> {
    // Asked first: a database that takes no changes can still be read.
    let is_there = Statement::of(
        "SELECT 1 FROM sqlite_master WHERE name = 'tagrail_migrations'",
        "SELECT 1 WHERE to_regclass('tagrail_migrations') IS NOT NULL",
    );
    if session.row(is_there, values![]).await?.is_none() {
        session
            .run(
                "CREATE TABLE tagrail_migrations (number BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL)",
                values![],
            )
            .await?;
    }
    let rows = session.rows("SELECT number, name FROM tagrail_migrations ORDER BY number", values![]).await?;
    let mut done = Vec::new();
    for row in &rows {
        done.push((row.int(0)?.unwrap_or_default(), row.text(1)?.unwrap_or_default()));
    }
    Ok(done)
}

async fn apply(session: &mut Session, migration: &Migration) -> Done<()> {
    session.raw(if session.is_postgres() { migration.postgres } else { migration.sqlite }).await?;
    session
        .run(
            "INSERT INTO tagrail_migrations (number, name) VALUES ($1, $2)",
            values![migration.number, migration.name],
        )
        .await?;
    Ok(())
}
