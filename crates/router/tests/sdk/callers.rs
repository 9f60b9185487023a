//! Callers that a program makes itself: what they hold is what they reach.

use tagrail::{Caller, Error, Router};
use tagrail_testkit::FakeUpstream;

use crate::{ask, at, builder};

fn router(upstream: &FakeUpstream) -> Router {
    builder().model_list(["one", "two", "three"].map(|name| at(upstream, name, name))).build().unwrap()
}

/// Who answers; `None` for a name that a list of the caller's does not admit.
async fn asked(router: &Router, model: &str, caller: &Caller) -> Option<String> {
    match router.completion(ask(model).caller(caller.clone())).await {
        Ok(reply) => Some(reply.facts.deployment_id().to_owned()),
        Err(Error::Denied(_)) => None,
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn lists_of_a_key_and_of_its_team_both_have_to_admit_a_name() {
    let upstream = FakeUpstream::start();
    let router = router(&upstream);
    let caller = Caller::confined().key_models(["one", "two"]).team_models(["tw*", "three"]);
    assert_eq!(asked(&router, "one", &caller).await, None);
    assert_eq!(asked(&router, "two", &caller).await.as_deref(), Some("two"));
    assert_eq!(asked(&router, "three", &caller).await, None);
    let told = |error: Error| error.to_string();
    let of_key = router.completion(ask("three").caller(caller.clone())).await.map(drop).map_err(told);
    let of_team = router.completion(ask("one").caller(caller)).await.map(drop).map_err(told);
    assert!(of_key.as_ref().is_err_and(|told| told.contains("key")), "{of_key:?}");
    assert!(of_team.as_ref().is_err_and(|told| told.contains("team")), "{of_team:?}");
    assert_eq!(
        asked(&router, "one", &Caller::confined()).await.as_deref(),
        Some("one"),
        "no list is no limit"
    );
}

#[tokio::test]
async fn a_list_may_be_said_in_parts() {
    let upstream = FakeUpstream::start();
    let router = router(&upstream);
    for caller in [
        Caller::confined().key_models(["one"]).key_models(["two"]),
        Caller::confined().team_models(["one"]).team_models(["two"]),
    ] {
        assert_eq!(asked(&router, "one", &caller).await.as_deref(), Some("one"));
        assert_eq!(asked(&router, "two", &caller).await.as_deref(), Some("two"));
        assert_eq!(asked(&router, "three", &caller).await, None);
    }
}

#[tokio::test]
async fn a_keys_alias_comes_before_its_teams() {
    let upstream = FakeUpstream::start();
    let router = router(&upstream);
    for caller in [
        Caller::confined().key_alias("mine", "one").team_alias("mine", "two"),
        Caller::confined().team_alias("mine", "two").key_alias("mine", "one"),
    ] {
        assert_eq!(asked(&router, "mine", &caller).await.as_deref(), Some("one"));
    }
    let lists = || Caller::confined().key_models(["one"]).team_models(["one"]);
    let alias = lists().team_alias("theirs", "two");
    assert_eq!(asked(&router, "theirs", &alias).await, None, "a key with a list has to have it there");
    let alias = Caller::confined().team_models(["one"]).team_alias("theirs", "two");
    assert_eq!(asked(&router, "theirs", &alias).await.as_deref(), Some("two"), "the team's list need not");
    let alias = Caller::confined().team_models(["one"]).key_alias("own", "two");
    assert_eq!(asked(&router, "own", &alias).await, None, "but for aliases of the team's alone");
    assert_eq!(asked(&router, "one", &lists()).await.as_deref(), Some("one"));
}

#[tokio::test]
async fn tags_of_a_key_stand_before_its_teams() {
    let upstream = FakeUpstream::start();
    let list = [at(&upstream, "g", "a").tags(["key", "team", "call"])];
    let router = builder().model_list(list).tag_filtering(true).build().unwrap();
    for caller in [
        Caller::confined().key_tags(["key"]).team_tags(["team"]),
        Caller::confined().team_tags(["team"]).key_tags(["key"]),
    ] {
        let reply = router.completion(ask("g").tags(["call"]).caller(caller)).await.unwrap();
        assert_eq!(reply.decision().unwrap().tags, ["key", "team", "call"]);
    }
}
