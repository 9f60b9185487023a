//! Teams, keys, users, tags.

use serde_json::{Map, json};
use tagrail_store::{
    Budget, Deleted, Key, KeyFilter, Limits, Member, Page, StoreError, Tag, Team, TeamFilter, Timestamp, User,
};

use crate::place::{Place, key, key_of, now, tag, team, texts, usd, user};

fn budget() -> Budget {
    Budget {
        max: Some(usd(0.1) + usd(0.2)),
        soft: Some(usd(1e-7)),
        duration: Some("30d".to_owned()),
        reset_at: Some(Timestamp::parse("2026-12-01").unwrap()),
    }
}

fn limits() -> Limits {
    let models = |limit| [("gpt 4o".to_owned(), limit)].into();
    Limits { rpm: Some(0), tpm: Some(7), parallel: Some(1), model_rpm: models(2), model_tpm: models(3) }
}

fn map() -> Map<String, serde_json::Value> {
    let value = json!({"z": [1, 2.5, null], "a": {"deep": "ü\u{0}\n\"'"}});
    value.as_object().unwrap().clone()
}

fn full_team(id: &str) -> Team {
    let member = Member { user_id: Some("u1".to_owned()), role: "admin".to_owned(), ..Member::default() };
    Team {
        alias: Some("Team A".to_owned()),
        tags: texts(&["teamA", "&x", "!y"]),
        models: texts(&["g*"]),
        model_aliases: [("a".to_owned(), "b".to_owned())].into(),
        limits: limits(),
        budget: budget(),
        blocked: true,
        members: vec![member, Member { user_email: Some("a@b".to_owned()), ..Member::default() }],
        metadata: map(),
        kept: map(),
        spend: usd(1.25),
        ..team(id)
    }
}

fn full_key(hash: &str) -> Key {
    Key {
        name: "sk-...abcd".to_owned(),
        alias: Some("alias".to_owned()),
        user_id: Some("nobody yet".to_owned()),
        tags: texts(&["t"]),
        models: texts(&["all-team-models"]),
        aliases: [("x".to_owned(), "g".to_owned())].into(),
        limits: limits(),
        budget: budget(),
        blocked: true,
        expires: Some(now()),
        allowed_routes: texts(&["/v1/*"]),
        metadata: map(),
        kept: map(),
        spend: usd(0.75),
        last_active: Some(now()),
        created_by: Some("admin".to_owned()),
        ..key(hash)
    }
}

pub(crate) async fn a_team_is_kept_whole_and_changed_by_version(place: Place) {
    let store = place.open().await;
    let made = full_team("a");
    store.create_team(&made, &[]).await.unwrap();
    assert_eq!(store.team("a").await.unwrap().as_ref(), Some(&made));
    assert_eq!(store.team("A").await.unwrap(), None);

    // What was spent is the store's, whatever a record says that is written back.
    let changed = Team { blocked: false, spend: usd(100.0), budget: Budget::default(), ..made.clone() };
    let now_is = store.update_team(&changed, &[]).await.unwrap();
    assert_eq!(now_is, Team { spend: usd(1.25), version: 1, ..changed.clone() });
    assert_eq!(store.team("a").await.unwrap(), Some(now_is));
    let late = store.update_team(&changed, &[]).await;
    assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
}

pub(crate) async fn a_key_is_kept_whole_and_changed_by_version(place: Place) {
    let store = place.open().await;
    let made = full_key("aa");
    store.create_key(&made).await.unwrap();
    assert_eq!(store.key("aa").await.unwrap().as_ref(), Some(&made));

    let changed = Key { alias: None, spend: usd(9.0), last_active: None, ..made.clone() };
    let now_is = store.update_key(&changed).await.unwrap();
    assert_eq!(now_is, Key { spend: usd(0.75), last_active: Some(now()), version: 1, ..changed.clone() });
    assert_eq!(store.key("aa").await.unwrap(), Some(now_is));
    let late = store.update_key(&changed).await;
    assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");

    store.delete_keys(&texts(&["aa"])).await.unwrap();
    assert_eq!(store.key("aa").await.unwrap(), None);
    assert_eq!(store.identity("aa").await.unwrap(), None);
}

pub(crate) async fn a_user_is_kept_whole_and_takes_its_keys_with_it(place: Place) {
    let store = place.open().await;
    let made = User {
        email: Some("a@b".to_owned()),
        role: Some("internal_user".to_owned()),
        models: texts(&["g"]),
        limits: limits(),
        budget: budget(),
        metadata: map(),
        kept: map(),
        ..user("u")
    };
    store.create_user(&made).await.unwrap();
    assert_eq!(store.user("u").await.unwrap().as_ref(), Some(&made));
    let changed = User { alias: Some("U".to_owned()), ..made.clone() };
    let now_is = store.update_user(&changed).await.unwrap();
    assert_eq!(now_is, User { version: 1, ..changed.clone() });
    assert!(matches!(store.update_user(&changed).await, Err(StoreError::Conflict)));

    store.create_key(&Key { user_id: Some("u".to_owned()), ..key("k1") }).await.unwrap();
    store.create_key(&Key { user_id: Some("v".to_owned()), ..key("k2") }).await.unwrap();
    assert_eq!(store.delete_users(&texts(&["u"])).await.unwrap(), texts(&["k1"]));
    assert_eq!(store.user("u").await.unwrap(), None);
    assert_eq!(store.key("k1").await.unwrap(), None);
    assert!(store.key("k2").await.unwrap().is_some());
}

pub(crate) async fn a_tag_is_kept_whole_and_changed_by_version(place: Place) {
    let store = place.open().await;
    let made = Tag {
        description: Some("ours".to_owned()),
        models: texts(&["m"]),
        limits: limits(),
        budget: budget(),
        kept: map(),
        ..tag("b")
    };
    store.create_tag(&made).await.unwrap();
    store.create_tag(&tag("a")).await.unwrap();
    let changed = Tag { reserved: Some(false), ..made.clone() };
    let now_is = store.update_tag(&changed).await.unwrap();
    assert_eq!(now_is, Tag { version: 1, ..changed.clone() });
    assert!(matches!(store.update_tag(&changed).await, Err(StoreError::Conflict)));

    assert_eq!(store.tags(None).await.unwrap(), [tag("a"), now_is.clone()]);
    assert_eq!(store.tags(Some(&texts(&["c", "b"]))).await.unwrap(), [now_is]);
    assert_eq!(store.tags(Some(&[])).await.unwrap(), []);
    store.delete_tag("b").await.unwrap();
    assert_eq!(store.tags(None).await.unwrap(), [tag("a")]);
}

#[track_caller]
fn assert_taken<T: std::fmt::Debug>(done: Result<T, StoreError>, of: &str, which: &str) {
    match done {
        Err(StoreError::Taken { field, value }) => assert_eq!((field, value.as_str()), (of, which)),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_missing<T: std::fmt::Debug>(done: Result<T, StoreError>, of: &str, which: &str) {
    match done {
        Err(StoreError::Missing { field, value }) => assert_eq!((field, value.as_str()), (of, which)),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn what_is_taken_is_named(place: Place) {
    let store = place.open().await;
    store.create_team(&team("a"), &[]).await.unwrap();
    store.create_user(&user("u")).await.unwrap();
    store.create_tag(&tag("t")).await.unwrap();
    store.create_key(&Key { alias: Some("one".to_owned()), ..key("k1") }).await.unwrap();
    store.create_key(&Key { alias: Some("two".to_owned()), ..key("k2") }).await.unwrap();
    store.create_key(&key("k3")).await.unwrap();
    store.create_key(&key("k4")).await.unwrap();

    assert_taken(store.create_team(&team("a"), &[]).await, "team_id", "a");
    assert_taken(store.create_user(&user("u")).await, "user_id", "u");
    assert_taken(store.create_tag(&tag("t")).await, "tag", "t");
    assert_taken(store.create_key(&key("k1")).await, "key", "k1");
    let one = |hash| Key { alias: Some("one".to_owned()), ..key(hash) };
    assert_taken(store.create_key(&one("k9")).await, "key_alias", "one");
    assert_taken(store.update_key(&one("k2")).await, "key_alias", "one");
    assert_taken(store.replace_key("k2", &key("k1")).await, "key", "k1");
    assert_taken(store.replace_key("k2", &one("k9")).await, "key_alias", "one");
}

pub(crate) async fn what_is_missing_is_named(place: Place) {
    let store = place.open().await;
    store.create_key(&key("k")).await.unwrap();
    assert_missing(store.update_team(&team("a"), &[]).await, "team_id", "a");
    assert_missing(store.delete_teams(&texts(&["a"])).await, "team_id", "a");
    assert_missing(store.create_key(&key_of("k9", "a")).await, "team_id", "a");
    assert_missing(store.update_key(&key_of("k", "a")).await, "team_id", "a");
    assert_missing(store.update_key(&key("k9")).await, "key", "k9");
    assert_missing(store.replace_key("k9", &key("k8")).await, "key", "k9");
    assert_missing(store.delete_keys(&texts(&["k9"])).await, "key", "k9");
    assert_missing(store.update_user(&user("u")).await, "user_id", "u");
    assert_missing(store.delete_users(&texts(&["u"])).await, "user_id", "u");
    assert_missing(store.update_tag(&tag("t")).await, "tag", "t");
    assert_missing(store.delete_tag("t").await, "tag", "t");
    assert_eq!(store.team("a").await.unwrap(), None);
    assert_eq!(store.user("u").await.unwrap(), None);
}

pub(crate) async fn a_deleted_team_takes_its_keys_with_it(place: Place) {
    let store = place.open().await;
    for id in ["a", "b", "c"] {
        store.create_team(&full_team(id), &[]).await.unwrap();
    }
    for (hash, team) in [("a1", "a"), ("a2", "a"), ("b1", "b"), ("c1", "c")] {
        store.create_key(&key_of(hash, team)).await.unwrap();
    }
    let mut deleted = store.delete_teams(&texts(&["b", "a"])).await.unwrap();
    deleted.teams.sort();
    deleted.keys.sort();
    assert_eq!(deleted, Deleted { teams: texts(&["a", "b"]), keys: texts(&["a1", "a2", "b1"]) });
    let left = store.keys(&KeyFilter::default(), None).await.unwrap();
    assert_eq!(left.items, [key_of("c1", "c")]);
    assert_eq!(store.identity("a1").await.unwrap(), None);
    let of_member = TeamFilter { user_id: Some("u1".to_owned()), ..TeamFilter::default() };
    assert_eq!(store.teams(&of_member, None).await.unwrap().total, 1);
}

pub(crate) async fn nothing_is_deleted_when_one_of_them_is_missing(place: Place) {
    let store = place.open().await;
    store.create_team(&team("a"), &[]).await.unwrap();
    store.create_user(&user("u")).await.unwrap();
    let made = Key { user_id: Some("u".to_owned()), ..key_of("k", "a") };
    store.create_key(&made).await.unwrap();
    assert_missing(store.delete_teams(&texts(&["a", "nope"])).await, "team_id", "nope");
    assert_missing(store.delete_users(&texts(&["u", "nope"])).await, "user_id", "nope");
    assert_missing(store.delete_keys(&texts(&["k", "nope"])).await, "key", "nope");
    assert_eq!(store.key("k").await.unwrap(), Some(made));
    assert!(store.team("a").await.unwrap().is_some());
    assert!(store.user("u").await.unwrap().is_some());
}

pub(crate) async fn a_key_brings_its_team_and_user(place: Place) {
    let store = place.open().await;
    store.create_team(&full_team("a"), &[]).await.unwrap();
    store.create_user(&user("u")).await.unwrap();
    store.create_key(&Key { user_id: Some("u".to_owned()), ..key_of("k", "a") }).await.unwrap();
    store.create_key(&Key { user_id: Some("gone".to_owned()), ..key("alone") }).await.unwrap();

    let all = store.identity("k").await.unwrap().unwrap();
    assert_eq!(all.team, Some(full_team("a")));
    assert_eq!(all.user, Some(user("u")));
    assert_eq!(all.key.team_id.as_deref(), Some("a"));
    let alone = store.identity("alone").await.unwrap().unwrap();
    assert_eq!((alone.team, alone.user), (None, None));
    assert_eq!(store.identity("nope").await.unwrap(), None);
}

pub(crate) async fn a_replaced_key_keeps_what_it_has_spent(place: Place) {
    let store = place.open().await;
    let made = full_key("old");
    store.create_key(&made).await.unwrap();
    let next = Key { hash: "new".to_owned(), name: "sk-...wxyz".to_owned(), spend: usd(0.0), ..made.clone() };
    let now_is = store.replace_key("old", &next).await.unwrap();
    assert_eq!(now_is, Key { spend: usd(0.75), version: 1, ..next });
    assert_eq!(store.key("old").await.unwrap(), None);
    assert_eq!(store.key("new").await.unwrap(), Some(now_is.clone()));
    let late = store.replace_key("new", &Key { version: 0, ..now_is }).await;
    assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
}

pub(crate) async fn lists_are_filtered_and_paged(place: Place) {
    let store = place.open().await;
    let at = |minutes: i64| now().plus_ms(minutes * 60_000);
    for (number, id) in (0..).zip(["c", "b", "a"]) {
        let mut made = Team { created_at: at(number), ..team(id) };
        if id == "b" {
            made.kept.insert("organization_id".to_owned(), json!("org"));
            made.members = full_team("b").members;
        }
        store.create_team(&made, &[]).await.unwrap();
        store.create_user(&User { created_at: at(number), ..user(id) }).await.unwrap();
        let user_id = (id != "a").then(|| "u".to_owned());
        let alias = Some(format!("alias {id}"));
        let made = Key { user_id, alias, created_at: at(number), ..key_of(&format!("k{id}"), id) };
        store.create_key(&made).await.unwrap();
    }
    let page = |number, size| Some(Page { number, size });
    let ids = |teams: Vec<Team>| teams.into_iter().map(|team| team.id).collect::<String>();
    let hashes = |keys: Vec<Key>| keys.into_iter().map(|key| key.hash).collect::<String>();

    let all = store.teams(&TeamFilter::default(), None).await.unwrap();
    assert_eq!((ids(all.items), all.total), ("cba".to_owned(), 3));
    let second = store.teams(&TeamFilter::default(), page(2, 2)).await.unwrap();
    assert_eq!((ids(second.items), second.total), ("a".to_owned(), 3));
    let beyond = store.teams(&TeamFilter::default(), page(u64::MAX, u64::MAX)).await.unwrap();
    assert_eq!((ids(beyond.items), beyond.total), (String::new(), 3));
    let of_member = TeamFilter { user_id: Some("u1".to_owned()), ..TeamFilter::default() };
    let of_organization = TeamFilter { organization_id: Some("org".to_owned()), ..TeamFilter::default() };
    assert_eq!(ids(store.teams(&of_member, None).await.unwrap().items), "b");
    assert_eq!(ids(store.teams(&of_organization, page(1, 9)).await.unwrap().items), "b");

    let of_user = KeyFilter { user_id: Some("u".to_owned()), ..KeyFilter::default() };
    let first = store.keys(&of_user, page(1, 1)).await.unwrap();
    assert_eq!((hashes(first.items), first.total), ("kc".to_owned(), 2));
    let of_both = KeyFilter { team_id: Some("b".to_owned()), ..of_user };
    assert_eq!(hashes(store.keys(&of_both, None).await.unwrap().items), "kb");
    let by_alias = KeyFilter { alias: Some("alias a".to_owned()), ..KeyFilter::default() };
    assert_eq!(hashes(store.keys(&by_alias, None).await.unwrap().items), "ka");

    let users = store.users(page(1, 2)).await.unwrap();
    assert_eq!((users.items[0].id.as_str(), users.items.len(), users.total), ("c", 2, 3));
}

pub(crate) async fn odd_names_are_kept(place: Place) {
    let store = place.open().await;
    for id in ["", " ", "'; DROP TABLE tagrail_teams; --", "%_\\", "ü🦀", "$1", "[\"a\"]"] {
        store.create_team(&team(id), &texts(&[id])).await.unwrap();
        store.create_key(&key_of(id, id)).await.unwrap();
        assert_eq!(store.team(id).await.unwrap().unwrap().id, id);
        assert_eq!(store.tags(Some(&texts(&[id]))).await.unwrap().len(), 1, "{id}");
        assert_eq!(store.delete_teams(&texts(&[id])).await.unwrap().keys, texts(&[id]));
    }
}
