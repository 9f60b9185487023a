//! What goes wrong below, and what it means to who asked.

use sqlx::error::DatabaseError;

use crate::{Condition, StoreError};

/// A step that failed: by the store's rules, or by the database.
#[derive(Debug)]
pub enum Failure {
    /// By the store's rules.
    Store(StoreError),
    /// By the database.
    Sql(sqlx::Error),
    /// What is there is not the database that was opened: why.
    Lost(String),
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
            Failure::Lost(why) => return StoreError::Unavailable(why),
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

impl Failure {
    /// What state of the database that is.
    pub(crate) fn condition(&self) -> Condition {
        let error = match self {
            Failure::Lost(_) => return Condition::Replaced,
            Failure::Sql(sqlx::Error::Database(error)) => &**error,
            _ => return Condition::Unreachable,
        };
        if is_table_missing(error) {
            return Condition::Replaced;
        }
        match code_of(error) {
            Code::Postgres(code) => match code.as_str() {
                "25006" => Condition::ReadOnly,
                "53100" => Condition::Full,
                "55P03" => Condition::Locked,
                _ => Condition::Unreachable,
            },
            Code::Sqlite(code) => match code & 0xff {
                // BUSY, LOCKED.
                5 | 6 => Condition::Locked,
                // PERM, READONLY, CANTOPEN.
                3 | 8 | 14 => Condition::ReadOnly,
                // FULL.
                13 => Condition::Full,
                _ if is_damage_code(code) => Condition::Failing,
                _ => Condition::Unreachable,
            },
        }
    }

    /// Whether the file is no database.
    pub(crate) fn is_no_database(&self) -> bool {
        let Failure::Sql(sqlx::Error::Database(error)) = self else { return false };
        matches!(code_of(&**error), Code::Sqlite(26))
    }
}

/// Whether the statement failed for what it says, or for others in its way, and its connection is as good
/// as before. Everything else may be the connection's state.
pub(crate) fn is_harmless(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    match code_of(&**error) {
        // A value; a constraint; a serialization failure or deadlock; a lock not got.
        Code::Postgres(code) => matches!(code.get(..2), Some("22" | "23" | "40")) || code == "55P03",
        // BUSY, LOCKED, CONSTRAINT.
        Code::Sqlite(code) => matches!(code & 0xff, 5 | 6 | 19),
    }
}

/// Whether other connections to the file may have the same trouble until all are opened again.
pub(crate) fn is_damage(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    matches!(code_of(&**error), Code::Sqlite(code) if is_damage_code(code))
}

/// IOERR, CORRUPT, PROTOCOL, NOTADB; READONLY_DBMOVED.
fn is_damage_code(code: i32) -> bool {
    matches!(code & 0xff, 10 | 11 | 15 | 26) || code == 1032
}

/// A table of ours is not there; SQLite has no code for it.
fn is_table_missing(error: &dyn DatabaseError) -> bool {
    match code_of(error) {
        Code::Postgres(code) => code == "42P01",
        Code::Sqlite(_) => error.message().starts_with("no such table: tagrail_"),
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
    if is_table_missing(error) {
        return true;
    }
    match code_of(error) {
        // Connections; authorization; invalid state (read-only after a failover, a lock not got);
        // rolled back; resources; an operator's doing; the system; no such database.
        Code::Postgres(code) => {
            let class = code.get(..2).unwrap_or_default();
            matches!(class, "08" | "28" | "25" | "40" | "53" | "55" | "57" | "58") || code == "3D000"
        }
        // PERM, BUSY, LOCKED, NOMEM, READONLY, IOERR, CORRUPT, FULL, CANTOPEN, PROTOCOL, NOTADB.
        Code::Sqlite(code) => {
            matches!(code & 0xff, 3 | 5 | 6 | 7 | 8 | 10 | 11 | 13 | 14 | 15 | 26)
        }
    }
}
