//! Whom a caller reaches: its own aliases, its tags and those that are reserved, on every way into a
//! group, and whatever it writes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::HeaderValue;
use serde_json::{Value, json};
use tagrail::routing::{AccessList, Holder, NoRoute, Policy, Reservations, TagOrigin};
use tagrail::{Caller, Refusal};
use tagrail_testkit::{FakeUpstream, Gate, Reply, config_text, deployment};

use crate::books::team;
use crate::rig::{Rig, chat, resolved, served};

fn reserved(tags: &[&str]) -> Reservations {
    Reservations::Known(tags.iter().map(|tag| (*tag).to_owned()).collect::<BTreeSet<_>>())
}

/// Two teams' deployments in `g`, and a group `b` that is team B's alone.
fn rig(more: &Value) -> Rig {
    let mut settings = json!({"router_settings": {"num_retries": 0}});
    for (section, value) in more.as_object().into_iter().flatten() {
        settings[section] = value.clone();
    }
    let rig = Rig::new(
        &[("g", "team-a", &["teamA"]), ("g", "team-b", &["teamB"]), ("b", "b", &["teamB"])],
        &settings,
    );
    rig.router.reserve(reserved(&["teamA", "teamB"]));
    rig
}

fn a() -> Arc<Caller> {
    team(&["teamA"], Policy::default())
}

fn list(models: &[&str]) -> Policy {
    let models = models.iter().map(|model| (*model).to_owned()).collect();
    Policy { models: vec![AccessList { holder: Holder::Key, models, also: Vec::new() }], ..Policy::default() }
}

#[tokio::test]
async fn a_teams_tags_are_tags_of_its_calls() {
    let rig = rig(&json!({}));
    for (tag, id) in [("teamA", "team-a"), ("teamB", "team-b")] {
        for _ in 0..6 {
            let answer = rig.chat_as(&team(&[tag], Policy::default()), "g", json!({})).await.unwrap();
            assert_eq!(served(&answer), id);
        }
    }
}

#[tokio::test]
async fn nothing_that_a_client_writes_leads_to_another_teams_deployment() {
    let rig = rig(&json!({"router_settings": {"num_retries": 0, "fallbacks": [{"g": ["b"]}]}}));
    rig.upstream.always("team-a", Reply::error(500));
    let hostile = [
        json!({"tags": ["teamB"]}),
        json!({"tags": ["&teamB"]}),
        json!({"tags": ["!teamA"]}),
        json!({"tags": ["!teamA", "teamB"]}),
        json!({"metadata": {"tags": ["teamB"]}}),
        json!({"metadata": "{\"tags\": [\"teamB\"]}"}),
        json!({"litellm_metadata": {"tags": ["teamB"]}}),
        json!({"fallbacks": ["b"]}),
        json!({"fallbacks": ["team-b", "openai/team-b"]}),
        json!({"fallbacks": [{"model": "g", "tags": ["teamB"]}]}),
        json!({"fallbacks": [{"model": "g", "tags": [], "metadata": {"tags": ["!teamA"]}}]}),
        json!({"fallbacks": [{"g": ["b"]}]}),
        json!({"enable_tag_filtering": false}),
        json!({"force_tag_filtering": false, "tag_filtering_match_any": false}),
        json!({"extra_body": {"enable_tag_filtering": false}}),
        json!({"specific_deployment": true}),
        json!({"router_settings": {"enable_tag_filtering": false}}),
    ];
    for caller in [a(), team(&[], Policy::default())] {
        for model in ["g", "b", "team-b", "openai/team-b", "openai/b"] {
            for more in &hostile {
                let _ = rig.chat_as(&caller, model, more.clone()).await;
            }
        }
    }
    let asked = rig.asked();
    assert!(asked.contains(&"team-a".to_owned()));
    assert!(asked.iter().all(|id| id == "team-a"), "{asked:?}");
}

#[tokio::test]
async fn a_reserved_fallback_is_passed_over_without_a_word() {
    let rig = rig(&json!({"router_settings": {"num_retries": 0, "fallbacks": [{"g": ["b"]}]}}));
    rig.upstream.always("team-a", Reply::error(503));
    let error = rig.chat_as(&a(), "g", json!({})).await.unwrap_err();
    assert_eq!(error.refusal.status(), 503);
    assert_eq!(rig.asked(), ["team-a"]);
}

#[tokio::test]
async fn reservations_hold_for_every_configuration_to_come_whatever_numbers_its_tags_get() {
    let rig = rig(&json!({}));
    for turn in 0..6 {
        let mut tags = ["x", "teamB", "y", "teamA"];
        tags.rotate_left(turn % 4);
        let list: Vec<_> = tags
            .iter()
            .map(|tag| deployment("g", &format!("of-{tag}"), &[tag], &rig.upstream.base()))
            .collect();
        rig.router.replace(resolved(&config_text(&list, &json!({}))));
        for _ in 0..4 {
            let answer = rig.chat_as(&a(), "g", json!({"tags": ["teamB"]})).await.unwrap();
            assert_eq!(served(&answer), "of-teamA");
        }
        assert_eq!(
            served(&rig.chat("g", json!({"tags": ["teamB"]})).await.unwrap()),
            "of-teamB",
            "the operator"
        );
    }
}

#[tokio::test]
async fn a_new_reservation_holds_at_once_for_calls_under_an_old_configuration_too() {
    let rig = rig(&json!({}));
    rig.router.reserve(reserved(&[]));
    let old = rig.router.snapshot();
    rig.router
        .replace(resolved(&config_text(&[deployment("g", "new", &[], &rig.upstream.base())], &json!({}))));
    let call = || chat("b", json!({"tags": ["teamB"]})).by(a(), HeaderValue::from_static("c"));
    assert_eq!(served(&rig.router.call_under(&old, &call()).await.unwrap()), "b");
    rig.router.reserve(reserved(&["teamB"]));
    rig.router.call_under(&old, &call()).await.unwrap_err();
    assert_eq!(rig.asked(), ["b"]);
}

#[tokio::test]
async fn a_retry_does_not_reach_what_was_reserved_since_the_call_came() {
    for (since, asked) in [(&[][..], &["a", "b"][..]), (&["y"], &["a"])] {
        let upstream = FakeUpstream::start();
        let mut list =
            [("a", "x"), ("b", "y")].map(|(id, tag)| deployment("g", id, &[tag], &upstream.base()));
        list[0]["litellm_params"]["order"] = json!(1);
        list[1]["litellm_params"]["order"] = json!(2);
        let rig = Rig::of(upstream, &list, &json!({"router_settings": {"num_retries": 0}}));
        let gate = Gate::shut();
        rig.upstream.always("a", Reply::error(500).hold(&gate));
        let call = chat("g", json!({"tags": ["y"]}))
            .by(team(&["x"], Policy::default()), HeaderValue::from_static("c"));
        let router = rig.router.clone();
        let task =
            tokio::spawn(
                async move { router.call(&call).await.map_err(|error| error.refusal.status()).err() },
            );
        rig.upstream.exchange().await;
        rig.router.reserve(reserved(since));
        gate.open();
        let status = task.await.unwrap();
        assert_eq!(
            (rig.asked(), status),
            (asked.iter().map(|id| (*id).to_owned()).collect(), (!since.is_empty()).then_some(500))
        );
    }
}

#[tokio::test]
async fn what_a_configuration_reserves_is_reserved_from_its_first_moment() {
    let rig = rig(&json!({}));
    rig.router.reserve(reserved(&[]));
    rig.chat_as(&a(), "b", json!({"tags": ["teamB"]})).await.unwrap();
    let list = [deployment("b", "b", &["teamB"], &rig.upstream.base())];
    let settings = json!({"general_settings": {"reserved_tags": ["teamB"]}});
    rig.router.replace(resolved(&config_text(&list, &settings)));
    rig.chat_as(&a(), "b", json!({"tags": ["teamB"]})).await.unwrap_err();
}

#[tokio::test]
async fn while_reservations_are_unknown_tagged_deployments_are_nobodys() {
    let rig = rig(&json!({}));
    rig.router.reserve(Reservations::Unknown);
    let error = rig.chat_as(&a(), "g", json!({})).await.unwrap_err();
    assert!(matches!(error.refusal, Refusal::NoRoute(NoRoute::ReservationsUnknown)), "{:?}", error.refusal);
    rig.chat("g", json!({})).await.unwrap();
    rig.router.reserve(reserved(&["teamA", "teamB"]));
    assert_eq!(served(&rig.chat_as(&a(), "g", json!({})).await.unwrap()), "team-a");
}

#[tokio::test]
async fn a_client_may_only_name_fallbacks_that_its_lists_admit() {
    let rig = rig(&json!({}));
    let caller = team(&["teamA"], list(&["g"]));
    for fallbacks in [json!(["b"]), json!([{"model": "b"}]), json!([{"g": ["b"]}]), json!("b")] {
        let error = rig.chat_as(&caller, "g", json!({"fallbacks": fallbacks})).await.unwrap_err();
        let denied = matches!(&error.refusal, Refusal::NoRoute(NoRoute::ModelDenied { .. }));
        assert!(denied && error.model == "b", "{fallbacks}: {:?}", error.refusal);
    }
    assert!(rig.asked().is_empty());
    let error = rig.chat_as(&caller, "b", json!({"fallbacks": ["team-b"]})).await.unwrap_err();
    assert_eq!((error.refusal.status(), error.model.as_str()), (403, "b"), "the name asked for comes first");
    rig.chat_as(&caller, "g", json!({"fallbacks": ["g"]})).await.unwrap();
    rig.chat_as(&caller, "g", json!({"fallbacks": ["b"], "disable_fallbacks": true})).await.unwrap();
}

#[tokio::test]
async fn an_operators_fallback_needs_no_entry_and_a_refused_name_has_none() {
    let rig = Rig::new(
        &[("g", "g1", &[]), ("f", "f1", &[])],
        &json!({"router_settings": {"num_retries": 0, "fallbacks": [{"g": ["f"]}], "default_fallbacks": ["f"]}}),
    );
    rig.upstream.always("g1", Reply::error(500));
    assert_eq!(served(&rig.chat_as(&team(&[], list(&["g"])), "g", json!({})).await.unwrap()), "f1");
    let error = rig.chat_as(&team(&[], list(&["other"])), "g", json!({})).await.unwrap_err();
    assert_eq!(error.refusal.status(), 403);
    assert_eq!(rig.asked(), ["g1", "f1"]);
}

#[tokio::test]
async fn an_alias_is_its_callers_alone_and_brings_the_fallbacks_of_what_it_stands_for() {
    let rig = Rig::new(
        &[("g", "g1", &[]), ("f", "f1", &[])],
        &json!({"router_settings": {"num_retries": 0, "fallbacks": [{"g": ["f"]}]}}),
    );
    let aliases = BTreeMap::from([("mine".to_owned(), "g".to_owned()), ("f".to_owned(), "g".to_owned())]);
    let caller = team(&[], Policy { aliases, ..Policy::default() });
    assert_eq!(served(&rig.chat_as(&caller, "mine", json!({})).await.unwrap()), "g1");
    rig.chat_as(&a(), "mine", json!({})).await.unwrap_err();
    rig.upstream.always("g1", Reply::error(500));
    // The configuration's `f` is no alias of anybody's.
    assert_eq!(served(&rig.chat_as(&caller, "mine", json!({})).await.unwrap()), "f1");
}

#[tokio::test]
async fn a_forced_model_is_what_the_lists_are_asked_of() {
    let rig = Rig::new(
        &[("g", "g1", &[]), ("forced", "f1", &[])],
        &json!({"general_settings": {"completion_model": "forced"}}),
    );
    let error = rig.chat_as(&team(&[], list(&["g"])), "g", json!({})).await.unwrap_err();
    assert_eq!((error.refusal.status(), error.model.as_str()), (403, "forced"));
    assert_eq!(served(&rig.chat_as(&team(&[], list(&["forced"])), "g", json!({})).await.unwrap()), "f1");
}

#[tokio::test]
async fn an_explanation_is_the_callers_own() {
    let rig = rig(&json!({}));
    let call = || chat("g", json!({"tags": ["teamB"]}));
    let seen = |call| {
        let explained = rig.router.explain(&call).unwrap();
        let verdicts = explained.explanation.verdicts.into_iter();
        let ids: Vec<_> =
            verdicts.map(|verdict| explained.snapshot.spec(verdict.deployment).id.clone()).collect();
        (ids, explained.tags)
    };
    let (ids, tags) = seen(call().by(a(), HeaderValue::from_static("c")));
    assert_eq!(ids, ["team-a"]);
    assert_eq!(tags, [("teamA".to_owned(), TagOrigin::Team), ("teamB".to_owned(), TagOrigin::Body)]);
    assert_eq!(seen(call()).0, ["team-a", "team-b"]);
}
