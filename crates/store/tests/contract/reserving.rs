//! Which tags only their holders reach.

use tagrail_store::{StoreError, Tag, Team};

use crate::place::{Place, key_of, tag, team, texts};

pub(crate) async fn the_first_grant_to_a_team_reserves(place: Place) {
    let store = place.open().await;
    assert_eq!(store.reserved().await.unwrap(), (0, vec![]));
    store.create_team(&team("a"), &texts(&["teamA", "x", "teamA"])).await.unwrap();
    assert_eq!(store.reserved().await.unwrap(), (1, texts(&["teamA", "x"])));
    store.update_team(&team("a"), &texts(&["y"])).await.unwrap();
    assert_eq!(store.reserved().await.unwrap(), (2, texts(&["teamA", "x", "y"])));

    // A key's tags are its own: they reserve nothing.
    let mut key = key_of("k", "a");
    key.tags = texts(&["z"]);
    store.create_key(&key).await.unwrap();
    assert_eq!(store.reserved().await.unwrap().1, texts(&["teamA", "x", "y"]));
}

pub(crate) async fn what_was_decided_stays(place: Place) {
    let store = place.open().await;
    store.create_tag(&Tag { reserved: Some(false), ..tag("open") }).await.unwrap();
    let undecided = Tag { description: Some("ours".to_owned()), ..tag("undecided") };
    store.create_tag(&undecided).await.unwrap();
    store.create_team(&team("a"), &texts(&["open", "undecided"])).await.unwrap();
    assert_eq!(store.reserved().await.unwrap().1, texts(&["undecided"]));
    let found = store.tags(Some(&texts(&["undecided"]))).await.unwrap();
    assert_eq!(found[0].description.as_deref(), Some("ours"));

    // Opened by hand, it is not closed again by the next team that gets it.
    store.update_tag(&Tag { reserved: Some(false), ..found[0].clone() }).await.unwrap();
    store.create_team(&team("b"), &texts(&["undecided"])).await.unwrap();
    assert_eq!(store.reserved().await.unwrap().1, texts(&[]));
}

pub(crate) async fn a_deleted_team_leaves_its_tags_reserved(place: Place) {
    let store = place.open().await;
    store.create_team(&team("a"), &texts(&["teamA"])).await.unwrap();
    store.update_team(&Team { blocked: true, ..team("a") }, &[]).await.unwrap();
    store.delete_teams(&texts(&["a"])).await.unwrap();
    assert_eq!(store.reserved().await.unwrap().1, texts(&["teamA"]));
}

pub(crate) async fn a_deleted_tag_stays_reserved(place: Place) {
    let store = place.open().await;
    store.create_team(&team("a"), &texts(&["teamA"])).await.unwrap();
    let found = store.tags(None).await.unwrap().remove(0);
    store.update_tag(&Tag { description: Some("ours".to_owned()), ..found }).await.unwrap();
    store.delete_tag("teamA").await.unwrap();
    assert_eq!(store.reserved().await.unwrap().1, texts(&["teamA"]));
    assert_eq!(store.tags(None).await.unwrap()[0].description, None);
    store.delete_tag("teamA").await.unwrap();
}

pub(crate) async fn a_failed_grant_reserves_nothing(place: Place) {
    let store = place.open().await;
    store.create_team(&team("a"), &[]).await.unwrap();
    assert!(store.create_team(&team("a"), &texts(&["t"])).await.is_err());
    let late = store.update_team(&Team { version: 7, ..team("a") }, &texts(&["t"])).await;
    assert!(matches!(late, Err(StoreError::Conflict)));
    assert_eq!(store.reserved().await.unwrap(), (1, vec![]));
}
