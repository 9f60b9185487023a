//! Where a store is, so that a test can open it more than once and look into it from outside.

use std::sync::Arc;

use sqlx::{Connection as _, Executor as _};
use tagrail_store::{Key, Store, StoreError, Tag, Team, Timestamp, User, open};
use tagrail_testkit::Postgres;

/// An empty database.
pub(crate) struct Place {
    /// What `open` takes.
    pub(crate) address: String,
    folder: Option<tempfile::TempDir>,
}

impl Place {
    pub(crate) fn sqlite() -> Place {
        let folder = tempfile::tempdir().unwrap();
        Place {
            address: format!("sqlite:{}", folder.path().join("store.db").display()),
            folder: Some(folder),
        }
    }

    pub(crate) fn postgres() -> Place {
        Place { address: Postgres::database(), folder: None }
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.folder.is_none()
    }

    pub(crate) async fn open(&self) -> Arc<dyn Store> {
        self.try_open().await.unwrap()
    }

    pub(crate) async fn try_open(&self) -> Result<Arc<dyn Store>, StoreError> {
        Box::pin(open(&self.address)).await
    }

    /// Begins a transaction that holds up every change of records, until what it gives is dropped.
    pub(crate) async fn hold(&self) -> Box<dyn Send> {
        let lock = "UPDATE tagrail_generation SET value = value";
        if self.is_postgres() {
            let mut connection = sqlx::PgConnection::connect(&self.address).await.unwrap();
            connection.execute("BEGIN").await.unwrap();
            connection.execute(lock).await.unwrap();
            return Box::new(connection);
        }
        let mut connection = sqlx::SqliteConnection::connect(&self.address).await.unwrap();
        connection.execute("BEGIN IMMEDIATE").await.unwrap();
        connection.execute(lock).await.unwrap();
        Box::new(connection)
    }

    /// Runs SQL beside the store; gives the first column of what it selects.
    pub(crate) async fn sql(&self, sql: &str) -> Vec<String> {
        self.run(sql.to_owned()).await
    }

    /// The same.
    pub(crate) async fn run(&self, sql: String) -> Vec<String> {
        if self.is_postgres() {
            return Postgres::sql(&self.address, &sql).lines().map(str::to_owned).collect();
        }
        let path = self.address.strip_prefix("sqlite:").unwrap();
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
        rows.iter().map(|row| sqlx::Row::get_unchecked(row, 0)).collect()
    }
}

/// Dollars.
pub(crate) fn usd(dollars: f64) -> tagrail_money::Money {
    tagrail_money::Money::from_dollars(dollars).unwrap()
}

pub(crate) fn now() -> Timestamp {
    Timestamp::parse("2026-11-21T19:42:47.453Z").unwrap()
}

pub(crate) fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

pub(crate) fn team(id: &str) -> Team {
    Team { id: id.to_owned(), created_at: now(), updated_at: now(), ..Team::default() }
}

pub(crate) fn key(hash: &str) -> Key {
    Key { hash: hash.to_owned(), created_at: now(), updated_at: now(), ..Key::default() }
}

pub(crate) fn key_of(hash: &str, team: &str) -> Key {
    Key { team_id: Some(team.to_owned()), ..key(hash) }
}

pub(crate) fn user(id: &str) -> User {
    User { id: id.to_owned(), created_at: now(), updated_at: now(), ..User::default() }
}

pub(crate) fn tag(name: &str) -> Tag {
    Tag { name: name.to_owned(), created_at: now(), updated_at: now(), ..Tag::default() }
}
