//! A database that is not there, and that comes back; files that cannot be written.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::{Connection as _, Executor as _, Row as _};
use tagrail_store::{Change, Kind, SpendRow, SqliteStore, Store, StoreError, open};
use tagrail_testkit::{PATIENCE, Postgres};
use tokio::time::timeout;

use crate::place::{Place, key, key_of, team, texts};

async fn opened(address: &str) -> Arc<dyn Store> {
    Box::pin(open(address)).await.unwrap()
}

fn is_away<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unavailable(_)))
}

/// Asks until it answers.
async fn wait_until_back(store: &dyn Store) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = store.ping().await {
        assert!(Instant::now() < deadline, "{error}");
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_goes_and_comes_back_is_used_again() {
    let server = Postgres::start_own();
    let store = opened(&server.create()).await;
    store.create_team(&team("a"), &texts(&["t"])).await.unwrap();
    store.create_key(&key("k")).await.unwrap();
    server.kill();
    let begun = Instant::now();
    assert!(is_away(&store.identity("k").await));
    assert!(begun.elapsed() < Duration::from_secs(1), "a lookup waited {:?}", begun.elapsed());
    assert!(is_away(&store.reserved().await));
    assert!(is_away(&store.create_key(&key("k2")).await));
    assert!(is_away(&store.settle(&[Default::default()]).await));
    server.start();
    wait_until_back(&*store).await;
    // What was acknowledged outlived the crash; what was not is not there.
    assert!(store.identity("k").await.unwrap().is_some());
    assert_eq!(store.reserved().await.unwrap(), (2, texts(&["t"])));
    store.create_key(&key("k2")).await.unwrap();
}

#[tokio::test]
async fn a_start_without_the_server_is_made_good_when_it_comes() {
    let server = Postgres::start_own();
    let address = server.create();
    server.stop();
    let store = opened(&address).await;
    assert!(is_away(&store.ping().await));
    assert!(is_away(&store.create_team(&team("a"), &[]).await));
    server.start();
    // Lookups alone bring the migration about.
    wait_until_back(&*store).await;
    store.create_team(&team("a"), &[]).await.unwrap();
    assert_eq!(store.changes(1).await.unwrap().generation, 1);
}

#[tokio::test]
async fn others_changes_are_noticed_at_once_and_again_after_an_outage() {
    let server = Postgres::start_own();
    let address = server.create();
    let (one, other) = (opened(&address).await, opened(&address).await);
    // The first wake says that it listens now.
    timeout(PATIENCE, one.notified()).await.unwrap();
    other.create_team(&team("a"), &[]).await.unwrap();
    timeout(PATIENCE, one.notified()).await.unwrap();
    assert_eq!(one.changes(0).await.unwrap().generation, 1);

    server.kill();
    server.start();
    wait_until_back(&*other).await;
    // However many times the loss of the connection is told of, the change is too.
    other.create_team(&team("b"), &[]).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while other.create_team(&team(&format!("{:?}", Instant::now())), &[]).await.is_ok() {
        assert!(Instant::now() < deadline, "no notice after an outage");
        if timeout(Duration::from_millis(200), one.notified()).await.is_ok() {
            break;
        }
    }
}

#[tokio::test]
async fn what_is_no_address_is_refused_without_its_password() {
    for address in ["postgres://tagrail:sekret@host:nope/db", "postgres://tagrail:sekret@[/db"] {
        let refused = Box::pin(open(address)).await.map(|_| ()).unwrap_err();
        assert!(matches!(refused, StoreError::Broken(_)), "{refused}");
        assert!(!refused.to_string().contains("sekret"), "{refused}");
    }
    // Nobody listens there: not an error of the address.
    let store = opened("postgres://tagrail:sekret@127.0.0.1:1/db").await;
    let away = store.ping().await.unwrap_err();
    assert!(matches!(away, StoreError::Unavailable(_)) && !away.to_string().contains("sekret"), "{away}");
}

/// Whoever else uses the database locks rows in an order of its own.
#[tokio::test]
async fn a_deadlock_is_tried_again() {
    let address = Postgres::database();
    let store = opened(&address).await;
    store.create_team(&team("a"), &[]).await.unwrap();
    store.create_key(&key_of("k", "a")).await.unwrap();
    let mut other = sqlx::PgConnection::connect(&address).await.unwrap();
    other.execute("BEGIN").await.unwrap();
    other.execute("SELECT 1 FROM tagrail_teams WHERE id = 'a' FOR UPDATE").await.unwrap();

    let (id, team_id) = ("1".to_owned(), Some("a".to_owned()));
    let row =
        SpendRow { id, key: "k".to_owned(), team_id, cost: crate::place::usd(1.0), ..SpendRow::default() };
    let settling = tokio::spawn({
        let store = store.clone();
        async move { store.settle(&[row]).await }
    });
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    let deadline = Instant::now() + PATIENCE;
    while other.fetch_one(waiting).await.unwrap().get::<i64, _>(0) == 0 {
        assert!(Instant::now() < deadline, "it waits for nothing");
    }
    // It has the key's row and waits for the team's. It waits longer than this does, so that the server
    // gives up on it.
    other.execute("SELECT 1 FROM tagrail_keys WHERE hash = 'k' FOR UPDATE").await.unwrap();
    other.execute("COMMIT").await.unwrap();
    assert_eq!(settling.await.unwrap().unwrap().new, 1);
    assert_eq!(store.key("k").await.unwrap().unwrap().spend, crate::place::usd(1.0));
}

/// Writers wait for each other with a connection each, and may have them all.
#[tokio::test]
async fn what_is_followed_and_looked_up_is_read_however_many_writers_wait() {
    const WRITERS: i64 = 10;
    let address = Postgres::database();
    let store = opened(&address).await;
    store.create_team(&team("a"), &texts(&["t"])).await.unwrap();
    let mut other = sqlx::PgConnection::connect(&address).await.unwrap();
    other.execute("BEGIN").await.unwrap();
    other.execute("SELECT 1 FROM tagrail_generation FOR UPDATE").await.unwrap();
    let mut writing = tokio::task::JoinSet::new();
    for number in 0..WRITERS {
        let store = store.clone();
        writing.spawn(async move { store.create_team(&team(&number.to_string()), &[]).await });
    }
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let deadline = Instant::now() + PATIENCE;
    while other.fetch_one(waiting).await.unwrap().get::<i64, _>(0) == 0 {
        assert!(Instant::now() < deadline, "nobody waits");
    }
    let read = async {
        store.identity("k").await.unwrap();
        assert_eq!(store.changes(1).await.unwrap().generation, 1);
        assert_eq!(store.reserved().await.unwrap().1, ["t"]);
        assert_eq!(store.tags(None).await.unwrap().len(), 1);
        let team = Change { kind: Kind::Team, id: "a".to_owned() };
        assert_eq!(store.spent(&team).await.unwrap(), Some(crate::place::usd(0.0)));
    };
    timeout(Duration::from_secs(2), read).await.expect("it waits for writers");
    other.execute("COMMIT").await.unwrap();
    writing.join_all().await.into_iter().for_each(|written| written.unwrap());
}

/// As through a pool that gives every transaction another session.
#[tokio::test]
async fn a_store_works_without_prepared_statements() {
    let store = opened(&format!("{}?schema=public&pgbouncer=true", Postgres::database())).await;
    store.create_team(&team("a"), &texts(&["t"])).await.unwrap();
    store.create_key(&key("k")).await.unwrap();
    assert!(store.identity("k").await.unwrap().is_some());
    assert_eq!(store.reserved().await.unwrap(), (2, texts(&["t"])));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "these are notes ".repeat(1000)).unwrap();
    let refused = SqliteStore::open(&path).await.map(|_| ()).unwrap_err();
    assert!(matches!(&refused, StoreError::Broken(why) if why.contains("notes.txt")), "{refused}");
    let nowhere = folder.path().join("no/such/folder/store.db");
    let refused = SqliteStore::open(&nowhere).await.map(|_| ()).unwrap_err();
    assert!(matches!(&refused, StoreError::Unavailable(why) if why.contains("store.db")), "{refused}");
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::sqlite();
    place.open().await.create_team(&team("a"), &[]).await.unwrap();
    let path = place.address.strip_prefix("sqlite:").unwrap();
    for end in ["", "-wal", "-shm"] {
        let mode = std::fs::metadata(format!("{path}{end}")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{end}");
    }
}
