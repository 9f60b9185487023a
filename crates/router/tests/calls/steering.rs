//! A client chooses among what it may reach and steers no further (rows D12, D31).

use serde_json::json;
use tagrail::Refusal;
use tagrail_testkit::{FakeUpstream, Reply, deployment};

use crate::rig::{Rig, served};

/// A group of two that fall back on `f`; only `open` allows a client's key.
fn half_open(more: &serde_json::Value) -> Rig {
    let upstream = FakeUpstream::start();
    let mut list = ["closed", "open"].map(|id| deployment("g", id, &[], &upstream.base())).to_vec();
    list[1]["litellm_params"]["configurable_clientside_auth_params"] = json!(["api_key"]);
    list.push(deployment("f", "f", &[], &upstream.base()));
    Rig::of(upstream, &list, more)
}

#[tokio::test]
async fn a_clients_key_base_and_headers_are_refused_and_nothing_is_sent() {
    let rig = Rig::new(&[("g", "a", &[])], &json!({}));
    for (field, value) in [
        ("api_key", json!("sk-mine")),
        ("api_base", json!("http://127.0.0.1:1/v1")),
        ("base_url", json!("http://127.0.0.1:1/v1")),
        ("headers", json!({"x": "y"})),
        ("extra_headers", json!({"x": "y"})),
        ("custom_llm_provider", json!("anthropic")),
        ("model_group_alias", json!({"g": "h"})),
        ("extra_body", json!({"model": "other"})),
    ] {
        let error = rig.chat("g", json!({ field: value })).await.unwrap_err();
        match error.refusal {
            Refusal::Body(refused) => {
                assert!(refused.status == 400 || refused.status == 401, "{field}: {refused:?}");
                assert!(refused.message.contains(field), "{field}: {}", refused.message);
            }
            other => panic!("{field}: {other:?}"),
        }
    }
    assert!(rig.asked().is_empty());
}

#[tokio::test]
async fn a_steered_call_does_not_reach_a_fallback_either() {
    let rig = Rig::new(
        &[("g", "a", &[]), ("f", "b", &[])],
        &json!({"router_settings": {"fallbacks": [{"g": ["f"]}]}}),
    );
    rig.chat("g", json!({"api_key": "sk-mine"})).await.unwrap_err();
    rig.chat("g", json!({"fallbacks": [{"model": "f", "api_base": "http://127.0.0.1:1"}], "timeout": 5}))
        .await
        .unwrap();
    assert_eq!(rig.asked(), ["a"]);
}

#[tokio::test]
async fn a_field_is_served_by_whoever_allows_it_whatever_the_draw() {
    let rig = half_open(&json!({}));
    for _ in 0..8 {
        assert_eq!(served(&rig.chat("g", json!({"api_key": "sk-mine"})).await.unwrap()), "open");
    }
}

#[tokio::test]
async fn what_the_upstream_says_is_told_before_what_another_deployment_does_not_allow() {
    for _ in 0..8 {
        let rig = half_open(&json!({"router_settings": {"num_retries": 0}}));
        rig.upstream.otherwise(Reply::error(403));
        let error = rig.chat("g", json!({"api_key": "sk-mine"})).await.unwrap_err();
        assert_eq!(error.refusal.status(), 403);
        assert_eq!(rig.asked(), ["open"]);
    }
}

#[tokio::test]
async fn a_refused_field_never_leads_to_another_group() {
    let rig = half_open(&json!({"router_settings": {"fallbacks": [{"g": ["f"]}]}}));
    let error = rig.chat("g", json!({"extra_headers": {"x": "y"}})).await.unwrap_err();
    assert!(matches!(error.refusal, Refusal::Body(_)), "{:?}", error.refusal);
    assert!(rig.asked().is_empty());
}

#[tokio::test]
async fn an_unfit_deployment_behind_a_failed_order_ends_the_walk() {
    let upstream = FakeUpstream::start();
    let mut list = ["open", "closed"].map(|id| deployment("g", id, &[], &upstream.base()));
    list[0]["litellm_params"]["order"] = json!(1);
    list[0]["litellm_params"]["configurable_clientside_auth_params"] = json!(["api_key"]);
    list[1]["litellm_params"]["order"] = json!(2);
    let rig = Rig::of(upstream, &list, &json!({"router_settings": {"num_retries": 0}}));
    rig.upstream.otherwise(Reply::error(500));
    let error = rig.chat("g", json!({"api_key": "sk-mine"})).await.unwrap_err();
    assert_eq!(error.refusal.status(), 500);
    assert_eq!(rig.asked(), ["open"]);
}

#[tokio::test]
async fn a_deployment_without_an_address_is_passed_over() {
    let upstream = FakeUpstream::start();
    let wild = |id: &str| {
        let mut one = deployment("*", id, &[], &upstream.base());
        one["litellm_params"]["model"] = json!("*");
        one
    };
    let mut list = [wild("nowhere"), wild("here")];
    list[0]["litellm_params"].as_object_mut().unwrap().remove("api_base");
    let rig = Rig::of(upstream, &list, &json!({}));
    for _ in 0..8 {
        assert_eq!(served(&rig.chat("hosted_vllm/m", json!({})).await.unwrap()), "here");
    }
}

#[tokio::test]
async fn what_the_operator_notes_of_a_deployment_is_sent_to_no_provider() {
    let upstream = FakeUpstream::start();
    let mut noted = deployment("g", "a", &[], &upstream.base());
    for key in ["metadata", "litellm_metadata", "cache"] {
        noted["litellm_params"][key] = json!({"owner": "finance"});
    }
    noted["litellm_params"]["temperature"] = json!(0.5);
    let rig = Rig::of(upstream, &[noted], &json!({}));
    rig.chat("g", json!({})).await.unwrap();
    let sent = rig.upstream.requests()[0].json();
    assert_eq!(sent["temperature"], 0.5);
    assert!(!sent.to_string().contains("finance"), "{sent}");
}
