//! What goes wrong below, and what it means to who asked.

use sqlx::error::DatabaseError;

use crate::StoreError;

/// A step that failed: by the store's rules, or by the database.
#[derive(Debug)]
pub(crate) enum Failure {
    Store(StoreError),
    Sql(sqlx::Error),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        Failure::Store(error)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Failure {
        Failure::Sql(error)
    }
}

impl Failure {
    /// Something stored that does not read back.
    pub(crate) fn unreadable(error: &serde_json::Error) -> Failure {
        Failure::Store(StoreError::Broken(error.to_string()))
    }

    /// A statement that always answers did not.
    pub(crate) fn no_row() -> Failure {
        Failure::Sql(sqlx::Error::RowNotFound)
    }

    /// Whether two transactions were in each other's way, and this one can simply be done again.
    pub(crate) fn is_passing(&self) -> bool {
        let Failure::Sql(sqlx::Error::Database(error)) = self else { return false };
        match code_of(&**error) {
            // A serialization failure and a deadlock.
            Code::Postgres(code) => code == "40001" || code == "40P01",
            // SQLITE_BUSY_SNAPSHOT; a plain SQLITE_BUSY has waited for `busy_timeout` already.
            Code::Sqlite(code) => code == 517,
        }
    }

    /// `Taken` in place of a violated uniqueness, when the constraint (PostgreSQL's name for it, SQLite's
    /// column) is this one.
    pub(crate) fn taken(self, constraint: (&str, &str), field: &'static str, value: &str) -> Failure {
        let Failure::Sql(sqlx::Error::Database(error)) = &self else { return self };
        let (postgres, sqlite) = constraint;
        let this = match error.constraint() {
            Some(name) => name == postgres,
            None => error.message().ends_with(sqlite),
        };
        if error.is_unique_violation() && this {
            return Failure::Store(StoreError::Taken { field, value: value.to_owned() });
        }
        self
    }

    /// As the store's callers see it. Without the database's detail on values, which may be anybody's.
    pub(crate) fn told(self) -> StoreError {
        let error = match self {
            Failure::Store(error) => return error,
            Failure::Sql(error) => error,
        };
        match &error {
            sqlx::Error::Database(database) => {
                let message = database.message().to_owned();
                match is_away(&**database) {
                    true => StoreError::Unavailable(message),
                    false => StoreError::Broken(message),
                }
            }
            sqlx::Error::PoolTimedOut => StoreError::Unavailable("no connection in time".to_owned()),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => StoreError::Unavailable(error.to_string()),
            _ => StoreError::Broken(error.to_string()),
        }
    }
}

enum Code {
    Postgres(String),
    Sqlite(i32),
}

/// PostgreSQL's codes have five characters, SQLite's are numbers below 10000.
fn code_of(error: &dyn DatabaseError) -> Code {
    let code = error.code().unwrap_or_default();
    match code.parse() {
        Ok(number) if code.len() < 5 => Code::Sqlite(number),
        _ => Code::Postgres(code.into_owned()),
    }
}

/// Whether it is the database's state, and not what was asked of it: trying again later may help.
fn is_away(error: &dyn DatabaseError) -> bool {
    match code_of(error) {
        // Connections; authorization; invalid state (read-only after a failover, a lock not got);
        // rolled back; resources; an operator's doing; the system; no such database.
        Code::Postgres(code) => {
            let class = code.get(..2).unwrap_or_default();
            matches!(class, "08" | "28" | "25" | "40" | "53" | "55" | "57" | "58") || code == "3D000"
        }
        // PERM, BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN, PROTOCOL.
        Code::Sqlite(code) => matches!(code & 0xff, 3 | 5 | 6 | 7 | 8 | 10 | 13 | 14 | 15),
    }
}
