//! LiteLLM's database, read so that teams, keys, users and tags can move in.
//!
//! The tables are those of `schema.prisma` in LiteLLM's repository at revision 029f645f1c81, which other
//! releases differ from by columns: rows are read whole, as JSON, so that a column that is not there is a
//! value that is not there. Everything is read in one transaction that is READ ONLY to PostgreSQL itself:
//! whatever mistake is made here, nothing is changed there.
//!
//! Map: here the connection and the tables; `row.rs` one row; `team.rs`, `key.rs`, `user.rs` and `tag.rs`
//! what becomes of a row; `import.rs` writes them into a [`crate::Store`], with `report.rs` for what came
//! of it.

mod import;
mod key;
mod report;
mod row;
mod tag;
mod team;
mod user;

use std::collections::HashMap;
use std::str::FromStr;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection};

use crate::StoreError;
use row::Row;

pub use import::{Importing, import};
pub use report::{Counts, LeftBehind, Refused, Report, Unenforced};

/// So many keys are read at a time.
const PAGE: u32 = 1000;

/// What a connection string says to Prisma, and means nothing to PostgreSQL.
const OF_PRISMA: [&str; 9] = [
    "schema",
    "connection_limit",
    "pool_timeout",
    "connect_timeout",
    "socket_timeout",
    "pgbouncer",
    "statement_cache_size",
    "sslaccept",
    "sslidentity",
];

/// A connection to it.
pub struct Litellm {
    connection: PgConnection,
}

impl Litellm {
    /// Connects, and begins the transaction that everything is read in.
    ///
    /// # Errors
    /// It cannot be reached, or holds no table of LiteLLM.
    pub async fn open(url: &str) -> Result<Litellm, StoreError> {
        let (url, schema) = without_prisma(url);
        let options = PgConnectOptions::from_str(&url)
            .map_err(|_| StoreError::Broken("that is not the address of a PostgreSQL database".to_owned()))?
            .application_name("tagrail import")
            // A pooler may stand between.
            .statement_cache_capacity(0);
        let mut connection = PgConnection::connect_with(&options).await.map_err(unavailable)?;
        for statement in ["SET TIME ZONE 'UTC'", "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"] {
            sqlx::raw_sql(statement).execute(&mut connection).await.map_err(unavailable)?;
        }
        if let Some(schema) = schema {
            sqlx::query("SELECT set_config('search_path', quote_ident($1), true)")
                .bind(schema)
                .execute(&mut connection)
                .await
                .map_err(unavailable)?;
        }
        let mut litellm = Litellm { connection };
        for table in [Table::Teams, Table::Keys] {
            if !litellm.has(table).await? {
                let message = format!(
                    "it has no table \"{}\": this is not a database of LiteLLM, or another schema of it",
                    table.name()
                );
                return Err(StoreError::Broken(message));
            }
        }
        Ok(litellm)
    }

    /// Ends the transaction and the connection.
    pub async fn close(mut self) {
        sqlx::raw_sql("ROLLBACK").execute(&mut self.connection).await.ok();
        self.connection.close().await.ok();
    }

    /// Whether a table is there.
    async fn has(&mut self, table: Table) -> Result<bool, StoreError> {
        sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
            .bind(format!("\"{}\"", table.name()))
            .fetch_one(&mut self.connection)
            .await
            .map_err(unavailable)
    }

    /// How many rows a table has; none if it is not there.
    async fn count(&mut self, table: Table) -> Result<u64, StoreError> {
        if !self.has(table).await? {
            return Ok(0);
        }
        let statement = AssertSqlSafe(format!("SELECT count(*) FROM \"{}\"", table.name()));
        let count: i64 =
            sqlx::query_scalar(statement).fetch_one(&mut self.connection).await.map_err(unavailable)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// All rows of a table; none if it is not there.
    async fn rows(&mut self, table: Table) -> Result<Vec<Row>, StoreError> {
        if !self.has(table).await? {
            return Ok(Vec::new());
        }
        let statement = AssertSqlSafe(format!("SELECT row_to_json(it)::text FROM \"{}\" it", table.name()));
        let texts: Vec<String> =
            sqlx::query_scalar(statement).fetch_all(&mut self.connection).await.map_err(unavailable)?;
        texts.iter().map(|text| Row::read(text)).collect()
    }

    /// The next keys behind a hash, in the order of hashes.
    async fn keys(&mut self, after: &str) -> Result<Vec<Row>, StoreError> {
        let statement = "SELECT row_to_json(it)::text FROM \"LiteLLM_VerificationToken\" it \
                         WHERE token COLLATE \"C\" > $1 ORDER BY token COLLATE \"C\" LIMIT $2";
        let texts: Vec<String> = sqlx::query_scalar(statement)
            .bind(after)
            .bind(i64::from(PAGE))
            .fetch_all(&mut self.connection)
            .await
            .map_err(unavailable)?;
        texts.iter().map(|text| Row::read(text)).collect()
    }

    /// The rows of a table by the text of one of their columns.
    async fn by(&mut self, table: Table, column: &str) -> Result<HashMap<String, Row>, StoreError> {
        let rows = self.rows(table).await?;
        Ok(rows.into_iter().filter_map(|row| Some((row.id(column)?, row))).collect())
    }
}

/// The tables that are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Table {
    Teams,
    Keys,
    Users,
    Tags,
    Budgets,
    Memberships,
    TeamAliases,
    Organizations,
    ProxyModels,
    EndUsers,
    Projects,
    Replaced,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Table::Teams => "LiteLLM_TeamTable",
            Table::Keys => "LiteLLM_VerificationToken",
            Table::Users => "LiteLLM_UserTable",
            Table::Tags => "LiteLLM_TagTable",
            Table::Budgets => "LiteLLM_BudgetTable",
            Table::Memberships => "LiteLLM_TeamMembership",
            Table::TeamAliases => "LiteLLM_ModelTable",
            Table::Organizations => "LiteLLM_OrganizationTable",
            Table::ProxyModels => "LiteLLM_ProxyModelTable",
            Table::EndUsers => "LiteLLM_EndUserTable",
            Table::Projects => "LiteLLM_ProjectTable",
            Table::Replaced => "LiteLLM_DeprecatedVerificationToken",
        }
    }
}

/// A connection string without what only Prisma understands, and the schema that it names.
fn without_prisma(url: &str) -> (String, Option<String>) {
    let Some((address, query)) = url.split_once('?') else { return (url.to_owned(), None) };
    let mut schema = None;
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if name == "schema" && !value.is_empty() {
                schema = Some(value.to_owned());
            }
            !OF_PRISMA.contains(&name)
        })
        .collect();
    let url = if kept.is_empty() { address.to_owned() } else { format!("{address}?{}", kept.join("&")) };
    (url, schema)
}

fn unavailable(error: sqlx::Error) -> StoreError {
    match error {
        // Says what is wrong with a statement, and never what it carried.
        sqlx::Error::Database(error) => StoreError::Unavailable(error.message().to_owned()),
        other => StoreError::Unavailable(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_prisma_understands_is_taken_off() {
        let (url, schema) =
            without_prisma("postgresql://u:p@h:5/d?schema=litellm&sslmode=require&pool_timeout=60");
        assert_eq!(
            (url.as_str(), schema.as_deref()),
            ("postgresql://u:p@h:5/d?sslmode=require", Some("litellm"))
        );
        let (url, schema) = without_prisma("postgresql://h/d?connection_limit=10");
        assert_eq!((url.as_str(), schema), ("postgresql://h/d", None));
        assert_eq!(without_prisma("postgresql://h/d").0, "postgresql://h/d");
    }
}
