//! `POST /route/explain`.

use serde_json::{Value, json};
use tagrail_testkit::{FakeUpstream, config_text, deployment, post};

use crate::gateway::{Gateway, KEY, chat, message};

const EXPLAIN: &str = "/route/explain";

#[tokio::test]
async fn a_decision_is_explained_and_nothing_is_sent() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({}));
    let mut body = chat("m");
    body["tags"] = json!(["paid"]);
    let response = post(gateway.address, EXPLAIN, &[KEY, ("x-litellm-tags", "other")], &body).await;
    assert_eq!(response.status, 200, "{}", response.text());
    let told = response.json();
    assert_eq!((&told["model"], &told["group"]), (&json!("m"), &json!("m")));
    let tags =
        json!([{"tag": "other", "from": "header x-litellm-tags"}, {"tag": "paid", "from": "body tags"}]);
    assert_eq!(told["tags"], tags);
    assert_eq!(told["decision"], json!({"found_by": "model_name", "first": "paid", "permitted": ["paid"]}));
    let deployments = told["deployments"].as_array().unwrap();
    let of = |id: &str| deployments.iter().find(|told| told["id"] == id).unwrap();
    assert_eq!(deployments.len(), 3);
    assert_eq!((&of("paid")["kept"], &of("paid")["stage"]), (&json!(true), &Value::Null));
    assert_eq!((&of("free")["kept"], &of("free")["stage"]), (&json!(false), &json!("tags")));
    assert!(of("free")["text"].as_str().is_some_and(|text| !text.is_empty()));
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_refusal_is_explained_with_its_status() {
    let upstream = FakeUpstream::start();
    let deployments = [deployment("m", "free", &["free"], &upstream.base())];
    let gateway = Gateway::start(&config_text(&deployments, &json!({})));
    let mut body = chat("m");
    body["tags"] = json!(["nope"]);
    let told = gateway.post(EXPLAIN, &body).await.json();
    assert_eq!(told["decision"]["status"], 401);
    let text = "Not allowed to access model due to tags configuration. Passed model=m and tags=['nope']";
    assert_eq!(told["decision"]["error"], text);
    let told = gateway.post(EXPLAIN, &chat("zzz")).await.json();
    assert_eq!((&told["decision"]["status"], &told["group"]), (&json!(400), &Value::Null));
    assert_eq!(gateway.post(EXPLAIN, &json!([])).await.status, 400);
    let nameless = gateway.post(EXPLAIN, &json!({})).await;
    assert_eq!(nameless.status, 400);
    assert_eq!(message(&nameless), "/chat/completions: Missing required parameter: 'model'.");
}

#[tokio::test]
async fn another_route_is_explained_when_it_is_named() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({}));
    let mut body = chat("m");
    // Tags below metadata are a provider's own where Messages and Responses are spoken.
    body["metadata"] = json!({"tags": ["free"]});
    body["tags"] = json!(["paid"]);
    let tags = async |route: &str| {
        let response = gateway.post(&format!("{EXPLAIN}?route={route}"), &body).await;
        assert_eq!(response.status, 200, "{route}: {}", response.text());
        response.json()["tags"][0]["from"].as_str().unwrap().to_owned()
    };
    for route in ["/v1/chat/completions", "chat/completions", "/v1/embeddings"] {
        assert_eq!(tags(route).await, "body metadata.tags", "{route}");
    }
    for route in ["/v1/messages", "messages", "/v1/responses"] {
        assert_eq!(tags(route).await, "body tags", "{route}");
    }
    let told = gateway.post(&format!("{EXPLAIN}?route=/engines/zzz/completions"), &body).await.json();
    assert_eq!(told["model"], "zzz", "the path's model wins");
    let response = gateway.post(&format!("{EXPLAIN}?route=/v1/nonsense"), &body).await;
    assert_eq!(response.status, 400);
    assert!(message(&response).contains("/v1/nonsense"), "{}", response.text());
}

#[tokio::test]
async fn what_a_deployment_lets_nobody_set_is_noted() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({}));
    let mut body = chat("m");
    let notes = async |body: &Value| gateway.post(EXPLAIN, body).await.json()["notes"].to_string();
    assert!(!notes(&body).await.contains("refuses"));
    body["api_base"] = json!("https://elsewhere.example");
    let told = notes(&body).await;
    assert!(told.contains("refuses the call with 401") && told.contains("api_base"), "{told}");
}
