//! What a program may say of its own call, and a client of a gateway may not.

use std::sync::Arc;

use http::HeaderValue;
use serde_json::{Value, json};
use tagrail::{Caller, Refusal};
use tagrail_testkit::{FakeUpstream, Reply, deployment};

use crate::rig::{Rig, chat, served, whole};

#[tokio::test]
async fn the_reply_keeps_the_upstreams_model() {
    let rig = Rig::new(&[("g", "a", &[])], &json!({}));
    let gateway = whole(rig.chat("g", json!({})).await.unwrap());
    let own = whole(rig.router.call(&chat("g", json!({})).in_process()).await.unwrap());
    assert_eq!((&gateway["model"], &own["model"]), (&json!("g"), &json!("a")));
}

#[tokio::test]
async fn a_key_and_an_address_count_for_this_call_alone() {
    let rig = Rig::new(&[("g", "a", &[])], &json!({}));
    let elsewhere = FakeUpstream::start();
    let fields = json!({"api_key": "sk-mine", "api_base": elsewhere.base()});
    rig.router.call(&chat("g", fields).in_process()).await.unwrap();
    rig.router.call(&chat("g", json!({})).in_process()).await.unwrap();
    let sent = |upstream: &FakeUpstream| {
        let requests = upstream.requests();
        assert_eq!(requests.len(), 1, "{requests:#?}");
        requests[0].header("authorization").to_owned()
    };
    assert_eq!(sent(&elsewhere), "Bearer sk-mine");
    assert_ne!(sent(&rig.upstream), "Bearer sk-mine");
}

#[tokio::test]
async fn an_address_of_its_own_does_not_get_the_deployments_key() {
    let rig = Rig::new(&[("g", "a", &[])], &json!({}));
    let elsewhere = FakeUpstream::start();
    rig.router.call(&chat("g", json!({"api_base": elsewhere.base()})).in_process()).await.unwrap();
    let sent = &elsewhere.requests()[0];
    assert!(sent.headers.iter().all(|(name, _)| name.as_str() != "authorization"), "{sent:#?}");
}

/// A program may pass on what somebody else wrote: address and credentials are then as open as to a client.
#[tokio::test]
async fn a_call_on_behalf_of_a_caller_does_not_choose_its_address() {
    let upstream = FakeUpstream::start();
    let mut open = deployment("open", "o", &[], &upstream.base());
    open["litellm_params"]["configurable_clientside_auth_params"] = json!(["api_key", "api_base"]);
    let list = [deployment("g", "a", &[], &upstream.base()), open];
    let listed = json!({"general_settings": {"provider_url_destination_allowed_hosts": ["127.0.0.1"]}});
    let rig = Rig::of(upstream, &list, &listed);
    let elsewhere = FakeUpstream::start();
    let ask = async |model: &str, fields: Value, caller: Caller| {
        let call = chat(model, fields).in_process().by(Arc::new(caller), HeaderValue::from_static("c"));
        rig.router.call(&call).await
    };
    for fields in [
        json!({"api_base": elsewhere.base()}),
        json!({"base_url": elsewhere.base()}),
        json!({"api_key": "sk-mine"}),
        json!({"extra_headers": {"x-tenant": "1"}}),
        json!({"fallbacks": [{"model": "g", "api_base": elsewhere.base()}], "api_base": elsewhere.base()}),
    ] {
        let refused = ask("g", fields.clone(), Caller::confined()).await.unwrap_err();
        assert!(matches!(refused.refusal, Refusal::Body(_)), "{fields}");
        ask("g", fields, Caller::default()).await.unwrap();
    }
    ask("open", json!({"api_key": "sk-mine"}), Caller::confined()).await.unwrap();
    let before = elsewhere.requests().len();
    let fields = json!({"api_base": elsewhere.base(), "api_key": "sk-mine"});
    ask("open", fields, Caller::confined()).await.unwrap();
    assert_eq!(elsewhere.requests().len(), before + 1);
    // Some addresses are none of a caller's, whatever a deployment allows.
    for base in ["http://169.254.169.254/v1", "http://[::1]:9/v1", "http://10.0.0.1/v1"] {
        let fields = json!({"api_base": base, "api_key": "sk-mine"});
        let inside = ask("open", fields, Caller::confined()).await.unwrap_err();
        assert_eq!(inside.refusal.status(), 400, "{base}");
    }
}

#[tokio::test]
async fn what_steers_past_the_router_stays_refused() {
    let rig = Rig::new(&[("g", "a", &[])], &json!({}));
    for field in ["custom_llm_provider", "model_list", "user_config"] {
        let call = chat("g", json!({ field: "x" })).in_process();
        assert_eq!(rig.router.call(&call).await.unwrap_err().refusal.status() / 100, 4, "{field}");
    }
    assert!(rig.asked().is_empty());
}

#[tokio::test]
async fn a_mocked_response_asks_nobody() {
    let rig = Rig::new(&[("g", "a", &[])], &json!({}));
    let fields = json!({"mock_response": "pretended"});
    let mocked = rig.router.call(&chat("g", fields.clone()).in_process()).await.unwrap();
    assert_eq!(whole(mocked)["choices"][0]["message"]["content"], "pretended");
    assert!(rig.asked().is_empty());
    rig.chat("g", fields).await.unwrap();
    assert_eq!(rig.asked(), ["a"], "a client cannot ask for it");
}

#[tokio::test]
async fn tag_filtering_can_be_switched_on_for_a_call() {
    let rig = Rig::new(&[("g", "a", &["x"]), ("g", "b", &["y"])], &json!({}));
    for _ in 0..16 {
        let fields = json!({"tags": ["y"], "enable_tag_filtering": true});
        assert_eq!(served(&rig.router.call(&chat("g", fields).in_process()).await.unwrap()), "b");
    }
}

/// LiteLLM's proxy refuses an unknown name before its router sees it; the router falls back.
#[tokio::test]
async fn an_unknown_name_falls_back_in_both_modes() {
    for mode in ["litellm", "tagrail"] {
        let settings = json!({"router_settings": {"default_fallbacks": ["g"], "routing_mode": mode}});
        let rig = Rig::new(&[("g", "a", &[])], &settings);
        let answer = rig.router.call(&chat("unknown", json!({})).in_process()).await.unwrap();
        assert_eq!(served(&answer), "a");
        assert_eq!(rig.chat("unknown", json!({})).await.is_ok(), mode == "tagrail");
    }
}

#[tokio::test]
async fn its_own_fallbacks_for_a_long_prompt_come_before_the_configured() {
    let settings = json!({"router_settings": {"context_window_fallbacks": [{"g": ["configured"]}]}});
    let rig = Rig::new(&[("g", "a", &[]), ("configured", "b", &[]), ("own", "c", &[])], &settings);
    let error = json!({"error": {"message": "too long", "code": "context_length_exceeded"}});
    rig.upstream.always("a", Reply::json(400, &error));
    let fields = json!({"context_window_fallbacks": [{"g": ["own"]}]});
    let answer = rig.router.call(&chat("g", fields).in_process()).await.unwrap();
    assert_eq!(served(&answer), "c");
}
