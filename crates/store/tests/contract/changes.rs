//! Generations: nobody misses a change.

use std::collections::BTreeSet;

use tagrail_store::{Change, Kind, StoreError, Team, Timestamp};

use crate::place::{Place, key_of, tag, team, texts, user};

fn change(kind: Kind, id: &str) -> Change {
    Change { kind, id: id.to_owned() }
}

pub(crate) async fn every_change_is_seen_once_and_in_order(place: Place) {
    let (store, other) = (place.open().await, place.open().await);
    assert_eq!(other.changes(0).await.unwrap().changes, None);
    store.create_team(&team("a"), &texts(&["t"])).await.unwrap();
    store.create_key(&key_of("k", "a")).await.unwrap();
    store.create_user(&user("u")).await.unwrap();
    store.update_team(&team("a"), &[]).await.unwrap();

    let seen = other.changes(1).await.unwrap();
    let expected = [change(Kind::Key, "k"), change(Kind::Team, "a"), change(Kind::User, "u")];
    let changes: BTreeSet<_> = seen.changes.unwrap().into_iter().collect();
    assert_eq!(changes, BTreeSet::from(expected));
    let newest = other.changes(seen.generation).await.unwrap();
    assert_eq!((newest.generation, newest.changes), (seen.generation, Some(vec![])));

    store.create_tag(&tag("x")).await.unwrap();
    store.delete_tag("t").await.unwrap();
    store.replace_key("k", &key_of("k2", "a")).await.unwrap();
    store.delete_teams(&texts(&["a"])).await.unwrap();
    let last = other.changes(seen.generation).await.unwrap();
    let expected = [
        change(Kind::Tag, "x"),
        change(Kind::Tag, "t"),
        change(Kind::Key, "k"),
        change(Kind::Key, "k2"),
        change(Kind::Team, "a"),
    ];
    let changes = last.changes.unwrap();
    assert_eq!(changes.iter().cloned().collect::<BTreeSet<_>>(), BTreeSet::from(expected));
    assert_eq!(changes.len(), 5);
}

pub(crate) async fn what_fails_changes_nothing(place: Place) {
    let store = place.open().await;
    store.create_team(&team("a"), &[]).await.unwrap();
    assert!(store.create_team(&team("a"), &[]).await.is_err());
    assert!(store.delete_keys(&texts(&["nope"])).await.is_err());
    assert_eq!(store.reset_budgets(Timestamp::now()).await.unwrap(), []);
    assert_eq!(store.changes(1).await.unwrap().generation, 1);
}

pub(crate) async fn what_is_forgotten_is_said(place: Place) {
    let store = place.open().await;
    store.create_team(&team("a"), &[]).await.unwrap();
    // Far on, where the log is cut: the next change is the one that cuts it.
    place.sql("UPDATE tagrail_generation SET value = 19999").await;
    store.create_team(&team("b"), &[]).await.unwrap();
    assert_eq!(store.changes(1).await.unwrap().changes, None);
    assert_eq!(store.changes(9_999).await.unwrap().changes, None);
    let known = store.changes(10_000).await.unwrap();
    assert_eq!((known.generation, known.changes), (20_000, Some(vec![change(Kind::Team, "b")])));
    assert_eq!(place.sql("SELECT CAST(count(*) AS TEXT) FROM tagrail_changes").await, ["1"]);
    // One from before a backup was put back is as good as none.
    assert_eq!(store.changes(30_000).await.unwrap().changes, None);
}

/// Several stores write while another reads: whoever follows the generations has seen everything, and
/// nothing is committed behind one that was seen.
pub(crate) async fn writers_lose_no_change(place: Place) {
    const WRITERS: usize = 4;
    const EACH: usize = 25;
    let reader = place.open().await;
    reader.create_team(&team("first"), &[]).await.unwrap();
    let mut writing = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let store = place.open().await;
        writing.spawn(async move {
            for number in 0..EACH {
                store.create_team(&team(&format!("{writer}.{number}")), &texts(&["t"])).await.unwrap();
            }
        });
    }
    let (mut seen, mut last) = (BTreeSet::new(), 1);
    let deadline = tokio::time::Instant::now() + tagrail_testkit::PATIENCE;
    while seen.len() < WRITERS * EACH {
        assert!(tokio::time::Instant::now() < deadline, "seen {} at {last}", seen.len());
        let changes = reader.changes(last).await.unwrap();
        assert!(changes.generation >= last);
        for change in changes.changes.unwrap() {
            if change.kind == Kind::Team {
                // What is said to have changed is there to be read.
                assert!(reader.team(&change.id).await.unwrap().is_some());
                assert!(seen.insert(change.id.clone()), "{change:?} twice");
            }
        }
        last = changes.generation;
    }
    writing.join_all().await;
    assert_eq!(reader.changes(last).await.unwrap().generation, (WRITERS * EACH + 1) as i64);
}

/// Read, change, write back, and again on a conflict: every change arrives.
pub(crate) async fn an_update_is_lost_by_nobody(place: Place) {
    let store = place.open().await;
    store.create_team(&team("a"), &[]).await.unwrap();
    let mut writing = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let store = place.open().await;
        writing.spawn(async move {
            let mut left = 10;
            while left > 0 {
                let mut team = store.team("a").await.unwrap().unwrap();
                team.models.push(format!("{writer}.{left}"));
                match store.update_team(&team, &[]).await {
                    Ok(_) => left -= 1,
                    Err(StoreError::Conflict) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
    writing.join_all().await;
    let Team { models, version, .. } = store.team("a").await.unwrap().unwrap();
    assert_eq!((models.len(), version), (40, 40));
}
