//! `GET /metrics`.

use serde_json::json;
use tagrail_testkit::{FakeUpstream, config_text, deployment};

use crate::gateway::{Gateway, chat};

#[tokio::test]
async fn calls_are_counted_under_configured_names_only() {
    let upstream = FakeUpstream::start();
    let deployments = [deployment("w/*", "wild", &[], &upstream.base())];
    let gateway = Gateway::start(&config_text(&deployments, &json!({})));
    for model in ["w/one", "w/two", "unknown-name"] {
        gateway.post("/v1/chat/completions", &chat(model)).await;
    }
    let response = gateway.get("/metrics").await;
    assert_eq!(response.status, 200);
    assert!(response.header("content-type").starts_with("application/openmetrics-text"));
    let text = response.text();
    let line = r#"tagrail_requests_total{operation="chat_completions",group="w/*",deployment="wild",status="200"} 2"#;
    assert!(text.contains(line), "{text}");
    assert!(text.contains("status=\"400\"} 1"), "{text}");
    assert!(!text.contains("w/one") && !text.contains("unknown-name"), "{text}");
    assert!(text.contains("tagrail_requests_in_flight 0"), "{text}");
}

#[tokio::test]
async fn they_can_be_open_to_everybody() {
    let upstream = FakeUpstream::start();
    let more = json!({"litellm_settings": {"require_auth_for_metrics_endpoint": false}});
    let gateway = Gateway::tagged(&upstream, &more);
    assert_eq!(gateway.send("GET", "/metrics", &[]).await.status, 200);
}

#[tokio::test]
async fn a_mistake_in_the_configuration_shows() {
    let upstream = FakeUpstream::start();
    let mut broken = deployment("b", "broken", &[], &upstream.base());
    broken["litellm_params"]["tags"] = json!("not-a-list");
    let deployments = [deployment("m", "one", &[], &upstream.base()), broken];
    let gateway = Gateway::start(&config_text(&deployments, &json!({})));
    assert!(gateway.get("/metrics").await.text().contains("tagrail_deployments_left_out 1"));
}
