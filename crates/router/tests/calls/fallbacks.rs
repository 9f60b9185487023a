//! Which groups are asked when one fails.

use serde_json::json;
use tagrail::Refusal;
use tagrail::routing::NoRoute;
use tagrail_testkit::Reply;

use crate::rig::{Rig, served, whole};

fn rig(settings: serde_json::Value) -> Rig {
    let mut router = json!({"num_retries": 0, "disable_cooldowns": true});
    router.as_object_mut().unwrap().extend(settings.as_object().cloned().unwrap());
    let rig = Rig::new(
        &[("g", "g1", &[]), ("f1", "f1", &[]), ("f2", "f2", &[]), ("f3", "f3", &[])],
        &json!({ "router_settings": router }),
    );
    rig.upstream.always("g1", Reply::error(500));
    rig
}

#[tokio::test]
async fn a_list_is_walked_and_counted() {
    let rig = rig(json!({"fallbacks": [{"g": ["f1", "f2"]}]}));
    rig.upstream.always("f1", Reply::error(503));
    let answer = rig.chat("g", json!({})).await.unwrap();
    assert_eq!(rig.asked(), ["g1", "f1", "f2"]);
    assert_eq!((answer.facts.fallbacks, answer.facts.group.as_str()), (2, "f2"));
    assert_eq!(whole(answer)["model"], "f2", "a fallback's whole reply names the upstream's model");
    assert_eq!(*rig.records.0.lock().unwrap(), [("f2".to_owned(), 200, 3, false)]);
}

#[tokio::test]
async fn fallbacks_of_fallbacks_follow_and_count_as_litellm_counts() {
    let rig = rig(json!({"fallbacks": [{"g": ["f1"]}, {"f1": ["f2"]}]}));
    rig.upstream.always("f1", Reply::error(500));
    let answer = rig.chat("g", json!({})).await.unwrap();
    assert_eq!(rig.asked(), ["g1", "f1", "f2"]);
    assert_eq!(answer.facts.fallbacks, 1);
}

#[tokio::test]
async fn groups_that_fall_back_on_each_other_end() {
    for mode in ["tagrail", "litellm"] {
        let rig = rig(json!({"routing_mode": mode, "max_fallbacks": 2,
            "fallbacks": [{"g": ["f1"]}, {"f1": ["g"]}]}));
        rig.upstream.otherwise(Reply::error(500));
        rig.upstream.always("g1", Reply::error(502));
        let error = rig.chat("g", json!({})).await.unwrap_err();
        assert_eq!(error.refusal.status(), 502);
        assert_eq!(rig.asked(), ["g1", "f1"], "{mode}");
    }
}

#[tokio::test]
async fn in_an_outage_every_group_is_asked_once() {
    for mode in ["tagrail", "litellm"] {
        let dead = rig(json!({ "default_fallbacks": ["f1", "f2", "f3"], "routing_mode": mode }));
        dead.upstream.otherwise(Reply::error(500));
        dead.chat("g", json!({})).await.unwrap_err();
        assert_eq!(dead.asked(), ["g1", "f1", "f2", "f3"], "{mode}");
    }
}

#[tokio::test]
async fn a_group_that_was_asked_too_deep_still_leads_to_its_own_fallbacks() {
    let rig = rig(json!({"max_fallbacks": 2,
        "fallbacks": [{"g": ["f1", "f2"]}, {"f1": ["f2"]}, {"f2": ["f3"]}]}));
    rig.upstream.always("f1", Reply::error(500));
    rig.upstream.always("f2", Reply::error(500));
    assert_eq!(served(&rig.chat("g", json!({})).await.unwrap()), "f3");
    assert_eq!(rig.asked(), ["g1", "f1", "f2", "f3"]);
}

#[tokio::test]
async fn a_name_that_the_client_repeats_is_asked_once_and_with_other_fields_again() {
    for mode in ["tagrail", "litellm"] {
        let rig = rig(json!({ "routing_mode": mode }));
        rig.upstream.otherwise(Reply::error(500));
        let list = json!(["f1", "f1", "f2", {"model": "f1", "temperature": 0}, "f2"]);
        rig.chat("g", json!({ "fallbacks": list })).await.unwrap_err();
        assert_eq!(rig.asked(), ["g1", "f1", "f2", "f1"], "{mode}");
    }
}

#[tokio::test]
async fn defaults_come_after_a_list_of_ones_own() {
    let rig = rig(json!({"fallbacks": [{"g": ["f1"]}], "default_fallbacks": ["f2"]}));
    rig.upstream.always("f1", Reply::error(500));
    rig.chat("g", json!({})).await.unwrap();
    let asked = rig.asked();
    assert_eq!(
        (asked.first().map(String::as_str), asked.last().map(String::as_str)),
        (Some("g1"), Some("f2"))
    );
}

#[tokio::test]
async fn an_unknown_name_is_helped_by_the_defaults_in_tagrail_mode_alone() {
    let helped = rig(json!({"default_fallbacks": ["f2"]}));
    assert_eq!(served(&helped.chat("nobody", json!({})).await.unwrap()), "f2");
    let refused = rig(json!({"default_fallbacks": ["f2"], "routing_mode": "litellm"}));
    let error = refused.chat("nobody", json!({})).await.unwrap_err();
    assert!(matches!(error.refusal, Refusal::NoRoute(NoRoute::UnknownModel { .. })));
    assert!(refused.asked().is_empty());
}

#[tokio::test]
async fn the_client_names_or_forbids_them() {
    let rig = rig(json!({"fallbacks": [{"g": ["f1"]}]}));
    let answer = rig.chat("g", json!({"fallbacks": ["f3"]})).await.unwrap();
    assert_eq!(served(&answer), "f3");
    rig.chat("g", json!({"disable_fallbacks": true})).await.unwrap_err();
    let override_ = json!({"fallbacks": [{"model": "f2", "temperature": 0.25}]});
    assert_eq!(served(&rig.chat("g", override_).await.unwrap()), "f2");
    let last = rig.upstream.requests().pop().unwrap().json();
    assert_eq!(last["temperature"], 0.25);
    assert!(last.get("fallbacks").is_none());
}

#[tokio::test]
async fn a_fallback_never_leaves_what_tags_permit() {
    let rig = Rig::new(
        &[("g", "g-eu", &["eu"]), ("f", "f-us", &["us"]), ("f", "f-eu", &["eu"])],
        &json!({"router_settings": {"num_retries": 0, "fallbacks": [{"g": ["f"]}]}}),
    );
    rig.upstream.always("g-eu", Reply::error(500));
    for _ in 0..8 {
        assert_eq!(served(&rig.chat("g", json!({"tags": ["eu"]})).await.unwrap()), "f-eu");
    }
    let error = rig.chat("g", json!({"tags": ["&eu", "&us"]})).await.unwrap_err();
    assert!(matches!(error.refusal, Refusal::NoRoute(NoRoute::TagMismatch { .. })), "{:?}", error.refusal);
}

#[tokio::test]
async fn a_tag_mismatch_falls_back_too() {
    let rig = Rig::new(
        &[("g", "paid", &["paid"]), ("f", "free", &["free"])],
        &json!({"router_settings": {"fallbacks": [{"g": ["f"]}]}}),
    );
    assert_eq!(served(&rig.chat("g", json!({"tags": ["free"]})).await.unwrap()), "free");
}

#[tokio::test]
async fn a_full_context_has_a_list_of_its_own() {
    let rig = rig(json!({"fallbacks": [{"g": ["f1"]}], "context_window_fallbacks": [{"g": ["f3"]}]}));
    let text = json!({"error": {"message": "This model's maximum context length is 8192 tokens.",
        "type": "invalid_request_error", "code": "context_length_exceeded"}});
    rig.upstream.always("g1", Reply::json(400, &text));
    assert_eq!(served(&rig.chat("g", json!({})).await.unwrap()), "f3");
    rig.upstream.always("g1", Reply::error(400));
    assert_eq!(served(&rig.chat("g", json!({})).await.unwrap()), "f1");
}

#[tokio::test]
async fn the_first_error_is_the_one_that_is_told() {
    let rig = rig(json!({"fallbacks": [{"g": ["f1"]}]}));
    rig.upstream.always("f1", Reply::error(403));
    assert_eq!(rig.chat("g", json!({})).await.unwrap_err().refusal.status(), 500);
}
