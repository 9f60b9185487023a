//! A database that takes no changes, or that is not there any more as it was opened.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use sqlx::{Connection as _, Executor as _};
use tagrail_store::{Condition, SpendRow, Store, StoreError, Timestamp};
use tagrail_testkit::PATIENCE;

use crate::place::{Place, key, now, team, usd};

fn is_away<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unavailable(_)))
}

async fn condition(store: &dyn Store) -> Option<Condition> {
    store.heartbeat(now()).await.err().map(|unwritable| unwritable.condition)
}

async fn wait_until_written(store: &dyn Store) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = store.heartbeat(now()).await {
        assert!(Instant::now() < deadline, "{error}");
    }
}

fn row(id: &str) -> SpendRow {
    SpendRow { id: id.to_owned(), key: "k".to_owned(), cost: usd(1.0), ..SpendRow::default() }
}

pub(crate) async fn a_heartbeat_tells_of_the_one_before(place: Place) {
    let store = place.open().await;
    assert_eq!(store.heartbeat(now()).await, Ok(Timestamp(0)));
    assert_eq!(place.open().await.heartbeat(now().plus_ms(5)).await, Ok(now()));
    // It changes nothing that is followed.
    assert_eq!(store.changes(0).await.unwrap().generation, 0);
}

/// As SQLite does by itself on a full disk. PostgreSQL only refuses everything until the end.
pub(crate) async fn a_transaction_that_the_database_ended_does_not_stop_the_next(place: Place) {
    let store = place.open().await;
    store.create_team(&team("a"), &[]).await.unwrap();
    place
        .sql(match place.is_postgres() {
            true => "CREATE FUNCTION fail() RETURNS trigger AS 'BEGIN RAISE EXCEPTION ''full'' USING ERRCODE = ''53100''; END' LANGUAGE plpgsql",
            false => "CREATE TRIGGER fails BEFORE INSERT ON tagrail_teams BEGIN SELECT RAISE(ROLLBACK, 'full'); END",
        })
        .await;
    if place.is_postgres() {
        place.sql("CREATE TRIGGER fails BEFORE INSERT ON tagrail_teams EXECUTE FUNCTION fail()").await;
    }
    for _ in 0..3 {
        assert!(store.create_team(&team("b"), &[]).await.is_err());
    }
    place
        .sql(match place.is_postgres() {
            true => "DROP TRIGGER fails ON tagrail_teams",
            false => "DROP TRIGGER fails",
        })
        .await;
    store.create_team(&team("b"), &[]).await.unwrap();
    store.settle(&[row("1")]).await.unwrap();
    assert_eq!(condition(&*store).await, None);
    // Committed, and not waiting in a transaction from before.
    assert_eq!(place.open().await.changes(1).await.unwrap().generation, 2);
}

pub(crate) async fn a_caller_that_gives_up_leaves_no_transaction(place: Place) {
    let store = place.open().await;
    for round in 0..20 {
        let id = round.to_string();
        let created = team(&id);
        let creating = store.create_team(&created, &[]);
        // Given up at another point each time.
        tokio::select! {
            biased;
            () = async { for _ in 0..round { tokio::task::yield_now().await } } => {}
            _ = creating => {}
        }
    }
    store.create_team(&team("last"), &[]).await.unwrap();
    assert!(place.open().await.team("last").await.unwrap().is_some());
}

pub(crate) async fn another_store_is_not_taken_for_it(place: Place) {
    let store = place.open().await;
    store.create_key(&key("k")).await.unwrap();
    let own = place.sql("SELECT store_id FROM tagrail_store").await;
    place.sql("UPDATE tagrail_store SET store_id = 'another'").await;
    // That no such key is known here says nothing.
    assert!(is_away(&store.identity("unknown").await));
    assert_eq!(condition(&*store).await, Some(Condition::Replaced));
    assert!(is_away(&store.identity("k").await));
    assert!(is_away(&store.changes(1).await));
    assert!(is_away(&store.create_key(&key("k2")).await));
    assert!(is_away(&store.settle(&[row("1")]).await));
    place.sql("DELETE FROM tagrail_store").await;
    assert_eq!(condition(&*store).await, Some(Condition::Replaced));
    let back = format!("INSERT INTO tagrail_store (id, store_id, heartbeat) VALUES (1, '{}', 0)", own[0]);
    place.run(back).await;
    assert_eq!(condition(&*store).await, None);
    assert!(store.identity("k").await.unwrap().is_some());
    assert!(store.identity("k2").await.unwrap().is_none());
    assert_eq!(store.settle(&[row("1")]).await.unwrap().new, 1);
}

#[tokio::test]
async fn dropped_tables_are_not_made_again_under_way() {
    let place = Place::postgres();
    let store = place.open().await;
    store.create_key(&key("k")).await.unwrap();
    place.sql("CREATE SCHEMA kept").await;
    for table in ["store", "keys", "generation"] {
        place.run(format!("ALTER TABLE tagrail_{table} SET SCHEMA kept")).await;
    }
    assert_eq!(condition(&*store).await, Some(Condition::Replaced));
    assert!(is_away(&store.identity("k").await));
    assert!(is_away(&store.create_key(&key("k2")).await));
    assert!(is_away(&store.settle(&[row("1")]).await));
    for table in ["store", "keys", "generation"] {
        place.run(format!("ALTER TABLE kept.tagrail_{table} SET SCHEMA public")).await;
    }
    wait_until_written(&*store).await;
    assert!(store.identity("k").await.unwrap().is_some());
}

#[tokio::test]
async fn a_database_that_is_read_only_is_read_and_said_to_be() {
    let place = Place::postgres();
    let store = place.open().await;
    store.create_key(&key("k")).await.unwrap();
    let alter = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$";
    place.sql(alter).await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    place.sql(end).await;
    let deadline = Instant::now() + PATIENCE;
    while condition(&*store).await != Some(Condition::ReadOnly) {
        assert!(Instant::now() < deadline);
    }
    while store.identity("k").await.is_err() {
        assert!(Instant::now() < deadline);
    }
    assert!(is_away(&store.create_key(&key("k2")).await));
    assert!(is_away(&store.settle(&[row("1")]).await));
    // Also by one that starts now.
    assert!(place.open().await.identity("k").await.unwrap().is_some());
    let mut admin = sqlx::PgConnection::connect(&place.address).await.unwrap();
    admin.execute("SET default_transaction_read_only = off").await.unwrap();
    admin.execute(sqlx::AssertSqlSafe(alter.replace("= on", "= off"))).await.unwrap();
    admin.execute(end).await.unwrap();
    wait_until_written(&*store).await;
    store.create_key(&key("k2")).await.unwrap();
    assert_eq!(store.settle(&[row("1")]).await.unwrap().new, 1);
}

/// A store in a file with a key in it, and where the file is.
async fn in_a_file() -> (Place, Arc<dyn Store>, PathBuf) {
    let place = Place::sqlite();
    let store = place.open().await;
    store.create_key(&key("k")).await.unwrap();
    let path = PathBuf::from(place.address.strip_prefix("sqlite:").unwrap());
    (place, store, path)
}

async fn assert_gone(store: &dyn Store) {
    assert!(is_away(&store.create_key(&key("k2")).await));
    assert_eq!(condition(store).await, Some(Condition::Replaced));
    assert!(is_away(&store.identity("k").await));
    assert!(is_away(&store.identity("unknown").await));
    assert!(is_away(&store.settle(&[row("1")]).await));
}

async fn assert_back(store: &dyn Store) {
    wait_until_written(store).await;
    assert!(store.identity("k").await.unwrap().is_some());
    assert!(store.identity("k2").await.unwrap().is_none());
    store.create_key(&key("k2")).await.unwrap();
    assert_eq!(store.settle(&[row("1")]).await.unwrap().new, 1);
}

fn beside(path: &std::path::Path, end: &str) -> PathBuf {
    PathBuf::from(format!("{}{end}", path.display()))
}

#[tokio::test]
async fn a_file_that_is_moved_away_and_back_is_used_again() {
    let (_place, store, path) = in_a_file().await;
    let away = beside(&path, ".away");
    std::fs::rename(&path, &away).unwrap();
    assert_gone(&*store).await;
    assert!(!path.exists(), "a new database was made");
    std::fs::rename(&away, &path).unwrap();
    assert_back(&*store).await;
}

#[tokio::test]
async fn a_deleted_file_is_not_made_again_and_a_backup_is_taken() {
    let (_place, store, path) = in_a_file().await;
    store.close().await;
    let backup = std::fs::read(&path).unwrap();
    let place = _place;
    let store = place.open().await;
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(beside(&path, end));
    }
    assert_gone(&*store).await;
    assert!(!path.exists(), "a new database was made");
    std::fs::write(&path, backup).unwrap();
    assert_back(&*store).await;
}

#[tokio::test]
async fn an_emptied_file_is_not_a_new_database() {
    let (place, store, path) = in_a_file().await;
    store.close().await;
    let backup = std::fs::read(&path).unwrap();
    let store = place.open().await;
    store.create_key(&key("after the backup")).await.unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    assert_gone(&*store).await;
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0, "something was written into it");
    std::fs::write(&path, backup).unwrap();
    assert_back(&*store).await;
    assert!(store.identity("after the backup").await.unwrap().is_none());
    assert_eq!(place.sql("PRAGMA integrity_check").await, ["ok"]);
}

#[tokio::test]
async fn another_stores_file_is_neither_used_nor_touched() {
    let (_place, store, path) = in_a_file().await;
    let (_other, other_store, other) = in_a_file().await;
    other_store.create_key(&key("k2")).await.unwrap();
    other_store.close().await;
    let content = std::fs::read(&other).unwrap();
    let away = beside(&path, ".away");
    std::fs::rename(&path, &away).unwrap();
    std::fs::rename(&other, &path).unwrap();
    assert_gone(&*store).await;
    assert_eq!(std::fs::read(&path).unwrap(), content);
    std::fs::rename(&away, &path).unwrap();
    assert_back(&*store).await;
}

#[tokio::test]
async fn a_deleted_log_costs_nothing() {
    let (place, store, path) = in_a_file().await;
    for end in ["-wal", "-shm"] {
        std::fs::remove_file(beside(&path, end)).unwrap();
    }
    store.create_key(&key("k2")).await.unwrap();
    assert!(store.identity("k").await.unwrap().is_some());
    // Nothing of it is in a file that has no name.
    let again = place.open().await;
    assert!(again.identity("k").await.unwrap().is_some());
    assert!(again.identity("k2").await.unwrap().is_some());
    assert_eq!(place.sql("PRAGMA integrity_check").await, ["ok"]);
}
