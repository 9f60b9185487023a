//! A look at a store that changes nothing in it: it is not made, not migrated, and written by nobody. For
//! commands that only want to know.

use std::path::Path;
use std::str::FromStr;

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::{StoreError, Team};

const TEAMS: &str = "SELECT body FROM tagrail_teams ORDER BY created_at, id";
const RESERVED: &str = "SELECT name FROM tagrail_tags WHERE reserved = 1 ORDER BY name";

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Peeked {
    /// Teams, oldest first.
    pub teams: Vec<Team>,
    /// Reserved tags.
    pub reserved: Vec<String>,
}

/// Looks; `None` when no store has been made there yet.
///
/// # Errors
/// It cannot be read.
pub async fn peek(url: &str) -> Result<Option<Peeked>, StoreError> {
    match url.split_once(':') {
        Some(("postgres" | "postgresql", _)) => postgres(url).await,
        Some(("sqlite", path)) => sqlite(Path::new(path.strip_prefix("//").unwrap_or(path))).await,
        _ => sqlite(Path::new(url)).await,
    }
}

async fn postgres(url: &str) -> Result<Option<Peeked>, StoreError> {
    let options = PgConnectOptions::from_str(url)
        .map_err(|_| StoreError::Broken("that is not the address of a PostgreSQL database".to_owned()))?;
    let mut connection = PgConnection::connect_with(&options).await.map_err(unavailable)?;
    let begin = sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY");
    begin.execute(&mut connection).await.map_err(unavailable)?;
    let there: bool = sqlx::query_scalar("SELECT to_regclass('tagrail_teams') IS NOT NULL")
        .fetch_one(&mut connection)
        .await
        .map_err(unavailable)?;
    if !there {
        return Ok(None);
    }
    let teams: Vec<String> =
        sqlx::query_scalar(TEAMS).fetch_all(&mut connection).await.map_err(unavailable)?;
    let reserved = sqlx::query_scalar(RESERVED).fetch_all(&mut connection).await.map_err(unavailable)?;
    connection.close().await.ok();
    read(&teams, reserved).map(Some)
}

async fn sqlite(path: &Path) -> Result<Option<Peeked>, StoreError> {
    if !path.exists() {
        return Ok(None);
    }
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await.map_err(unavailable)?;
    let there: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_master WHERE name = 'tagrail_teams'")
        .fetch_one(&mut connection)
        .await
        .map_err(unavailable)?;
    if there == 0 {
        return Ok(None);
    }
    let teams: Vec<String> =
        sqlx::query_scalar(TEAMS).fetch_all(&mut connection).await.map_err(unavailable)?;
    let reserved = sqlx::query_scalar(RESERVED).fetch_all(&mut connection).await.map_err(unavailable)?;
    connection.close().await.ok();
    read(&teams, reserved).map(Some)
}

fn read(teams: &[String], reserved: Vec<String>) -> Result<Peeked, StoreError> {
    let teams: Result<Vec<Team>, _> = teams.iter().map(|body| serde_json::from_str(body)).collect();
    let teams = teams.map_err(|error| StoreError::Broken(format!("a team cannot be read: {error}")))?;
    Ok(Peeked { teams, reserved })
}

fn unavailable(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(error) => StoreError::Unavailable(error.message().to_owned()),
        other => StoreError::Unavailable(other.to_string()),
    }
}
