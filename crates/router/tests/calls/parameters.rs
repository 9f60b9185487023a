//! What of `litellm_params` and of a client's body reaches the upstream: nothing that is the gateway's.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};
use tagrail::config::load_text;
use tagrail::{Call, Caller, Operation};
use tagrail_providers::gateway_parameters;
use tagrail_testkit::{FakeUpstream, config_text, deployment};

use crate::rig::{Rig, whole};

const CANARY: &str = "planted-canary-7f3a";

/// A deployment of its own for every name, which holds the canary.
fn planted(base: &str) -> Vec<Value> {
    let names = gateway_parameters().filter(|name| !matches!(*name, "model" | "api_base" | "mock_response"));
    names
        .map(|name| {
            let mut planted = deployment(&format!("group-{name}"), name, &[], base);
            planted["litellm_params"][name] = json!(CANARY);
            planted
        })
        .collect()
}

fn bodies(upstream: &FakeUpstream) -> Vec<String> {
    upstream.requests().iter().map(|it| String::from_utf8_lossy(&it.body).into_owned()).collect()
}

#[tokio::test]
async fn no_setting_of_a_deployment_is_sent() {
    let upstream = FakeUpstream::start();
    let list = planted(&upstream.base());
    let text = config_text(&list, &json!({}));
    let loaded = load_text(&text, Path::new("test.yaml"), &|_| None);
    // A text where a number belongs leaves a deployment out.
    let served: Vec<String> = loaded.resolved.unwrap().table.names().into_iter().map(str::to_owned).collect();
    assert!(served.len() > 400, "{} of {} are served", served.len(), list.len());
    let rig = Rig::of(upstream, &list, &json!({"router_settings": {"num_retries": 0}}));
    for group in &served {
        // Some name another address.
        let _ = rig.chat(group, json!({})).await;
    }
    let bodies = bodies(&rig.upstream);
    assert!(bodies.len() > 400, "{} calls arrived", bodies.len());
    for body in bodies {
        assert!(!body.contains(CANARY), "{body}");
    }
}

#[tokio::test]
async fn no_field_of_a_client_is_sent_that_is_the_gateways() {
    let upstream = FakeUpstream::start();
    let list = [deployment("g", "g", &[], &upstream.base())];
    let rig = Rig::of(upstream, &list, &json!({}));
    let names = gateway_parameters().chain(["_litellm_next", "litellm_next", "input_cost_per_smile"]);
    let mut passed = Vec::new();
    for name in names.filter(|name| *name != "model") {
        let mut body = json!({"model": "g", "messages": [{"role": "user", "content": "hi"}]});
        body[name] = json!(CANARY);
        let body = Bytes::from(body.to_string());
        let before = rig.upstream.requests().len();
        let read = Call::read(Operation::ChatCompletions, HeaderMap::new(), body, None);
        if let Ok(call) = read {
            let _ = rig.router.call(&call).await;
        }
        if bodies(&rig.upstream)[before..].iter().any(|body| body.contains(CANARY)) {
            passed.push(name);
        }
    }
    // These mean something to the gateway in a configuration only.
    let of_configurations = ["access_groups", "credential_values", "team_id", "max_input_tokens"];
    assert!(of_configurations.iter().all(|name| passed.contains(name)), "{passed:?}");
    for name in ["langfuse_secret_key", "fallbacks", "base_model", "tag_regex", "valkey_password", "rpd"] {
        assert!(!passed.contains(&name), "{name}");
    }
    assert!(passed.len() < 40, "{passed:?}");
}

#[tokio::test]
async fn parameters_of_a_call_are_sent_and_unknown_secrets_are_not() {
    let upstream = FakeUpstream::start();
    let mut all = deployment("g", "g", &[], &upstream.base());
    for (name, value) in [
        ("temperature", json!(0.5)),
        ("vendor_option", json!({"a": 1})),
        ("vendor_secret", json!(CANARY)),
        ("vendor_map", json!({"inner": [{"auth_token": CANARY}]})),
        ("api_kye", json!(CANARY)),
        ("extra_body", json!({"meant_key": "kept"})),
    ] {
        all["litellm_params"][name] = value;
    }
    let rig = Rig::of(upstream, &[all], &json!({}));
    whole(rig.chat("g", json!({})).await.unwrap());
    let body: Value = serde_json::from_slice(&rig.upstream.requests()[0].body).unwrap();
    assert_eq!(body["temperature"], 0.5);
    assert_eq!(body["vendor_option"], json!({"a": 1}));
    assert_eq!(body["meant_key"], "kept");
    assert!(!body.to_string().contains(CANARY), "{body}");
}

#[tokio::test]
async fn only_the_operator_reads_which_variable_is_missing() {
    let upstream = FakeUpstream::start();
    let mut keyless = deployment("g", "g", &[], &upstream.base());
    keyless["litellm_params"]["api_key"] = json!("os.environ/NAME_OF_THE_OPERATORS");
    let rig = Rig::of(upstream, &[keyless], &json!({}));
    let told = rig.chat("g", json!({})).await.unwrap_err().told().text();
    assert!(told.contains("NAME_OF_THE_OPERATORS") && told.contains("OPENAI_API_KEY"), "{told}");
    let caller = Arc::new(Caller::confined());
    let told = rig.chat_as(&caller, "g", json!({})).await.unwrap_err().told().text();
    for part in ["NAME_OF_THE_OPERATORS", "OPENAI_API_KEY", "litellm_params", "os.environ", "openai/"] {
        assert!(!told.contains(part), "{told}");
    }
    assert!(told.contains("Ask the operator"), "{told}");
    assert!(rig.upstream.requests().is_empty());
}
