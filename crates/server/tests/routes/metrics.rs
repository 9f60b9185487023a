//! `GET /metrics`.

use serde_json::json;
use tagrail_testkit::{FakeUpstream, config_text, deployment};

use crate::gateway::{Gateway, KEY, chat};

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
    let text = response.text();
    let line = r#"tagrail_requests_total{operation="chat_completions",group="w/*",deployment="wild",status="200"} 2"#;
    assert!(text.contains(line), "{text}");
    assert!(text.contains("status=\"400\"} 1"), "{text}");
    assert!(!text.contains("w/one") && !text.contains("unknown-name"), "{text}");
    assert!(text.contains("tagrail_requests_in_flight 0"), "{text}");
}

#[tokio::test]
async fn each_reader_gets_its_format() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({}));
    gateway.post("/v1/chat/completions", &chat("m")).await;
    let plain = gateway.get("/metrics").await;
    assert_eq!(plain.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let text = plain.text();
    assert!(text.contains("# TYPE tagrail_requests_total counter\n"), "{text}");
    assert!(!text.contains("# EOF") && !text.contains(" info\n"), "{text}");
    let accept = ("accept", "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5");
    let open = gateway.send("GET", "/metrics", &[KEY, accept]).await;
    assert!(open.header("content-type").starts_with("application/openmetrics-text; version=1.0.0"));
    assert!(open.text().contains("# TYPE tagrail_requests counter\n") && open.text().ends_with("# EOF\n"));
}

#[tokio::test]
async fn requests_that_became_no_calls_are_counted_by_status() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({"general_settings": {"max_request_size_mb": 0.001}}));
    let mut large = chat("m");
    large["padding"] = json!("x".repeat(2000));
    gateway.post("/v1/chat/completions", &large).await;
    gateway.send("POST", "/v1/chat/completions", &[]).await;
    gateway.send("GET", "/v1/models", &[]).await;
    gateway.get("/nowhere").await;
    gateway.send("GET", "/v1/models", &[KEY, ("x-long", &"x".repeat(70_000))]).await;
    // One that did, and is counted as a call alone.
    gateway.post("/v1/chat/completions", &chat("unknown-name")).await;
    let text = gateway.get("/metrics").await.text();
    let counted: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("tagrail_refused_requests_total")).collect();
    for line in [r#"{status="413"} 1"#, r#"{status="401"} 2"#, r#"{status="404"} 1"#, r#"{status="431"} 1"#] {
        assert!(counted.contains(&line), "{line} is not in {counted:?}");
    }
    assert_eq!(counted.len(), 4, "{counted:?}");
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
