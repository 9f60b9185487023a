//! One way to ask both databases. What differs between them is how a list is passed (`each!`), how a
//! transaction begins, and what their errors look like; the rest of the SQL is written once.
//!
//! Statements are constants, or put together from constants ([`Filter`]): a value is always bound.

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _, SqlSafeStr as _, SqlStr};
use tagrail_money::Money;

mod budgets;
mod change;
mod failure;
mod filter;
mod identity;
mod key;
mod record;
mod rows;
mod session;
mod settle;
mod spend;
mod store;
mod tag;
mod team;
mod user;

pub(crate) use change::CHANNEL;
pub(crate) use failure::Failure;
pub(crate) use filter::Filter;
pub(crate) use identity::store_id;
pub(crate) use session::Session;
pub(crate) use store::{Database, SqlStore};

/// What came of a step.
pub(crate) type Done<T> = Result<T, Failure>;

/// A value to bind.
#[derive(Debug)]
pub(crate) enum Value {
    Text(Option<String>),
    Int(Option<i64>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(Some(storable(text)))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(Some(storable(&text)))
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Value {
        Value::Text(text.map(storable))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Int(Some(number))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Value {
        Value::Int(number)
    }
}

impl From<Money> for Value {
    fn from(amount: Money) -> Value {
        Value::Int(Some(amount.picos()))
    }
}

/// PostgreSQL's text holds no NUL, and a client may put one into a name: it must not be able to make
/// what its calls cost unwritable.
pub(crate) fn storable(text: &str) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text.to_owned() }
}

/// Values for a statement, in the order of their numbers.
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::sql::Value::from($value)),*] };
}
pub(crate) use values;

/// A statement over the elements of the JSON array `$1`, each called `value`: they stand in for the
/// table between the two parts.
macro_rules! each {
    ($before:literal, $after:literal) => {
        $crate::sql::Statement::of(
            concat!($before, " json_each($1) AS e ", $after),
            concat!($before, " json_array_elements($1::json) AS e(value) ", $after),
        )
    };
}
pub(crate) use each;

/// A statement with the texts of the JSON array `$1` in place of a list, in brackets.
macro_rules! listed {
    ($before:literal, $after:literal) => {
        $crate::sql::Statement::of(
            concat!($before, " (SELECT value FROM json_each($1)) ", $after),
            concat!($before, " (SELECT value FROM json_array_elements_text($1::json) AS e(value)) ", $after),
        )
    };
}
pub(crate) use listed;

/// A list of texts, sorted, each once, as the JSON array that `listed!` wants. The order is that in
/// which rows are locked, the same in every process.
pub(crate) fn list<T: AsRef<str>>(texts: &[T]) -> String {
    let sorted: std::collections::BTreeSet<String> =
        texts.iter().map(|text| storable(text.as_ref())).collect();
    serde_json::json!(sorted).to_string()
}

/// SQL, in both dialects.
pub(crate) struct Statement {
    sqlite: SqlStr,
    postgres: SqlStr,
}

impl Statement {
    /// Different in each.
    pub(crate) fn of(sqlite: &'static str, postgres: &'static str) -> Statement {
        Statement { sqlite: sqlite.into_sql_str(), postgres: postgres.into_sql_str() }
    }
}

impl From<&'static str> for Statement {
    fn from(both: &'static str) -> Statement {
        Statement::of(both, both)
    }
}

impl From<&Filter> for Statement {
    fn from(filter: &Filter) -> Statement {
        let sql = || AssertSqlSafe(filter.sql().to_owned()).into_sql_str();
        Statement { sqlite: sql(), postgres: sql() }
    }
}

/// A row of an answer; columns by their place.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    pub(crate) fn text(&self, at: usize) -> Result<Option<String>, sqlx::Error> {
        match self {
            Row::Sqlite(row) => row.try_get(at),
            Row::Postgres(row) => row.try_get(at),
        }
    }

    pub(crate) fn int(&self, at: usize) -> Result<Option<i64>, sqlx::Error> {
        match self {
            Row::Sqlite(row) => row.try_get(at),
            Row::Postgres(row) => row.try_get(at),
        }
    }

    /// An amount; nothing where there is none.
    pub(crate) fn money(&self, at: usize) -> Result<Money, sqlx::Error> {
        Ok(Money::from_picos(self.int(at)?.unwrap_or_default()))
    }
}
