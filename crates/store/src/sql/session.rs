//! A connection from a pool, with or without a transaction. It goes back to its pool only in a known
//! state: after a confirmed COMMIT or ROLLBACK, and without an error of its own. Otherwise it is closed.
//!
//! SQLite rolls back by itself on a full disk or an I/O error, and a caller that gives up leaves a
//! statement half done: the next user of that connection would work in a transaction that it did not begin.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::pool::PoolConnection;
use sqlx::{Executor as _, Postgres, Sqlite};

use super::failure::{is_damage, is_harmless};
use super::{Row, Statement, Value};

/// A connection, by itself or in a transaction, which is undone unless it is committed.
pub struct Session {
    connection: Connection,
    /// A transaction was started, or may have been, and its end is not confirmed.
    in_transaction: bool,
    /// A statement was sent and has not been answered.
    is_waiting: bool,
    is_broken: bool,
    /// Set when the fault may be all connections', not only this one's.
    suspect: Option<Arc<AtomicBool>>,
}

enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

/// Binds values, whichever the database.
macro_rules! bound {
    ($sql:expr, $values:expr) => {{
        let mut query = sqlx::query($sql);
        for value in $values {
            query = match value {
                Value::Text(text) => query.bind(text),
                Value::Int(number) => query.bind(number),
            };
        }
        query
    }};
}

impl Session {
    /// On SQLite. `suspect` is set by an error that all connections to the file may have.
    pub(crate) fn sqlite(connection: PoolConnection<Sqlite>, suspect: Arc<AtomicBool>) -> Session {
        Session::over(Connection::Sqlite(connection), Some(suspect))
    }

    /// On PostgreSQL.
    pub(crate) fn postgres(connection: PoolConnection<Postgres>) -> Session {
        Session::over(Connection::Postgres(connection), None)
    }

    fn over(connection: Connection, suspect: Option<Arc<AtomicBool>>) -> Session {
        Session { connection, in_transaction: false, is_waiting: false, is_broken: false, suspect }
    }

    /// Begins a transaction that may write. On SQLite with the right to write from the first moment: a
    /// reader that turns writer can be refused.
    pub(crate) async fn begin(mut self) -> Result<Session, sqlx::Error> {
        let begin = if self.is_postgres() { "BEGIN" } else { "BEGIN IMMEDIATE" };
        self.in_transaction = true;
        let begun = self.raw(begin).await;
        if begun.is_err() {
            // Refused, and nothing was started; unless the connection is broken, and then it is closed.
            self.in_transaction = false;
        }
        begun.map(|()| self)
    }

    /// Asks.
    pub(crate) async fn rows(
        &mut self,
        statement: impl Into<Statement>,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, sqlx::Error> {
        let Statement { sqlite, postgres } = statement.into();
        self.is_waiting = true;
        let rows = match &mut self.connection {
            Connection::Sqlite(connection) => {
                let rows = bound!(sqlite, values).fetch_all(&mut **connection).await;
                rows.map(|rows| rows.into_iter().map(Row::Sqlite).collect())
            }
            Connection::Postgres(connection) => {
                let rows = bound!(postgres, values).fetch_all(&mut **connection).await;
                rows.map(|rows| rows.into_iter().map(Row::Postgres).collect())
            }
        };
        self.answered(rows)
    }

    /// Asks for one row.
    pub(crate) async fn row(
        &mut self,
        statement: impl Into<Statement>,
        values: Vec<Value>,
    ) -> Result<Option<Row>, sqlx::Error> {
        Ok(self.rows(statement, values).await?.into_iter().next())
    }

    /// Changes; gives the number of rows that were.
    pub(crate) async fn run(
        &mut self,
        statement: impl Into<Statement>,
        values: Vec<Value>,
    ) -> Result<u64, sqlx::Error> {
        let Statement { sqlite, postgres } = statement.into();
        self.is_waiting = true;
        let count = match &mut self.connection {
            Connection::Sqlite(connection) => {
                let done = bound!(sqlite, values).execute(&mut **connection).await;
                done.map(|done| done.rows_affected())
            }
            Connection::Postgres(connection) => {
                let done = bound!(postgres, values).execute(&mut **connection).await;
                done.map(|done| done.rows_affected())
            }
        };
        self.answered(count)
    }

    /// Runs statements without values.
    pub(crate) async fn raw(&mut self, sql: impl sqlx::SqlSafeStr) -> Result<(), sqlx::Error> {
        let sql = sqlx::raw_sql(sql.into_sql_str());
        self.is_waiting = true;
        let done = match &mut self.connection {
            Connection::Sqlite(connection) => (**connection).execute(sql).await.map(drop),
            Connection::Postgres(connection) => (**connection).execute(sql).await.map(drop),
        };
        self.answered(done)
    }

    /// Locks rows in the order of the statement, where other writers may be about: SQLite has one.
    pub(crate) async fn lock(
        &mut self,
        statement: &'static str,
        values: Vec<Value>,
    ) -> Result<(), sqlx::Error> {
        if self.is_postgres() {
            self.rows(statement, values).await?;
        }
        Ok(())
    }

    /// Whether it is PostgreSQL's.
    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self.connection, Connection::Postgres(_))
    }

    /// Makes it last.
    pub(crate) async fn commit(mut self) -> Result<(), sqlx::Error> {
        if self.in_transaction {
            self.raw("COMMIT").await?;
            self.in_transaction = false;
        }
        Ok(())
    }

    /// Undoes it. A connection that does not confirm that is closed, which undoes it too.
    pub(crate) async fn rollback(mut self) {
        if self.in_transaction && !self.is_broken && self.raw("ROLLBACK").await.is_ok() {
            self.in_transaction = false;
        }
    }

    fn answered<T>(&mut self, answer: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        self.is_waiting = false;
        if let Err(error) = &answer {
            self.is_broken |= !is_harmless(error);
            if let Some(suspect) = &self.suspect
                && is_damage(error)
            {
                suspect.store(true, Ordering::Release);
            }
        }
        answer
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.in_transaction || self.is_waiting || self.is_broken {
            match &mut self.connection {
                Connection::Sqlite(connection) => connection.close_on_drop(),
                Connection::Postgres(connection) => connection.close_on_drop(),
            }
        }
    }
}
