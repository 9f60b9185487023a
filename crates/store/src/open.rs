//! Which back end an address means.

use std::sync::Arc;

use crate::{PostgresStore, SqliteStore, Store, StoreError};

/// Opens `postgres://...`, `postgresql://...`, `sqlite:PATH`, `sqlite://PATH`, or a path of an SQLite file.
///
/// # Errors
/// SQLite: whatever keeps the file from being opened. PostgreSQL: an address that is none, and a database
/// that is there and must not be used (`Broken`); one that is not there is asked again later.
pub async fn open(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    match url.split_once(':') {
        Some(("postgres" | "postgresql", _)) => Ok(Arc::new(PostgresStore::open(url).await?)),
        Some(("sqlite", path)) => {
            let path = path.strip_prefix("//").unwrap_or(path);
            Ok(Arc::new(SqliteStore::open(path).await?))
        }
        _ => Ok(Arc::new(SqliteStore::open(url).await?)),
    }
}
