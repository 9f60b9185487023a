//! Opening, migrating, ending.

use tagrail_store::{SpendFilter, SpendRow, StoreError};

use crate::place::{Place, key, team, texts, usd};

pub(crate) async fn several_open_a_new_database_at_once(place: Place) {
    let place = std::sync::Arc::new(place);
    let mut opening = tokio::task::JoinSet::new();
    for number in 0..6 {
        let place = place.clone();
        opening.spawn(async move {
            let store = place.open().await;
            store.create_team(&team(&number.to_string()), &[]).await.unwrap();
        });
    }
    opening.join_all().await;
    let store = place.open().await;
    assert_eq!(store.teams(&Default::default(), None).await.unwrap().total, 6);
    assert_eq!(
        place.sql("SELECT name FROM tagrail_migrations ORDER BY number").await,
        ["0001_begin", "0002_money", "0003_store_id"]
    );
}

pub(crate) async fn what_was_acknowledged_is_there_after_a_drop(place: Place) {
    let store = place.open().await;
    store.create_team(&team("a"), &texts(&["t"])).await.unwrap();
    store.create_key(&key("k")).await.unwrap();
    let row = SpendRow { id: "1".to_owned(), key: "k".to_owned(), cost: usd(1.0), ..SpendRow::default() };
    store.settle(&[row]).await.unwrap();
    drop(store);
    let store = place.open().await;
    assert!(store.team("a").await.unwrap().is_some());
    assert_eq!(store.key("k").await.unwrap().unwrap().spend, usd(1.0));
    assert_eq!(store.spend(&SpendFilter::default()).await.unwrap().len(), 1);
    assert_eq!(store.reserved().await.unwrap(), (2, texts(&["t"])));
}

#[track_caller]
fn assert_refused(opened: Result<std::sync::Arc<dyn tagrail_store::Store>, StoreError>, why: &str) {
    match opened.map(|_| ()) {
        Err(StoreError::Broken(message)) => assert!(message.contains(why), "{message}"),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn a_newer_releases_database_is_refused(place: Place) {
    place.open().await.create_team(&team("a"), &[]).await.unwrap();
    place.sql("INSERT INTO tagrail_migrations (number, name) VALUES (99, '0099_beyond')").await;
    assert_refused(place.try_open().await, "newer release of Tagrail has changed it (migration 99");
    place.sql("DELETE FROM tagrail_migrations WHERE number = 99").await;
    place.sql("UPDATE tagrail_migrations SET name = '0001_other' WHERE number = 1").await;
    assert_refused(place.try_open().await, "`0001_other`");
}

/// What the first release has written down in floating-point dollars.
pub(crate) async fn amounts_of_the_first_release_become_exact(place: Place) {
    drop(place.open().await);
    for table in ["teams", "keys", "users", "tags", "daily"] {
        place.sql(format!("DROP TABLE tagrail_{table}").leak()).await;
    }
    let first = if place.is_postgres() {
        include_str!("../../migrations/postgres/0001_begin.sql")
    } else {
        include_str!("../../migrations/sqlite/0001_begin.sql")
    };
    // Comments hold semicolons, too.
    let first = first.lines().filter(|line| !line.trim_start().starts_with("--"));
    let first: &str = first.collect::<Vec<_>>().join("\n").leak();
    for statement in first.split(';').filter(|statement| {
        ["teams", "keys", "users", "tags", "daily"].iter().any(|table| {
            statement.contains(&format!("TABLE tagrail_{table} "))
                || statement.contains(&format!("ON tagrail_{table} "))
        })
    }) {
        place.sql(statement).await;
    }
    place.sql("DELETE FROM tagrail_migrations WHERE number = 2").await;
    for (name, spend) in
        [("noise", "0.30000000000000004"), ("zero", "0"), ("beyond", "1e300"), ("cent", "12.01")]
    {
        let body = format!(r#"{{"name": "{name}", "budget": {{"max": 0.3, "soft": null}}}}"#);
        let values = format!("('{name}', '{body}', {spend}, 0)");
        let insert = format!("INSERT INTO tagrail_tags (name, body, spend, version) VALUES {values}");
        place.sql(insert.leak()).await;
    }
    place
        .sql(
            "INSERT INTO tagrail_daily (spender, day, id, model, cost, input_tokens, output_tokens, requests, failed)
             VALUES ('key', '2026-11-21', 'k', 'm', 0.1, 1, 1, 1, 0)",
        )
        .await;
    let store = place.open().await;
    let tags = store.tags(None).await.unwrap();
    let spent: Vec<_> = tags.iter().map(|tag| (tag.name.as_str(), tag.spend)).collect();
    let expected = [
        ("beyond", tagrail_money::Money::MAX),
        ("cent", usd(12.01)),
        ("noise", usd(0.3)),
        ("zero", usd(0.0)),
    ];
    assert_eq!(spent, expected);
    assert_eq!(tags[0].budget.max, Some(usd(0.3)));
    let days = store.daily(tagrail_store::DailyBy::Key, &Default::default()).await.unwrap();
    assert_eq!(days[0].cost, usd(0.1));
}

pub(crate) async fn a_failed_migration_leaves_nothing(place: Place) {
    // Somebody else's table stands in the way of one that is made late.
    place.sql("CREATE TABLE tagrail_spend (mine TEXT)").await;
    assert!(matches!(place.try_open().await.map(|_| ()), Err(StoreError::Broken(_))));
    place.sql("DROP TABLE tagrail_spend").await;
    let store = place.open().await;
    store.create_team(&team("a"), &[]).await.unwrap();
    assert_eq!(store.changes(1).await.unwrap().generation, 1);
}

pub(crate) async fn a_closed_store_is_unavailable(place: Place) {
    let store = place.open().await;
    store.ping().await.unwrap();
    assert_eq!(store.name(), if place.is_postgres() { "postgresql" } else { "sqlite" });
    store.close().await;
    for asked in [store.ping().await, store.key("k").await.map(|_| ()), store.create_key(&key("k")).await] {
        assert!(matches!(asked, Err(StoreError::Unavailable(_))), "{asked:?}");
    }
}

/// Nor do those that wait for it, of whom there are more here than connections.
pub(crate) async fn a_writer_holds_up_no_lookup(place: Place) {
    let store = place.open().await;
    store.create_key(&key("k")).await.unwrap();
    let held = place.hold().await;
    let mut waiting = tokio::task::JoinSet::new();
    for number in 0..12 {
        let store = store.clone();
        waiting.spawn(async move { store.create_team(&team(&number.to_string()), &[]).await });
    }
    let begun = std::time::Instant::now();
    for _ in 0..20 {
        assert!(store.identity("k").await.unwrap().is_some());
        assert_eq!(store.changes(1).await.unwrap().generation, 1);
    }
    assert!(begun.elapsed().as_secs() < 1, "{:?}", begun.elapsed());
    drop(held);
    assert!(waiting.join_all().await.iter().all(Result::is_ok));
    assert_eq!(store.changes(1).await.unwrap().generation, 13);
}
